"""Gymnasium envs for a team (level-based foraging, robot warehouse, ...) as EPyMARL's `gymma`."""

from __future__ import annotations

import copy
import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from envs.spaces import TeamSpaces
from envs.team import TeamEnv
from utils.errors import UserError, closest

OWN_CLOCKS = ("max_episode_steps", "max_steps")
"""Options by which env classes count steps themselves; at the end they say terminated or truncated as they like."""


class GymmaEnv(TeamEnv):
    """A Gymnasium env for several agents.

    `time_limit` is the only clock: Gymnasium's own limit is taken off, and an env class that counts steps itself
    (`max_episode_steps` of lbforaging, `max_steps` of rware) is told a later end. So a time limit is truncated and
    every other end terminated.

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
        super().__init__(config, env, team_spaces(config.key, env), seed)

    def reset(self, seed: int | None = None) -> None:
        """Start the episode of `seed`, or the next one."""
        forget_players(self._env)
        self._observe(self._reset_env(seed))

    def step(self, actions: Any) -> tuple[float, bool, dict[str, Any]]:
        """Take one step; see `MultiAgentEnv.step`."""
        moves = tuple(self._spaces.action(agent, action) for agent, action in enumerate(actions))
        obs, rewards, terminated, truncated, info = self._env.step(moves)
        self._steps += 1
        self._observe(obs)
        ended = np.broadcast_to(terminated, self.n_agents)
        stopped = np.broadcast_to(truncated, self.n_agents)
        over = bool(np.all(ended | stopped)) or self._steps >= self.episode_limit
        return self._team_reward(rewards), over, {**info, "episode_limit": over and not bool(np.all(ended))}

    def _observe(self, obs: Any) -> None:
        for agent in range(self.n_agents):
            self._obs[agent] = self._spaces.flatten(agent, obs[agent])


def find_spec(key: str) -> EnvSpec:
    """Return a copy of the spec that `key` names: "id", or "module:id" to import the module that registers it.

    Raises:
        UserError: the module is missing, or no env has this id.
    """
    module, _, name = key.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise UserError(
                f"env_args.key={key!r} needs the Python module {error.name!r}, which is not installed; "
                f"`pip install {(error.name or module).split('.')[0]}`"
            ) from error
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
    try:
        with warnings.catch_warnings():  # spaces of float64 bounds, old versions: nothing that a user here can mend
            warnings.simplefilter("ignore")
            return gym.make(spec, max_episode_steps=-1, disable_env_checker=True, **env_kwargs)
    except TypeError as error:
        raise UserError(f"env_args.env_kwargs={env_kwargs}: {key} does not take them: {error}") from error


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
