"""The best available action of many rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pymarl.kernels.simd import (
    W,
    first_equal,
    largest,
    load1,
    load_available,
    load_byte,
    peak,
    store_int,
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


@outlined
def first_of_row(row: Any, rows: Any, a: Any, values: Any, available: Any) -> Any:
    """Return the best available action of one of several rows."""
    if row * a + a + W <= rows * a:
        return best_action(values + 4 * row * a, available + row * a, a)
    return best_action_of_last(values + 4 * row * a, available + row * a, a)


def _compile(stamp: str) -> Any:
    """Return the kernels; `stamp` makes compiled code of other sources unfit."""

    @kernel
    def best_of_rows(values: Any, available: Any, a: Any, low: Any, high: Any, rows: Any, out: Any) -> None:
        stamp  # noqa: B018
        for row in range(low, high):
            store_int(out, row, first_of_row(row, rows, a, values, available))

    @kernel
    def explore_rows(values: Any, available: Any, draws: Any, a: Any, rows: Any, epsilon: Any, out: Any) -> None:
        """`draws` [rows, a + 1]: a row's keys, the largest of which is a uniform choice, and its coin."""
        stamp  # noqa: B018
        for row in range(rows):
            keys = draws + 4 * row * (a + 1)
            if load1(keys, a) < np.float32(epsilon):  # as torch compares them
                action = best_action_of_last(keys, available + row * a, a)
            else:
                action = first_of_row(row, rows, a, values, available)
            store_int(out, row, action)

    @kernel
    def finite_rows(values: Any, available: Any, a: Any, rows: Any) -> Any:
        stamp  # noqa: B018
        for row in range(rows):
            any_available = False
            for action in range(a):
                value = load1(values, row * a + action)
                if load_byte(available, row * a + action):
                    any_available = True
                    if not abs(value) < np.inf:
                        return False
            if not any_available:
                return False
        return True

    return best_of_rows, explore_rows, finite_rows


best_of_rows, explore_rows, finite_rows = _compile(STAMP)


def _addresses(values: Tensor, avail_actions: Tensor) -> tuple[Tensor, Tensor]:
    """Return both contiguous. ValueError if their shapes differ, or their types are others."""
    if avail_actions.dtype != torch.bool or values.dtype != torch.float32:
        raise ValueError(f"expected float32 and masks of bool, got {values.dtype} and {avail_actions.dtype}")
    if values.shape != avail_actions.shape:
        raise ValueError(f"expected masks of {list(values.shape)}, got {list(avail_actions.shape)}")
    return values.contiguous(), avail_actions.contiguous()


def greedy(values: Tensor, avail_actions: Tensor) -> Tensor:
    """Return [...] int64, the available action of the largest value, the first of equal ones.

    Args:
        values: [..., A] float32 on the CPU, without gradient.
        avail_actions: [..., A] bool likewise.
    """
    values, avail_actions = _addresses(values, avail_actions)
    out = torch.empty(values.shape[:-1], dtype=torch.int64, device="cpu")
    rows, a, to = out.numel(), values.shape[-1], out.data_ptr()
    places = values.data_ptr(), avail_actions.data_ptr()
    if rows <= TASK_ROWS:
        best_of_rows(*places, a, 0, rows, rows, to)
        return out

    def task(number: int) -> None:
        best_of_rows(*places, a, number * TASK_ROWS, min(rows, (number + 1) * TASK_ROWS), rows, to)

    run_tasks(task, -(-rows // TASK_ROWS), torch.get_num_threads())
    return out


def epsilon_greedy(values: Tensor, avail_actions: Tensor, draws: Tensor, epsilon: float) -> Tensor:
    """Return [...] int64: `greedy`, or where a coin falls below epsilon a uniform choice among the available actions.

    Args:
        values, avail_actions: as for `greedy`.
        draws: [..., A + 1], uniform in [0, 1): a key for each action, the largest of which is chosen, and the coin.
        epsilon: in [0, 1].
    """
    values, avail_actions = _addresses(values, avail_actions)
    if draws.shape != (*values.shape[:-1], values.shape[-1] + 1) or draws.dtype != torch.float32:
        raise ValueError(
            f"expected draws of one more than {list(values.shape)}, float32, got {list(draws.shape)} {draws.dtype}"
        )
    out, draws = torch.empty(values.shape[:-1], dtype=torch.int64, device="cpu"), draws.contiguous()
    explore_rows(
        values.data_ptr(), avail_actions.data_ptr(), draws.data_ptr(), values.shape[-1], out.numel(), float(epsilon),
        out.data_ptr(),
    )  # fmt: skip
    return out


def all_finite(values: Tensor, avail_actions: Tensor) -> bool:
    """Return whether every row has an available action and all of its available values are finite; see `greedy`."""
    values, avail_actions = _addresses(values, avail_actions)
    a = values.shape[-1]
    return bool(finite_rows(values.data_ptr(), avail_actions.data_ptr(), a, values.numel() // a))
