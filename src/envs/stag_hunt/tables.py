"""Tables that the kernels of stag hunt look things up in, built once per env."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.stag_hunt.arrays import DOWN, LEFT, RIGHT, UP

MOVES = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # [direction, (row, column)]


def neighbours(height: int, width: int, toroidal: bool) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Return (move_to, beside), both [height * width, 4]; see `Tables`."""
    rows, columns = np.divmod(np.arange(height * width), width)
    to = np.stack([rows, columns], axis=1)[:, None, :] + MOVES  # [K, 4, 2]
    size = np.array([height, width])
    inside = ((to >= 0) & (to < size)).all(axis=-1)
    ends = to % size if toroidal else np.clip(to, 0, size - 1)
    move_to = ends[..., 0] * width + ends[..., 1]
    return move_to.astype(np.uint32), np.where(inside, move_to, -1).astype(np.int32)


def canvas_tables(height: int, width: int, reach: tuple[int, int], n_feats: int) -> dict[str, NDArray[Any]]:
    """Return `canvas_at`, `window_at` and `window` of `Tables`; `reach` is how far an agent sees (rows, columns)."""
    stride = (width + 2 * reach[1]) * n_feats
    rows, columns = np.divmod(np.arange(height * width), width)
    window_at = rows * stride + columns * n_feats
    return {
        "canvas_at": (window_at + reach[0] * stride + reach[1] * n_feats).astype(np.uint32),
        "window_at": window_at.astype(np.uint32),
        "window": np.array([2 * reach[0] + 1, (2 * reach[1] + 1) * n_feats, stride], np.int32),
    }


def blank_canvas(
    height: int, width: int, reach: tuple[int, int], n_feats: int, wall: tuple[int, float]
) -> NDArray[np.float32]:
    """Return the flat canvas of an empty world; wall is (feature, value) of the cells outside of it."""
    canvas = np.zeros((height + 2 * reach[0], width + 2 * reach[1], n_feats), np.float32)
    canvas[..., wall[0]] = wall[1]
    canvas[reach[0] : reach[0] + height, reach[1] : reach[1] + width] = 0.0
    return canvas.reshape(-1)  # [rows * columns * F]


def cones(reach: int, narrow: bool, stride: int, n_feats: int) -> NDArray[np.int32]:
    """Return `Tables.cone` for a square window.

    Seen from an agent that faces up, row j of the window holds the cells at distance reach - j; of these it sees
    those at most as far to the side as to the front, or less far if `narrow`. The result is as large as the window
    without its outermost ring if `narrow`, and keeps rows pushed to its edge: what faces up fills it from the top.
    """
    cut = 1 if narrow else 0
    side = 2 * reach + 1 - 2 * cut
    cells = np.arange(2 * reach + 1)[:, None] * stride + np.arange(2 * reach + 1) * n_feats  # [rows, columns]
    table = np.full((4, side, side, n_feats), -1)
    for turns, facing in enumerate((UP, LEFT, DOWN, RIGHT)):  # each a quarter turn against the clock from the last
        upright = np.rot90(cells, -turns)
        seen = np.full((side, side), -1)
        for j in range(reach + 1 - cut):
            seen[j, j : side - j] = upright[j, j + cut : 2 * reach + 1 - j - cut]
        seen = np.rot90(seen, turns)[..., None]
        table[facing] = np.where(seen < 0, -1, seen + np.arange(n_feats))
    return table.reshape(4, -1).astype(np.int32)  # [4, O]
