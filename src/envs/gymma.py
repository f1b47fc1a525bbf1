"""Gymnasium envs for a team (level-based foraging, robot warehouse, ...) as EPyMARL's `gymma`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from pymarl.envs.keys import construct, import_for, other_key
from pymarl.envs.masks import MASK
from pymarl.envs.spaces import TeamSpaces
from pymarl.envs.team import TeamEnv
from pymarl.utils.errors import UserError, closest
from pymarl.utils.values import shown

OWN_CLOCKS = ("max_episode_steps", "max_steps")
"""Options by which env classes count steps themselves; at the end they say terminated or truncated as they like."""
INFO_MASKS = (MASK, "avail_actions")
"""Entries of an info with the agents' masks: Gymnasium's, as in Taxi, and SMAClite's."""


class GymmaEnv(TeamEnv):
    """A Gymnasium env for several agents.

    `time_limit` is the only clock: Gymnasium's own limit is taken off, and an env class that counts steps itself
    (`max_episode_steps` of lbforaging, `max_steps` of rware) is told a later end. So a time limit is truncated and
    every other end terminated. Ends, rewards, observations and masks (see `ActionMasks`) may come as one list, array
    or dict with an entry per agent, ends and rewards also as one value for the team. Who ends before the others is
    out, as in PettingZoo.

    Args:
        config: see config/envs/gymma.yaml.
        seed: of the first episode that `reset` starts without a seed of its own.

    Raises:
        UserError: unknown key, missing package, options that the env does not take, spaces that do not fit.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(TeamEnv.Config):
        pretrained_wrapper: None

    def __init__(self, config: Config, seed: int) -> None:
        env = make_gym(config.key, config.time_limit, config.env_kwargs)
        spaces = team_spaces(config.key, env)
        self._names = agent_names(env, spaces.n_agents)
        super().__init__(config, env, spaces, self._names or range(spaces.n_agents), seed)
        self._everyone = np.ones(self.n_agents, np.bool_)

    def reset(self, seed: int | None = None) -> None:
        """Start the episode of `seed`, or the next one."""
        forget_players(self._env)
        obs, info = self._reset_env(seed)
        self._roster.reset(self._everyone)
        self._see(obs, info)

    def step(self, actions: Any) -> tuple[float | NDArray[np.float64], bool, dict[str, Any]]:
        """Take one step; see `MultiAgentEnv.step`."""
        moves = tuple(self._spaces.action(agent, action) for agent, action in enumerate(actions))
        obs, rewards, terminated, truncated, info = self._step_env(moves)
        ended, stopped = self._ends(terminated, "terminated"), self._ends(truncated, "truncated")
        reward = self._reward(
            self._split(rewards, "rewards") if isinstance(rewards, Mapping) else rewards, self._roster.live
        )
        alive = ~ended & ~stopped
        self._roster.step(ended, stopped, self._everyone, alive, last=self._steps >= self.episode_limit)
        self._see(obs, info)
        return reward, self._roster.over, {**info, "episode_limit": self._roster.truncated}

    def _ends(self, value: Any, what: str) -> NDArray[np.bool_]:
        """Return [N] out of one bool for the team, a list, or a dict."""
        one = not isinstance(value, (list, tuple, Mapping)) and np.ndim(value) == 0
        return self._flags([value] * self.n_agents if one else self._split(value, what), what)

    def _see(self, obs: Any, info: dict[Any, Any]) -> None:
        masks = self._info_masks(info) if self._roster.acts.any() else [None] * self.n_agents
        self._show(self._split(obs, "observations"), masks)
        if self._masks.in_doubt:
            nested = {f"info[{key!r}]": value for key, value in info.items() if isinstance(value, Mapping)}
            self._refuse_unread(self._split(obs, "observations"), {"info": info, **nested})

    def _info_masks(self, info: dict[Any, Any]) -> list[Any]:
        """Return each agent's mask or None: of one entry for the team, or of an info per agent as PettingZoo's."""
        for key in INFO_MASKS:
            if key in info:
                return self._masks.rows(info[key], f"info[{key!r}]")
        own = [info.get(agent) for agent in self._agents]
        return [each.get(MASK) if isinstance(each, Mapping) else None for each in own]

    def _split(self, value: Any, what: str) -> list[Any]:
        """Return one entry per agent of a list, an array or a dict; agents of a dict keep the order of its first."""
        if isinstance(value, Mapping) and len(value) == self.n_agents:
            if set(value) == set(range(self.n_agents)):
                return [value[agent] for agent in range(self.n_agents)]
            self._names = self._names or list(value)
            if set(value) == set(self._names):
                return [value[name] for name in self._names]
        rows = isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)
        if rows and len(value) == self.n_agents:
            return list(value)
        raise self._fault(f"{what} {shown(value)}: expected one entry for each of {self.n_agents} agents")


def find_spec(key: str) -> EnvSpec:
    """Return a copy of the spec that `key` names: "id", or "module:id" to import the module that registers it.

    Raises:
        UserError: the module is missing, or no env has this id.
    """
    module, _, name = key.rpartition(":")
    other = other_key(key)
    if other and name not in gym.registry:
        raise UserError(f"env_args.key={key!r} is no key of gymma; write {other}")
    if module:
        import_for(key, module)
    if name not in gym.registry:
        raise UserError(
            f"env_args.key={key!r}: no env has the id {name!r}{closest(name, gym.registry)} "
            f"(a key is an id, or 'module:id' with the module that registers it)"
        )
    return copy.copy(gym.registry[name])


def make_gym(key: str, time_limit: int, env_kwargs: dict[str, Any]) -> gym.Env[Any, Any]:
    """Return the env without a time limit of Gymnasium's, and with its own clock set past ours."""
    spec = find_spec(key)
    for clock in OWN_CLOCKS:
        if clock in env_kwargs:
            raise UserError(f"env_args.env_kwargs.{clock}={env_kwargs[clock]!r}: write env_args.time_limit instead")
    later = {clock: time_limit + 1 for clock in OWN_CLOCKS if clock in spec.kwargs}
    spec.kwargs = {**spec.kwargs, **later}
    env: gym.Env[Any, Any] = construct(
        key, env_kwargs, lambda: gym.make(spec, max_episode_steps=-1, disable_env_checker=True, **env_kwargs)
    )
    return env


