"""What the wrappers of Gymnasium and PettingZoo share: their keys, the team's reward, and padded observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs.multiagentenv import MultiAgentEnv, env_seed
from envs.spaces import TeamSpaces
from utils.config import PositiveInt
from utils.errors import UserError


class TeamEnv(MultiAgentEnv):
    """An env of another library, whose observations, actions and maybe rewards come one per agent.

    `time_limit` cuts an episode as truncated. The state is all observations in a row. Observations of unequal length
    are padded with zeros, actions that only other agents have are masked.

    Args:
        config: keys of the wrapper.
        env: the library's env.
        spaces: of its agents.
        seed: of the first episode that `reset` starts without a seed of its own.

    Raises:
        UserError: common_reward is False, which no learner here supports.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        key: str
        time_limit: PositiveInt
        common_reward: bool
        reward_scalarisation: Literal["sum", "mean"]
        env_kwargs: dict[str, Any]

    def __init__(self, config: Any, env: Any, spaces: TeamSpaces, seed: int) -> None:
        if not config.common_reward:
            raise UserError("env_args.common_reward=False: the learners share one reward; write common_reward=True")
        self.config = config
        self.episode_limit = config.time_limit
        self.n_agents = spaces.n_agents
        self._env, self._spaces = env, spaces
        self._first_seed: int | None = seed
        self._obs = np.zeros((self.n_agents, spaces.obs_size), np.float32)
        self._steps = 0

    def _reset_env(self, seed: int | None) -> Any:
        """Reset the library's env and return its observations."""
        seed, self._first_seed = (self._first_seed if seed is None else seed), None
        self._steps = 0
        return self._env.reset(seed=None if seed is None else env_seed(seed))[0]

    def _team_reward(self, rewards: float | Sequence[float]) -> float:
        """Return one reward out of the agents'; a single one is the team's already."""
        if np.ndim(rewards) == 0:
            return float(np.asarray(rewards))
        return float(np.sum(rewards) if self.config.reward_scalarisation == "sum" else np.mean(rewards))

    def get_obs(self) -> NDArray[np.float32]:
        """Return [N, O] observations."""
        return self._obs.copy()

    def get_state(self) -> NDArray[np.float32]:
        """Return [N * O], all observations in a row."""
        return self._obs.reshape(-1).copy()

    def get_avail_actions(self) -> NDArray[np.bool_]:
        """Return [N, A]; an agent's whole action set is available."""
        return self._spaces.avail.copy()

    def get_obs_size(self) -> int:
        """Return O."""
        return self._spaces.obs_size

    def get_state_size(self) -> int:
        """Return N * O."""
        return self.n_agents * self._spaces.obs_size

    def get_total_actions(self) -> int:
        """Return A."""
        return self._spaces.n_actions

    def close(self) -> None:
        """Close the env."""
        self._env.close()
