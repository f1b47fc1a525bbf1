"""What can be seen in a replay beside the units: shots, heals, deaths, and where units look. For viewers."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import ATTACK, BEAM, BLAST, HEAL, IDLE
from pymarl.envs.skirmish.replay.replay import Replay

SHOT, MELEE, MISSILE, SWEEP = range(4)
"""Styles of shots."""

MELEE_REACH = 1.0
"""Cells from edge to edge up to which a weapon is drawn as a blow."""

SWEEP_LOOPS = 5.0
"""Loops that a beam needs from end to end of its strip (11 points, half a loop each)."""

STILL = 0.04
"""Cells per loop below which a movement is a push and does not turn a unit."""

TURN = 0.45
"""Part of the way to its new direction that a unit turns in one loop, so that drawings do not flicker."""


class Events(NamedTuple):
    """Loops are row numbers of the frames; units are columns."""

    shots: NDArray[np.float32]  # [K, 5] loop of the start, loop of the hit, attacker, target, style; by loop of the hit
    heals: NDArray[np.float32]  # [K, 4] first and last loop, healer, healed
    deaths: NDArray[np.float32]  # [K, 3] loop, unit, radius of its blast or 0; by loop
    facing: NDArray[np.float32]  # [L+1, U] radians, 0 is east, counter-clockwise


def events_of(replay: Replay) -> Events:
    """Return what happened in a replay."""
    return Events(shots_of(replay), heals_of(replay), deaths_of(replay), facing_of(replay))


def shots_of(replay: Replay) -> NDArray[np.float32]:
    """Return every shot and blow, but not what explodes: see Events.shots.

    A missile hits as many loops later as it needs from the attacker to the rim of the target.
    """
    frames = replay.frames
    shoots = ~replay.per_unit("heals") & (replay.per_unit("splash") != BLAST)
    start, attacker = np.nonzero((frames["fired"] >= 0) & shoots)
    target = frames["fired"][start, attacker]
    x, y, speed = frames["x"], frames["y"], replay.per_unit("missile_speed")[attacker]
    distance = np.hypot(x[start, target] - x[start, attacker], y[start, target] - y[start, attacker])
    flight = np.maximum(distance - replay.per_unit("radius")[target], 0) / np.where(speed > 0, speed, np.inf)
    style = np.where(replay.per_unit("reach")[attacker] <= MELEE_REACH, MELEE, SHOT)
    style = np.where(speed > 0, MISSILE, style)
    style = np.where(replay.per_unit("splash")[attacker] == BEAM, SWEEP, style)
    takes = np.choose(style, [0.0, 0.0, np.maximum(np.ceil(flight), 1), SWEEP_LOOPS])
    shots = np.stack([start, start + takes, attacker, target, style], axis=1)
    twice = (style <= MELEE) & (replay.per_unit("hits")[attacker] > 1)
    second = shots[twice] + replay.per_unit("hit_gap")[attacker[twice], None] * [1, 1, 0, 0, 0]
    shots = np.concatenate([shots, second])
    return shots[np.argsort(shots[:, 1], kind="stable")].astype(np.float32)


def heals_of(replay: Replay) -> NDArray[np.float32]:
    """Return the stretches of loops in which a healer gave life to the same unit."""
    rows: list[tuple[int, int, int, int]] = []
    for healer in np.nonzero(replay.per_unit("heals"))[0]:
        fired = replay.frames["fired"][:, healer]
        changes = np.nonzero(np.diff(fired, prepend=-1, append=-1))[0]
        rows += [(a, b - 1, int(healer), int(fired[a])) for a, b in pairwise(changes.tolist()) if fired[a] >= 0]
    return np.array(rows, np.float32).reshape(-1, 4)


def deaths_of(replay: Replay) -> NDArray[np.float32]:
    """Return loop, unit and blast radius of every death; what explodes when it dies has a radius."""
    alive = replay.frames["health"] > 0
    loop, unit = np.nonzero(alive[:-1] & ~alive[1:])
    radius = np.where(replay.per_unit("splash") == BLAST, replay.per_unit("splash_radius"), 0)
    return np.stack([loop + 1, unit, radius[unit]], axis=1).astype(np.float32)


def facing_of(replay: Replay) -> NDArray[np.float32]:
    """Return [L+1, U] directions in radians: along the movement, else towards the target, else as before."""
    x, y = replay.frames["x"], replay.frames["y"]
    place = x + 1j * y
    step = np.diff(place, axis=0, prepend=place[:1])
    fights = np.isin(replay.frames["order"], (IDLE, ATTACK, HEAL)) | (np.abs(step) < STILL)
    target = np.where(replay.frames["fired"] >= 0, replay.frames["fired"], replay.frames["target"])
    aims = (target >= 0) & ((replay.frames["fired"] >= 0) | fights)
    rows = np.arange(len(place))[:, None]
    wanted = np.where(aims, place[rows, target] - place, np.where(np.abs(step) >= STILL, step, 0))
    n_agents = replay.meta["n_agents"]
    looks = np.repeat([1.0 + 0j, -1.0 + 0j], [n_agents, replay.n_units - n_agents])
    directions = np.empty_like(wanted)
    for loop, turn in enumerate(wanted / np.maximum(np.abs(wanted), 1e-9)):
        looks = np.where(turn != 0, (1 - TURN) * looks + (TURN + 0.002j) * turn, looks)  # 0.002j: turns back, too
        looks /= np.maximum(np.abs(looks), 1e-9)
        directions[loop] = looks
    return np.angle(directions).astype(np.float32)
