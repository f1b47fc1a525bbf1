"""Weapons and healing: what one unit does to another within a game loop.

`units` is the row of one env, [N + M] UNIT. Sources: the game's data and SMAC, see docs/skirmish.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pymarl.envs.skirmish.battle.arrays import BEAM, BLAST, ENEMY, GRID, GROUND, IDLE, NO_DISC, STRUCTURE
from pymarl.utils.jit import inlined, outlined

MIN_DAMAGE = 0.5  # what armor leaves of a hit
HELP_RADIUS = 4.0  # in which friends answer an attack on one of them, cells
BEAM_POINTS = 11  # searched one after the other
BEAM_SPACING = 0.25  # cells
BEAM_LAG = 4.0  # loops from a search to its damage
BEAM_MAIN = 6  # loops until the target itself is hit


@inlined
def grid(value: Any) -> Any:
    """Return the nearest multiple of 1/GRID."""
    return np.floor(value * GRID + 0.5) / GRID


@inlined
def in_reach(kinds: Any, one: Any, other: Any, reach: Any) -> Any:
    """Tell whether two units are within `reach`, from edge to edge."""
    limit = reach + kinds[one.kind].radius + kinds[other.kind].radius
    dx, dy = one.x - other.x, one.y - other.y
    return dx * dx + dy * dy <= limit * limit


@inlined
def can_hit(kinds: Any, attacker: Any, target: Any) -> Any:
    """Tell whether the attacker's weapon reaches the plane that the target is on."""
    return kinds[attacker.kind].targets & kinds[target.kind].planes != 0


@inlined
def amount_on(kind: Any, target: Any) -> Any:
    """Return the damage of one hit of a weapon on a unit type, before armor."""
    if kind.structure_damage > 0 and target.attributes & STRUCTURE:
        return kind.structure_damage
    return kind.damage + (kind.bonus if kind.bonus_attributes & target.attributes else 0.0)


@outlined
def alert(units: Any, kinds: Any, source: int, target: int) -> None:
    """Let an enemy that is hit, and its friends around, fight back unless they are busy."""
    victim = units[target]
    for i in range(units.size):
        friend = units[i]
        if friend.side != victim.side or friend.health <= 0 or friend.aim >= 0 or kinds[friend.kind].damage == 0:
            continue
        dx, dy = friend.x - victim.x, friend.y - victim.y
        if dx * dx + dy * dy <= HELP_RADIUS * HELP_RADIUS and can_hit(kinds, friend, units[source]):
            friend.aim = source


@inlined
def die(units: Any, kinds: Any, blasts: Any, dead: Any) -> None:
    """Remove a unit; one that explodes is put on the stack `blasts`, whose first entry counts."""
    unit = units[dead]
    unit.health = unit.shield = unit.cooldown = 0.0
    unit.disc = NO_DISC
    unit.windup = -1.0
    unit.order = IDLE
    unit.aim = unit.target = -1
    if kinds[unit.kind].splash == BLAST:
        blasts[0] += 1
        blasts[blasts[0]] = dead


@outlined
def hurt(units: Any, kinds: Any, blasts: Any, source: Any, target: Any, amount: Any) -> None:
    """Deal `amount` to a unit: shields take it first, armor lessens what is left for its life."""
    unit = units[target]
    if unit.health <= 0:
        return
    unit.calm = kinds[unit.kind].shield_delay
    absorbed = min(unit.shield, amount)
    unit.shield -= absorbed
    if amount > absorbed:
        unit.health -= max(amount - absorbed - kinds[unit.kind].armor, MIN_DAMAGE)
    if unit.health <= 0:
        die(units, kinds, blasts, target)
    elif unit.side == ENEMY and unit.aim < 0:
        alert(units, kinds, source, target)


@outlined
def explode(units: Any, kinds: Any, blasts: Any) -> None:
    """Let everything on the stack explode, and what that sets off."""
    while blasts[0] > 0:
        source = blasts[blasts[0]]
        blasts[0] -= 1
        unit = units[source]
        kind = kinds[unit.kind]
        for i in range(units.size):
            other = units[i]
            if other.side == unit.side or other.health <= 0 or not kinds[other.kind].planes & GROUND:
                continue
            limit = kind.splash_radius + kinds[other.kind].radius
            dx, dy = other.x - unit.x, other.y - unit.y
            if dx * dx + dy * dy <= limit * limit:
                hurt(units, kinds, blasts, source, i, amount_on(kind, kinds[other.kind]))


@outlined
def aim_beam(units: Any, beam: Any, source: int, target: int) -> None:
    """Lay a colossus' beams across the line from it to its target."""
    dx, dy = units[target].x - units[source].x, units[target].y - units[source].y
    length = math.sqrt(dx * dx + dy * dy)
    beam.loop, beam.unit, beam.x, beam.y = 0, target, units[target].x, units[target].y
    beam.across_x, beam.across_y = (-dy / length, dx / length) if length > 0 else (0.0, 1.0)


