"""What the kernels of skirmish work on: records of units and unit types, in cells and game loops (16 a second)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

GRID = 4096
"""Positions, health, shields, energy and timers are whole multiples of 1/4096, as in the game: float32 holds them
exactly, so a distance to a threshold does not depend on who computes it."""

GROUND, AIR = 1, 2
"""Planes: bits of what a unit is on and of what a weapon reaches. A colossus is on both."""

LIGHT, ARMORED, BIOLOGICAL, MECHANICAL, MASSIVE, STRUCTURE = 1, 2, 4, 8, 16, 32
"""Attributes: bits."""

SINGLE, BEAM, BLAST = range(3)
"""What a weapon hits: its target; a strip across the shot (colossus); everything around the attacker (baneling)."""

GROUND_LAYER, COLOSSUS_LAYER, AIR_LAYER = range(3)
"""Units of different layers do not collide."""

NO_DISC = -1000.0
"""Radius of nothing: two discs with it in their sum never touch."""

IDLE, MOVE, ATTACK, HEAL, ATTACK_MOVE, HUNT = range(6)
"""Orders. ATTACK_MOVE walks to a point and fights what it meets; HUNT attacks the nearest opponent, however far."""

ALLY, ENEMY = 0, 1

NO_OP, STOP, NORTH, SOUTH, EAST, WEST, FIRST_TARGET = range(7)
"""Actions of SMAC; FIRST_TARGET + k attacks enemy k, or heals agent k."""

KIND = np.dtype(
    [
        ("health", np.float64),
        ("shield", np.float64),
        ("armor", np.float64),  # subtracted from each hit on the life part
        ("attributes", np.int64),
        ("planes", np.int64),  # where it can be hit
        ("layer", np.int64),
        ("radius", np.float64),  # of weapon ranges, cells
        ("separation", np.float64),  # radius of its disc in collisions, cells
        ("speed", np.float64),  # cells per loop
        ("accel", np.float64),  # cells per loop**2; 0: at once
        ("climbs", np.bool_),  # crosses cliffs
        ("sight", np.float64),  # cells; told, not played: SMAC shows all within 9, and nobody is hidden from scripts
        ("damage", np.float64),  # of one hit; 0: no weapon
        ("bonus", np.float64),
        ("bonus_attributes", np.int64),
        ("structure_damage", np.float64),  # instead of damage, against structures; 0: the same
        ("hits", np.int64),  # 1 or 2
        ("hit_gap", np.float64),  # loops between two hits of an attack
        ("reach", np.float64),  # weapon range from edge to edge, cells
        ("slop", np.float64),  # how far a target may get away before the damage point and be hit, cells
        ("scan", np.float64),  # range in which it acquires targets, from edge to edge, cells
        ("period", np.float64),  # loops between attacks, before the random delay
        ("damage_point", np.float64),  # loops from the start of an attack to its first hit
        ("missile_speed", np.float64),  # cells per loop; 0: hits at once
        ("targets", np.int64),  # planes that the weapon reaches
        ("splash", np.int64),  # SINGLE, BEAM or BLAST
        ("splash_radius", np.float64),  # BLAST: around the attacker; BEAM: of one search point, cells
        ("heal", np.float64),  # life given per loop; 0: no healer
        ("heal_cost", np.float64),  # energy per point of life
        ("heal_reach", np.float64),  # from edge to edge, cells
        ("heal_scan", np.float64),  # range in which it looks for the wounded by itself, cells
        ("heal_least", np.float64),  # energy below which it does not begin to heal by itself
        ("energy", np.float64),  # at the start
        ("energy_max", np.float64),
        ("energy_regen", np.float64),  # per loop
        ("regen", np.float64),  # life per loop
        ("shield_regen", np.float64),  # per loop, after shield_delay
        ("shield_delay", np.float64),  # loops without damage before shields grow
        ("always_threat", np.bool_),  # acquired like an attacker, also when it does nothing
        ("type_id", np.int64),  # StarCraft II's number of the (enemy) unit type
        ("max_cooldown", np.float64),  # what SMAC divides an ally's cooldown by in the state, loops
        ("ally_bit", np.int64),  # place in the one-hot of unit types of this map; -1: none
        ("enemy_bit", np.int64),
    ],
    align=True,
)
"""A unit type on one map."""

UNIT = np.dtype(
    [
        ("x", np.float64),  # cells
        ("y", np.float64),
        ("disc", np.float64),  # radius in collisions; NO_DISC for what nobody collides with: flyers and the dead
        ("health", np.float64),  # 0: dead
        ("shield", np.float64),
        ("energy", np.float64),
        ("cooldown", np.float64),  # loops until the next attack may begin
        ("calm", np.float64),  # loops until shields grow again
        ("pace", np.float64),  # speed at present, cells per loop
        ("windup", np.float64),  # loops until the attack that has begun hits; -1: none has
        ("hit_in", np.float64),  # loops until the missile or the second hit that is under way lands; -1: none is
        ("goal_x", np.float64),  # where MOVE and ATTACK_MOVE lead
        ("goal_y", np.float64),
        ("kind", np.int32),  # row of the KIND table
        ("side", np.int32),  # ALLY or ENEMY
        ("order", np.int32),
        ("target", np.int32),  # unit that ATTACK and HEAL name; -1: none
        ("aim", np.int32),  # unit that it is fighting or healing; -1: none
        ("hit_unit", np.int32),  # whom hit_in is for
        ("beam", np.int32),  # row of the beam table that it sweeps with; -1: none
        ("bend", np.int32),  # side on which it passes obstacles by its sign, and how far it turned: see turn_aside
        ("moved", np.bool_),  # in this loop
        ("fired", np.int32),  # unit that an attack or a heal of this loop was for; -1: none
        ("held_total", np.float64),  # health + shield before the step that rewards are counted for
    ],
    align=True,
)
"""One unit. Allies come first, in the order of agents, then enemies in the order of their ids."""


BEAM_SWEEP = np.dtype(
    [
        ("loop", np.int64),  # since the shot; -1: no beam
        ("x", np.float64),  # where the target stood
        ("y", np.float64),
        ("across_x", np.float64),  # unit vector across the shot
        ("across_y", np.float64),
        ("unit", np.int64),  # the target
    ],
    align=True,
)
"""The beams of one colossus."""


class Rules(NamedTuple):
    """The env's options and the map's facts, as numbers."""

    n_agents: int
    n_enemies: int
    n_actions: int
    episode_limit: int
    step_mul: int  # loops in a step
    move_amount: float
    width: int  # of the map, cells
    height: int
    type_bits: int  # U
    ally_shields: bool  # the side is Protoss
    enemy_shields: bool
    healers: bool  # SMAC's map_type MMM: a Medivac's targets are agents, and Medivacs alone do not count
    obs_all_health: bool
    obs_own_health: bool
    obs_last_action: bool
    obs_pathing_grid: bool
    obs_terrain_height: bool
    obs_instead_of_state: bool
    obs_timestep_number: bool
    state_last_action: bool
    state_timestep_number: bool
    reward_sparse: bool
    reward_only_positive: bool
    reward_death_value: float
    reward_win: float
    reward_defeat: float
    reward_negative_scale: float
    reward_divisor: float  # max_reward / reward_scale_rate; 1 without reward_scale
    quirks: bool
    delay_low: float  # random delay of each attack, loops
    delay_high: float
    goal_random: bool  # enemies go to a random point between goal and goal_2


class Terrain(NamedTuple):
    """The map's ground; cells are [x, y] with y to the north, flat places are x * height + y."""

    pathable: NDArray[np.bool_]  # [W, H] what SMAC's masks and observations call pathable
    climbable: NDArray[np.bool_]  # [W, H] what units that climb may stand on
    level: NDArray[np.float32]  # [W, H] terrain height in [0, 1]
    waypoint: NDArray[np.int32]  # [W*H, W*H] farthest cell in sight on the way from a to b; b itself if the way is
    # straight, -1 if there is none; [1, 1] where every way is straight


