"""PyMARL2's communicating agent: a recurrent one that also attends to what its whole team sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.agents.gru_agent import GRUAgent
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.self_attention import SelfAttention
from pymarl.utils.config import PositiveInt


class AttRNNAgent(GRUAgent):
    """Its own GRU state beside self-attention over the inputs of all agents in the same slot (PyMARL2's qmix_att).

    An agent's Q-values depend on what the others see, in tests as well: execution is NOT decentralised. It assumes a
    channel that carries every agent's observation to every other one without delay.
    """

    mixes_agents = True

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: width of all hidden layers. att_heads, att_embed_dim: heads of the attention, and the width
        of each.
        """

        rnn_hidden_dim: PositiveInt
        att_heads: PositiveInt
        att_embed_dim: PositiveInt

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        hidden = config.rnn_hidden_dim
        self.n_agents = spec.n_agents
        self.att = SelfAttention(spec.input_shape, config.att_heads, config.att_embed_dim)
        self.fc2 = nn.Linear(config.att_heads * config.att_embed_dim, hidden)
        self.fc3 = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, spec.n_actions))

    def head(self, inputs: Inputs, states: Tensor) -> Tensor:
        """Return [R, A]; see GRUAgent.head. ValueError for rows of some agents alone."""
        if inputs.agents not in (None, tuple(range(self.n_agents))):
            raise ValueError(f"rows of agents {inputs.agents}: each attends to all {self.n_agents} of its team")
        attended = self.fc2(self.att(inputs, self.n_agents)).relu()
        outputs: Tensor = self.fc3(torch.cat([states, attended], dim=1))
        return outputs
