"""What agents see: SMAC's observations, state and action masks, to the bit.

SMAC computes in float64 and rounds to float32 once. Positions, health and the like are multiples of 1/GRID, which
float32 holds: one float32 operation on them gives the same number as a float64 operation that is rounded after it.
Squared distances need float64, are exact there, and so is who sees and reaches whom. Source of every block:
oxwhirl/smac at d6aab33, StarCraft2Env.get_obs_agent, get_state_dict and get_avail_agent_actions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from envs.native.jit import inlined, outlined
from envs.skirmish.arrays import Rules

NO_OP, STOP, FIRST_MOVE, FIRST_TARGET = 0, 1, 2, 6
SIGHT, SHOOT = 9.0, 6.0  # cells from centre to centre, of every unit
N_MOVES, N_PATHING, N_HEIGHT = 4, 8, 9
FAR = 1e6  # where the dead are: out of everybody's sight
X_STEP, Y_STEP = (0, 0, 1, -1), (1, -1, 0, 0)  # north, south, east, west
X_RING, Y_RING = (0, 0, 2, -2, 1, -1, 1, -1, 0), (2, -2, 0, 0, 1, -1, -1, 1, 0)  # 8 points around a unit, and its own

X, Y, SEEN, NEAR, DISTANCE, X_WAY, Y_WAY, MARKS = range(8)
"""Rows of the sheet, [MARKS + marks, N + M] float32, on which the units of a row of envs are laid out side by side: where
they are; how the agent whose turn it is sees them (in sight, in reach: 1 or 0; distance and way there in units of SIGHT);
then what everybody sees alike: health, shield if the side has any, type bits."""


def obs_size(rules: Rules) -> int:
    """Return O, the length of an observation.

    With `quirks`, obs_timestep_number takes two places: SMAC counts one in the agent's own block, which stays 0, and
    appends another.
    """
    ally, enemy, own = (
        rules.type_bits + int(rules.ally_shields) + 1,
        rules.type_bits + int(rules.enemy_shields) + 1,
        0,
    )
    own = ally if rules.obs_own_health or rules.obs_all_health else rules.type_bits
    if not rules.obs_all_health:
        ally = enemy = rules.type_bits
    ally += rules.n_actions if rules.obs_last_action else 0
    move = N_MOVES + N_PATHING * rules.obs_pathing_grid + N_HEIGHT * rules.obs_terrain_height
    clock = int(rules.obs_timestep_number) * (2 if rules.quirks else 1)
    return move + rules.n_enemies * (4 + enemy) + (rules.n_agents - 1) * (4 + ally) + own + clock


def state_size(rules: Rules) -> int:
    """Return S, the length of the state."""
    if rules.obs_instead_of_state:
        return rules.n_agents * obs_size(rules)
    ally = rules.n_agents * (4 + rules.ally_shields + rules.type_bits)
    enemy = rules.n_enemies * (3 + rules.enemy_shields + rules.type_bits)
    actions = rules.n_agents * rules.n_actions * rules.state_last_action
    return ally + enemy + actions + int(rules.state_timestep_number)


def sheet_shape(rules: Rules) -> tuple[int, int]:
    """Return the shape of the float32 scratch that `write_views` needs."""
    return MARKS + 2 + rules.type_bits, rules.n_agents + rules.n_enemies


@njit(nogil=True, error_model="numpy")
def write_observations(b: Any, rules: Any, terrain: Any, kinds: Any, world: Any, out: Any) -> None:
    """Until the engine passes a sheet: allocates one."""
    n_units = rules.n_agents + rules.n_enemies
    write_views(b, rules, terrain, kinds, world, np.empty((MARKS + 2 + rules.type_bits, n_units), np.float32), out)


@outlined
def write_views(b: Any, rules: Any, terrain: Any, kinds: Any, world: Any, sheet: Any, out: Any) -> None:
    """Write obs, state and avail_actions of row b.

    Args:
        b: the row.
        rules: Rules.
        terrain: Terrain.
        kinds: [K] KIND.
        world: World; units, steps and last_action of row b are read.
        sheet: float32 scratch of the shape `sheet_shape` says.
        out: Out; nothing is left as it was in row b of the three arrays.
    """
    units, obs, avail_actions = world.units[b], out.obs[b], out.avail_actions[b]
    last_action = world.last_action[b]
    clock = world.steps[b] / rules.episode_limit
    note_units(rules, kinds, units, sheet)
    for a in range(rules.n_agents):
        avail, row = avail_actions[a], obs[a]
        if units[a].health > 0:
            look_around(a, sheet)
            write_mask(a, rules, terrain, kinds, units, sheet, avail)
            at = write_moves(a, rules, terrain, units, avail, row)
            at = write_enemies(a, at, rules, kinds, units, sheet, avail, row)
            at = write_allies(a, at, rules, sheet, last_action, row)
            at = write_own(a, at, rules, sheet, row)
        else:
            for i in range(rules.n_actions):
                avail[i] = i == NO_OP
            at = 0
        for i in range(at, row.size):
            row[i] = 0.0
        if rules.obs_timestep_number:
            row[row.size - 1] = clock
    if rules.obs_instead_of_state:
        write_joint_obs(obs, out.state[b])
    else:
        write_state(rules, kinds, units, sheet, last_action, clock, out.state[b])


@inlined
def note_units(rules: Any, kinds: Any, units: Any, sheet: Any) -> None:
    """Fill what of the sheet does not depend on who looks."""
    n = rules.n_agents
    for u in range(units.size):
        unit = units[u]
        kind = kinds[unit.kind]
        alive = unit.health > 0
        sheet[X, u] = unit.x if alive else FAR
        sheet[Y, u] = unit.y if alive else FAR
        sheet[MARKS, u] = unit.health / kind.health
        at = MARKS + 1
        if rules.ally_shields if u < n else rules.enemy_shields:
            sheet[at, u] = unit.shield / kind.shield if kind.shield > 0 else 0.0
            at += 1
        bit = kind.ally_bit if u < n else kind.enemy_bit
        for i in range(rules.type_bits):
            sheet[at + i, u] = 1.0 if bit == i else 0.0


@inlined
def look_around(a: Any, sheet: Any) -> None:
    """Fill what of the sheet is as agent a sees it."""
    x, y = sheet[X, a], sheet[Y, a]
    nine = np.float32(SIGHT)
    none = np.float32(0.0)
    for u in range(sheet.shape[1]):
        dx, dy = sheet[X, u] - x, sheet[Y, u] - y
        square = np.float64(dx) * np.float64(dx) + np.float64(dy) * np.float64(dy)
        seen = square < SIGHT * SIGHT
        sheet[SEEN, u] = 1.0 if seen else 0.0
        sheet[NEAR, u] = 1.0 if square <= SHOOT * SHOOT else 0.0
        sheet[DISTANCE, u] = np.float32(math.sqrt(square) / SIGHT) if seen else none
        sheet[X_WAY, u] = dx / nine if seen else none
        sheet[Y_WAY, u] = dy / nine if seen else none


@inlined
def cell(value: Any, quirks: Any) -> Any:
    """Return the cell that a coordinate is in. SMAC cuts towards zero, so that (-1, 0) belongs to cell 0."""
    return int(value) if quirks else math.floor(value)


@inlined
def is_healer(a: Any, rules: Any, kinds: Any, units: Any) -> Any:
    """Tell whether an agent's targets are agents."""
    return rules.healers and kinds[units[a].kind].heal > 0