def agent_names(env: gym.Env[Any, Any], n_agents: int) -> list[Any]:
    """Return what the env calls its agents, in the order of its spaces; [] if it does not say."""
    base: Any = env.unwrapped
    for attribute in ("possible_agents", "agents"):
        names = getattr(base, attribute) if hasattr(base, attribute) else None
        if not isinstance(names, (list, tuple)) or len(names) != n_agents:
            continue
        if all(isinstance(name, (str, int)) for name in names):
            return list(names)
    return []


def forget_players(env: gym.Env[Any, Any]) -> None:
    """Make an episode of lbforaging depend on its seed alone.

    Its reset places players off the cells in which the others stood at the end of the last episode.
    """
    base: Any = env.unwrapped
    if type(base).__module__.split(".")[0] == "lbforaging":
        for player in base.players:
            player.position = None


def team_spaces(key: str, env: gym.Env[Any, Any]) -> TeamSpaces:
    """Return one observation space and one action space per agent. UserError if the env is not one for a team."""
    if not hasattr(env, "observation_space") or not hasattr(env, "action_space"):
        raise UserError(f"env_args.key={key!r} has no observation_space or no action_space")
    obs_space, action_space = env.observation_space, env.action_space
    actions = _per_agent(action_space)
    observations = _per_agent(obs_space)
    if actions is None or observations is None:
        raise UserError(
            f"env_args.key={key!r} is not an env for a team: it acts in {action_space} and observes {obs_space}, "
            "expected a Tuple with one space per agent"
        )
    return TeamSpaces(key, observations, actions)


def _per_agent(space: Any) -> list[Any] | None:
    """Return the agents' spaces: members of a Tuple, rows of an array; None if it has none."""
    if isinstance(space, gym.spaces.Tuple):
        return list(space.spaces)
    if isinstance(space, (list, tuple)):
        return list(space)
    if isinstance(space, gym.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return [gym.spaces.Discrete(int(n)) for n in space.nvec]
    if isinstance(space, gym.spaces.Box) and len(space.shape) > 1:
        return [gym.spaces.Box(low, high, dtype=low.dtype) for low, high in zip(space.low, space.high, strict=True)]
    return None
