"""Weighted QMIX's other central mixer: heads that attend to the agents, with weights of the state."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pymarl.envs.specs import EnvInfo
from pymarl.modules.central.central_mixer import CentralMixer
from pymarl.modules.layers.mlp import mlp
from pymarl.utils.config import PositiveInt


class CentralAttenMixer(CentralMixer):
    """As the authors' code has it (oxwhirl/wqmix): each of E heads takes the mean of the agents' values with weights
    that a softmax over the agents makes of the state; a network with two hidden layers reads the heads; plus V(state).

    With more than one value of each agent (K) each head means each of them, and the network reads E * K numbers; the
    authors' code runs with K = 1 alone, where it is the same.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(CentralMixer.Config):
        """hypernet_embed: hidden width of the network that makes the weights."""

        hypernet_embed: PositiveInt

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        embed = config.central_mixing_embed_dim
        self.atten_layer = mlp(info.state_shape, config.hypernet_embed, info.n_agents * embed)
        self.net = mlp(embed * config.central_action_embed, embed, embed, 1)
        self.V = mlp(info.state_shape, embed, 1)

    def forward(self, values: Tensor, state: Tensor) -> Tensor:
        """Return [P, 1]; see CentralMixer.forward."""
        weights = self.atten_layer(state).unflatten(-1, (self.info.n_agents, -1)).softmax(dim=1)  # [P, N, E]
        heads = (values.unsqueeze(-1) * weights.unsqueeze(2)).sum(dim=1)  # [P, K, E]
        out: Tensor = self.net(heads.flatten(1)) + self.V(state)
        return out
