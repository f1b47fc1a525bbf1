"""What agents see: SMAC's observations, state and action masks, to the bit.

SMAC computes in float64 and rounds to float32 once. Positions, health and the like are whole multiples of 1/GRID:
squared distances are exact, and so is who sees and reaches whom. Source of every block: oxwhirl/smac at d6aab33,
StarCraft2Env.get_obs_agent, get_state_dict and get_avail_agent_actions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import FIRST_TARGET, NO_OP, NORTH, STOP, Rules
from pymarl.envs.smac_layout import smac_layout
from pymarl.envs.specs import EntityLayout
from pymarl.utils.jit import inlined, outlined

SIGHT, SHOOT = 9.0, 6.0  # cells from centre to centre, of every unit
NINTH = 1.0 / SIGHT  # of a multiple of 1/GRID: the product rounds to the same float32 as the quotient
N_MOVES, N_PATHING, N_HEIGHT = 4, 8, 9
X_STEP, Y_STEP = (0, 0, 1, -1), (1, -1, 0, 0)  # north, south, east, west
X_RING, Y_RING = (0, 0, 2, -2, 1, -1, 1, -1, 0), (2, -2, 0, 0, 1, -1, -1, 1, 0)  # 8 points around a unit, and its own


def layout(rules: Rules, kinds: NDArray[np.void] | None = None) -> EntityLayout:
    """Return what observations and the state are made of, and with `kinds`, [K] KIND, which of them marks healers.

    With `quirks`, obs_timestep_number takes two places: SMAC counts one in the agent's own block, which stays 0, and
    appends another.
    """
    bits = rules.type_bits
    ally, enemy = 1 + int(rules.ally_shields) + bits, 1 + int(rules.enemy_shields) + bits
    life = rules.obs_all_health or rules.obs_own_health
    own = ally if life else bits
    seen_ally, seen_enemy = (ally, enemy) if rules.obs_all_health else (bits, bits)
    move = N_MOVES + N_PATHING * rules.obs_pathing_grid + N_HEIGHT * rules.obs_terrain_height
    seen_ally += rules.n_actions if rules.obs_last_action else 0
    own += int(rules.obs_timestep_number and rules.quirks)
    return smac_layout(
        rules,
        n_agents=rules.n_agents,
        n_enemies=rules.n_enemies,
        n_actions=rules.n_actions,
        first_target=FIRST_TARGET,
        obs_widths=(move, 4 + seen_enemy, 4 + seen_ally, own),
        state_widths=(3 + ally, 2 + enemy),
        healers=[] if kinds is None or not rules.healers else _marks_of_healers(kinds, own=ally - bits if life else 0),
    )


def _marks_of_healers(kinds: NDArray[np.void], own: int) -> list[int]:
    """Return the places of their types in an agent's own block, in which types come behind `own` other features."""
    return [own + int(kind["ally_bit"]) for kind in kinds if kind["heal"] > 0 and kind["ally_bit"] >= 0]


@outlined
def write_observations(b: Any, rules: Any, terrain: Any, kinds: Any, world: Any, out: Any) -> None:
    """Write obs, state and avail_actions of row b.

    Args:
        b: the row.
        rules: Rules.
        terrain: Terrain.
        kinds: [K] KIND.
        world: World; units, steps and last_action of row b are read.
        out: Out; nothing is left as it was in row b of the three arrays.
    """
    units, last_action = world.units[b], world.last_action[b]
    clock = world.steps[b] / rules.episode_limit
    for a in range(rules.n_agents):
        avail, row = out.avail_actions[b, a], out.obs[b, a]
        clear(avail)
        clear(row)
        if units[a].health > 0:
            heals = is_healer(a, rules, kinds, units)
            write_moves(units[a], rules, terrain, avail)
            at = write_ground(units[a], rules, terrain, avail, row)
            if heals:
                write_patients(a, rules, kinds, units, avail)
            at = write_enemies(a, heals, rules, kinds, units, avail, row, at)
            at = write_agents(a, rules, kinds, units, last_action, row, at)
            write_own(units[a], rules, kinds, row, at)
        else:
            avail[NO_OP] = True
        if rules.obs_timestep_number:
            row[row.size - 1] = clock
    if rules.obs_instead_of_state:
        write_joint_obs(out.obs[b], out.state[b])
    else:
        write_state(rules, kinds, units, last_action, clock, out.state[b])


