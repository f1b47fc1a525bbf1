"""The recurrent agent of PyMARL: fc1, relu, GRU cell, fc2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.agents.gru_agent import GRUAgent
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.gru import GRUNetwork, GRUStep
from pymarl.modules.layers.plain import is_untouched
from pymarl.utils.config import PositiveInt


class RNNAgent(GRUAgent):
    """DRQN agent (Hausknecht & Stone 2015) with weights shared by all agents. Hidden state [R, rnn_hidden_dim]."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: width of fc1's output and of the GRU's state."""

        rnn_hidden_dim: PositiveInt

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.fc2 = nn.Linear(config.rnn_hidden_dim, spec.n_actions)
        self._step: GRUStep | None = None

    def network(self) -> GRUNetwork:
        """Return the layers, whose step is this agent's `forward`."""
        layers: dict[str, Any] = self._modules  # as attributes they take as long as a small product
        return GRUNetwork(layers["fc1"], layers["rnn"], layers["fc2"])

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, rnn_hidden_dim] zeros."""
        self._step = None  # weights may have changed
        return super().init_hidden(rows)

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; see Agent.forward."""
        return self.network().step(inputs, hidden)

    def act(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step without gradient; see Agent.act."""
        network = self.network()
        if self._step is None or not self._step.is_current(network, inputs):
            self._step = GRUStep.of(network, inputs)
        if self._step is None or not is_untouched(self):
            return super().act(inputs, hidden)
        return self._step(inputs, hidden)

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor | None = None, *, states: bool = False
    ) -> Unrolled:
        """Run over whole packed sequences; see Agent.unroll."""
        network = self.network()
        if not (is_untouched(self) and network.is_plain()):
            return Agent.unroll(self, inputs, counts, hidden, states=states)
        return Unrolled(*network.unroll(inputs, counts, self._initial(counts, hidden), states=states))
