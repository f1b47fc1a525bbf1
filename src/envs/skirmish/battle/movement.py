"""How units walk: straight or around walls, past each other, and apart where they overlap.

The game's steering is not published; discs that slide past what stands still and push the rest aside are our model.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pymarl.envs.skirmish.battle.arrays import AIR_LAYER, ATTACK_MOVE
from pymarl.envs.skirmish.battle.combat import grid
from pymarl.utils.jit import inlined, outlined

MAX_PUSH = 0.25  # how far overlapping units move apart in a loop, cells
SQUEEZE = 0.15  # how far a unit walks into a friend that does not fight: about what it walks in a loop, cells
SIDE_ON = 0.1  # sine up to which an obstacle counts as straight ahead
TURNS = 8  # of pi / 8, by which a unit turns aside again and again until its way is free
COSINE, SINE = np.cos(np.arange(TURNS) * np.pi / TURNS), np.sin(np.arange(TURNS) * np.pi / TURNS)
CROWDED = 2.0  # a group's goal is reached this close to it if the way is blocked, cells


@inlined
def may_stand(terrain: Any, kind: Any, x: Any, y: Any) -> Any:
    """Tell whether the ground carries a unit of this kind at (x, y)."""
    if x < 0 or y < 0 or x >= terrain.pathable.shape[0] or y >= terrain.pathable.shape[1]:
        return False
    if kind.layer == AIR_LAYER:
        return True
    return terrain.climbable[int(x), int(y)] if kind.climbs else terrain.pathable[int(x), int(y)]


@inlined
def standing(unit: Any) -> Any:
    """Tell whether a unit holds its ground: it fights, and did not move in this loop."""
    return unit.aim >= 0 and not unit.moved


@inlined
def note_spots(units: Any, spots: Any) -> None:
    """Write where everybody is to `spots`. Who moves somebody notes it there; who has died since stays in it."""
    for i in range(units.size):
        spots[0, i], spots[1, i], spots[2, i] = units[i].x, units[i].y, units[i].disc


@outlined
def neighbours(units: Any, kinds: Any, index: Any, step: Any, spots: Any, near: Any) -> int:
    """Write to `near` whom a unit could touch within `step`, and return how many they are."""
    unit = units[index]
    x, y, reach = unit.x, unit.y, unit.disc + step
    layer, around, count = kinds[unit.kind].layer, 0, 0
    for i in range(units.size):
        dx, dy, touch = spots[0, i] - x, spots[1, i] - y, reach + spots[2, i]
        near[around] = i
        around += (dx < touch) & (-dx < touch) & (dy < touch) & (-dy < touch)
    for k in range(around):
        i = near[k]
        other = units[i]
        if i != index and other.disc >= 0 and kinds[other.kind].layer == layer:
            near[count] = i
            count += 1
    return count


@inlined
def obstacle(units: Any, index: Any, near: Any, count: Any, step: Any, ux: Any, uy: Any) -> Any:
    """Return the nearest of a unit's neighbours that a step in direction (ux, uy) would walk into, or -1.

    Friends who do not fight give way a little: they get pushed.
    """
    unit = units[index]
    x, y, found, nearest = unit.x + step * ux, unit.y + step * uy, -1, 1e9
    for k in range(count):
        other = units[near[k]]
        touch = unit.disc + other.disc
        if other.side == unit.side and not standing(other):
            touch -= SQUEEZE
        dx, dy = other.x - x, other.y - y
        square = dx * dx + dy * dy
        if square < touch * touch and square < nearest and (other.x - unit.x) * ux + (other.y - unit.y) * uy > 0:
            found, nearest = near[k], square
    return found


@inlined
def put(terrain: Any, kind: Any, unit: Any, x: Any, y: Any) -> Any:
    """Place a unit at (x, y), or as near as it gets along one axis; tell whether it moved."""
    x, y = grid(x), grid(y)
    if not may_stand(terrain, kind, x, y):
        if x != unit.x and may_stand(terrain, kind, x, unit.y):
            y = unit.y
        elif y != unit.y and may_stand(terrain, kind, unit.x, y):
            x = unit.x
        else:
            return False
    unit.x, unit.y = x, y
    return True


@inlined
def next_point(terrain: Any, kind: Any, unit: Any, x: Any, y: Any) -> Any:
    """Return where to head for on the way to (x, y): the point itself, or the next corner of the way around walls."""
    height = terrain.pathable.shape[1]
    if terrain.waypoint.shape[0] == 1 or kind.layer == AIR_LAYER or kind.climbs or not may_stand(terrain, kind, x, y):
        return x, y
    there = int(x) * height + int(y)
    corner = terrain.waypoint[int(unit.x) * height + int(unit.y), there]
    if corner < 0 or corner == there:
        return x, y
    return corner // height + 0.5, corner % height + 0.5


@inlined
def walk(units: Any, kinds: Any, terrain: Any, scratch: Any, index: Any, x: Any, y: Any, limit: Any) -> bool:
    """Take one loop's way towards (x, y), no faster than `limit`; tell whether the unit has arrived."""
    unit, near, spots = units[index], scratch.near, scratch.spots
    kind = kinds[unit.kind]
    if kind.speed == 0:
        return False
    unit.pace = min(unit.pace + kind.accel, kind.speed) if kind.accel > 0 else kind.speed
    to_x, to_y = next_point(terrain, kind, unit, x, y)
    dx, dy = to_x - unit.x, to_y - unit.y
    distance = math.sqrt(dx * dx + dy * dy)
    if distance == 0:
        return to_x == x and to_y == y
    step = min(min(unit.pace, limit), distance)
    ux, uy = dx / distance, dy / distance
    count = neighbours(units, kinds, index, step, spots, near) if unit.disc >= 0 else 0
    blocker = obstacle(units, index, near, count, step, ux, uy) if count > 0 else -1
    if blocker < 0 and abs(unit.bend) == 1:
        unit.moved = put(terrain, kind, unit, unit.x + step * ux, unit.y + step * uy)
        spots[0, index], spots[1, index] = unit.x, unit.y
        return unit.x == grid(x) and unit.y == grid(y)
    ux, uy = turn_aside(units, index, near, count, blocker, step, ux, uy)
    unit.moved = (ux != 0 or uy != 0) and put(terrain, kind, unit, unit.x + step * ux, unit.y + step * uy)
    spots[0, index], spots[1, index] = unit.x, unit.y
    crowded = blocker >= 0 and distance < CROWDED and units[blocker].side == unit.side
    return crowded and unit.order == ATTACK_MOVE and to_x == x and to_y == y