@inlined
def clear(values: Any) -> None:
    """Set everything to 0. What is shown is written over that: most of it is 0."""
    for i in range(values.size):
        values[i] = 0


@inlined
def share(value: Any, most: Any) -> Any:
    """Return value / most; 0 for what a unit cannot have."""
    return value / most if most > 0 else 0.0


@inlined
def cell(value: Any, quirks: Any) -> Any:
    """Return the cell that a coordinate is in. SMAC cuts towards zero, so that (-1, 0) belongs to cell 0."""
    return int(value) if quirks else math.floor(value)


@inlined
def is_healer(a: Any, rules: Any, kinds: Any, units: Any) -> Any:
    """Tell whether an agent's targets are agents."""
    return rules.healers and kinds[units[a].kind].heal > 0


@inlined
def write_moves(me: Any, rules: Any, terrain: Any, avail: Any) -> None:
    """Write what of a living agent's mask is not about targets."""
    avail[STOP] = True
    for i in range(N_MOVES):
        x = cell(me.x + X_STEP[i] * rules.move_amount / 2, rules.quirks)
        y = cell(me.y + Y_STEP[i] * rules.move_amount / 2, rules.quirks)
        inside = x >= 0 and x < rules.width and y >= 0 and y < rules.height
        avail[NORTH + i] = inside and terrain.pathable[x, y]


@inlined
def write_ground(me: Any, rules: Any, terrain: Any, avail: Any, row: Any) -> Any:
    """Write where the agent can move and what the ground around it is like; return where the next block begins."""
    for i in range(N_MOVES):
        row[i] = avail[NORTH + i]
    at = N_MOVES
    for block in range(2):
        if not (rules.obs_terrain_height if block else rules.obs_pathing_grid):
            continue
        for i in range(N_HEIGHT if block else N_PATHING):
            x = math.floor(int(me.x) + X_RING[i] * rules.move_amount)
            y = math.floor(int(me.y) + Y_RING[i] * rules.move_amount)
            value = np.float32(1.0)
            if x >= 0 and x < rules.width and y >= 0 and y < rules.height:
                value = terrain.level[x, y] if block else np.float32(terrain.pathable[x, y])
            row[at] = value
            at += 1
    return at


@inlined
def squared_distance(me: Any, other: Any) -> Any:
    """Return the squared distance of two units, exactly; infinite to a dead one."""
    dx, dy = other.x - me.x, other.y - me.y
    return dx * dx + dy * dy if other.health > 0 else np.inf


@inlined
def write_patients(a: Any, rules: Any, kinds: Any, units: Any, avail: Any) -> None:
    """Write whom a healer can heal: any agent but healers, wounded or not."""
    for u in range(min(rules.n_agents, rules.n_actions - FIRST_TARGET)):
        near = squared_distance(units[a], units[u]) <= SHOOT * SHOOT
        avail[FIRST_TARGET + u] = near and not is_healer(u, rules, kinds, units)


@inlined
def write_enemies(a: Any, heals: Any, rules: Any, kinds: Any, units: Any, avail: Any, row: Any, at: Any) -> Any:
    """Write the enemies in sight, and for whom is no healer the targets; return where the next block begins."""
    bits, marks = rules.type_bits, 4 + (1 + int(rules.enemy_shields) if rules.obs_all_health else 0)
    for e in range(rules.n_enemies):
        other = units[rules.n_agents + e]
        square = squared_distance(units[a], other)
        if square < SIGHT * SIGHT:
            # SMAC reads the mask at the enemy's number also for a healer, whose mask is about agents.
            target = (rules.quirks and avail[FIRST_TARGET + e]) if heals else square <= SHOOT * SHOOT
            if not heals:
                avail[FIRST_TARGET + e] = target
            row[at] = target
            write_way(units[a], other, square, row, at)
            if rules.obs_all_health:
                write_health(other, kinds, rules.enemy_shields, row, at + 4)
            if bits > 0:
                write_bit(kinds[other.kind].enemy_bit, row, at + marks)
        at += marks + bits
    return at


