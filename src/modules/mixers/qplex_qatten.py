"""QPLEX over Qatten's attention, the authors' `dmaq_qatten` (github.com/wjh720/QPLEX), which PyMARL2 left out.

Parameter names are the authors'.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.layers.heads import together
from pymarl.modules.layers.mlp import mlp
from pymarl.modules.mixers.duplex import TINY, DuplexMixer, Transformed, advantage_weights
from pymarl.modules.mixers.mixer import MixerInputs
from pymarl.modules.mixers.own_features import OwnStateSize, attend, own_features, own_state_size
from pymarl.utils.config import NonNegativeFloat, PositiveInt


class QPLEXQattenMixer(DuplexMixer):
    """Duplex dueling (Wang et al. 2021, arXiv:2008.01062) of values weighted by attention (arXiv:2002.03939).

    Assumes a state that begins with the features of all agents, one after another. With `nonlinear` the weights depend
    on the agents' values, and the greedy joint action need no longer be every agent's own.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(DuplexMixer.Config):
        """Keys of qplex_qatten; see config/default.yaml."""

        mixing_embed_dim: PositiveInt
        hypernet_embed: PositiveInt
        n_head: PositiveInt
        attend_reg_coef: NonNegativeFloat
        state_bias: bool
        nonlinear: bool
        agent_own_state_size: OwnStateSize

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        self.attention_weight = _Attention(config, info)
        self.si_weight = advantage_weights(config, info)
        self.monotone = not config.nonlinear
        if not config.state_bias:
            self.idle = {name for name in self.names_in("attention_weight") if name.split(".")[1] == "V"}

    def transform(self, inputs: MixerInputs) -> Transformed:
        """Return each agent's attention, summed over the heads, and an equal share of the state's value."""
        weight, logits = self.attention_weight(inputs)
        bias = torch.zeros_like(inputs.q)
        if self.config.state_bias:
            bias = bias + self.attention_weight.V(inputs.state) / self.n_agents
        penalty = self.config.attend_reg_coef * logits.pow(2).mean(dim=-1).sum(dim=-1, keepdim=True)  # [P, 1]
        return Transformed(weight + TINY, bias, penalty)


class _Attention(nn.Module):
    def __init__(self, config: QPLEXQattenMixer.Config, info: EnvInfo) -> None:
        super().__init__()
        c, state, heads = config, info.state_shape, range(config.n_head)
        self.config, self.n_agents = config, info.n_agents
        self.own_size = own_state_size(c.agent_own_state_size, info)
        self.key_extractors = nn.ModuleList(
            nn.Linear(self.own_size + c.nonlinear, c.mixing_embed_dim, bias=False) for _ in heads
        )
        self.selector_extractors = nn.ModuleList(
            mlp(state, c.hypernet_embed, c.mixing_embed_dim, last_bias=False) for _ in heads
        )
        if c.weighted_head:
            self.hyper_w_head = mlp(state, c.hypernet_embed, c.n_head)
        self.V = mlp(state, c.mixing_embed_dim, 1)

    def forward(self, inputs: MixerInputs) -> tuple[Tensor, Tensor]:
        """Return the agents' weights [P, N] and the logits [P, K, N], not yet scaled."""
        query = together(self.selector_extractors, inputs.state)  # [P, K, E]
        features = own_features(inputs.state, self.n_agents, self.own_size)  # [P, N, U]
        if self.config.nonlinear:
            features = torch.cat([features, inputs.q.unsqueeze(-1)], dim=-1)
        attention, logits = attend(query, self.key_extractors, features)  # [P, K, N]
        if self.config.weighted_head:
            attention = attention * self.hyper_w_head(inputs.state).abs().unsqueeze(-1)
        return attention.sum(dim=1), logits
