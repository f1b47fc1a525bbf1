"""How epsilon falls with env steps."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor


class DecayThenFlatSchedule:
    """Falls from `start` to `finish` over `time_length` env steps, then stays at `finish`.

    Args:
        start: value at step 0.
        finish: value from step `time_length` on.
        time_length: env steps, at least 1.
        decay: "linear" falls along a straight line. "exp" is exp(-t * -log(finish) / time_length), the curve from 1
            at step 0 to `finish` at `time_length`, kept within [finish, start]; with finish = 0 it is exp(-t).
    """

    def __init__(
        self, start: float, finish: float, time_length: int, decay: Literal["linear", "exp"] = "linear"
    ) -> None:
        if decay not in ("linear", "exp"):
            raise ValueError(f"decay={decay!r}: expected 'linear' or 'exp'")
        self.start, self.finish, self.time_length, self.decay = start, finish, time_length, decay
        self._rate = -math.log(finish) / time_length if finish > 0 else 1.0

    def eval(self, t_env: int) -> float:
        """Return the value after `t_env` env steps."""
        if self.decay == "exp":
            return min(self.start, max(self.finish, math.exp(-self._rate * t_env)))
        return max(self.finish, self.start - (self.start - self.finish) * t_env / self.time_length)

    def of_rows(self, t_env: Tensor) -> Tensor:
        """Return what `eval` does of each of many numbers of env steps, float64 of their shape."""
        steps = t_env.double()
        if self.decay == "exp":
            return (-self._rate * steps).exp().clamp(self.finish, self.start)
        return (self.start - (self.start - self.finish) * steps / self.time_length).clamp(min=self.finish)