@inlined
def write_mask(a: Any, rules: Any, terrain: Any, kinds: Any, units: Any, sheet: Any, avail: Any) -> None:
    """Write the action mask of a living agent."""
    x, y = units[a].x, units[a].y
    avail[NO_OP] = False
    avail[STOP] = True
    for i in range(N_MOVES):
        to_x = cell(x + X_STEP[i] * rules.move_amount / 2, rules.quirks)
        to_y = cell(y + Y_STEP[i] * rules.move_amount / 2, rules.quirks)
        inside = to_x >= 0 and to_x < rules.width and to_y >= 0 and to_y < rules.height
        avail[FIRST_MOVE + i] = inside and terrain.pathable[to_x, to_y]
    if is_healer(a, rules, kinds, units):
        for i in range(rules.n_actions - FIRST_TARGET):
            avail[FIRST_TARGET + i] = (
                i < rules.n_agents and sheet[NEAR, i] > 0 and not is_healer(i, rules, kinds, units)
            )
    else:
        for i in range(rules.n_enemies):
            avail[FIRST_TARGET + i] = sheet[NEAR, rules.n_agents + i] > 0
        for i in range(FIRST_TARGET + rules.n_enemies, rules.n_actions):
            avail[i] = False


@inlined
def write_moves(a: Any, rules: Any, terrain: Any, units: Any, avail: Any, row: Any) -> Any:
    """Write where the agent can move and what the ground around it is like; return where the next block begins."""
    for i in range(N_MOVES):
        row[i] = avail[FIRST_MOVE + i]
    at = N_MOVES
    if not (rules.obs_pathing_grid or rules.obs_terrain_height):
        return at
    for block in range(2):
        if not (rules.obs_terrain_height if block else rules.obs_pathing_grid):
            continue
        for i in range(N_HEIGHT if block else N_PATHING):
            x = math.floor(int(units[a].x) + X_RING[i] * rules.move_amount)
            y = math.floor(int(units[a].y) + Y_RING[i] * rules.move_amount)
            value = np.float32(1.0)
            if x >= 0 and x < rules.width and y >= 0 and y < rules.height:
                value = terrain.level[x, y] if block else np.float32(terrain.pathable[x, y])
            row[at] = value
            at += 1
    return at


