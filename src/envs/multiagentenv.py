"""The env contract: PyMARL's for one env, and the batched one that runners drive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.specs import EntityLayout, EnvInfo
from pymarl.utils.errors import UserError

__all__ = ["BatchedEnv", "EnvArrays", "EnvInfo", "EpisodeBroken", "MultiAgentEnv", "ReplayError", "env_seed"]

Allocate = Callable[[tuple[int, ...], Any], NDArray[Any]]


def env_seed(seed: int) -> int:
    """Return the 31 bits of an episode's seed that every env takes; some hand theirs to C code."""
    return (seed ^ seed >> 31 ^ seed >> 62) & 0x7FFFFFFF


class EpisodeBroken(Exception):
    """The game behind an env failed: its episode is not to be used, and the next `reset` starts a new game.

    Raised by an env's `reset` or `step` with the reason in one line. The runner plays the episode once more.
    """


class ReplayError(UserError):
    """A replay could not be saved.

    Attributes:
        saved: files of other envs' replays, which were.
    """

    def __init__(self, message: str, saved: Sequence[Path] = ()) -> None:
        super().__init__(message)
        self.saved = list(saved)


class MultiAgentEnv:
    """One env, as PyMARL defines it. An env written for PyMARL works without inheriting from this class.

    A class with `own_process = True` always runs in worker processes, also behind the episode runner. An env with
    `answer_seconds` promises that no reset and no step takes longer: a worker process that does is replaced.

    `reset` may take `seed`: it then starts the episode that this seed stands for, which makes runs with this env
    exactly repeatable and resumable. An env whose `reset` takes no seed is seeded once, through its constructor. A
    class with `repeatable = False` takes a seed for a part of its chance: its episodes depend on earlier ones too.
    """

    episode_limit: int
    n_agents: int
    n_rewards: int = 1
    """1 for a team reward; n_agents where `step` returns one for each agent."""
    entity_layout: EntityLayout | None = None

    def reset(self, seed: int | None = None) -> Any:
        """Start an episode. What is returned is not read; `get_obs` and `get_state` are."""
        raise NotImplementedError

    def step(self, actions: Any) -> tuple[float | NDArray[np.float64], bool, dict[str, Any]]:
        """Take one step.

        Args:
            actions: [N] ints, each available to its agent.

        Returns:
            The team's reward or [N], each agent's own (see `n_rewards`), whether the episode is over, and info.
            `info["episode_limit"]` is true when only the clock ended the episode (truncated): the learner bootstraps
            there. Numbers in info at the end of an episode become statistics ("battle_won" becomes `battle_won_mean`).
        """
        raise NotImplementedError

    def get_obs(self) -> Any:
        """Return [N, O] observations."""
        raise NotImplementedError

    def get_state(self) -> Any:
        """Return [S], the state for the mixer."""
        raise NotImplementedError

    def get_avail_actions(self) -> Any:
        """Return [N, A] with 1 where an action is available; every agent has at least one."""
        raise NotImplementedError

    def get_obs_size(self) -> int:
        """Return O."""
        raise NotImplementedError

    def get_state_size(self) -> int:
        """Return S."""
        raise NotImplementedError

    def get_total_actions(self) -> int:
        """Return A."""
        raise NotImplementedError

    def get_env_info(self) -> dict[str, Any]:
        """Return PyMARL's description of the env, with `n_rewards` and `entity_layout` where it has them."""
        info: dict[str, Any] = {
            "state_shape": self.get_state_size(),
            "obs_shape": self.get_obs_size(),
            "n_actions": self.get_total_actions(),
            "n_agents": self.n_agents,
            "episode_limit": self.episode_limit,
        }
        if self.n_rewards > 1:
            info["n_rewards"] = self.n_rewards
        if self.entity_layout is not None:
            info["entity_layout"] = self.entity_layout
        return info

    def get_stats(self) -> dict[str, float] | None:
        """Return statistics over all episodes so far, or None."""
        return {}

    def save_replay(self) -> Any:
        """Save what has been played; ReplayError if that fails, NotImplementedError where the env has no replays."""
        raise NotImplementedError(f"{type(self).__name__} has no replays")

    def close(self) -> None:
        """Free what the env holds."""


@dataclass(frozen=True, kw_only=True)
class EnvArrays:
    """The arrays through which a runner and a batched env talk. The runner owns them; the env writes into them.

    Attributes:
        obs: [B, N, O] float32.
        state: [B, S] float32.
        avail_actions: [B, N, A] bool.
        reward: [B, R] float64, of the last step; R is 1 for a team reward, N for one per agent.
        terminated: [B] bool; the MDP ended in the last step.
        truncated: [B] bool; only the clock ended the episode in the last step. Never both.
        broken: [B] bool; the game failed in the last reset or step, and the episode is neither of these.
    """

    obs: NDArray[np.float32]
    state: NDArray[np.float32]
    avail_actions: NDArray[np.bool_]
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    broken: NDArray[np.bool_]

    @classmethod
    def allocate(cls, info: EnvInfo, batch_size: int, allocate: Allocate = np.zeros) -> EnvArrays:
        """Return zeroed arrays for `batch_size` envs; `allocate(shape, dtype)` may put them in shared memory."""
        fields = info.with_role("observation", "result")
        return cls(**{field.name: allocate((batch_size, *field.shape), field.dtype) for field in fields})


class BatchedEnv(Protocol):
    """B envs stepped together. Native batched envs implement it; any other env is wrapped into one.

    A native env is a class with `batched = True` and the constructor `(config, batch_size)`. All randomness of an
    episode comes from the seed given to `reset`, so that an episode does not depend on the size of the batch.
    """

    info: EnvInfo
    batch_size: int
    arrays: EnvArrays
    replay_of_episode: bool
    """A replay holds a row's last episode: save it before the next begins. False: all that was played until then."""

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start the episode of `seeds[k]` in row `rows[k]`; writes obs, state and avail_actions of these rows."""

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Step the rows given with `actions[rows]`, actions being [B, N]; writes every array of these rows."""

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return the info of the row's last step; of a broken episode {"broken": why}."""

    def get_stats(self) -> list[dict[str, float]]:
        """Return each row's statistics over all its episodes; {} where an env keeps none."""

    def save_replay(
        self, directory: Path, rows: int | None = None, values: NDArray[np.float32] | None = None
    ) -> list[Path]:
        """Save a replay of what each row has played and return the files. NotImplementedError if it cannot.

        Args:
            directory: where to; made if missing.
            rows: only of the first so many rows.
            values: [rows, T, N, A] what the policy thought of each action, for replays that can show it.
        """

    def close(self) -> None:
        """Free what the envs hold; no process is left."""


class NoRecords:
    """What a native env answers that keeps no statistics, has no replays and holds nothing outside of its arrays."""

    batched = True
    replay_of_episode = False
    batch_size: int
    arrays: EnvArrays

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return whether only the clock ended the episode."""
        return {"episode_limit": bool(self.arrays.truncated[row])}

    def get_stats(self) -> list[dict[str, float]]:
        """Return {} for each row."""
        return [{} for _ in range(self.batch_size)]

    def save_replay(
        self, directory: Path, rows: int | None = None, values: NDArray[np.float32] | None = None
    ) -> list[Path]:
        """Raise NotImplementedError."""
        raise NotImplementedError(f"{type(self).__name__} has no replays")

    def close(self) -> None:
        """Nothing is held."""
