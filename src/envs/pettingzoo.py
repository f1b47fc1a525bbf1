"""PettingZoo envs (MPE, Butterfly, ...): parallel ones, and AEC ones through PettingZoo's own conversions."""

from __future__ import annotations

import pkgutil
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from pymarl.envs.keys import construct, import_for, other_key
from pymarl.envs.masks import MASK
from pymarl.envs.spaces import TeamSpaces
from pymarl.envs.team import TeamEnv
from pymarl.utils.errors import UserError, closest
from pymarl.utils.values import shown

PARTS = ("observations", "rewards", "terminations", "truncations")
NO_CYCLE = ("Parallel environment wrapper", "when an agent is dead")
"""What PettingZoo says where agents of an AEC env do not act, or do not end, in whole cycles."""


class PettingZooEnv(TeamEnv):
    """A PettingZoo env of a team.

    `terminations` and `truncations` say who is out, whether or not the env keeps it among its `agents`; the episode
    ends when nobody is left or the clock has run out (`Roster` says how). Action masks are followed (`ActionMasks`
    says where they may be). The state is the env's own where it has a `state_space`, else all observations in a row.

    A module without a parallel env gives its AEC env: `aec_to_parallel` if it is_parallelizable, else
    `turn_based_aec_to_parallel`. Then a step is one agent's turn, and the others have action 0 alone, which is not
    played.

    Args:
        config: see config/envs/pettingzoo.yaml.
        seed: of the first episode that `reset` starts without a seed of its own.

    Raises:
        UserError: unknown key, missing package, options that the env does not take, spaces that do not fit.
    """

    def __init__(self, config: TeamEnv.Config, seed: int) -> None:
        env = self.make(config)
        self._names = list(env.possible_agents)
        self._numbers = {name: agent for agent, name in enumerate(self._names)}
        if not self._names or len(self._numbers) < len(self._names):
            raise UserError(f"env {config.key!r}: possible_agents are {self._names}, expected one name for each agent")
        observed, acted = construct(
            config.key,
            config.env_kwargs,
            lambda: [[space(name) for name in self._names] for space in (env.observation_space, env.action_space)],
        )
        super().__init__(config, env, TeamSpaces(config.key, observed, acted), self._names, seed)
        self._state_size = self._own_state_size()

    def make(self, config: TeamEnv.Config) -> Any:
        """Return the parallel env."""
        return make_parallel(config.key, config.env_kwargs)

    def reset(self, seed: int | None = None) -> None:
        """Start the episode of `seed`, or the next one."""
        obs, infos = self._reset_env(seed)
        if list(self._env.possible_agents) != self._names:
            raise self._fault(f"possible_agents were {self._names} and are {list(self._env.possible_agents)} now")
        self._roster.reset(self._present())
        self._see(obs, infos)

    def step(self, actions: Any) -> tuple[float | NDArray[np.float64], bool, dict[str, Any]]:
        """Take one step; see `MultiAgentEnv.step`."""
        moves = {
            name: self._spaces.action(self._numbers[name], actions[self._numbers[name]]) for name in self._env.agents
        }
        obs, *parts, infos = self._step_env(moves)
        for what, part in zip(PARTS, (obs, *parts), strict=True):
            if not isinstance(part, dict):
                raise self._fault(f"step returned {what} {shown(part)}, expected a dict with an entry per agent")
        live, present = self._roster.live, self._present()
        rewards, ended, stopped = (self._of_live(part, what) for what, part in zip(PARTS[1:], parts, strict=True))
        reward = self._reward(rewards, live)
        terminated, truncated = self._flags(ended, PARTS[2]), self._flags(stopped, PARTS[3])
        told = np.array([name in parts[1] and name in parts[2] for name in self._names])
        alive = told & ~terminated & ~truncated
        self._roster.step(terminated, truncated, present, alive, last=self._steps >= self.episode_limit)
        self._see(obs, infos)
        return reward, self._roster.over, {"episode_limit": self._roster.truncated}

    def _step_env(self, moves: Any) -> tuple[Any, Any, Any, Any, dict[Any, Any]]:
        try:
            return super()._step_env(moves)
        except (AssertionError, ValueError) as error:
            if not any(text in str(error) for text in NO_CYCLE):
                raise
            raise self._fault(f"says is_parallelizable, but aec_to_parallel cannot step it: {error}") from error

    def _present(self) -> NDArray[np.bool_]:
        """Return [N], whom the env lists as in the game."""
        if not hasattr(self._env, "agents") or not isinstance(self._env.agents, (list, tuple)):
            raise self._fault("it has no list of `agents` after reset")
        strangers = [name for name in self._env.agents if name not in self._numbers]
        if strangers:
            raise self._fault(f"agent {strangers[0]!r} is in the game, but not among possible_agents {self._names}")
        listed = set(self._env.agents)
        return np.array([name in listed for name in self._names])

    def _of_live(self, entries: dict[Any, Any], what: str) -> list[Any]:
        """Return the entry of each agent, 0 or False of one that is out and has none."""
        for agent in np.flatnonzero(self._roster.live).tolist():
            if self._names[agent] not in entries:
                raise self._fault(f"step returned no {what} of agent {self._names[agent]!r}, who was in the game")
        return [entries.get(name, 0) for name in self._names]

    def _see(self, obs: Any, infos: dict[Any, Any]) -> None:
        if not isinstance(obs, dict):
            raise self._fault(f"reset returned observations {shown(obs)}, expected a dict with an entry per agent")
        masks = [infos[name].get(MASK) if isinstance(infos.get(name), dict) else None for name in self._names]
        self._show(self._split(obs, "observations"), masks)
        if self._masks.in_doubt:
            mine = {key: info[key] for info in infos.values() if isinstance(info, dict) for key in info}
            self._refuse_unread(obs.values(), {"an agent's info": mine, "infos": infos})

    def _split(self, value: Any, what: str) -> list[Any]:
        """Return one entry per agent, None of one that is not in the dict."""
        if not isinstance(value, dict):
            raise self._fault(f"{what} returned {shown(value)}, expected a dict with an entry per agent")
        return [value.get(name) for name in self._names]

    def _choosing(self) -> NDArray[np.bool_]:
        if not hasattr(self._env, "aec_env") or self._env.aec_env.metadata.get("is_parallelizable"):
            return self._roster.acts
        return self._roster.acts & [name == self._env.aec_env.agent_selection for name in self._names]

    def _own_state_size(self) -> int:
        if not hasattr(self._env, "state_space") or self._env.state_space is None:
            return 0
        if not isinstance(self._env.state_space, gym.spaces.Box):
            raise self._fault(f"its state_space is {self._env.state_space}, expected a Box")
        return int(np.prod(self._env.state_space.shape))

    def get_state(self) -> NDArray[np.float32]:
        """Return [S], the env's own state or all observations in a row."""
        if not self._state_size:
            return super().get_state()
        try:
            return np.asarray(self._env.state(), np.float32).reshape(-1)
        except NotImplementedError as error:
            raise self._fault("it has a state_space, but no state()") from error

    def get_state_size(self) -> int:
        """Return S."""
        return self._state_size or super().get_state_size()


