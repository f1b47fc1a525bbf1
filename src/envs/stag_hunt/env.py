"""Stag hunt as PyMARL2 has it, for a whole batch of envs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvArrays, EnvInfo, NoRecords
from pymarl.envs.native.out import Out
from pymarl.envs.stag_hunt import kernels, tables
from pymarl.envs.stag_hunt.arrays import Rules, Tables, World
from pymarl.utils.config import NonNegativeInt, PositiveInt, Probability
from pymarl.utils.errors import UserError

UNSUPPORTED = (
    "state_as_graph",
    "intersection_global_view",
    "intersection_unknown",
    "print_caught_prey",
    "print_frozen_agents",
)


class StagHunt(NoRecords):
    """Agents on a grid hunt stags (which take two agents) and hares (which take one).

    In a step all agents move one by one in random order, then each prey is caught or moves, in random order as well.
    Actions: right, down, left, up, stay; catch if `capture_action` or directed with extra actions; then look right,
    down, left, up. An observation is the window around an agent, cell by cell, with the features agents, stags,
    hares (walls, unknown, ghosts); a state is the whole grid the same way. The window of a torus does not wrap
    around, nor does a capture: PyMARL2 has it so.

    Args:
        config: see config/envs/stag_hunt.yaml.
        batch_size: B, number of envs.

    Raises:
        UserError: options that are not supported, or a world too small for all that starts in it.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        map_name: str
        world_shape: tuple[PositiveInt, PositiveInt]
        toroidal: bool
        episode_limit: PositiveInt
        n_agents: PositiveInt
        n_stags: NonNegativeInt
        n_hare: NonNegativeInt
        p_stags_rest: Probability
        p_hare_rest: Probability
        agent_move_block: tuple[Literal[0, 1, 2], ...]
        capture_action: bool
        capture_action_conditions: tuple[int, int]
        capture_conditions: tuple[int, int]
        capture_freezes: bool
        remove_frozen: bool
        capture_terminal: bool
        prevent_cannibalism: bool
        reward_stag: float
        reward_hare: float
        reward_time: float
        reward_collision: float
        miscapture_punishment: float
        agent_obs: tuple[NonNegativeInt, NonNegativeInt]
        observe_state: bool
        observe_walls: bool
        observe_ids: bool
        observe_one_hot: bool
        directed_observations: bool
        directed_cone_narrow: bool
        directed_exta_actions: bool
        mountain_slope: Probability
        mountain_spawn: bool
        mountain_agent_row: int
        random_ghosts: bool
        random_ghosts_prob: Probability
        random_ghosts_mul: float
        random_ghosts_indicator: bool
        state_as_graph: bool
        intersection_global_view: bool
        intersection_unknown: bool
        print_caught_prey: bool
        print_frozen_agents: bool

    def __init__(self, config: Config, batch_size: int) -> None:
        check_supported(config)
        check_room(config)
        self.config = config
        self.batch_size = batch_size
        self._rules = make_rules(config)
        self._tables = make_tables(config, self._rules)
        self._world = make_world(config, self._rules, batch_size)
        self.info = EnvInfo(
            n_agents=config.n_agents,
            n_actions=self._rules.n_actions,
            obs_shape=obs_size(config, self._rules),
            state_shape=self._world.cells.shape[1] * self._rules.n_feats,
            episode_limit=config.episode_limit,
        )
        self.arrays = a = EnvArrays.allocate(self.info, batch_size)
        out = Out.of(a)
        self._packed = kernels.pack(self._rules, self._tables, self._world, out)
        self._prepared = False

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start the episode of `seeds[k]` in row `rows[k]`; writes obs, state and avail_actions of these rows."""
        if not self._prepared:
            self._prepared = True
            kernels.prepare(self._packed)
        kernels.reset_rows(rows, seeds, self._packed)

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Step the rows given with `actions[rows]`, actions being [B, N]; writes every array of these rows.

        Raises:
            ValueError: an action is not available; no row has been stepped then.
        """
        refused = kernels.step_rows(rows, actions, self._packed)
        if refused >= 0:
            row, agent = divmod(refused, self.info.n_agents)
            raise ValueError(f"stag_hunt: action {actions[row, agent]} of agent {agent} in env {row} is not available")


def check_supported(config: StagHunt.Config) -> None:
    """Raise UserError for options that this env does not have."""
    for key in UNSUPPORTED:
        if getattr(config, key):
            raise UserError(f"env_args.{key}=True: stag_hunt supports only False")
    if not config.directed_observations:
        return
    reach = config.agent_obs
    least = 1 if config.directed_cone_narrow else 0
    if reach[0] != reach[1] or reach[0] < least:
        raise UserError(
            f"env_args.agent_obs={list(reach)}: directed_observations needs a square window, [n, n] with n >= {least}"
        )


