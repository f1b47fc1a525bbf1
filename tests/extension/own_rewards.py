"""An env of one step in which each agent has a reward of its own: that of its own action."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymarl.envs.multiagentenv import MultiAgentEnv


class OwnRewards(MultiAgentEnv):
    n_agents, episode_limit = 2, 1

    def reset(self, seed: int | None = None) -> tuple[Any, Any]:
        return self.get_obs(), self.get_state()

    def step(self, actions: Any) -> tuple[Any, bool, dict[str, Any]]:
        return np.array([float(actions[0]), -float(actions[1])]), True, {}

    def get_obs(self) -> Any:
        return np.ones((2, 1))

    def get_state(self) -> Any:
        return np.ones(1)

    def get_avail_actions(self) -> Any:
        return np.ones((2, 3))

    def get_obs_size(self) -> int:
        return 1

    def get_state_size(self) -> int:
        return 1

    def get_total_actions(self) -> int:
        return 3

    def get_env_info(self) -> dict[str, int]:
        return super().get_env_info() | {"n_rewards": 2}