@inlined
def write_agents(a: Any, rules: Any, kinds: Any, units: Any, last_action: Any, row: Any, at: Any) -> Any:
    """Write the other agents in sight; return where the next block begins."""
    bits, marks = rules.type_bits, 4 + (1 + int(rules.ally_shields) if rules.obs_all_health else 0)
    for k in range(rules.n_agents - 1):
        u = k + (k >= a)
        other = units[u]
        square = squared_distance(units[a], other)
        if square < SIGHT * SIGHT:
            row[at] = 1.0
            write_way(units[a], other, square, row, at)
            if rules.obs_all_health:
                write_health(other, kinds, rules.ally_shields, row, at + 4)
            if bits > 0:
                write_bit(kinds[other.kind].ally_bit, row, at + marks)
            if rules.obs_last_action:
                write_bit(last_action[u], row, at + marks + bits)
        at += marks + bits + (rules.n_actions if rules.obs_last_action else 0)
    return at


@inlined
def write_way(me: Any, other: Any, square: Any, row: Any, at: Any) -> None:
    """Write distance and way to a unit in sight behind its flag at row[at]."""
    row[at + 1] = math.sqrt(square) / SIGHT
    row[at + 2] = (other.x - me.x) * NINTH
    row[at + 3] = (other.y - me.y) * NINTH


@inlined
def write_health(unit: Any, kinds: Any, shields: Any, row: Any, at: Any) -> None:
    """Write health at row[at], and shield behind it if the side has shields."""
    kind = kinds[unit.kind]
    row[at] = unit.health / kind.health
    if shields:
        row[at + 1] = share(unit.shield, kind.shield)


@inlined
def write_bit(bit: Any, row: Any, at: Any) -> None:
    """Write a one-hot over zeros; -1 is none."""
    if bit >= 0:
        row[at + bit] = 1.0


@inlined
def write_own(me: Any, rules: Any, kinds: Any, row: Any, at: Any) -> None:
    """Write what the agent knows of itself."""
    if rules.obs_all_health or rules.obs_own_health:
        write_health(me, kinds, rules.ally_shields, row, at)
        at += 1 + int(rules.ally_shields)
    if rules.type_bits > 0:
        write_bit(kinds[me.kind].ally_bit, row, at)


@inlined
def write_state(rules: Any, kinds: Any, units: Any, last_action: Any, clock: Any, state: Any) -> None:
    """Write the state: allies, enemies, last actions, time."""
    clear(state)
    n, bits, at = rules.n_agents, rules.type_bits, 0
    for u in range(units.size):
        unit, kind, ally = units[u], kinds[units[u].kind], u < n
        shields = int(rules.ally_shields if ally else rules.enemy_shields)
        place = at + (2 if ally else 1)
        if unit.health > 0:
            state[at] = unit.health / kind.health
            if ally:
                heals = is_healer(u, rules, kinds, units)
                state[at + 1] = share(unit.energy, kind.energy_max) if heals else unit.cooldown / kind.max_cooldown
            state[place] = (unit.x - rules.width / 2) / rules.width
            state[place + 1] = (unit.y - rules.height / 2) / rules.height
            if shields > 0:
                state[place + 2] = share(unit.shield, kind.shield)
            if bits > 0:
                write_bit(kind.ally_bit if ally else kind.enemy_bit, state, place + 2 + shields)
        at = place + 2 + shields + bits
    if rules.state_last_action:
        for a in range(n):
            write_bit(last_action[a], state, at + a * rules.n_actions)
    if rules.state_timestep_number:
        state[state.size - 1] = clock


@inlined
def write_joint_obs(obs: Any, state: Any) -> None:
    """Write all observations, one behind the other, as the state."""
    at = 0
    for a in range(obs.shape[0]):
        for i in range(obs.shape[1]):
            state[at] = obs[a, i]
            at += 1
