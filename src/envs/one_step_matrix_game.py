"""One-step matrix games as in QTRAN (Son et al. 2019, arXiv:1905.05408): two agents, three actions, a shared payoff."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvInfo
from pymarl.envs.payoff_table import PayoffTable

PAYOFFS = {
    "one_step_matrix_game": np.array([[12.0, -0.1, -0.1], [-0.1, 0.0, 0.0], [-0.1, 0.0, 0.0]]),
    "one_step_matrix_game_hard": np.array([[12.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]]),
    "one_step_matrix_game_qtran": np.array([[8.0, -12.0, -12.0], [-12.0, 0.0, 0.0], [-12.0, 0.0, 0.0]]),
    "one_step_matrix_game_qplex": np.array([[8.0, -12.0, -12.0], [-12.0, 6.0, 0.0], [-12.0, 0.0, 6.0]]),
}
"""map_name -> [3, 3] reward of (action of agent 0, action of agent 1): PyMARL2's two, QTRAN's, QPLEX's."""


class OneStepMatrixGame(PayoffTable):
    """A game without chance: both agents choose once, the reward is an entry of the payoff matrix.

    State and observations are [1, 0] before the step and [0, 1] after it.

    Args:
        config: see config/envs/one_step_matrix_game.yaml.
        batch_size: B, number of envs.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        map_name: Literal[
            "one_step_matrix_game",
            "one_step_matrix_game_hard",
            "one_step_matrix_game_qtran",
            "one_step_matrix_game_qplex",
        ]

    def __init__(self, config: Config, batch_size: int) -> None:
        info = EnvInfo(n_agents=2, n_actions=3, obs_shape=2, state_shape=2, episode_limit=1)
        super().__init__(PAYOFFS[config.map_name], info, batch_size)

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start an episode in `rows`; all seeds give the same one."""
        self._show(rows, step=0)
        self.arrays.reward[rows] = 0.0
        self.arrays.terminated[rows] = False

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Pay out `actions[rows]`, actions being [B, 2], and end the episodes; raises ValueError as `paid` does."""
        self.arrays.reward[rows, 0] = self.paid(actions, rows)
        self.arrays.terminated[rows] = True
        self._show(rows, step=1)

    def _show(self, rows: NDArray[np.int64], step: int) -> None:
        now = np.eye(2, dtype=np.float32)[step]
        self.arrays.obs[rows] = now
        self.arrays.state[rows] = now
