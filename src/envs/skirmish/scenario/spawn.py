"""Units as they stand at the start of an episode."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import AIR_LAYER, ALLY, ATTACK_MOVE, ENEMY, HUNT, IDLE, UNIT, Terrain
from pymarl.envs.skirmish.scenario.kinds import kind_names
from pymarl.envs.skirmish.scenario.maps import Group, MapSpec
from pymarl.envs.skirmish.scenario.units import on_grid
from pymarl.utils.errors import UserError

ORDERS = {"none": IDLE, "attack_move": ATTACK_MOVE, "hunt": HUNT}


def spawn_units(map_spec: MapSpec, kinds: NDArray[np.void], terrain: Terrain) -> NDArray[np.void]:
    """Return the UNIT records [N + M] at loop 0 of an episode.

    The first unit of a group stands on its point, or, if another group of its layer was created there before, as
    near to it as there is room; see `_lattice` for the others. Nobody draws at random: SMAC's starts do not vary
    either. Allies are in the order of agents (type, x, y), enemies in the order of creation.

    Args:
        map_spec: the map.
        kinds: its KIND table.
        terrain: its ground.

    Raises:
        UserError: a point is not where its units can stand, or there is no room around it.
    """
    names = kind_names(map_spec)
    forward = _front(map_spec)
    placed: list[tuple[float, float, int, int]] = []  # x, y, kind, side
    for side, groups in ((ALLY, map_spec.allies), (ENEMY, map_spec.enemies)):
        facing = forward if side == ALLY else (-forward[0], -forward[1])
        for group in groups:
            _place(group, names.index(group.type), side, facing, placed, kinds, terrain)
    n = map_spec.n_agents
    placed[:n] = sorted(placed[:n], key=lambda p: (p[2], p[0], p[1]))
    units = np.zeros(len(placed), UNIT)
    for i, (x, y, kind, side) in enumerate(placed):
        unit = units[i]
        unit["x"], unit["y"], unit["goal_x"], unit["goal_y"] = x, y, x, y
        unit["kind"], unit["side"], unit["order"] = kind, side, IDLE
        for key in ("health", "shield", "energy"):
            unit[key] = kinds[kind][key]
        unit["held_total"] = unit["health"] + unit["shield"]
        unit["bend"] = 1 if i % 2 == 0 else -1
        for key in ("windup", "hit_in", "target", "aim", "hit_unit", "beam", "fired"):
            unit[key] = -1
    units["order"][n:] = ORDERS[map_spec.enemy_order]
    return units


def _front(map_spec: MapSpec) -> tuple[int, int]:
    """Return the direction in which the allies look at the enemies: along the axis that keeps them farther apart."""
    ally, enemy = (np.mean([group.at for group in groups], axis=0) for groups in (map_spec.allies, map_spec.enemies))
    dx, dy = (enemy - ally).tolist()
    if abs(dx) >= abs(dy):
        return (1 if dx >= 0 else -1), 0
    return 0, (1 if dy > 0 else -1)


def _place(
    group: Group,
    kind: int,
    side: int,
    facing: tuple[int, int],
    placed: list[tuple[float, float, int, int]],
    kinds: NDArray[np.void],
    terrain: Terrain,
) -> None:
    """Append a group's units to `placed`."""
    x0, y0 = (on_grid(value) for value in group.at)
    layer, radius = kinds[kind]["layer"], float(kinds[kind]["separation"])
    ground = _ground(kinds[kind], terrain)
    if not _stands(x0, y0, 0.0, ground):
        raise UserError(f"{group.where}: at={list(group.at)}: expected a point where {group.type} can stand")
    others = [(x, y, float(kinds[k]["separation"])) for x, y, k, _ in placed if kinds[k]["layer"] == layer]
    left = group.count
    for ahead, aside in _lattice(2 * radius, ground.shape):
        x, y = x0 + ahead * facing[0] + aside * abs(facing[1]), y0 + ahead * facing[1] + aside * abs(facing[0])
        # The point itself counts even if the unit's edge overlaps a wall: SMAC's maps say to create it there.
        if not _stands(x, y, radius if ahead or aside else 0.0, ground):
            continue
        if any((x - u) ** 2 + (y - v) ** 2 < (radius + r) ** 2 for u, v, r in others):
            continue
        others.append((x, y, radius))
        placed.append((x, y, kind, side))
        left -= 1
        if left == 0:
            return
    raise UserError(f"{group.where}: no room for {group.count} {group.type} around {list(group.at)}; use fewer")


def _ground(kind: np.void, terrain: Terrain) -> NDArray[np.bool_]:
    """Return the cells [W, H] that units of this type may be in."""
    if kind["layer"] == AIR_LAYER:
        return np.ones_like(terrain.pathable)
    return terrain.climbable if kind["climbs"] else terrain.pathable


def _stands(x: float, y: float, radius: float, ground: NDArray[np.bool_]) -> bool:
    """Return whether the disc lies on the map and overlaps free cells only."""
    width, height = ground.shape
    if not (radius <= x < width and radius <= y < height and x + radius <= width and y + radius <= height):
        return False
    for u in range(max(math.floor(x - radius), 0), min(math.floor(x + radius) + 1, width)):
        for v in range(max(math.floor(y - radius), 0), min(math.floor(y + radius) + 1, height)):
            dx, dy = x - min(max(x, u), u + 1), y - min(max(y, v), v + 1)
            at_home = (u, v) == (math.floor(x), math.floor(y))
            if not ground[u, v] and (at_home or dx * dx + dy * dy < radius * radius):
                return False
    return True


def _lattice(spacing: float, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Return offsets (ahead, aside) from a group's point, nearest first: a square lattice of discs that touch.

    Of places equally near, those beside the point come first, then those ahead of it: three units stand in a row
    across the way to the enemy. How the game arranges units that are created at one point is not documented.
    """
    reach = math.ceil(max(size) / spacing)
    steps = range(-reach, reach + 1)
    places = [(i, j) for i in steps for j in steps]
    places.sort(key=lambda p: (p[0] ** 2 + p[1] ** 2, abs(p[0]), -p[0], p[1]))
    return [(i * spacing, j * spacing) for i, j in places]
