"""What native batched envs of other libraries share: one clock, the team's reward, rows written into the arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvArrays, EnvInfo, NoRecords, env_seed
from pymarl.envs.team import TeamEnv
from pymarl.utils.errors import UserError


class TeamBatch(NoRecords):
    """Envs of a library that steps many at once. A subclass writes `begin` and `advance`.

    `time_limit` cuts an episode as truncated; every end of the library's own is terminated. Agents with fewer actions
    than others have the rest masked, shorter observations are padded with zeros.

    Args:
        config: keys of the wrapper.
        sizes: number of actions of each agent.
        obs_shape: length of the longest observation.
        state_shape: length of the state; None: all observations in a row.
        batch_size: B.
    """

    def __init__(
        self, config: TeamEnv.Config, sizes: Sequence[int], obs_shape: int, state_shape: int | None, batch_size: int
    ) -> None:
        self.config, self.batch_size = config, batch_size
        self.info = EnvInfo(
            n_agents=len(sizes),
            n_actions=max(sizes),
            obs_shape=obs_shape,
            state_shape=len(sizes) * obs_shape if state_shape is None else state_shape,
            episode_limit=config.time_limit,
            n_rewards=1 if config.common_reward else len(sizes),
        )
        self.arrays = EnvArrays.allocate(self.info, batch_size)
        self._has = np.arange(max(sizes)) < np.array(sizes)[:, None]  # [N, A]
        self._steps = np.zeros(batch_size, np.int64)
        self._won: list[dict[str, bool]] = [{} for _ in range(batch_size)]

    def begin(self, rows: NDArray[np.int64], seeds: list[int]) -> None:
        """Start episodes and `show` them."""
        raise NotImplementedError

    def advance(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Any, Any]:
        """Step `rows` with `actions[rows]` and `show` them; return the rewards [rows, N] and the ends [rows]."""
        raise NotImplementedError

    def show(self, rows: NDArray[np.int64], obs: Any, state: Any = None, avail: Any = None) -> None:
        """Write what is seen of `rows`: obs [rows, N, O], state [rows, S], avail [rows, N, A]; None is the default."""
        self.arrays.obs[rows] = obs
        self.arrays.state[rows] = np.asarray(obs).reshape(len(rows), -1) if state is None else state
        self.arrays.avail_actions[rows] = self._has if avail is None else np.asarray(avail, np.bool_) & self._has

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start the episode of `seeds[k]` in row `rows[k]`; writes obs, state and avail_actions of these rows."""
        self._steps[rows] = 0
        self.begin(rows, [env_seed(seed) for seed in seeds.tolist()])

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Step the rows given with `actions[rows]`, actions being [B, N]; writes every array of these rows.

        Raises:
            ValueError: an action is not available; no row has been stepped then.
            UserError: a reward is not a finite number.
        """
        arrays = self.arrays
        self._refuse(actions, rows)
        rewards, ended = self.advance(actions, rows)
        rewards, ended = np.asarray(rewards, np.float64), np.asarray(ended, np.bool_)
        if not np.isfinite(rewards).all():
            raise UserError(f"env {self.config.key!r}: its rewards are {rewards.tolist()}, expected finite numbers")
        if self.config.common_reward:
            gathered = np.sum if self.config.reward_scalarisation == "sum" else np.mean
            rewards = gathered(rewards, axis=1, keepdims=True)
        self._steps[rows] += 1
        arrays.reward[rows] = rewards
        arrays.terminated[rows] = ended
        arrays.truncated[rows] = ~ended & (self._steps[rows] >= self.config.time_limit)

    def _refuse(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        avail, inside = self.arrays.avail_actions[rows], (actions[rows] >= 0) & (actions[rows] < self.info.n_actions)
        chosen = np.where(inside, actions[rows], 0)
        fits = inside & np.take_along_axis(avail, chosen[..., None], -1)[..., 0]
        for at, agent in np.argwhere(~fits).tolist():
            raise ValueError(
                f"{self.config.key}: action {actions[rows[at], agent]} of agent {agent} in env {rows[at]} is not "
                "available"
            )

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return whether only the clock ended the episode, and `battle_won` where there is a battle."""
        return self._won[row] | super().episode_info(row)
