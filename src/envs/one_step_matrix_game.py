"""One-step matrix games as in QTRAN (Son et al. 2019, arXiv:1905.05408): two agents, three actions, a shared payoff."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvArrays, EnvInfo

PAYOFFS = {
    "one_step_matrix_game": np.array([[12.0, -0.1, -0.1], [-0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]]),
    "one_step_matrix_game_hard": np.array([[12.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]]),
    "one_step_matrix_game_qtran": np.array([[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]]),
    "one_step_matrix_game_qplex": np.array([[8.0, -12.0, -12.0], [-12.0, 6.0, 0.0], [-12.0, 0.0, 6.0]]),
}
"""map_name -> [3, 3] reward of (action of agent 0, action of agent 1): PyMARL2's two, QTRAN's, QPLEX's."""


class OneStepMatrixGame:
    """A game without chance: both agents choose once, the reward is an entry of the payoff matrix.

    State and observations are [1, 0] before the step and [0, 1] after it.

    Args:
        config: see config/envs/one_step_matrix_game.yaml.
        batch_size: B, number of envs.
    """

    batched = True
    replay_of_episode = False

    @dataclass(frozen=True, kw_only=True)
    class Config:
        map_name: Literal[
            "one_step_matrix_game",
            "one_step_matrix_game_hard",
            "one_step_matrix_game_qtran",
            "one_step_matrix_game_qplex",
        ]

    def __init__(self, config: Config, batch_size: int) -> None:
        self.payoff = PAYOFFS[config.map_name]
        self.batch_size = batch_size
        self.info = EnvInfo(n_agents=2, n_actions=3, obs_shape=2, state_shape=2, episode_limit=1)
        self.arrays = EnvArrays.allocate(self.info, batch_size)

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start an episode in `rows`; all seeds give the same one."""
        self._show(rows, step=0)
        self.arrays.reward[rows] = 0.0
        self.arrays.terminated[rows] = False

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Pay out `actions[rows]`, actions being [B, 2], and end the episodes.

        Raises:
            ValueError: an action is not 0, 1 or 2.
        """
        chosen = actions[rows]
        if chosen.size and (chosen.min() < 0 or chosen.max() > 2):
            raise ValueError(f"one_step_matrix_game: actions {chosen.tolist()}, expected 0, 1 or 2")
        self.arrays.reward[rows, 0] = self.payoff[chosen[:, 0], chosen[:, 1]]
        self.arrays.terminated[rows] = True
        self._show(rows, step=1)

    def _show(self, rows: NDArray[np.int64], step: int) -> None:
        now = np.eye(2, dtype=np.float32)[step]
        self.arrays.obs[rows] = now
        self.arrays.state[rows] = now
        self.arrays.avail_actions[rows] = True
        self.arrays.truncated[rows] = False

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return {"episode_limit": False}: the game ends by itself."""
        return {"episode_limit": False}

    def get_stats(self) -> list[dict[str, float]]:
        """Return {} for each row: this env keeps no statistics."""
        return [{} for _ in range(self.batch_size)]

    def save_replay(
        self, directory: Path, rows: int | None = None, values: NDArray[np.float32] | None = None
    ) -> list[Path]:
        """Raise NotImplementedError."""
        raise NotImplementedError("one_step_matrix_game has no replays")

    def close(self) -> None:
        """Nothing is held."""
