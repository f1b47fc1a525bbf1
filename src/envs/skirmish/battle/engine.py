"""The simulation of one env's row: a game loop, an env step, the start of an episode.

Sixteen loops make a second of the game; units act one by one in random order within a loop.
"""

from __future__ import annotations

from typing import Any

from pymarl.envs.native.rng import mix, shuffle, uniform
from pymarl.envs.skirmish.battle.arrays import (
    ALLY,
    ATTACK,
    ATTACK_MOVE,
    EAST,
    FIRST_TARGET,
    HEAL,
    IDLE,
    MOVE,
    NORTH,
    SOUTH,
    STOP,
    WEST,
)
from pymarl.envs.skirmish.battle.combat import (
    attack,
    break_off,
    can_hit,
    explode,
    heal,
    in_reach,
    land,
    recover,
    sweep,
    wind_up,
)
from pymarl.envs.skirmish.battle.features import is_healer
from pymarl.envs.skirmish.battle.movement import note_spots, push_apart, walk
from pymarl.envs.skirmish.battle.targeting import FAR, acquire, choose_patient, obey, wounded
from pymarl.utils.jit import inlined, outlined


@outlined
def start(b: Any, seed: Any, rules: Any, world: Any) -> None:
    """Put row b at loop 0 of the episode of `seed`."""
    world.rng[b] = mix(seed)
    world.steps[b] = 0
    world.last_action[b, :] = -1
    world.info[b, :] = 0
    for i in range(world.beams.shape[1]):
        world.beams[b, i].loop = -1
    share = uniform(world.rng, b) if rules.goal_random else 0.0
    goals = world.goals
    for i in range(world.spawn.size):
        world.units[b, i] = world.spawn[i]
        unit = world.units[b, i]
        if unit.order == ATTACK_MOVE:
            unit.goal_x = goals[0] + share * (goals[2] - goals[0])
            unit.goal_y = goals[1] + share * (goals[3] - goals[1])


@outlined
def command(kinds: Any, units: Any, index: Any, order: Any, target: Any, x: Any, y: Any) -> None:
    """Give a unit a new order, as the game would take it.

    An order that the game refuses (to attack what the weapon cannot reach) leaves the last one as it was. The same
    attack once more does not disturb the attack under way.
    """
    unit = units[index]
    if order == ATTACK and not can_hit(kinds, unit, units[target]):
        return
    if order == ATTACK and unit.order == ATTACK and unit.target == target:
        return
    break_off(unit)
    unit.order, unit.target, unit.goal_x, unit.goal_y = order, target, x, y
    unit.aim = -1


@outlined
def take_action(rules: Any, kinds: Any, units: Any, agent: Any, action: Any) -> None:
    """Turn an agent's action into an order."""
    unit = units[agent]
    x, y, far = unit.x, unit.y, rules.move_amount
    if action == STOP:
        command(kinds, units, agent, IDLE, -1, x, y)
    elif action == NORTH:
        command(kinds, units, agent, MOVE, -1, x, y + far)
    elif action == SOUTH:
        command(kinds, units, agent, MOVE, -1, x, y - far)
    elif action == EAST:
        command(kinds, units, agent, MOVE, -1, x + far, y)
    elif action == WEST:
        command(kinds, units, agent, MOVE, -1, x - far, y)
    elif action >= FIRST_TARGET:
        if is_healer(agent, rules, kinds, units):
            command(kinds, units, agent, HEAL, action - FIRST_TARGET, x, y)
        else:
            command(kinds, units, agent, ATTACK, rules.n_agents + action - FIRST_TARGET, x, y)


@outlined
def slowest(units: Any, kinds: Any, side: Any) -> float:
    """Return the speed of the slowest armed unit of a side, cells per loop: a healer does not run ahead of its army."""
    speed = FAR
    for i in range(units.size):
        unit = units[i]
        if unit.side == side and unit.health > 0 and kinds[unit.kind].damage > 0:
            speed = min(speed, kinds[unit.kind].speed)
    return speed


@inlined
def engage(b: Any, index: Any, rules: Any, kinds: Any, world: Any, blasts: Any) -> bool:
    """Fight or heal the unit aimed at if it is in reach; tell whether it is."""
    units = world.units[b]
    unit = units[index]
    kind = kinds[unit.kind]
    target = units[unit.aim]
    healer = kind.heal > 0
    if not in_reach(kinds, unit, target, kind.heal_reach if healer else kind.reach):
        return False
    if not healer:
        if unit.cooldown <= 0:
            delay = rules.delay_low + (rules.delay_high - rules.delay_low) * uniform(world.rng, b)
            attack(units, kinds, blasts, world.beams[b], index, delay)
    elif wounded(target, kinds) and unit.energy > 0:
        unit.fired = unit.aim
        heal(kinds, unit, target)
    return True


@inlined
def decide(b: Any, index: Any, rules: Any, kinds: Any, world: Any, blasts: Any) -> bool:
    """Let a living unit choose its target and fight if it can; tell whether it walks instead."""
    units = world.units[b]
    unit = units[index]
    if unit.windup >= 0:
        wind_up(units, kinds, blasts, world.beams[b], index)
        return False
    if unit.side == ALLY:
        obey(units, unit)
    elif kinds[unit.kind].heal > 0:
        choose_patient(units, kinds, index, rules.n_agents, units.size)
    else:
        acquire(units, kinds, index, 0, rules.n_agents)
    if unit.aim >= 0:
        return not engage(b, index, rules, kinds, world, blasts)
    return unit.order == MOVE or unit.order == ATTACK_MOVE


@inlined
def go(units: Any, kinds: Any, terrain: Any, scratch: Any, index: Any) -> None:
    """Walk to the unit aimed at, or where the order leads; that order ends on arrival."""
    unit = units[index]
    if unit.aim >= 0:
        x, y = units[unit.aim].x, units[unit.aim].y
    else:
        x, y = unit.goal_x, unit.goal_y
    limit = FAR
    if unit.side != ALLY and unit.aim < 0 and kinds[unit.kind].heal > 0:
        limit = slowest(units, kinds, unit.side)
    if walk(units, kinds, terrain, scratch, index, x, y, limit) and unit.aim < 0:
        unit.order = IDLE


@inlined
def act(b: Any, index: Any, rules: Any, terrain: Any, kinds: Any, world: Any, scratch: Any) -> None:
    """Let one unit live through a game loop."""
    units, blasts = world.units[b], scratch.blasts
    unit = units[index]
    unit.fired = -1
    unit.moved = False
    if unit.hit_in > 0:
        land(units, kinds, blasts, index)
    if unit.beam >= 0 and world.beams[b, unit.beam].loop >= 0:
        sweep(units, kinds, blasts, world.beams[b, unit.beam], world.swept[b, unit.beam], index)
    if unit.health > 0:
        recover(kinds[unit.kind], unit)
        if decide(b, index, rules, kinds, world, blasts):
            go(units, kinds, terrain, scratch, index)
        else:
            unit.pace = 0.0


@inlined
def advance(b: Any, rules: Any, terrain: Any, kinds: Any, world: Any, scratch: Any) -> None:
    """Play one game loop in row b."""
    units, order, blasts = world.units[b], scratch.order, scratch.blasts
    blasts[0] = 0
    note_spots(units, scratch.spots)
    shuffle(world.rng, b, order, units.size)
    for i in range(units.size):
        act(b, order[i], rules, terrain, kinds, world, scratch)
        if blasts[0] > 0:
            explode(units, kinds, blasts)
    push_apart(units, kinds, terrain, scratch.spots)
