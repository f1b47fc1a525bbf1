"""Where scripted agents go: towards an enemy, past friends who fight, and away. See scripted.py."""

from __future__ import annotations

import math
from typing import Any

from pymarl.envs.skirmish.battle.arrays import AIR_LAYER, EAST, NORTH, SOUTH, STOP, WEST
from pymarl.utils.jit import inlined, outlined

FIRST_MOVE = NORTH
X_STEP, Y_STEP = (0.0, 0.0, 1.0, -1.0), (1.0, -1.0, 0.0, 0.0)  # north, south, east, west
FAR = 1e9

LOOK_AHEAD = 2.0  # steps after which a unit that runs away compares places
WALL_SEEN = 8  # how far a unit that runs away looks for walls, cells
WALL_WEIGHT = 1.0  # of a wall, against an enemy at the same distance


@inlined
def square(one: Any, other: Any) -> Any:
    """Return the squared distance of two units."""
    dx, dy = one.x - other.x, one.y - other.y
    return dx * dx + dy * dy


@outlined
def towards(ground: Any, units: Any, kinds: Any, agent: Any, n_agents: Any, x: Any, y: Any, avail: Any) -> int:
    """Return the move that leads best to (x, y), around walls and friends who fight; stop if none does."""
    me = units[agent]
    kind = kinds[me.kind]
    pathable, _, waypoint = ground
    height = pathable.shape[1]
    if waypoint.shape[0] > 1 and kind.layer != AIR_LAYER and not kind.climbs:
        corner = waypoint[int(me.x) * height + int(me.y), int(x) * height + int(y)]
        if corner >= 0 and corner != int(x) * height + int(y):
            x, y = corner // height + 0.5, corner % height + 0.5
    best, gain = STOP, 0.0
    for move in range(4):
        along = X_STEP[move] * (x - me.x) + Y_STEP[move] * (y - me.y)
        if avail[FIRST_MOVE + move] and along > gain:
            best, gain = FIRST_MOVE + move, along
    return around(units, kinds, agent, n_agents, best, avail) if best != STOP else STOP


@inlined
def around(units: Any, kinds: Any, agent: Any, n_agents: Any, move: Any, avail: Any) -> Any:
    """Return a move, or the one outwards beside it if a friend that fights, and so does not give way, is ahead."""
    me = units[agent]
    ahead_x, ahead_y = X_STEP[move - FIRST_MOVE], Y_STEP[move - FIRST_MOVE]
    blocked, side = False, 0.0
    for i in range(n_agents):
        friend = units[i]
        layers = kinds[me.kind].layer == kinds[friend.kind].layer
        if i == agent or friend.health <= 0 or friend.cooldown <= 0 or not layers:
            continue
        dx, dy = friend.x - me.x, friend.y - me.y
        ahead, across = dx * ahead_x + dy * ahead_y, dx * ahead_y + dy * ahead_x
        touch = kinds[me.kind].separation + kinds[friend.kind].separation
        blocked |= 0 < ahead < 1.5 * touch and abs(across) < 0.9 * touch
        side -= across
    if not blocked:
        return move
    out = (NORTH if side * ahead_x > 0 else SOUTH) if ahead_x != 0 else (EAST if side * ahead_y > 0 else WEST)
    return out if avail[out] else move


@inlined
def wall_pressure(ground: Any, kind: Any, x: Any, y: Any) -> Any:
    """Return how much the walls around a place narrow it."""
    walkable = ground[1] if kind.climbs else ground[0]
    pressure = 0.0
    for move in range(4):
        for far in range(1, WALL_SEEN):
            i, j = math.floor(x + X_STEP[move] * far), math.floor(y + Y_STEP[move] * far)
            if i < 0 or j < 0 or i >= walkable.shape[0] or j >= walkable.shape[1] or not walkable[i, j]:
                pressure += 1.0 / (far * far)
                break
    return pressure


@outlined
def away(ground: Any, units: Any, kinds: Any, agent: Any, n_agents: Any, way: Any, avail: Any) -> int:
    """Return the move, `way` cells in a step, to where enemies and walls press least; stop if there is no move."""
    me = units[agent]
    kind = kinds[me.kind]
    best, least = STOP, FAR
    for move in range(4):
        if not avail[FIRST_MOVE + move]:
            continue
        x, y = me.x + LOOK_AHEAD * way * X_STEP[move], me.y + LOOK_AHEAD * way * Y_STEP[move]
        pressure = WALL_WEIGHT * wall_pressure(ground, kind, x, y)
        for i in range(n_agents, units.size):
            if units[i].health > 0:
                dx, dy = units[i].x - x, units[i].y - y
                pressure += 1.0 / max(dx * dx + dy * dy, 0.1)
        if pressure < least:
            best, least = FIRST_MOVE + move, pressure
    return best
