"""PyMARL2's recurrent agent: RNNAgent with optional layer norm and orthogonal initialisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.modules.layers.gru import GRUNetwork
from pymarl.utils.config import PositiveFloat, PositiveInt


class NRNNAgent(RNNAgent):
    """The agent behind PyMARL2's results (Hu et al. 2021)."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim as in RNNAgent; use_layer_norm normalises the state before fc2 (the recurrence sees it
        unnormalised); use_orthogonal initialises fc1 and fc2 orthogonally with zero biases, fc2 scaled by gain.
        """

        rnn_hidden_dim: PositiveInt
        use_layer_norm: bool
        use_orthogonal: bool
        gain: PositiveFloat

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        if config.use_layer_norm:
            self.layer_norm = nn.LayerNorm(config.rnn_hidden_dim)
        if config.use_orthogonal:
            for layer, gain in ((self.fc1, 1.0), (self.fc2, config.gain)):
                nn.init.orthogonal_(layer.weight, gain=gain)
                nn.init.zeros_(layer.bias)

    def network(self) -> GRUNetwork:
        """Return the layers, whose step is this agent's `forward`."""
        return super().network()._replace(norm_out=self._modules.get("layer_norm"))
