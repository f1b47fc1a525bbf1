"""Qatten's mixer (Yang et al. 2020, arXiv:2002.03939), as PyMARL2 has it.

Parameter names are PyMARL2's, so that its mixer.th loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.layers.heads import together
from pymarl.modules.layers.mlp import mlp
from pymarl.modules.mixers.mixer import BaseMixer, MixerInputs
from pymarl.modules.mixers.own_features import OwnStateSize, attend, own_features, own_state_size
from pymarl.utils.config import PositiveInt
from pymarl.utils.errors import UserError


class QattenMixer(BaseMixer):
    """Sums of the agents' Q-values, one for each head of attention, added up with weights of the state, and c(s).

    In each head the state asks, every agent answers with its own part of the state, and a softmax over the agents gives
    their weights (Yang et al. 2020, arXiv:2002.03939). All weights are positive, so that the output
    is monotone in every agent's Q-value. Assumes a state that begins with the features of all agents, one after
    another, as SMAC's does.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of qatten; see config/default.yaml."""

        n_query_embedding_layer1: PositiveInt
        n_query_embedding_layer2: PositiveInt
        n_key_embedding_layer1: PositiveInt
        n_head_embedding_layer1: PositiveInt
        n_head_embedding_layer2: PositiveInt
        n_attention_head: PositiveInt
        n_constrant_value: PositiveInt
        type: Literal["weighted", "unweighted"]
        agent_own_state_size: OwnStateSize

        def __post_init__(self) -> None:
            """Raise UserError for sizes of which PyMARL2 can make no product."""
            query, heads = self.n_query_embedding_layer2, self.n_attention_head
            if self.n_key_embedding_layer1 != query:
                raise UserError(
                    f"n_key_embedding_layer1={self.n_key_embedding_layer1} and n_query_embedding_layer2={query}: keys "
                    f"and queries are multiplied; write n_key_embedding_layer1={query}"
                )
            if self.type == "weighted" and self.n_head_embedding_layer2 != heads:
                raise UserError(
                    f"n_head_embedding_layer2={self.n_head_embedding_layer2} weights for n_attention_head={heads} "
                    f"heads; write n_head_embedding_layer2={heads}"
                )

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__(config, info)
        c, state, heads = config, info.state_shape, range(config.n_attention_head)
        self.own_size = own_state_size(c.agent_own_state_size, info)
        self.query_embedding_layers = nn.ModuleList(
            mlp(state, c.n_query_embedding_layer1, c.n_query_embedding_layer2) for _ in heads
        )
        self.key_embedding_layers = nn.ModuleList(nn.Linear(self.own_size, c.n_key_embedding_layer1) for _ in heads)
        self.head_embedding_layer = mlp(state, c.n_head_embedding_layer1, c.n_head_embedding_layer2)
        self.constrant_value_layer = mlp(state, c.n_constrant_value, 1)
        self.idle = {f"key_embedding_layers.{head}.bias" for head in heads}
        if c.type == "unweighted":
            self.idle |= self.names_in("head_embedding_layer")

    def mix(self, inputs: MixerInputs) -> Tensor:
        """Return [P, 1]."""
        query = together(self.query_embedding_layers, inputs.state)  # [P, K, E]
        own = own_features(inputs.state, self.n_agents, self.own_size)  # [P, N, U]
        attention, _ = attend(query, self.key_embedding_layers, own)  # [P, K, N]
        heads = (attention * inputs.q.unsqueeze(1)).sum(dim=-1)  # [P, K]
        if self.config.type == "weighted":
            heads = heads * self.head_embedding_layer(inputs.state).abs()
        value: Tensor = heads.sum(dim=-1, keepdim=True) + self.constrant_value_layer(inputs.state)
        return value
