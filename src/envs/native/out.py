"""What kernels write: the arrays that a runner reads."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvArrays


class Out(NamedTuple):
    """EnvArrays, as the kernels take them; no native env's game fails, so `broken` is not among them."""

    obs: NDArray[np.float32]
    state: NDArray[np.float32]
    avail_actions: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]

    @classmethod
    def of(cls, arrays: EnvArrays) -> Out:
        """Return a runner's arrays."""
        return cls(**{name: vars(arrays)[name] for name in cls._fields})
