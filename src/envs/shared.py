"""Memory that the run and its workers share."""

from __future__ import annotations

import mmap
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvArrays
from pymarl.envs.specs import EnvInfo

_LINE = 64
"""Bytes of a cache line."""


def shared_clock(batch_size: int, memory: int, *, create: bool) -> NDArray[np.float64]:
    """Return [B]: since when each row's env is in a call (monotonic seconds), 0 while it is in none.

    It lies before the arrays, and can be had before their sizes are known.
    """
    if create:
        os.ftruncate(memory, _clock_bytes(batch_size))
    return np.ndarray((batch_size,), np.float64, buffer=mmap.mmap(memory, _clock_bytes(batch_size)))


def _clock_bytes(batch_size: int) -> int:
    return _whole_lines(8 * batch_size)


def _whole_lines(size: int) -> int:
    return -(-size // _LINE) * _LINE


class SharedArrays:
    """The arrays of a batch and its actions, laid out the same way in each process that maps the memory."""

    def __init__(self, info: EnvInfo, batch_size: int, memory: int, *, create: bool) -> None:
        self._memory: mmap.mmap | None = None
        if create:
            self._lay_out(info, batch_size)
            os.ftruncate(memory, self._used)
        self._memory = mmap.mmap(memory, 0)
        self.arrays, self.actions = self._lay_out(info, batch_size)

    def _lay_out(self, info: EnvInfo, batch_size: int) -> tuple[EnvArrays, NDArray[np.int64]]:
        self._used = _clock_bytes(batch_size)
        arrays = EnvArrays.allocate(info, batch_size, self._allocate)
        (actions,) = info.with_role("action")
        return arrays, self._allocate((batch_size, *actions.shape), actions.dtype)

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return the next array, on a cache line of its own; an empty one while only sizes are counted."""
        start, dtype = self._used, np.dtype(dtype)
        self._used += _whole_lines(int(np.prod(shape)) * dtype.itemsize)
        if self._memory is None:
            return np.empty(0, dtype)
        return np.ndarray(shape, dtype, buffer=self._memory, offset=start)
