"""The recurrent agent of PyMARL: fc1, relu, GRU cell, fc2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.gru import unroll_gru
from pymarl.modules.layers.gru_step import GRUStep
from pymarl.modules.layers.plain import fits_gru, is_untouched
from pymarl.utils.config import PositiveInt


class RNNAgent(Agent):
    """DRQN agent (Hausknecht & Stone 2015) with weights shared by all agents. Hidden state [R, rnn_hidden_dim]."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: width of fc1's output and of the GRU's state."""

        rnn_hidden_dim: PositiveInt

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.fc1 = nn.Linear(spec.input_shape, config.rnn_hidden_dim)
        self.rnn = nn.GRUCell(config.rnn_hidden_dim, config.rnn_hidden_dim)
        self.fc2 = nn.Linear(config.rnn_hidden_dim, spec.n_actions)
        self._step: GRUStep | None = None

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, rnn_hidden_dim] zeros."""
        self._step = None  # weights may have changed
        return self.fc1.weight.new_zeros(rows, self.rnn.hidden_size)

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; see Agent.forward."""
        hidden = self.rnn(inputs.linear(self.fc1).relu(), hidden)
        return self._head(hidden), hidden

    def act(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step without gradient; see Agent.act."""
        if torch.is_grad_enabled():
            with torch.no_grad():
                return self.act(inputs, hidden)
        layers: dict[str, Any] = self._modules  # as attributes they take as long as a small product
        fc1, rnn = layers["fc1"], layers["rnn"]
        if self._step is None or not self._step.is_current(inputs, fc1, rnn):
            self._step = GRUStep.of(inputs, fc1, rnn)
        if self._step is None or not is_untouched(self, fc1, rnn):
            return super().act(inputs, hidden)
        hidden = self._step(inputs, hidden)
        return self._head(hidden), hidden

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor | None = None, *, states: bool = False
    ) -> Unrolled:
        """Run over whole packed sequences; see Agent.unroll."""
        if not self._is_plain():
            return super().unroll(inputs, counts, hidden, states=states)
        hidden = self._initial(counts, hidden)
        if self._head_is_fc2() and fits_gru(self.fc1, self.rnn, self.fc2) and not states:
            return Unrolled(unroll_gru(inputs, counts, self.fc1, self.rnn, self.fc2, hidden), None)
        after = unroll_gru(inputs, counts, self.fc1, self.rnn, None, hidden)
        return Unrolled(self._head(after), after if states else None)

    def _is_plain(self) -> bool:
        """Return whether `forward` is fc1, relu, GRU cell and `_head`, with torch's own layers before the head."""
        return is_untouched(self) and fits_gru(self.fc1, self.rnn)

    def _head_is_fc2(self) -> bool:
        """Return whether `_head` calls fc2 alone."""
        return type(self)._head is RNNAgent._head

    def _head(self, hidden: Tensor) -> Tensor:
        """Return [R, A] outputs for states [R, H]."""
        return self.fc2(hidden)
