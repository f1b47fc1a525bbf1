"""What a learner says of what it has just learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pymarl.utils.devices import Fetched
from pymarl.utils.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What one call of `train` says of itself.

    Attributes:
        metrics: name -> 0-d tensor on the learner's device, under PyMARL2's names where it has one.
        priorities: [B] of the sample's episodes, not negative, on the learner's device; None: it has no opinion.
        gradient_steps: optimiser steps (of the acting network) that were made.
        t_env: env steps at the update, for messages.
    """

    metrics: Mapping[str, Tensor]
    priorities: Tensor | None = None
    gradient_steps: int = 1
    t_env: int

    @classmethod
    def of_updates(cls, updates: Iterable[Mapping[str, Tensor]], t_env: int) -> TrainResult:
        """Return the result of several updates, given what each logs, name -> 0-d: the means over those that do."""
        sums: dict[str, Tensor] = {}
        counts: Counter[str] = Counter()
        steps = 0
        for logged in updates:
            for name, value in logged.items():
                sums[name] = sums.get(name, 0.0) + value
            counts.update(logged.keys())
            steps += 1
        means = {name: value / counts[name] for name, value in sums.items()}
        return cls(metrics=means, gradient_steps=steps, t_env=t_env)

    def read(self) -> dict[str, float]:
        """Return the metrics as floats, waiting for the device once.

        Raises:
            UserError: one of them is not finite.
        """
        values = dict(zip(self.metrics, torch.stack(list(self.metrics.values())).tolist(), strict=True))
        check_finite(values, self.t_env)
        return values


class Unseen:
    """Numbers of a step that nobody has looked at yet: a GPU tells them later.

    Args:
        numbers: name -> 0-d without gradient.
        t_env: env steps at the step, for messages.

    Attributes:
        tensor: the numbers, where they were computed.
    """

    def __init__(self, numbers: Mapping[str, Tensor], t_env: int) -> None:
        self.tensor = torch.stack([number.double() for number in numbers.values()])
        self._names, self._t_env, self._fetched = list(numbers), t_env, Fetched(self.tensor)

    def check(self) -> None:
        """Look at them, once they are here. Raises UserError if one of them is not finite."""
        check_finite(dict(zip(self._names, self._fetched.get().tolist(), strict=True)), self._t_env)


def check_finite(values: Mapping[str, float], t_env: int) -> None:
    """Raise UserError if one of the values is NaN or infinite."""
    for name, value in values.items():
        if not abs(value) < float("inf"):
            raise UserError(
                f"{name}={value} at t_env={t_env}: expected a finite number; lower lr or grad_norm_clip, "
                f"or look for NaN or huge rewards and observations in the env"
            )
