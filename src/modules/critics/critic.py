"""What a critic is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.modules.inputs import Inputs, input_shape


class Critic(nn.Module):
    """Base of all critics. A subclass writes `forward` and says what it sees, as `sees` or, if keys decide, in `parts`.

    Attributes:
        sees: parts of its input, names of components.inputs.

    Args:
        config: the subclass's Config, or None if it reads no keys.
        info: of the env.
    """

    sees: tuple[str, ...] = ("state", "agent_id")

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        self.sees = self.parts()

    def parts(self) -> tuple[str, ...]:
        """Return what it sees under its config."""
        return type(self).sees

    @property
    def input_shape(self) -> int:
        """E, the length of a dense input row."""
        return input_shape(self.sees, self.info)

    def outputs(self) -> int:
        """Return K, the number of values of a row."""
        return 1

    def forward(self, inputs: Inputs) -> Tensor:
        """Return [R, K], values of R rows: of a state, or of each action in it."""
        raise NotImplementedError

    def unroll(self, inputs: Inputs, counts: Sequence[int]) -> Tensor:
        """Return [R, K], values of R rows of whole sequences, packed as for Agent.unroll: here of each row for itself.

        Args:
            inputs: of all time slots, slot 0's rows first.
            counts: rows in each slot, non-increasing; they sum to R.
        """
        values: Tensor = self(inputs)
        return values

    def heads(self) -> list[nn.Linear]:
        """Return the layers whose outputs are the values."""
        raise NotImplementedError

    @torch.no_grad()
    def rescale(self, mean: Tensor, std: Tensor, new_mean: Tensor, new_std: Tensor) -> None:
        """Let `std * value + mean` be what it was when mean and deviation change, all 0-d (PopArt)."""
        for head in self.heads():
            head.weight.mul_(std / new_std)
            head.bias.copy_((std * head.bias + mean - new_mean) / new_std)
