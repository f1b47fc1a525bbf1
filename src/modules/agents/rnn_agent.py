"""The recurrent agent of PyMARL: fc1, relu, GRU cell, fc2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pymarl.modules.agents.agent import Agent, AgentInputs
from pymarl.modules.layers.gru import unroll_gru
from pymarl.modules.layers.gru_step import GRUStep
from pymarl.utils.config import PositiveInt


class RNNAgent(Agent):
    """DRQN agent (Hausknecht & Stone 2015) with weights shared by all agents. Hidden state [R, rnn_hidden_dim]."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: width of fc1's output and of the GRU's state."""

        rnn_hidden_dim: PositiveInt

    def __init__(self, config: Any, input_shape: int, n_actions: int) -> None:
        super().__init__(config, input_shape, n_actions)
        self.fc1 = nn.Linear(input_shape, config.rnn_hidden_dim)
        self.rnn = nn.GRUCell(config.rnn_hidden_dim, config.rnn_hidden_dim)
        self.fc2 = nn.Linear(config.rnn_hidden_dim, n_actions)
        self._step: GRUStep | None = None

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, rnn_hidden_dim] zeros."""
        self._step = None  # weights may have changed
        return self.fc1.weight.new_zeros(rows, self.rnn.hidden_size)

    def forward(self, inputs: AgentInputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; see Agent.forward."""
        hidden = self.rnn(inputs.linear(self.fc1).relu_(), hidden)
        return self._head(hidden), hidden

    @torch.no_grad()
    def act(self, inputs: AgentInputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step without gradient; see Agent.act."""
        if self._step is None or not self._step.is_current(inputs):
            self._step = GRUStep(inputs, self.fc1, self.rnn)
        hidden = self._step(inputs, hidden)
        return self._head(hidden), hidden

    def unroll(self, inputs: AgentInputs, counts: Sequence[int]) -> Tensor:
        """Run over whole packed episodes; see Agent.unroll."""
        return self._unroll(inputs, counts, fused=type(self)._head is RNNAgent._head)

    def _unroll(self, inputs: AgentInputs, counts: Sequence[int], *, fused: bool) -> Tensor:
        """Unroll with fc2 inside the recurrence's function (`fused`, for a head that is fc2 alone) or with `_head`."""
        if fused:
            return unroll_gru(inputs, counts, self.fc1, self.rnn, self.fc2)
        return self._head(unroll_gru(inputs, counts, self.fc1, self.rnn, None))

    def _head(self, hidden: Tensor) -> Tensor:
        """Return [R, A] outputs for states [R, H]."""
        return self.fc2(hidden)
