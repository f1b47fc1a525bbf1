"""Parallel PettingZoo envs (MPE, Butterfly, ...)."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs.multiagentenv import MultiAgentEnv
from envs.spaces import TeamSpaces, env_seed
from utils.config import PositiveInt
from utils.errors import UserError, closest


class PettingZooEnv(MultiAgentEnv):
    """A PettingZoo env in which all agents act at once.

    The episode ends when the last agent has left or the clock has run out. An agent that left earlier observes
    zeros and has only action 0. The end is truncated if a clock ended it: ours, or the env's for any of the agents
    that left last. The state is the env's own where it has one, else all observations in a row.

    Args:
        config: see config/envs/pettingzoo.yaml.
        seed: of the episodes that `reset` starts without a seed of their own.

    Raises:
        UserError: unknown key, missing package, options that the env does not take, spaces that do not fit.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        key: str
        time_limit: PositiveInt
        common_reward: bool
        reward_scalarisation: Literal["sum", "mean"]
        env_kwargs: dict[str, Any]

    def __init__(self, config: Config, seed: int) -> None:
        if not config.common_reward:
            raise UserError("env_args.common_reward=False: the learners share one reward; write common_reward=True")
        self.config = config
        self.episode_limit = config.time_limit
        self._env = make_parallel(config.key, config.env_kwargs)
        self._names = list(self._env.possible_agents)
        self._spaces = TeamSpaces(
            config.key,
            [self._env.observation_space(name) for name in self._names],
            [self._env.action_space(name) for name in self._names],
        )
        self.n_agents = len(self._names)
        self._own_state = hasattr(self._env, "state_space") and self._env.state_space is not None
        self._first_seed: int | None = seed
        self._obs = np.zeros((self.n_agents, self._spaces.obs_size), np.float32)
        self._acts = [True] * self.n_agents
        self._steps = 0

    def reset(self, seed: int | None = None) -> None:
        """Start the episode of `seed`, or the next one."""
        seed, self._first_seed = (self._first_seed if seed is None else seed), None
        obs, _ = self._env.reset(seed=None if seed is None else env_seed(seed))
        self._steps = 0
        self._acts = [True] * self.n_agents
        self._observe(obs)

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Take one step; see `MultiAgentEnv.step`."""
        numbers = {name: agent for agent, name in enumerate(self._names)}
        moves = {name: self._spaces.action(numbers[name], actions[numbers[name]]) for name in self._env.agents}
        obs, rewards, _, truncations, _ = self._env.step(moves)
        self._steps += 1
        self._observe(obs)
        rest = set(self._env.agents)
        over = not rest or self._steps >= self.episode_limit
        by_clock = over and (bool(rest) or any(truncations.values()))
        # The learner bootstraps from a truncated end, so whom only the clock sent off keeps its actions there.
        self._acts = [name in rest or (over and bool(truncations.get(name, False))) for name in self._names]
        team = [rewards.get(name, 0.0) for name in self._names]  # who has left gets nothing any more
        reward = float(np.sum(team) if self.config.reward_scalarisation == "sum" else np.mean(team))
        return reward, over, {"episode_limit": by_clock}

    def _observe(self, obs: dict[str, Any]) -> None:
        for agent, name in enumerate(self._names):
            self._obs[agent] = self._spaces.flatten(agent, obs[name]) if name in obs else 0.0

    def get_obs(self) -> NDArray[np.float32]:
        """Return [N, O] observations."""
        return self._obs.copy()

    def get_state(self) -> NDArray[np.float32]:
        """Return [S], the env's own state or all observations in a row."""
        if self._own_state:
            return np.asarray(self._env.state(), np.float32).reshape(-1)
        return self._obs.reshape(-1).copy()

    def get_avail_actions(self) -> NDArray[np.bool_]:
        """Return [N, A]; an agent that has left has action 0 alone."""
        avail = self._spaces.avail.copy()
        avail[[agent for agent, acts in enumerate(self._acts) if not acts], 1:] = False
        return avail

    def get_obs_size(self) -> int:
        """Return O."""
        return self._spaces.obs_size

    def get_state_size(self) -> int:
        """Return S."""
        own = int(np.prod(self._env.state_space.shape)) if self._own_state else 0
        return own or self.n_agents * self._spaces.obs_size

    def get_total_actions(self) -> int:
        """Return A."""
        return self._spaces.n_actions

    def close(self) -> None:
        """Close the env."""
        self._env.close()


def make_parallel(key: str, env_kwargs: dict[str, Any]) -> Any:
    """Return `parallel_env(**env_kwargs)` of the module "package:module" names, such as "mpe2:simple_spread_v3".

    Raises:
        UserError: no such package or module, or options that the env does not take.
    """
    package, _, name = key.partition(":")
    if not package or not name:
        raise UserError(f"env_args.key={key!r}: expected 'package:module', such as 'mpe2:simple_spread_v3'")
    try:
        found = importlib.import_module(package)
        known = [module.name for module in pkgutil.iter_modules(found.__path__)]
        if name not in known:
            raise UserError(f"env_args.key={key!r}: {package} has no module {name!r}{closest(name, known)}")
        module = importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        missing = (error.name or package).split(".")[0]
        raise UserError(
            f"env_args.key={key!r} needs the Python module {error.name!r}, which is not installed; "
            f"`pip install {missing}`"
        ) from error
    if not hasattr(module, "parallel_env"):
        raise UserError(f"env_args.key={key!r}: {package}.{name} has no parallel_env")
    try:
        return module.parallel_env(**env_kwargs)
    except TypeError as error:
        raise UserError(f"env_args.env_kwargs={env_kwargs}: {key} does not take them: {error}") from error
