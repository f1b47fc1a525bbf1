"""What recurrent agents share: an embedding of the inputs, a GRU cell, and a head of each one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.gru import GRUNetwork
from pymarl.modules.layers.plain import is_untouched


class GRUAgent(Agent):
    """fc1, relu, GRU cell; a subclass writes `head`. Hidden state [R, rnn_hidden_dim]."""

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.fc1 = nn.Linear(spec.input_shape, config.rnn_hidden_dim)
        self.rnn = nn.GRUCell(config.rnn_hidden_dim, config.rnn_hidden_dim)

    def head(self, inputs: Inputs, states: Tensor) -> Tensor:
        """Return [R, A] outputs for R rows of whole slots and the states [R, H] after them."""
        raise NotImplementedError

    def network(self) -> GRUNetwork:
        """Return the layers whose step gives the states."""
        return GRUNetwork(self.fc1, self.rnn)

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, rnn_hidden_dim] zeros."""
        return self.fc1.weight.new_zeros(rows, self.rnn.hidden_size)

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; see Agent.forward."""
        hidden = self.network().step_state(inputs, hidden)
        return self.head(inputs, hidden), hidden

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor | None = None, *, states: bool = False
    ) -> Unrolled:
        """Run over whole packed sequences, the head over all rows at once; see Agent.unroll."""
        network = self.network()
        if not (is_untouched(self) and network.is_plain()):
            return super().unroll(inputs, counts, hidden, states=states)
        after = network.unroll_states(inputs, counts, self._initial(counts, hidden))
        return Unrolled(self.head(inputs, after), after if states else None)
