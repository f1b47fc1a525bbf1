"""How packed rows are cut into strips, each a task for one thread, and memory that outlives a call."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STRIP_ROWS = 96
"""Most rows of a strip: what it needs of one slot, beside the weights, fits the second level of a core's cache."""

SMALL = 4096  # rows in all that are not worth more than one strip


class StripPlan(NamedTuple):
    """A range of rows over all slots; first and sizes are int64 [slots], see records.Strip."""

    first: NDArray[np.int64]
    sizes: NDArray[np.int64]


def plan_strips(counts: Sequence[int]) -> list[StripPlan]:
    """Cut packed rows into strips of about equal width.

    The plan depends on the counts alone, so that results do not depend on the number of threads. There are a multiple
    of four, so that two or four threads have equal shares; as packed sequences fall in length so do strips in work,
    and threads that take the next one whenever they are free end at about the same time.

    Args:
        counts: rows in each slot, positive and non-increasing; slot t's rows follow slot t - 1's.
    """
    slots = np.asarray(counts, dtype=np.int64)
    starts = np.cumsum(slots) - slots
    top = int(slots[0])
    parts = 1 if slots.sum() < SMALL else 4 * -(-top // (4 * STRIP_ROWS))
    parts = max(parts, -(-top // STRIP_ROWS))
    width = -(-top // parts)
    plans = []
    for low in range(0, top, width):
        sizes = np.minimum(slots, low + width) - low
        sizes = sizes[sizes > 0]
        plans.append(StripPlan(starts[: len(sizes)] + low, np.ascontiguousarray(sizes)))
    return plans


class Pool:
    """Memory kept between calls: touching fresh pages costs more than the arithmetic on them.

    For one Python thread at a time, as all of the kernels' face is.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._free: list[Tensor] = []

    def take(self, size: int) -> Tensor:
        """Return an uninitialised float32 vector of at least `size` numbers, the smallest there is."""
        fitting = [memory for memory in self._free if memory.numel() >= size]
        if not fitting:
            with torch.inference_mode(False):  # later calls may be outside of it
                # Pages that are never touched cost nothing.
                return torch.empty(size + size // 4, dtype=torch.float32, device="cpu")
        best = min(fitting, key=Tensor.numel)
        self._free = [memory for memory in self._free if memory is not best]
        return best

    def give(self, memory: Tensor) -> None:
        """Take a vector back for later calls; the smallest are let go."""
        self._free = sorted([*self._free, memory], key=Tensor.numel)[-self._keep :]


POOL = Pool(keep=4)  # two graphs that wait for their backward pass, the scratch of a call without one, and a spare


class Lease:
    """Memory of the pool, [size] float32, that goes back when the last reference to the lease goes."""

    def __init__(self, size: int) -> None:
        self._whole = POOL.take(size)
        self.address = self._whole.data_ptr()

    def __del__(self) -> None:
        POOL.give(self._whole)


@contextlib.contextmanager
def one_thread() -> Iterator[int]:
    """Let torch use one thread inside; yields how many it uses outside.

    After each parallel operation OpenMP's idle threads spin for some milliseconds, on the cores that kernels need.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


_workers: dict[int, ThreadPoolExecutor] = {}


def run_tasks(task: Callable[[int], None], count: int, threads: int) -> None:
    """Call task(0) .. task(count - 1), in this order, on up to `threads` threads.

    Args:
        task: calls kernels, which hold no interpreter lock; it needs nothing of torch's modes, which are a thread's.
        count: number of tasks.
        threads: as many as torch may use.
    """
    threads = min(threads, count)
    numbers = iter(range(count))

    def work() -> None:
        for number in numbers:  # taking the next one is atomic
            task(number)

    if threads <= 1:
        work()
        return
    if threads not in _workers:
        # Denormal numbers are a thread's own affair: run.run has set it so for the main thread.
        _workers[threads] = ThreadPoolExecutor(threads - 1, "kernels", torch.set_flush_denormal, (True,))
    others = [_workers[threads].submit(work) for _ in range(threads - 1)]
    with _drained(numbers):
        work()
    for other in others:
        other.result()


@contextlib.contextmanager
def _drained(numbers: Iterator[int]) -> Iterator[None]:
    """Leave no number for other threads if this one fails."""
    try:
        yield
    except BaseException:
        for _ in numbers:
            pass
        raise