class World(NamedTuple):
    """The state of B envs."""

    units: NDArray[np.void]  # [B, N + M] UNIT
    steps: NDArray[np.int64]  # [B] env steps of the episode; -1 before the first
    rng: NDArray[np.uint64]  # [B] splitmix64 state
    last_action: NDArray[np.int64]  # [B, N] -1: none yet
    info: NDArray[np.int64]  # [B, 3] battle_won, dead_allies, dead_enemies of the last step
    stats: NDArray[np.int64]  # [B, 3] battles, battles won, time limits reached, of all episodes
    actions: NDArray[np.int16]  # [B, episode_limit, N] of the episode, for replays
    beams: NDArray[np.void]  # [B, units with a beam, at least 1] BEAM_SWEEP
    swept: NDArray[np.uint8]  # [B, beams, N + M] bits of the sweeps that have hit a unit
    spawn: NDArray[np.void]  # [N + M] UNIT, as they stand at the start
    goals: NDArray[np.float64]  # [4] x, y of the enemies' goal and of its other end if it is random


class Scratch(NamedTuple):
    """Space that nothing is kept in from one row to the next; each thread has a lane."""

    order: NDArray[np.int64]  # [lanes, N + M] in which units act
    blasts: NDArray[np.int64]  # [lanes, N + M + 1] count, then units that are about to explode
    near: NDArray[np.int64]  # [lanes, N + M] neighbours of the unit that walks
    spots: NDArray[np.float64]  # [lanes, 3, N + M] x, y and disc of all units, side by side: they are looked at most
