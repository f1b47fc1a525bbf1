"""From options and data to what the kernels take."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import (
    AIR_LAYER,
    BEAM,
    BEAM_SWEEP,
    FIRST_TARGET,
    NO_DISC,
    UNIT,
    Rules,
    Scratch,
    Terrain,
    World,
)
from pymarl.envs.skirmish.scenario.kinds import max_reward
from pymarl.envs.skirmish.scenario.maps import MapSpec
from pymarl.envs.skirmish.scenario.spawn import spawn_units
from pymarl.envs.smac_options import SmacOptions

WEAPON_DELAY = (-1.0, 2.0)
"""Random delay of each attack, loops: pysc2's docs/environment.md, and the game's data."""

SAME_NAME = (
    "step_mul",
    "move_amount",
    "obs_all_health",
    "obs_own_health",
    "obs_last_action",
    "obs_pathing_grid",
    "obs_terrain_height",
    "obs_instead_of_state",
    "obs_timestep_number",
    "state_last_action",
    "state_timestep_number",
    "reward_sparse",
    "reward_only_positive",
    "reward_death_value",
    "reward_win",
    "reward_defeat",
    "reward_negative_scale",
)
"""Options that kernels read as they are."""


def make_rules(config: SmacOptions, map_spec: MapSpec, kinds: NDArray[np.void], *, quirks: bool) -> Rules:
    """Return the options and the map's facts as numbers; `quirks` is replicate_quirks."""
    options: dict[str, Any] = {name: vars(config)[name] for name in SAME_NAME}
    for name, value in options.items():
        if isinstance(value, int) and not isinstance(value, bool) and name != "step_mul":
            options[name] = float(value)  # one type per option, so that kernels are compiled once
    largest = max_reward(map_spec, kinds, config.reward_death_value, config.reward_win)
    width, height = map_spec.terrain.size
    ally_shields, enemy_shields = map_spec.shields
    targets = max(map_spec.n_agents, map_spec.n_enemies) if map_spec.healers else map_spec.n_enemies
    return Rules(
        n_agents=map_spec.n_agents,
        n_enemies=map_spec.n_enemies,
        n_actions=FIRST_TARGET + targets,
        episode_limit=map_spec.limit,
        width=width,
        height=height,
        type_bits=map_spec.type_bits,
        ally_shields=ally_shields,
        enemy_shields=enemy_shields,
        healers=map_spec.healers,
        reward_divisor=largest / config.reward_scale_rate if config.reward_scale else 1.0,
        quirks=quirks,
        delay_low=WEAPON_DELAY[0],
        delay_high=WEAPON_DELAY[1],
        goal_random=len(map_spec.enemy_goal) == 2,
        **options,
    )


def make_world(rules: Rules, map_spec: MapSpec, kinds: NDArray[np.void], terrain: Terrain, batch_size: int) -> World:
    """Return the state of `batch_size` envs, not yet reset."""
    b, n_units = batch_size, rules.n_agents + rules.n_enemies
    spawn = spawn_units(map_spec, kinds, terrain)
    with_beam = np.flatnonzero(kinds["splash"][spawn["kind"]] == BEAM)
    spawn["beam"] = -1
    spawn["beam"][with_beam] = np.arange(len(with_beam))
    spawn["disc"] = np.where(kinds["layer"] == AIR_LAYER, NO_DISC, kinds["separation"])[spawn["kind"]]
    n_beams = max(len(with_beam), 1)
    goals = np.array(map_spec.enemy_goal or [(0.0, 0.0)], np.float64)
    return World(
        units=np.zeros((b, n_units), UNIT),
        steps=np.full(b, -1, np.int64),
        rng=np.zeros(b, np.uint64),
        last_action=np.full((b, rules.n_agents), -1, np.int64),
        info=np.zeros((b, 3), np.int64),
        stats=np.zeros((b, 3), np.int64),
        actions=np.zeros((b, rules.episode_limit, rules.n_agents), np.int16),
        beams=np.zeros((b, n_beams), BEAM_SWEEP),
        swept=np.zeros((b, n_beams, n_units), np.uint8),
        spawn=spawn,
        goals=np.concatenate([goals[0], goals[-1]]),
    )


def make_scratch(rules: Rules, lanes: int) -> Scratch:
    """Return scratch space for `lanes` threads."""
    n_units = rules.n_agents + rules.n_enemies
    return Scratch(
        order=np.zeros((lanes, n_units), np.int64),
        blasts=np.zeros((lanes, n_units + 1), np.int64),
        near=np.zeros((lanes, n_units), np.int64),
        spots=np.zeros((lanes, 3, n_units)),
    )
