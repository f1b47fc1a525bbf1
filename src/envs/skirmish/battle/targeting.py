"""Whom a unit fights: agents do as they are told, enemies choose for themselves.

Liquipedia's "Automatic Targeting": a threat comes before anything else, then the nearest; a target is kept while the
weapon reaches it.
"""

from __future__ import annotations

from typing import Any

from pymarl.envs.skirmish.battle.arrays import ATTACK, BIOLOGICAL, HEAL, HUNT, IDLE
from pymarl.envs.skirmish.battle.combat import in_reach
from pymarl.utils.jit import inlined, outlined

FAR = 1e9
NO_THREAT = 1e6  # added to the squared distance of what does not fight back


@inlined
def obey(units: Any, unit: Any) -> None:
    """Let an agent's unit aim at what its order names; without a living target the order is over."""
    unit.aim = -1
    if unit.order == ATTACK or unit.order == HEAL:
        if units[unit.target].health > 0:
            unit.aim = unit.target
        else:
            unit.order = IDLE


@inlined
def threatens(kinds: Any, other: Any, unit: Any) -> Any:
    """Tell whether a unit counts as a threat to another: it can hit it, or is treated as if it could."""
    return kinds[other.kind].targets & kinds[unit.kind].planes != 0 or kinds[other.kind].always_threat


@inlined
def acquire(units: Any, kinds: Any, index: Any, first: Any, last: Any) -> None:
    """Let a unit with a weapon choose among its opponents `first..last-1`.

    Out of its weapon's range it looks for the best target in scan range again; with none there it goes on after the
    one it had. HUNT looks as far as it takes.
    """
    unit = units[index]
    if unit.aim >= 0:
        if units[unit.aim].health <= 0:
            unit.aim = -1
        elif in_reach(kinds, unit, units[unit.aim], kinds[unit.kind].reach) and threatens(kinds, units[unit.aim], unit):
            return
    best = scan(units, kinds, index, first, last)
    if best >= 0:
        unit.aim = best


@outlined
def scan(units: Any, kinds: Any, index: Any, first: Any, last: Any) -> int:
    """Return the opponent to fight, or -1 if there is none in scan range."""
    unit = units[index]
    kind = kinds[unit.kind]
    best, best_score = -1, FAR
    reach = kind.scan + kind.radius
    x, y = unit.x, unit.y
    for i in range(first, last):
        other = units[i]
        if other.health <= 0:
            continue
        dx, dy = other.x - x, other.y - y
        score = dx * dx + dy * dy
        if score >= best_score and score < NO_THREAT:
            continue
        theirs = kinds[other.kind]
        limit = reach + theirs.radius
        if (score > limit * limit and unit.order != HUNT) or not kind.targets & theirs.planes:
            continue
        if not threatens(kinds, other, unit):
            score += NO_THREAT
        if score < best_score:
            best, best_score = i, score
    return best


@outlined
def choose_patient(units: Any, kinds: Any, index: Any, first: Any, last: Any) -> None:
    """Let a healer choose among its friends `first..last-1`: the smallest share of life, then the nearest.

    One that it is healing is kept while it is wounded and in reach.
    """
    unit = units[index]
    kind = kinds[unit.kind]
    if unit.aim >= 0:
        if (
            unit.energy > 0
            and wounded(units[unit.aim], kinds)
            and in_reach(kinds, unit, units[unit.aim], kind.heal_reach)
        ):
            return
        unit.aim = -1
    if unit.energy < kind.heal_least:
        return
    least, nearest = 1.0, FAR
    for i in range(first, last):
        friend = units[i]
        if i == index or not wounded(friend, kinds) or not in_reach(kinds, unit, friend, kind.heal_scan):
            continue
        share = friend.health / kinds[friend.kind].health
        dx, dy = friend.x - unit.x, friend.y - unit.y
        distance = dx * dx + dy * dy
        if share < least or (share == least and distance < nearest):
            unit.aim, least, nearest = i, share, distance


@inlined
def wounded(unit: Any, kinds: Any) -> Any:
    """Tell whether a healer can do something for a unit."""
    kind = kinds[unit.kind]
    return unit.health > 0 and unit.health < kind.health and kind.attributes & BIOLOGICAL != 0
