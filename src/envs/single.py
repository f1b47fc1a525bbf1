"""PyMARL's API for every env, the native batched ones included: for notebooks, tests and `pymarl.envs.check`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs import REGISTRY
from pymarl.envs.adapter import EnvAdapter
from pymarl.envs.batched import is_native, make_batched_env
from pymarl.envs.multiagentenv import BatchedEnv, MultiAgentEnv
from pymarl.utils.config import config_keys
from pymarl.utils.errors import UserError, closest
from pymarl.utils.layers import merge

ROW = np.zeros(1, np.int64)


class SingleEnv(MultiAgentEnv):
    """Row 0 of a batched env as a `MultiAgentEnv`.

    Args:
        env: a batched env with batch_size 1.
        seed: of the episodes that `reset` starts without a seed of their own.
    """

    def __init__(self, env: BatchedEnv, seed: int) -> None:
        if env.batch_size != 1:
            raise ValueError(f"expected a batched env with batch_size 1, got {env.batch_size}")
        self.batched = env
        self.n_agents = env.info.n_agents
        self.episode_limit = env.info.episode_limit
        self.n_rewards = env.info.n_rewards
        self.entity_layout = env.info.entity_layout
        self._generator = np.random.default_rng(seed)

    def reset(self, seed: int | None = None) -> None:
        """Start the episode of `seed`, or the next one."""
        own = int(self._generator.integers(2**64, dtype=np.uint64)) if seed is None else seed
        self.batched.reset(ROW, np.array([own], np.uint64))

    def save_replay(self, directory: Path = Path("results/replays")) -> list[Path]:
        """Save a replay of the episode, as far as it has been played, and return its file."""
        return self.batched.save_replay(directory)

    def step(self, actions: Any) -> tuple[float | NDArray[np.float64], bool, dict[str, Any]]:
        """Take one step; see `MultiAgentEnv.step`."""
        self.batched.step(np.asarray(actions, np.int64).reshape(1, self.n_agents), ROW)
        arrays = self.batched.arrays
        truncated = bool(arrays.truncated[0])
        info = {**self.batched.episode_info(0), "episode_limit": truncated}
        reward = arrays.reward[0].copy() if self.n_rewards > 1 else float(arrays.reward[0, 0])
        return reward, bool(arrays.terminated[0]) or truncated, info

    def get_obs(self) -> NDArray[np.float32]:
        """Return [N, O] observations."""
        return self.batched.arrays.obs[0].copy()

    def get_state(self) -> NDArray[np.float32]:
        """Return [S], the state."""
        return self.batched.arrays.state[0].copy()

    def get_avail_actions(self) -> NDArray[np.bool_]:
        """Return [N, A], the available actions."""
        return self.batched.arrays.avail_actions[0].copy()

    def get_obs_size(self) -> int:
        """Return O."""
        return self.batched.info.obs_shape

    def get_state_size(self) -> int:
        """Return S."""
        return self.batched.info.state_shape

    def get_total_actions(self) -> int:
        """Return A."""
        return self.batched.info.n_actions

    def get_stats(self) -> dict[str, float]:
        """Return statistics over all episodes so far."""
        return self.batched.get_stats()[0]

    def close(self) -> None:
        """Free what the env holds."""
        self.batched.close()


def make_env(name: str, env_args: Mapping[str, Any], seed: int) -> MultiAgentEnv:
    """Return one env.

    Args:
        name: registry name, or `module:Class`.
        env_args: what differs from the env's YAML file in config/envs.
        seed: of the episodes that `reset` starts without a seed of their own.

    Raises:
        UserError: unknown env or option, missing package.
    """
    layers = merge(None, None, {"env": name})
    layers.add({"env_args": dict(env_args)}, "with")  # unlike a command line's, these may be any objects
    env_class, given = REGISTRY[name], layers.values["env_args"]
    known = config_keys(env_class)
    unknown = [key for key in given if key not in known]
    if known and unknown:
        raise UserError(f"unknown key 'env_args.{unknown[0]}'{closest(unknown[0], known)}")
    if is_native(name):
        return SingleEnv(make_batched_env(name, given, 1, seed, layers.origin, in_process=True), seed)
    env: MultiAgentEnv = EnvAdapter(name, given, layers.origin, seed).env
    return env