def make_parallel(key: str, env_kwargs: dict[str, Any]) -> Any:
    """Return the env of the module that "package:module" names, such as "mpe2:simple_spread_v3".

    Raises:
        UserError: no such package or module, an env that is none of PettingZoo's, or that cannot be made.
    """
    module = find_module(key)
    maker = next((name for name in ("parallel_env", "env") if hasattr(module, name)), None)
    if maker is None:
        raise UserError(f"env_args.key={key!r}: {module.__name__} has no parallel_env and no env")
    env = construct(key, env_kwargs, lambda: getattr(module, maker)(**env_kwargs))
    if hasattr(env, "agent_iter"):
        env = construct(key, env_kwargs, lambda: convert(env))
    for attribute in ("possible_agents", "reset", "step", "observation_space", "action_space"):
        if not hasattr(env, attribute):
            raise UserError(f"env_args.key={key!r}: its env has no {attribute}; it is no env of PettingZoo's API")
    return env


def convert(env: Any) -> Any:
    """Return an AEC env as a parallel one."""
    from pettingzoo.utils import conversions

    if env.metadata.get("is_parallelizable"):
        return conversions.aec_to_parallel(env)
    return conversions.turn_based_aec_to_parallel(env)


def find_module(key: str) -> ModuleType:
    """Return the module that `key` names. UserError if there is none."""
    package, _, name = key.partition(":")
    other = other_key(key)
    if not package or not name:
        hint = f"; write {other}" if other else ""
        raise UserError(f"env_args.key={key!r}: expected 'package:module', such as 'mpe2:simple_spread_v3'{hint}")
    if other and other.split("=")[-1] != key:
        raise UserError(f"env_args.key={key!r}: MPE is the package mpe2 today; write {other}")
    found = import_for(key, package)
    if not hasattr(found, "__path__"):
        raise UserError(f"env_args.key={key!r}: {package} is not a package of modules, expected 'package:module'")
    known = [module.name for module in pkgutil.iter_modules(found.__path__)]
    if name not in known:
        raise UserError(f"env_args.key={key!r}: {package} has no module {name!r}{closest(name, known)}")
    return import_for(key, f"{package}.{name}")