@outlined
def sweep(units: Any, kinds: Any, blasts: Any, beam: Any, swept: Any, source: int) -> None:
    """Move a colossus' two beams, which sweep the strip in opposite directions, by one loop."""
    if beam.loop == 0:
        swept[:] = 0
    beam.loop += 1
    kind = kinds[units[source].kind]
    if beam.loop == BEAM_MAIN:
        for _ in range(kind.hits):
            hurt(units, kinds, blasts, source, beam.unit, amount_on(kind, kinds[units[beam.unit].kind]))
    for point in range(BEAM_POINTS):
        if math.ceil(0.5 * point + BEAM_LAG) != beam.loop:
            continue
        offset = BEAM_SPACING * (point - BEAM_POINTS // 2)
        for direction in range(kind.hits):
            along = -offset if direction else offset
            x, y = beam.x + along * beam.across_x, beam.y + along * beam.across_y
            burn(units, kinds, blasts, beam.unit, swept, source, x, y, 1 << direction)
    if beam.loop >= math.ceil(0.5 * (BEAM_POINTS - 1) + BEAM_LAG):
        beam.loop = -1


@inlined
def burn(units: Any, kinds: Any, blasts: Any, main: Any, swept: Any, source: Any, x: Any, y: Any, bit: Any) -> None:
    """Hit every opponent around a point of the strip once in a sweep, beside the target itself."""
    kind = kinds[units[source].kind]
    for i in range(units.size):
        other = units[i]
        if i == main or other.side == units[source].side or other.health <= 0 or swept[i] & bit:
            continue
        limit = kind.splash_radius + kinds[other.kind].radius
        dx, dy = other.x - x, other.y - y
        if dx * dx + dy * dy <= limit * limit and kinds[other.kind].planes & GROUND:
            swept[i] |= bit
            hurt(units, kinds, blasts, source, i, amount_on(kind, kinds[other.kind]))


@outlined
def strike(units: Any, kinds: Any, blasts: Any, beams: Any, source: Any) -> None:
    """Carry out the attack that has reached its damage point."""
    unit = units[source]
    kind, target = kinds[unit.kind], unit.aim
    unit.windup = -1.0
    unit.fired = target
    if kind.splash == BLAST:
        die(units, kinds, blasts, source)
    elif kind.splash == BEAM:
        aim_beam(units, beams[unit.beam], source, target)
    elif kind.missile_speed > 0:
        dx, dy = units[target].x - unit.x, units[target].y - unit.y
        distance = math.sqrt(dx * dx + dy * dy) - kinds[units[target].kind].radius
        unit.hit_unit, unit.hit_in = target, max(math.ceil(distance / kind.missile_speed), 1.0)
    else:
        if kind.hits > 1:
            unit.hit_unit, unit.hit_in = target, kind.hit_gap
        hurt(units, kinds, blasts, source, target, amount_on(kind, kinds[units[target].kind]))


@outlined
def land(units: Any, kinds: Any, blasts: Any, source: Any) -> None:
    """Let a missile, or the second hit of an attack, come one loop closer and hit when it is there."""
    unit = units[source]
    unit.hit_in -= 1.0
    if unit.hit_in > 0:
        return
    unit.hit_in = -1.0
    if unit.health > 0 or kinds[unit.kind].missile_speed > 0:  # a blow dies with who deals it, a missile does not
        target = kinds[units[unit.hit_unit].kind]
        hurt(units, kinds, blasts, source, unit.hit_unit, amount_on(kinds[unit.kind], target))


@outlined
def attack(units: Any, kinds: Any, blasts: Any, beams: Any, source: Any, delay: Any) -> None:
    """Begin an attack on a target in range.

    The period runs from the start of one attack to the next and gets a random delay (pysc2, docs/environment.md).
    """
    unit = units[source]
    kind = kinds[unit.kind]
    unit.cooldown = max(grid(kind.period + delay), 1.0)
    unit.windup = kind.damage_point
    if unit.windup <= 0:
        strike(units, kinds, blasts, beams, source)


@outlined
def wind_up(units: Any, kinds: Any, blasts: Any, beams: Any, source: Any) -> None:
    """Go on with the attack that has begun: strike at its damage point, or break off if the target is gone."""
    unit = units[source]
    reach = kinds[unit.kind].reach + kinds[unit.kind].slop
    if unit.aim < 0 or units[unit.aim].health <= 0 or not in_reach(kinds, unit, units[unit.aim], reach):
        break_off(unit)
        return
    unit.windup -= 1.0
    if unit.windup <= 0:
        strike(units, kinds, blasts, beams, source)


@inlined
def break_off(unit: Any) -> None:
    """Give up an attack before its damage point; the weapon stays ready."""
    if unit.windup >= 0:
        unit.windup = -1.0
        unit.cooldown = 0.0


@outlined
def heal(kinds: Any, healer: Any, patient: Any) -> None:
    """Heal for one loop, as far as the energy lasts."""
    kind = kinds[healer.kind]
    amount = min(kind.heal, kinds[patient.kind].health - patient.health)
    amount = grid(min(amount, healer.energy / kind.heal_cost))
    patient.health += amount
    healer.energy = max(grid(healer.energy - amount * kind.heal_cost), 0.0)


@inlined
def recover(kind: Any, unit: Any) -> None:
    """Let timers run and life, shields and energy grow by one loop."""
    unit.cooldown = max(unit.cooldown - 1.0, 0.0)
    if kind.regen > 0:
        unit.health = min(unit.health + kind.regen, kind.health)
    if kind.shield > 0:
        if unit.calm > 0:
            unit.calm -= 1.0
        else:
            unit.shield = min(unit.shield + kind.shield_regen, kind.shield)
    if kind.energy_regen > 0:
        unit.energy = min(unit.energy + kind.energy_regen, kind.energy_max)