@inlined
def write_enemies(a: Any, at: Any, rules: Any, kinds: Any, units: Any, sheet: Any, avail: Any, row: Any) -> Any:
    """Write what the agent sees of enemies; return where the next block begins."""
    n, m = rules.n_agents, rules.n_enemies
    stop = 1 + int(rules.enemy_shields) + rules.type_bits
    start = 0 if rules.obs_all_health else stop - rules.type_bits
    width = 4 + stop - start
    write_units(n, m, at, width, (start, stop), sheet, row)
    for e in range(m):
        row[at + e * width] = sheet[NEAR, n + e]
    if is_healer(a, rules, kinds, units):
        # SMAC reads the mask at the enemy's number also for a healer, whose mask is about agents.
        for e in range(m):
            row[at + e * width] = sheet[SEEN, n + e] if rules.quirks and avail[FIRST_TARGET + e] else 0.0
    return at + m * width


@inlined
def write_allies(a: Any, at: Any, rules: Any, sheet: Any, last_action: Any, row: Any) -> Any:
    """Write what the agent sees of other agents; return where the next block begins."""
    stop = 1 + int(rules.ally_shields) + rules.type_bits
    start = 0 if rules.obs_all_health else stop - rules.type_bits
    marks = 4 + stop - start
    width = marks + (rules.n_actions if rules.obs_last_action else 0)
    for part in range(2):
        first, count = (a + 1, rules.n_agents - a - 1) if part else (0, a)
        write_units(first, count, at, width, (start, stop), sheet, row)
        if rules.obs_last_action:
            for k in range(count):
                for i in range(rules.n_actions):
                    same = last_action[first + k] == i
                    row[at + k * width + marks + i] = sheet[SEEN, first + k] if same else 0.0
        at += count * width
    return at


@inlined
def write_own(a: Any, at: Any, rules: Any, sheet: Any, row: Any) -> Any:
    """Write what the agent knows of itself; return where the block ends."""
    stop = 1 + int(rules.ally_shields) + rules.type_bits
    start = 0 if rules.obs_all_health or rules.obs_own_health else stop - rules.type_bits
    for mark in range(start, stop):
        row[at] = sheet[MARKS + mark, a]
        at += 1
    return at


@inlined
def write_units(first: Any, count: Any, at: Any, width: Any, marks: Any, sheet: Any, row: Any) -> None:
    """Write sight, distance, way and marks (from, to) of units first..first + count - 1, `width` floats apart.

    Column by column: an inner loop over a few marks would cost more than what it does.
    """
    for k in range(count):
        to = at + k * width
        row[to] = sheet[SEEN, first + k]
        row[to + 1] = sheet[DISTANCE, first + k]
        row[to + 2] = sheet[X_WAY, first + k]
        row[to + 3] = sheet[Y_WAY, first + k]
    at += 4
    for mark in range(marks[0], marks[1]):
        for k in range(count):
            row[at + k * width] = sheet[MARKS + mark, first + k] * sheet[SEEN, first + k]
        at += 1


@inlined
def write_state(rules: Any, kinds: Any, units: Any, sheet: Any, last_action: Any, clock: Any, state: Any) -> None:
    """Write the state: allies, enemies, last actions, time."""
    n, at = rules.n_agents, 0
    for u in range(units.size):
        unit = units[u]
        alive = np.float32(1.0 if unit.health > 0 else 0.0)
        state[at] = sheet[MARKS, u]
        at += 1
        if u < n:
            kind = kinds[unit.kind]
            left = (
                unit.energy / kind.energy_max
                if is_healer(u, rules, kinds, units)
                else unit.cooldown / kind.max_cooldown
            )
            state[at] = left * alive
            at += 1
        state[at] = (unit.x - rules.width / 2) / rules.width if alive > 0 else 0.0
        state[at + 1] = (unit.y - rules.height / 2) / rules.height if alive > 0 else 0.0
        at += 2
        for mark in range(1, 1 + int(rules.ally_shields if u < n else rules.enemy_shields) + rules.type_bits):
            state[at] = sheet[MARKS + mark, u] * alive
            at += 1
    for i in range(at, state.size):
        state[i] = 0.0
    if rules.state_last_action:
        for a in range(n):
            if last_action[a] >= 0:
                state[at + a * rules.n_actions + last_action[a]] = 1.0
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
