"""A small env whose methods can be told to answer something else."""

from __future__ import annotations

from typing import Any

import numpy as np

ODD: dict[str, tuple[int, Any]] = {}
"""Method -> the call from which on it answers so."""


class OddEnv:
    """Two agents, three actions, episodes of three steps, in PyMARL's words and without its base class."""

    n_agents, episode_limit = 2, 3

    def __init__(self, seed: int = 0) -> None:
        self.calls: dict[str, int] = {}
        self.t = 0

    def _answer(self, method: str, usual: Any) -> Any:
        call = self.calls.get(method, 0)
        self.calls[method] = call + 1
        first, odd = ODD.get(method, (0, None))
        if method not in ODD or call < first:
            return usual
        return odd() if callable(odd) else odd

    def reset(self, seed: int | None = None) -> Any:
        self.t = 0
        return self._answer("reset", None)

    def step(self, actions: Any) -> Any:
        self.t += 1
        return self._answer("step", (1.0, self.t >= 3, {"episode_limit": self.t >= 3}))

    def get_obs(self) -> Any:
        return self._answer("get_obs", [np.full(4, self.t, np.float32)] * 2)

    def get_state(self) -> Any:
        return self._answer("get_state", np.full(3, self.t, np.float32))

    def get_avail_actions(self) -> Any:
        return self._answer("get_avail_actions", [[1, 1, 1], [1, 0, 1]])

    def get_obs_size(self) -> Any:
        return self._answer("get_obs_size", 4)

    def get_state_size(self) -> Any:
        return self._answer("get_state_size", 3)

    def get_total_actions(self) -> Any:
        return self._answer("get_total_actions", 3)

    def get_env_info(self) -> Any:
        info = {"state_shape": self.get_state_size(), "obs_shape": self.get_obs_size(), "n_agents": 2,
                "n_actions": self.get_total_actions(), "episode_limit": 3}  # fmt: skip
        return self._answer("get_env_info", info)

    def get_stats(self) -> Any:
        return self._answer("get_stats", {})

    def close(self) -> Any:
        return self._answer("close", None)
