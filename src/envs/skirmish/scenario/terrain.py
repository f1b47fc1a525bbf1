"""A map's ground as arrays, with the way round what is in the way."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import Terrain
from pymarl.envs.skirmish.scenario.maps import Ground, MapSpec

STRAIGHT, DIAGONAL = 29, 41
"""Costs of a step to a neighbour: whole numbers, nearly 1 to sqrt(2), so that a ring of buckets sorts the cells."""

kernel = njit(nogil=True, cache=True)


def make_terrain(map_spec: MapSpec) -> Terrain:
    """Return the ground of a map. It is made once for all maps that share it; do not write to it."""
    return _make_terrain(map_spec.terrain)


@functools.cache
def _make_terrain(ground: Ground) -> Terrain:
    pathable = _paint(ground.size, ground.ground)
    cliffs = _paint(ground.size, ground.cliffs)
    pathable &= ~cliffs
    z = np.zeros(ground.size)
    for height in ground.heights:
        x0, x1, y0, y1 = height.area
        z[x0:x1, y0:y1] = height.z
    # The game's byte for a height is (z + 16) * 255 / 32; SMAC divides it by 255.
    level = np.clip((z + 16) * 255 / 32, 0, 255).astype(np.uint8) / 255
    return Terrain(
        pathable=pathable,
        climbable=pathable | cliffs,
        level=level.astype(np.float32),
        waypoint=np.full((1, 1), -1, np.int32) if _is_rectangle(pathable) else make_waypoints(pathable),
    )


def _paint(size: tuple[int, int], rectangles: Sequence[tuple[int, int, int, int]]) -> NDArray[np.bool_]:
    grid = np.zeros(size, np.bool_)
    for x0, x1, y0, y1 in rectangles:
        grid[x0:x1, y0:y1] = True
    return grid


def _is_rectangle(grid: NDArray[np.bool_]) -> bool:
    columns, rows = np.flatnonzero(grid.any(1)), np.flatnonzero(grid.any(0))
    if columns.size == 0:
        return True
    return bool(grid[columns[0] : columns[-1] + 1, rows[0] : rows[-1] + 1].all())


@kernel
def make_waypoints(pathable: Any) -> Any:
    """Return [W*H, W*H]: where to walk straight to on the shortest way from cell a to cell b; see Terrain.

    Ways go over the 8 neighbours of a cell and cut no corner. The farthest cell of the way in sight is taken.
    """
    width, height = pathable.shape
    n = width * height
    seen = _sight(pathable)
    waypoint = np.full((n, n), -1, np.int32)
    step_to = np.zeros(n, np.int32)
    for b in range(n):
        if not pathable[b // height, b % height]:
            continue
        _flood(pathable, b, step_to)
        for a in range(n):
            if step_to[a] < 0:
                continue
            if seen[a, b]:
                waypoint[a, b] = b
                continue
            at, best = a, a
            while at != b:
                at = step_to[at]
                if seen[a, at]:
                    best = at
            waypoint[a, b] = best
    return waypoint


@kernel
def _sight(pathable: Any) -> Any:
    """Return [W*H, W*H]: whether all cells that the line between the centres of two cells touches are pathable."""
    width, height = pathable.shape
    n = width * height
    seen = np.zeros((n, n), np.bool_)
    for a in range(n):
        for b in range(a, n):
            clear = _line_is_clear(pathable, a // height, a % height, b // height, b % height)
            seen[a, b] = clear
            seen[b, a] = clear
    return seen


@kernel
def _line_is_clear(pathable: Any, x: int, y: int, x1: int, y1: int) -> bool:
    """Walk along the line from cell to cell, in whole numbers; a line through a corner touches all four cells."""
    nx, ny = abs(x1 - x), abs(y1 - y)
    sx, sy = 1 if x1 > x else -1, 1 if y1 > y else -1
    i = j = 0
    if not pathable[x, y]:
        return False
    while i < nx or j < ny:
        # The next border in x is met after (i + 1/2) / nx of the line, the one in y after (j + 1/2) / ny.
        ahead = (2 * i + 1) * ny - (2 * j + 1) * nx
        if ahead == 0 and not (pathable[x + sx, y] and pathable[x, y + sy]):
            return False
        if ahead <= 0:
            x += sx
            i += 1
        if ahead >= 0:
            y += sy
            j += 1
        if not pathable[x, y]:
            return False
    return True


@kernel
def _flood(pathable: Any, goal: int, step_to: Any) -> None:
    """Write the next cell on the shortest way from each cell to `goal` to step_to[W*H], -1 where there is none."""
    width, height = pathable.shape
    n = width * height
    cost = np.full(n, n * DIAGONAL, np.int64)
    ring = np.zeros((DIAGONAL + 1, n), np.int32)
    filled = np.zeros(DIAGONAL + 1, np.int64)
    step_to[:] = -1
    step_to[goal], cost[goal] = goal, 0
    ring[0, 0], filled[0] = goal, 1
    left, now = 1, 0
    while left > 0:
        slot = now % (DIAGONAL + 1)
        for k in range(filled[slot]):
            at = ring[slot, k]
            if cost[at] != now:
                continue  # reached more cheaply since
            x, y = at // height, at % height
            for dx in range(-1, 2):
                for dy in range(-1, 2):
                    u, v = x + dx, y + dy
                    if u < 0 or u >= width or v < 0 or v >= height or not pathable[u, v]:
                        continue
                    if not (pathable[u, y] and pathable[x, v]):
                        continue
                    total = now + (DIAGONAL if dx != 0 and dy != 0 else STRAIGHT)
                    to = u * height + v
                    if total < cost[to]:
                        cost[to], step_to[to] = total, at
                        into = total % (DIAGONAL + 1)
                        ring[into, filled[into]] = to
                        filled[into] += 1
                        left += 1
        left -= filled[slot]
        filled[slot] = 0
        now += 1
