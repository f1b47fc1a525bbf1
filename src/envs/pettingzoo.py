"""Parallel PettingZoo envs (MPE, Butterfly, ...)."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.spaces import TeamSpaces
from envs.team import TeamEnv
from utils.errors import UserError, closest


class PettingZooEnv(TeamEnv):
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

    def __init__(self, config: TeamEnv.Config, seed: int) -> None:
        env = make_parallel(config.key, config.env_kwargs)
        self._names = list(env.possible_agents)
        observed = [env.observation_space(name) for name in self._names]
        acted = [env.action_space(name) for name in self._names]
        super().__init__(config, env, TeamSpaces(config.key, observed, acted), seed)
        self._own_state = hasattr(env, "state_space") and env.state_space is not None
        self._acts = [True] * self.n_agents

    def reset(self, seed: int | None = None) -> None:
        """Start the episode of `seed`, or the next one."""
        self._acts = [True] * self.n_agents
        self._observe(self._reset_env(seed))

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
        return self._team_reward(team), over, {"episode_limit": by_clock}

    def _observe(self, obs: dict[str, Any]) -> None:
        for agent, name in enumerate(self._names):
            self._obs[agent] = self._spaces.flatten(agent, obs[name]) if name in obs else 0.0

    def get_state(self) -> NDArray[np.float32]:
        """Return [S], the env's own state or all observations in a row."""
        if self._own_state:
            return np.asarray(self._env.state(), np.float32).reshape(-1)
        return super().get_state()

    def get_avail_actions(self) -> NDArray[np.bool_]:
        """Return [N, A]; an agent that has left has action 0 alone."""
        avail = self._spaces.avail.copy()
        avail[[agent for agent, acts in enumerate(self._acts) if not acts], 1:] = False
        return avail

    def get_state_size(self) -> int:
        """Return S."""
        own = int(np.prod(self._env.state_space.shape)) if self._own_state else 0
        return own or super().get_state_size()


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
