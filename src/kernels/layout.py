"""Weights in the layouts that kernels read: all blocks of them are copied in one compiled call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pymarl.kernels.packing import FLOATS, padded
from pymarl.kernels.simd import W, load1, load_int, store1
from pymarl.kernels.stamp import STAMP
from pymarl.utils.jit import kernel

PANEL = 2 * W
"""Columns of a panel of B, see tiles.py."""


class Part(NamedTuple):
    """A matrix [rows, columns] that a kernel reads: row by row, or in panels; zeros (or `fill`) where nothing goes."""

    rows: int
    columns: int
    panels: bool = False
    fill: tuple[int, float] = (0, 0.0)  # so many numbers of this value first


class Block(NamedTuple):
    """What of a parameter goes to a part: element (r, c) is `start + r * row_step + c * column_step` of it.

    Attributes:
        part: name of the part.
        param: number of the parameter.
        add: to what is there.
    """

    part: str
    param: int
    rows: int
    columns: int
    row_step: int
    column_step: int
    start: int = 0
    to_row: int = 0
    to_column: int = 0
    add: bool = False


def _compile(stamp: str) -> Any:
    """Return the kernel; `stamp` makes compiled code of other sources unfit."""

    @kernel
    def place(table: int, blocks: int) -> None:
        """`table` is the address of int64 [blocks, 12]; see Layout."""
        stamp  # noqa: B018
        for number in range(blocks):
            at = table + 96 * number
            source, row_step, column_step = load_int(at, 0), load_int(at, 1), load_int(at, 2)
            rows, columns, target, panel = load_int(at, 3), load_int(at, 4), load_int(at, 5), load_int(at, 6)
            height, wide, to_row, to_column = load_int(at, 7), load_int(at, 8), load_int(at, 9), load_int(at, 10)
            add = load_int(at, 11)
            column = 0
            while column < columns:
                first = (to_column + column) // panel * panel
                width = min(panel, wide - first)
                run = min(columns - column, first + width - to_column - column)
                for row in range(rows):
                    read = row * row_step + column * column_step
                    write = first * height + (to_row + row) * width + to_column + column - first
                    for k in range(run):
                        value = load1(source, read + k * column_step)
                        if add:
                            value += load1(target, write + k)
                        store1(target, write + k, value)
                column += run

    return place


place = _compile(STAMP)


class Layout:
    """Where the blocks of some parameters go.

    Args:
        parts: the matrices by name, one behind the other in memory.
        blocks: what goes there, in this order.
    """

    def __init__(self, parts: Mapping[str, Part], blocks: Sequence[Block]) -> None:
        sizes = [padded(part.rows * part.columns) for part in parts.values()]
        starts = dict(zip(parts, np.cumsum([0, *sizes]).tolist(), strict=False))
        self._starts = {name: 4 * start for name, start in starts.items()}
        self._empty = torch.zeros(sum(sizes), **FLOATS)
        for name, part in parts.items():
            self._empty[starts[name] : starts[name] + part.fill[0]] = part.fill[1]
        self._params = np.array([block.param for block in blocks])
        self._table = np.array(
            [
                [
                    4 * b.start, b.row_step, b.column_step, b.rows, b.columns, self._starts[b.part],
                    PANEL if parts[b.part].panels else parts[b.part].columns, parts[b.part].rows,
                    parts[b.part].columns, b.to_row, b.to_column, b.add,
                ]
                for b in blocks
            ],
            dtype=np.int64,
        )  # fmt: skip

    def fill(self, params: Sequence[Tensor | None]) -> tuple[Tensor, dict[str, int]]:
        """Return memory that holds the parts, and the address of each.

        Args:
            params: float32 on the CPU, without gradient, in the shapes for which the layout is; None where none has a
                block.
        """
        sources = [None if param is None else param.contiguous() for param in params]
        memory, table = self._empty.clone(), self._table.copy()
        first = memory.data_ptr()
        addresses = np.array([0 if source is None else source.data_ptr() for source in sources])
        table[:, 0] += addresses[self._params]
        table[:, 5] += first
        place(table.ctypes.data, len(table))
        return memory, {name: first + start for name, start in self._starts.items()}
