"""PyMARL2's agent without recurrence: convolutions over its last few inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.inputs import Inputs
from pymarl.utils.config import PositiveInt, Range
from pymarl.utils.devices import upload


class ConvAgent(Agent):
    """Two convolutions over time and two layers, on a window of the last `frames` inputs, zeros before the first.

    Its hidden state is the inputs of the `frames` - 1 steps before, oldest first, [R, (frames - 1) * E]: all else takes
    it for a recurrent agent. The last action and the agent's id are part of every frame.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """rnn_hidden_dim: channels of the convolutions and width of fc1. frames: inputs in a window; the convolutions
        take four at least.
        """

        rnn_hidden_dim: PositiveInt
        frames: Annotated[int, Range(ge=4)]

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        hidden = config.rnn_hidden_dim
        self.frames, self.input_shape = config.frames, spec.input_shape
        self.conv1 = nn.Conv1d(spec.input_shape, hidden, 2)
        self.conv2 = nn.Conv1d(hidden, hidden, 3)
        self.fc1 = nn.Linear((config.frames - 3) * hidden, hidden)
        self.fc2 = nn.Linear(hidden, spec.n_actions)

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, (frames - 1) * E] zeros."""
        return self.fc1.weight.new_zeros(rows, (self.frames - 1) * self.input_shape)

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; see Agent.forward."""
        windows = torch.cat([hidden, inputs.dense()], dim=1).unflatten(1, (self.frames, -1))  # [R, frames, E]
        x = self.conv2(self.conv1(windows.transpose(1, 2)).relu()).relu()  # [R, H, frames - 3]
        return self.fc2(self.fc1(x.flatten(1)).relu()), windows[:, 1:].flatten(1)

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor | None = None, *, states: bool = False
    ) -> Unrolled:
        """Run over whole packed sequences at once; see Agent.unroll.

        The frames of `hidden` come before slot 0 as slots of their own. The k-th row of each slot is of one sequence,
        so that frame i of the hidden state before slot t lies in the k-th row of slot t + i.
        """
        before = self.frames - 1
        first = self._initial(counts, hidden).unflatten(1, (before, -1)).transpose(0, 1)  # [frames - 1, counts[0], E]
        rows = torch.cat([first.flatten(0, 1), inputs.dense()])
        starts = torch.tensor([0, *accumulate([counts[0]] * before + list(counts))])
        index = torch.cat([torch.arange(n)[:, None] + starts[t : t + before] for t, n in enumerate(counts) if n])
        frames = rows.index_select(0, upload(index.flatten(), rows.device))
        outputs, after = self(inputs, frames.view(len(index), -1))
        return Unrolled(outputs, after if states else None)
