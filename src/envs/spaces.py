"""What Gymnasium's and PettingZoo's spaces mean for a team: one length of observation, one set of actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from utils.errors import UserError


class TeamSpaces:
    """The spaces of N agents, padded to the longest observation and the largest action set.

    Args:
        name: what to call the env in messages.
        obs_spaces: one space per agent; everything that Gymnasium flattens to one length (Box, Discrete, Dict, ...).
        action_spaces: one Discrete per agent.

    Raises:
        UserError: actions are not discrete, or a space has no fixed length.
    """

    def __init__(self, name: str, obs_spaces: Sequence[Any], action_spaces: Sequence[Any]) -> None:
        for agent, space in enumerate(action_spaces):
            if not isinstance(space, gym.spaces.Discrete):
                raise UserError(f"env {name!r}: agent {agent} acts in {space}, only discrete actions are supported")
        for agent, space in enumerate(obs_spaces):
            if not space.is_np_flattenable:
                raise UserError(f"env {name!r}: agent {agent} observes {space}, which has no fixed length")
        if len(obs_spaces) != len(action_spaces):
            raise UserError(f"env {name!r}: {len(obs_spaces)} observation spaces, but {len(action_spaces)} to act in")
        self._obs_spaces = list(obs_spaces)
        self._first_actions = [int(space.start) for space in action_spaces]
        self.n_agents = len(action_spaces)
        self.n_actions = max(int(space.n) for space in action_spaces)
        self.obs_size = max(gym.spaces.flatdim(space) for space in obs_spaces)
        self.avail = np.array([[u < space.n for u in range(self.n_actions)] for space in action_spaces])  # [N, A]

    def flatten(self, agent: int, obs: Any) -> NDArray[np.float32]:
        """Return an agent's observation as [O] floats, padded with zeros."""
        flat = np.asarray(gym.spaces.flatten(self._obs_spaces[agent], obs), np.float32)
        return np.pad(flat, (0, self.obs_size - flat.size))

    def action(self, agent: int, index: int) -> int:
        """Return action number `index` as the agent's space counts it."""
        return self._first_actions[agent] + int(index)
