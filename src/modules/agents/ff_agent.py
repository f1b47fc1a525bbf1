"""A feed-forward agent: no memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.inputs import Inputs
from pymarl.utils.config import PositiveInt


class FFAgent(Agent):
    """fc1, relu, fc2, relu, fc3. Its hidden state is empty: [R, 0]."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: width of both hidden layers (PyMARL's key)."""

        rnn_hidden_dim: PositiveInt

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.fc1 = nn.Linear(spec.input_shape, config.rnn_hidden_dim)
        self.fc2 = nn.Linear(config.rnn_hidden_dim, config.rnn_hidden_dim)
        self.fc3 = nn.Linear(config.rnn_hidden_dim, spec.n_actions)

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, 0]."""
        return self.fc1.weight.new_zeros(rows, 0)

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; see Agent.forward. The state passes through."""
        return self.fc3(self.fc2(inputs.linear(self.fc1).relu()).relu()), hidden

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor | None = None, *, states: bool = False
    ) -> Unrolled:
        """Run over whole packed sequences at once; see Agent.unroll."""
        empty = self._initial(counts, hidden).new_zeros(inputs.features.shape[0], 0)
        outputs, empty = self(inputs, empty)
        return Unrolled(outputs, empty if states else None)
