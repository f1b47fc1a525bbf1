"""What Gymnasium's and PettingZoo's spaces mean for a team: one length of observation, one set of actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from pymarl.envs.masks import MASK
from pymarl.utils.errors import UserError


class TeamSpaces:
    """The spaces of N agents, padded to the longest observation and the largest action set.

    An "action_mask" in a Dict space is no part of the observation.

    Args:
        name: what to call the env in messages.
        obs_spaces: one space per agent; everything that Gymnasium flattens to one length (Box, Discrete, Dict, ...).
        action_spaces: one Discrete per agent.

    Raises:
        UserError: actions are not discrete, or a space has no fixed length.
    """

    def __init__(self, name: str, obs_spaces: Sequence[Any], action_spaces: Sequence[Any]) -> None:
        if len(obs_spaces) != len(action_spaces):
            raise UserError(f"env {name!r}: {len(obs_spaces)} observation spaces, but {len(action_spaces)} to act in")
        for agent, space in enumerate(action_spaces):
            if not isinstance(space, gym.spaces.Discrete):
                raise UserError(
                    f"env {name!r}: agent {agent} acts in {_called(space)}, only discrete actions are supported"
                )
        self._obs_spaces = [without_mask(space) for space in obs_spaces]
        self.masked = [agent for agent, space in enumerate(obs_spaces) if self._obs_spaces[agent] is not space]
        for agent, space in enumerate(self._obs_spaces):
            if not isinstance(space, gym.Space) or not space.is_np_flattenable or not gym.spaces.flatdim(space):
                raise UserError(f"env {name!r}: agent {agent} observes {_called(space)}, which has no fixed length")
        self._name = name
        self._first_actions = [int(space.start) for space in action_spaces]
        self.n_agents = len(action_spaces)
        self.sizes = [int(space.n) for space in action_spaces]
        self.n_actions = max(self.sizes)
        self.obs_size = max(gym.spaces.flatdim(space) for space in self._obs_spaces)

    def flatten(self, agent: int, obs: Any) -> tuple[NDArray[np.float32], Any]:
        """Return an agent's observation as a row of floats, and the mask that came in it or None.

        Raises:
            UserError: the observation does not fit its space.
        """
        space, mask = self._obs_spaces[agent], None
        if isinstance(obs, Mapping) and MASK in obs:
            mask, obs = obs[MASK], {key: value for key, value in obs.items() if key != MASK}
            if not isinstance(space, gym.spaces.Dict) and len(obs) == 1:
                obs = next(iter(obs.values()))  # a space that tells of the observation alone
        wrong = misfit(space, obs)
        if wrong:
            raise UserError(f"env {self._name!r}: agent {agent} observes {wrong}, but its space is {_called(space)}")
        plain = isinstance(space, (gym.spaces.Box, gym.spaces.MultiBinary))  # much quicker than flatten
        flat = np.asarray(obs if plain else gym.spaces.flatten(space, obs), np.float32)
        return flat.reshape(-1), mask

    def action(self, agent: int, index: int) -> int:
        """Return action number `index` as the agent's space counts it."""
        return self._first_actions[agent] + int(index)


def without_mask(space: Any) -> Any:
    """Return an observation space less its action mask."""
    if not isinstance(space, gym.spaces.Dict) or MASK not in space.spaces:
        return space
    return gym.spaces.Dict({key: member for key, member in space.spaces.items() if key != MASK})


def misfit(space: Any, obs: Any) -> str:
    """Return what of an observation does not fit its space, or "" if all fits.

    Bounds and float types are left alone: many envs are careless there, and nothing is lost.
    """
    if isinstance(space, gym.spaces.Dict):
        if not isinstance(obs, Mapping) or set(obs) != set(space.spaces):
            return f"a dict of {sorted(map(str, obs))}" if isinstance(obs, Mapping) else f"a {type(obs).__name__}"
        return next((w for w in (misfit(s, obs[key]) for key, s in space.spaces.items()) if w), "")
    if isinstance(space, gym.spaces.Tuple):
        if not isinstance(obs, (tuple, list)) or len(obs) != len(space.spaces):
            return f"{len(obs)} parts" if isinstance(obs, (tuple, list)) else f"a {type(obs).__name__}"
        return next((w for w in map(misfit, space.spaces, obs) if w), "")
    if not isinstance(space, (gym.spaces.Box, gym.spaces.MultiBinary)):
        return "" if space.contains(obs) else f"{obs!r}"
    try:
        array = np.asarray(obs)
    except ValueError:
        return "rows of unequal length"
    if array.shape != space.shape or array.dtype.kind not in "biuf":
        return f"shape {array.shape} of {array.dtype}"
    if space.dtype.kind in "biu" and not np.array_equal(array.astype(space.dtype), array):
        return f"{array.dtype} that is not {space.dtype}"
    return ""


def _called(space: Any) -> str:
    known = isinstance(space, gym.Space)
    return str(space) if known else f"{space} of {type(space).__module__.split('.')[0]}, not of gymnasium"
