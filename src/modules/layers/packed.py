"""How a recurrence over packed rows is cut into pieces that fit the cache, and run on several threads."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

BLOCK_ROWS = 1024  # rows of one block; its activations are about 1.7 MB at H = 64
CHUNK_ROWS = 1024  # largest number of rows of one chunk in one slot
SPLIT_ROWS = 4096  # fewer rows in all are not worth a second chunk

T = TypeVar("T")


class Piece(NamedTuple):
    """Rows `row` .. `row + size` of the packed sequence are columns `col` .. `col + size` of a block."""

    row: int
    col: int
    size: int


class Block(NamedTuple):
    """Some successive slots of a chunk, side by side.

    Attributes:
        first: columns of the chunk's earlier blocks.
        width: columns of this block.
        start: columns of memory that the earlier blocks take.
        stride: columns of memory that this block takes.
        slots: (first column, columns) of each slot.
        pieces: where the columns lie in the packed sequence.
    """

    first: int
    width: int
    start: int
    stride: int
    slots: list[tuple[int, int]]
    pieces: list[Piece]


def plan_chunks(counts: Sequence[int]) -> list[list[Block]]:
    """Cut packed rows into chunks of about equal work, each a range of rows over all slots, and these into blocks.

    The plan depends on the counts alone, so that results do not depend on the number of threads.
    """
    total = sum(counts)
    chunks = max(1 if total < SPLIT_ROWS else 2, math.ceil(counts[0] / CHUNK_ROWS))
    edges = [0]
    for part in range(1, chunks):
        edge = _edge_of_work(counts, total * part // chunks)
        edges.append(max(edges[-1], edge - edge % 16))
    edges.append(counts[0])
    return [_plan_blocks(counts, low, high) for low, high in itertools.pairwise(edges) if low < high]


def _edge_of_work(counts: Sequence[int], work: int) -> int:
    """Return the smallest e for which sum(min(count, e)) >= work."""
    low, high = 0, counts[0]
    while low < high:
        middle = (low + high) // 2
        if sum(min(count, middle) for count in counts) < work:
            low = middle + 1
        else:
            high = middle
    return low


def _plan_blocks(counts: Sequence[int], low: int, high: int) -> list[Block]:
    """Return the blocks of rows `low` .. `high` of every slot."""
    blocks: list[Block] = []
    slots: list[tuple[int, int]] = []
    pieces: list[Piece] = []
    width = slot_row = 0  # slot_row: the slot's first packed row
    for count in counts:
        size = min(count, high) - low
        if size <= 0:
            break
        if width and width + size > BLOCK_ROWS:
            blocks.append(_block(blocks, width, slots, pieces))
            width, slots, pieces = 0, [], []
        slots.append((width, size))
        row = slot_row + low
        if pieces and pieces[-1].row + pieces[-1].size == row:
            pieces[-1] = Piece(pieces[-1].row, pieces[-1].col, pieces[-1].size + size)
        else:
            pieces.append(Piece(row, width, size))
        width += size
        slot_row += count
    return [*blocks, _block(blocks, width, slots, pieces)]


def _block(before: list[Block], width: int, slots: list[tuple[int, int]], pieces: list[Piece]) -> Block:
    stride = (width + 15) // 16 * 16  # rows begin on cache lines
    stride += 16 * (stride % 512 == 0)  # and not all in the same set of the cache
    last = before[-1] if before else Block(0, 0, 0, 0, [], [])
    return Block(last.first + last.width, width, last.start + last.stride, stride, slots, pieces)


def chunk_rows(blocks: Sequence[Block]) -> Tensor:
    """Return [columns of the chunk] int64, the packed row of each column."""
    pieces = [piece for block in blocks for piece in block.pieces]
    sizes = torch.tensor([piece.size for piece in pieces])
    shift = torch.tensor([piece.row for piece in pieces]) - (sizes.cumsum(0) - sizes)
    return shift.repeat_interleave(sizes) + torch.arange(int(sizes.sum()))


class Pool:
    """Memory kept between calls: touching fresh pages costs more than the arithmetic on them."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._free: list[Tensor] = []

    def take(self, size: int, dtype: torch.dtype) -> Tensor:
        """Return an uninitialised vector of at least `size` numbers, the smallest there is."""
        fitting = [memory for memory in self._free if memory.dtype == dtype and memory.numel() >= size]
        if not fitting:
            with torch.inference_mode(False):  # later calls may be outside of it
                return torch.empty(size + size // 4, dtype=dtype)  # pages that are never touched cost nothing
        best = min(fitting, key=Tensor.numel)
        self._free = [memory for memory in self._free if memory is not best]
        return best

    def give(self, memory: Tensor) -> None:
        """Take a vector back for later calls; the smallest are let go."""
        self._free = sorted([*self._free, memory], key=Tensor.numel)[-self._keep :]


POOL = Pool(keep=3)  # a graph that waits for its backward pass, the scratch of a call without one, and a spare


class Lease:
    """Memory of a pool, [size] in `memory`, that goes back when the last reference to the lease goes."""

    def __init__(self, pool: Pool, size: int, dtype: torch.dtype) -> None:
        self._pool, self._whole = pool, pool.take(size, dtype)
        self.memory = self._whole[:size]

    def __del__(self) -> None:
        self._pool.give(self._whole)


_workers: dict[int, ThreadPoolExecutor] = {}


@contextlib.contextmanager
def one_thread() -> Iterator[int]:
    """Let torch use one thread inside; yields how many it uses outside.

    After each parallel operation OpenMP's idle threads spin for some milliseconds, on the cores that chunks need.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def run_chunks(function: Callable[[int], T], chunks: int, threads: int) -> list[T]:
    """Return [function(0), ..., function(chunks - 1)], computed on up to `threads` threads, without gradient.

    A chunk's products are too small to be split over threads by the BLAS library; call it within `one_thread`.
    """
    inference = torch.is_inference_mode_enabled()

    def call(index: int) -> T:
        with torch.inference_mode(inference), torch.no_grad():  # modes belong to a thread
            return function(index)

    if threads == 1 or chunks == 1:
        return [call(index) for index in range(chunks)]
    if threads not in _workers:
        _workers[threads] = ThreadPoolExecutor(threads - 1, "unroll", lambda: torch.set_num_threads(1))
    futures: list[Future[T]] = [_workers[threads].submit(call, index) for index in range(1, chunks)]
    return [call(0), *(future.result() for future in futures)]
