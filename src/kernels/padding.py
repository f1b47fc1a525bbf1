"""Sequences of several lengths as one padded tensor: all fields of a sample in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pymarl.kernels.simd import clear, copy, load_int
from pymarl.kernels.stamp import STAMP
from pymarl.kernels.strips import run_tasks
from pymarl.utils.jit import kernel

TASKS = 4
"""Parts of the sequences that threads take."""


def _compile(stamp: str) -> Any:
    """Return the kernel; `stamp` makes compiled code of other sources unfit."""

    @kernel
    def pad_rows(
        table: int, targets: int, sizes: int, fields: int, slots: int, rows: int, longest: int, low: int, high: int
    ) -> None:
        """Write rows low .. high - 1 of every field.

        Addresses: `table` of int64 [fields, rows], where each sequence is; `targets` of int64 [fields]; `sizes` of
        int64 [fields], the bytes of a slot; `slots` of int64 [rows].
        """
        stamp  # noqa: B018
        for field in range(fields):
            size, target = load_int(sizes, field), load_int(targets, field)
            for row in range(low, high):
                filled = load_int(slots, row) * size
                to = target + row * longest * size
                copy(to, load_int(table, field * rows + row), filled)
                clear(to + filled, longest * size - filled)

    return pad_rows


pad_rows = _compile(STAMP)


def pad(fields: Sequence[Sequence[Tensor]], slots: Sequence[int]) -> list[Tensor]:
    """Return [B, T, ...] of each field of B sequences, with zeros behind their ends; T is the longest's slots.

    Args:
        fields: of each, B tensors [slots, ...] of one type and shape on the CPU.
        slots: B of them.

    Raises:
        ValueError: a tensor has another number of slots, or another type or size than its field's first.
    """
    longest, out, table = max(slots), [], []
    kept = []  # copies that are contiguous, until they have been read
    for given in fields:
        parts, first = [part.contiguous() for part in given], given[0]
        width = first[0].numel()
        same = [part.numel() for part in parts] == [count * width for count in slots]
        if not same or not first.is_cpu or {part.dtype for part in parts} != {first.dtype}:
            raise ValueError(
                f"sequences on the CPU of {list(first.shape[1:])} and {first.dtype} expected, as the first"
            )
        kept.append(parts)
        table.append([part.data_ptr() for part in parts])
        out.append(torch.empty(len(slots), longest, *first.shape[1:], dtype=first.dtype, device="cpu"))
    table_of = np.array(table, dtype=np.int64)
    targets = np.array([tensor.data_ptr() for tensor in out], dtype=np.int64)
    sizes = np.array([tensor[0, 0].numel() * tensor.element_size() for tensor in out], dtype=np.int64)
    counts = np.array(slots, dtype=np.int64)
    edges = [number * len(slots) // TASKS for number in range(TASKS + 1)]

    def task(number: int) -> None:
        pad_rows(
            table_of.ctypes.data, targets.ctypes.data, sizes.ctypes.data, len(out), counts.ctypes.data, len(slots),
            longest, edges[number], edges[number + 1],
        )  # fmt: skip

    run_tasks(task, TASKS, torch.get_num_threads())
    return out
