"""The recurrent agent with layer norms on both sides of its cell, as PQN wants it."""

from __future__ import annotations

from typing import Any

from torch import nn

from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.modules.layers.gru import GRUNetwork


class LNRNNAgent(RNNAgent):
    """fc1, layer norm, relu, GRU cell, layer norm, fc2 (Gallici et al. 2024, arXiv:2407.04811).

    The norms bound what an update can do to the values of states that it did not see, which is what keeps Q-learning
    without target networks from running away; the recurrence sees its state without them.
    """

    Config = RNNAgent.Config

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.norm_in = nn.LayerNorm(config.rnn_hidden_dim)
        self.norm_out = nn.LayerNorm(config.rnn_hidden_dim)

    def network(self) -> GRUNetwork:
        """Return the layers, whose step is this agent's `forward`."""
        layers = self._modules
        return super().network()._replace(norm_in=layers["norm_in"], norm_out=layers["norm_out"])
