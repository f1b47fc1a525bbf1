"""Helpers for tests of stag hunt: worlds with everything in its place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from pymarl.envs.native.out import Out
from pymarl.envs.stag_hunt import StagHunt
from pymarl.envs.stag_hunt.arrays import Rules, Tables, World
from pymarl.envs.stag_hunt.views import write_views
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge

RIGHT, DOWN, LEFT, UP, STAY, CATCH, LOOK_RIGHT = range(7)
RESTING = {"p_stags_rest": 1.0, "p_hare_rest": 1.0}
"""Prey that never moves, so that a situation can be worked out by hand."""


def make_stag_hunt(batch_size: int = 1, **env_args: Any) -> StagHunt:
    """Return the env with its shipped options, but for `env_args`."""
    layers = merge(None, "stag_hunt", {"env_args": env_args})
    return StagHunt(build_config(StagHunt.Config, layers.values["env_args"], layers.origin, "env_args."), batch_size)


def reset(env: StagHunt, first_seed: int = 0) -> None:
    """Start the episodes of first_seed, first_seed + 1, ... in all rows."""
    env.reset(np.arange(env.batch_size), np.arange(first_seed, first_seed + env.batch_size).astype(np.uint64))


def situation(
    agents: list[tuple[int, int]], stags: list[tuple[int, int]], hares: list[tuple[int, int]] | None = None, **args: Any
) -> StagHunt:
    """Return an env of one row with everything at these (row, column), prey at rest unless `args` say otherwise."""
    hares = hares or []
    options = {"n_agents": len(agents), "n_stags": len(stags), "n_hare": len(hares), **RESTING, **args}
    env = make_stag_hunt(**options)
    reset(env)
    world, width = env._world, env.config.world_shape[1]
    world.cells[:] = 0
    for where, cells, kind in ((agents, world.agents, 1), (stags, world.prey, 2), (hares, world.prey, 4)):
        offset = len(stags) if kind == 4 else 0
        for i, (row, column) in enumerate(where):
            cells[0, offset + i] = row * width + column
            world.cells[0, row * width + column] |= kind
    world.facing[:] = UP
    show(env._packed)
    return env


@njit
def show(packed: Any) -> None:
    """Write what row 0 shows now."""
    write_views(0, Rules(*packed[0]), Tables(*packed[1]), World(*packed[2]), Out(*packed[3]))


def act(env: StagHunt, actions: list[int]) -> float:
    """Step row 0 and return its reward."""
    env.step(np.array([actions]), np.zeros(1, np.int64))
    return float(env.arrays.reward[0, 0])


def places(env: StagHunt, cells: np.ndarray) -> list[tuple[int, int]]:
    """Return row 0 of `cells` as (row, column)."""
    return [divmod(int(cell), env.config.world_shape[1]) for cell in cells[0]]


def window(env: StagHunt, agent: int) -> np.ndarray:
    """Return an agent's observation in row 0 as [rows, columns, features]."""
    rows, columns = (2 * reach + 1 for reach in env.config.agent_obs)
    return env.arrays.obs[0, agent].reshape(rows, columns, -1)


def random_actions(env: Any, generator: np.random.Generator) -> np.ndarray:
    """Return [B, N] random available actions."""
    avail = env.arrays.avail_actions
    return (generator.random(avail.shape) * avail).argmax(-1)
