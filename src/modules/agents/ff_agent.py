"""A feed-forward agent: no memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pymarl.modules.agents.agent import Agent, AgentInputs
from pymarl.utils.config import PositiveInt


class FFAgent(Agent):
    """fc1, relu, fc2, relu, fc3. Its hidden state is empty: [R, 0]."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: width of both hidden layers (PyMARL's key)."""

        rnn_hidden_dim: PositiveInt

    def __init__(self, config: Any, input_shape: int, n_actions: int) -> None:
        super().__init__(config, input_shape, n_actions)
        self.fc1 = nn.Linear(input_shape, config.rnn_hidden_dim)
        self.fc2 = nn.Linear(config.rnn_hidden_dim, config.rnn_hidden_dim)
        self.fc3 = nn.Linear(config.rnn_hidden_dim, n_actions)

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, 0]."""
        return self.fc1.weight.new_zeros(rows, 0)

    def forward(self, inputs: AgentInputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; see Agent.forward. The state passes through."""
        return self.fc3(self.fc2(inputs.linear(self.fc1).relu_()).relu_()), hidden

    def unroll(self, inputs: AgentInputs, counts: Sequence[int]) -> Tensor:
        """Run over whole packed episodes at once; see Agent.unroll."""
        return self(inputs, self.init_hidden(inputs.obs.shape[0]))[0]