def check_room(config: StagHunt.Config) -> None:
    """Raise UserError if what starts in the world may not fit into it: placing it would never come to an end."""
    height, width = config.world_shape
    if config.n_stags + config.n_hare == 0:
        raise UserError("env_args.n_stags=0 and env_args.n_hare=0: expected at least one prey")
    if config.mountain_agent_row >= height:
        raise UserError(
            f"env_args.mountain_agent_row={config.mountain_agent_row}: expected a row below {height}, or -1"
        )
    agent_row = config.mountain_agent_row
    total = config.n_agents + config.n_stags + config.n_hare
    in_row = dict.fromkeys((0, height - 1), 0 if agent_row >= 0 else config.n_agents)
    if agent_row >= 0:
        in_row[agent_row] = config.n_agents
    if config.mountain_spawn:
        in_row[0] += config.n_stags
        in_row[height - 1] += config.n_hare
    fixed = config.mountain_spawn or agent_row >= 0
    if total > height * width or (fixed and max(in_row.values()) > width):
        raise UserError(
            f"env_args.world_shape={[height, width]}: too small for {config.n_agents} agents, {config.n_stags} stags "
            f"and {config.n_hare} hares where they may start; enlarge it or move the agents (mountain_agent_row)"
        )


def make_rules(config: StagHunt.Config) -> Rules:
    """Return the options as numbers."""
    directed, height = config.directed_observations, config.world_shape[0]
    look_actions = directed and config.directed_exta_actions
    plain = 6 if config.capture_action else 5
    return Rules(
        n_agents=config.n_agents,
        n_stags=config.n_stags,
        n_prey=config.n_stags + config.n_hare,
        n_actions=10 if look_actions else plain,
        n_feats=(5 if config.observe_one_hot else 3) + int(config.random_ghosts),
        episode_limit=config.episode_limit,
        width=config.world_shape[1],
        agent_block=sum({1 << kind for kind in config.agent_move_block}),
        agent_row=max(config.mountain_agent_row, -1),
        stag_row=0 if config.mountain_spawn else -1,
        hare_row=height - 1 if config.mountain_spawn else -1,
        toroidal=config.toroidal,
        capture_action=config.capture_action,
        capture_freezes=config.capture_freezes,
        remove_frozen=config.remove_frozen,
        capture_terminal=config.capture_terminal,
        prevent_cannibalism=config.prevent_cannibalism,
        directed=directed,
        look_actions=look_actions,
        observe_ids=config.observe_ids,
        observe_state=config.observe_state,
        ghosts=config.random_ghosts,
        ghosts_random_corner=config.random_ghosts and config.random_ghosts_indicator,
        ghosts_prob=float(config.random_ghosts_prob),
        ghosts_mul=float(config.random_ghosts_mul),
        slope=float(config.mountain_slope),
        reward_time=float(config.reward_time),
        reward_collision=float(config.reward_collision),
        miscapture=float(config.miscapture_punishment),
    )


def make_tables(config: StagHunt.Config, rules: Rules) -> Tables:
    """Return the look-up tables."""
    height, width = config.world_shape
    move_to, beside = tables.neighbours(height, width, config.toroidal)
    canvas = tables.canvas_tables(height, width, config.agent_obs, rules.n_feats)
    cone = np.zeros((4, 0), np.int32)
    if rules.directed:
        cone = tables.cones(config.agent_obs[0], config.directed_cone_narrow, int(canvas["window"][2]), rules.n_feats)
    return Tables(
        move_to=move_to,
        beside=beside,
        needed=np.array(config.capture_action_conditions, np.int64),
        max_free=np.array(config.capture_conditions, np.int64),
        p_rest=np.array([config.p_stags_rest, config.p_hare_rest], np.float64),
        reward=np.array([config.reward_stag, config.reward_hare], np.float64),
        cone=cone,
        corners=np.array([0, width - 1, (height - 1) * width, height * width - 1], np.int32),
        **canvas,
    )


def make_world(config: StagHunt.Config, rules: Rules, batch_size: int) -> World:
    """Return the state of `batch_size` envs, not yet reset."""
    b, n, p = batch_size, rules.n_agents, rules.n_prey
    height, width = config.world_shape
    own_feature = config.observe_one_hot
    wall = (3 if own_feature else 0, (1.0 if own_feature else -1.0) if config.observe_walls else 0.0)
    return World(
        cells=np.zeros((b, height * width), np.uint8),
        agents=np.zeros((b, n), np.uint32),
        frozen=np.zeros((b, n), np.bool_),
        facing=np.zeros((b, n), np.int8),
        prey=np.zeros((b, p), np.uint32),
        alive=np.ones((b, p), np.bool_),
        rng=np.zeros(b, np.uint64),
        ghost=np.zeros(b, np.bool_),
        ghost_cell=np.zeros(b, np.int32),
        steps=np.zeros(b, np.int64),
        canvas=tables.blank_canvas(height, width, config.agent_obs, rules.n_feats, wall),
        order=np.zeros(max(n, p), np.int64),
        free=np.zeros(5, np.int64),
        catching=np.zeros(height * width, np.int64),
    )


def obs_size(config: StagHunt.Config, rules: Rules) -> int:
    """Return O, the length of an observation."""
    height, width = config.world_shape
    if config.observe_state:
        return height * width * (rules.n_feats + 1)
    cut = 1 if config.directed_observations and config.directed_cone_narrow else 0
    rows, columns = (2 * reach + 1 - 2 * cut for reach in config.agent_obs)
    return rows * columns * rules.n_feats
