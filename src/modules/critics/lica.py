"""LICA's critic: a value of a joint action in which every agent's action may be a distribution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.critics.critic import Critic
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.mlp import mlp
from pymarl.utils.config import PositiveInt


class LICACritic(Critic):
    """Q(s, u) = relu(u W1(s) + b1(s)) w2(s) + b2(s) of the joint action u [N * A] (Zhou et al. 2020, arXiv:2007.02529).

    Hypernetworks of the state write the weights, which may be negative: nothing is assumed of how agents add up.
    Parameter names are PyMARL2's. A row is a joint step: state and joint action.
    """

    sees = ("state", "joint_actions")
    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of lica; see config/default.yaml."""

        mixing_embed_dim: PositiveInt
        hypernet_embed: PositiveInt

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        state, hyper, embed = info.state_shape, config.hypernet_embed, config.mixing_embed_dim
        self.hyper_w_1 = mlp(state, hyper, embed * info.n_agents * info.n_actions)
        self.hyper_w_final = mlp(state, hyper, embed)
        self.hyper_b_1 = nn.Linear(state, embed)
        self.hyper_b_2 = mlp(state, hyper, 1)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, 1]; see Critic.forward."""
        state, actions = inputs.dense().split([self.info.state_shape, self.info.n_agents * self.info.n_actions], dim=1)
        return self.value(state, actions)

    def value(self, state: Tensor, actions: Tensor) -> Tensor:
        """Return [R, 1] in states [R, S]; `actions` [R, N * A] are probabilities, or one-hots."""
        weights = self.hyper_w_1(state).unflatten(-1, (-1, self.config.mixing_embed_dim))  # [R, N * A, E]
        hidden = torch.baddbmm(self.hyper_b_1(state).unsqueeze(1), actions.unsqueeze(1), weights).relu()  # [R, 1, E]
        value: Tensor = (hidden.squeeze(1) * self.hyper_w_final(state)).sum(-1, keepdim=True) + self.hyper_b_2(state)
        return value
