"""Repeated matrix games as in EPyMARL's `matrixgames`: several equilibria, and a price for missing the best one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvInfo
from pymarl.envs.payoff_table import PayoffTable
from pymarl.utils.config import PositiveInt


def _penalty(k: float) -> NDArray[np.float64]:
    return np.array([[-k, 0.0, 10.0], [0.0, 2.0, 0.0], [10.0, 0.0, -k]])


def _climbing_3p() -> NDArray[np.float64]:
    payoff = np.zeros((3, 3, 3))
    payoff[0, :2, :2] = [[11.0, -30.0], [-30.0, 0.0]]
    payoff[1, 0, 0], payoff[1, 1, 1] = -30.0, 7.0
    payoff[2, 2, 1:] = 6.0, 5.0
    return payoff


PAYOFFS = {
    "climbing-nostate-v0": np.array([[11.0, -30.0, 0.0], [-30.0, 7.0, 0.0], [0.0, 6.0, 5.0]]),
    "climbing-3p-nostate-v0": _climbing_3p(),
    **{f"penalty-{k}-nostate-v0": _penalty(k) for k in (0, 25, 50, 75, 100)},
}
"""map_name, as in EPyMARL -> what each agent is paid, [3, 3] or [3, 3, 3] by the agents' actions: the climbing game and
the penalty game with k = 0, -25, ... (Claus and Boutilier 1998), and a climbing game of three."""


class MatrixGame(PayoffTable):
    """The same game in every round. All agents are paid alike, and see nothing: observations and states are zeros.

    After `ep_length` rounds the game is over (terminated). After `time_limit` ones it is cut off (truncated): learners
    then count on more rounds like it, and values are of some 1 / (1 - gamma) payoffs.

    Args:
        config: see config/envs/matrix_games.yaml.
        batch_size: B, number of envs.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        map_name: Literal[
            "climbing-nostate-v0",
            "climbing-3p-nostate-v0",
            "penalty-0-nostate-v0",
            "penalty-25-nostate-v0",
            "penalty-50-nostate-v0",
            "penalty-75-nostate-v0",
            "penalty-100-nostate-v0",
        ]
        ep_length: PositiveInt
        time_limit: PositiveInt
        common_reward: bool
        reward_scalarisation: Literal["sum", "mean"]

    def __init__(self, config: Config, batch_size: int) -> None:
        payoff = PAYOFFS[config.map_name]
        n = payoff.ndim
        info = EnvInfo(
            n_agents=n, n_actions=len(payoff), obs_shape=n, state_shape=n * n,
            episode_limit=min(config.ep_length, config.time_limit), n_rewards=1 if config.common_reward else n,
        )  # fmt: skip
        super().__init__(payoff, info, batch_size)
        self._share = n if config.common_reward and config.reward_scalarisation == "sum" else 1
        self._ends = config.ep_length <= config.time_limit
        self._rounds = np.zeros(batch_size, np.int64)

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start a game in `rows`; all seeds give the same one."""
        self._rounds[rows] = 0
        self.arrays.reward[rows] = 0.0
        self.arrays.terminated[rows] = self.arrays.truncated[rows] = False

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Play a round of `actions[rows]`, actions being [B, N]; raises ValueError as `paid` does."""
        self.arrays.reward[rows] = self._share * self.paid(actions, rows)[:, None]
        self._rounds[rows] += 1
        ended = self.arrays.terminated if self._ends else self.arrays.truncated
        ended[rows] = self._rounds[rows] >= self.info.episode_limit
