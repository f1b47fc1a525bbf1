"""The best available action of many rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pymarl.kernels.simd import (
    W, first_equal, largest, load1, load_available, load_byte, peak, store_int,
)  # fmt: skip
from pymarl.kernels.stamp import STAMP
from pymarl.kernels.strips import run_tasks
from pymarl.utils.jit import kernel, outlined

TASK_ROWS = 16384


@outlined
def best_action(values: Any, available: Any, a: Any) -> Any:
    """Return the first of the largest available of `a` values, 0 if there is none; reads up to W - 1 more of them."""
    best = load_available(values, available, a)
    for j in range(W, a, W):
        best = largest(load_available(values + 4 * j, available + j, a - j), best)
    most = peak(best)
    for j in range(0, a, W):
        place = first_equal(load_available(values + 4 * j, available + j, a - j), most)
        if place < W and j + place < a:
            return j + place
    return 0


@outlined
def best_action_of_last(values: Any, available: Any, a: Any) -> Any:
    """Return the same without reading more."""
    best, value = 0, np.float32(-np.inf)
    for action in range(a):
        if load_byte(available, action) and load1(values, action) > value:
            best, value = action, load1(values, action)
    return best


def _compile(stamp: str) -> Any:
    @kernel
    def best_of_rows(values: Any, available: Any, a: Any, low: Any, high: Any, rows: Any, out: Any) -> None:
        stamp  # noqa: B018
        for row in range(low, high):
            if row * a + a + W <= rows * a:
                store_int(out, row, best_action(values + 4 * row * a, available + row * a, a))
            else:
                store_int(out, row, best_action_of_last(values + 4 * row * a, available + row * a, a))

    return best_of_rows


best_of_rows = _compile(STAMP)


def greedy(values: Tensor, avail_actions: Tensor) -> Tensor:
    """Return [...] int64, the available action of the largest value, the first of equal ones.

    Args:
        values: [..., A] float32 on the CPU, without gradient.
        avail_actions: [..., A] bool likewise.
    """
    if values.shape != avail_actions.shape:
        raise ValueError(f"expected masks of {list(values.shape)}, got {list(avail_actions.shape)}")
    out = torch.empty(values.shape[:-1], dtype=torch.int64)
    values, avail_actions = values.contiguous(), avail_actions.contiguous()
    rows, a = out.numel(), values.shape[-1]
    tasks = -(-rows // TASK_ROWS)

    def task(number: int) -> None:
        best_of_rows(
            values.data_ptr(), avail_actions.data_ptr(), a, number * TASK_ROWS, min(rows, (number + 1) * TASK_ROWS),
            rows, out.data_ptr(),
        )  # fmt: skip

    run_tasks(task, tasks, torch.get_num_threads())
    return out