@outlined
def turn_aside(
    units: Any, index: Any, near: Any, count: Any, blocker: Any, step: Any, ux: Any, uy: Any
) -> tuple[float, float]:
    """Return the direction nearest to (ux, uy) in which there is room for a step, or (0, 0).

    `bend` remembers the side, and how far it turned: who goes round a crowd turns back bit by bit, so that it does not
    walk into the same corner again. Its size is 1 for a straight way, else 2 and the number of turns to begin with.
    """
    unit = units[index]
    if abs(unit.bend) == 1 and blocker >= 0:
        across = (units[blocker].x - unit.x) * uy - (units[blocker].y - unit.y) * ux
        if abs(across) > SIDE_ON * units[blocker].disc:
            unit.bend = 1 if across > 0 else -1
    side = 1 if unit.bend > 0 else -1
    for k in range(max(abs(unit.bend) - 2, 0), TURNS):
        c, s = COSINE[k], side * SINE[k]
        vx, vy = c * ux - s * uy, s * ux + c * uy
        if obstacle(units, index, near, count, step, vx, vy) < 0:
            unit.bend = side * (k + 1)
            return vx, vy
    unit.bend = -2 * side
    return 0.0, 0.0


@outlined
def push_apart(units: Any, kinds: Any, terrain: Any, spots: Any) -> None:
    """Move units that overlap apart, pair by pair. Who stands and fights holds its ground."""
    for i in range(units.size):
        one = units[i]
        if one.disc < 0:
            continue
        for j in range(i + 1, units.size):
            dx, dy, touch = spots[0, j] - spots[0, i], spots[1, j] - spots[1, i], one.disc + spots[2, j]
            if dx >= touch or -dx >= touch or dy >= touch or -dy >= touch:
                continue
            square, other = dx * dx + dy * dy, units[j]
            if square < touch * touch and other.disc >= 0 and kinds[other.kind].layer == kinds[one.kind].layer:
                push(kinds, terrain, one, other, dx, dy, math.sqrt(square), touch)
                spots[0, i], spots[1, i], spots[0, j], spots[1, j] = one.x, one.y, other.x, other.y


@inlined
def holds(kinds: Any, unit: Any, against: Any) -> Any:
    """Tell whether a unit cannot be pushed away by another."""
    return standing(unit) or kinds[unit.kind].speed == 0 or (unit.side != against.side and not unit.moved)


@outlined
def push(kinds: Any, terrain: Any, one: Any, other: Any, dx: Any, dy: Any, distance: Any, touch: Any) -> None:
    """Move two overlapping units apart, or the one that gives way. `dx`, `dy` leads from one to the other."""
    depth = min(touch - distance, MAX_PUSH)
    dx, dy = (dx / distance, dy / distance) if distance > 0 else (0.0, 1.0)
    hold_one, hold_other = holds(kinds, one, other), holds(kinds, other, one)
    share = 0.5 if hold_one == hold_other else (0.0 if hold_one else 1.0)
    if kinds[one.kind].speed > 0:
        put(terrain, kinds[one.kind], one, one.x - share * depth * dx, one.y - share * depth * dy)
    if kinds[other.kind].speed > 0:
        put(terrain, kinds[other.kind], other, other.x + (1 - share) * depth * dx, other.y + (1 - share) * depth * dy)
