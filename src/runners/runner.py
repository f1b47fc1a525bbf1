"""What every runner does: play one episode in each row of a batched env and record it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from pymarl.envs.adapter import EnvArgs
from pymarl.envs.batched import env_name, make_batched_env
from pymarl.envs.contract import numeric_info
from pymarl.envs.faults import EnvUserError
from pymarl.envs.multiagentenv import BatchedEnv
from pymarl.envs.specs import EnvInfo
from pymarl.runners.seeds import EpisodeSeeds, Phase
from pymarl.utils.config import NonNegativeInt, PositiveInt, Seconds
from pymarl.utils.errors import UserError

LONGEST_PAUSE = 15
"""Seconds before episodes that have broken often are tried again; a request to stop waits as long."""


class BrokenTooOften(UserError):
    """An episode broke again and again."""


class ActingMAC(Protocol):
    """The half of a controller that a runner needs."""

    def init_hidden(self, batch_size: int) -> None:
        """Forget everything; B episodes start."""

    def select_actions(self, batch: EpisodeBatch, t_ep: int, t_env: int, bs: Any, test_mode: bool) -> Any:
        """Return actions [len(bs), N] int64 at slot t_ep of rows bs; with their probs where the scheme stores them."""


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """What came of one episode.

    Attributes:
        seed: of the episode; native envs get it as it is, any other env gets `envs.multiagentenv.env_seed(seed)`.
        ret: undiscounted sum of the rewards, over agents too if each has its own, in env units.
        length: env steps.
        truncated: only the clock ended it.
        info: the numbers in the last step's info; with individual rewards EPyMARL's agent_<i>_return, each agent's own.
    """

    seed: int
    ret: float
    length: int
    truncated: bool
    info: Mapping[str, float]


class Runner:
    """Plays B episodes at once, one in each row of its env, and knows how many env steps it has trained for.

    Args:
        env: B rows.
        seeds: where episodes get their seeds from.

    Attributes:
        t_env: env steps of all training episodes so far.
        episodes: records of the last `run`, in row order.
        restarts: how many episodes broke so far and were played once more.
        on_broken: is told at once of each of these, in one line.
    """

    in_process: ClassVar[bool]
    pause_seconds: ClassVar[float] = 1.0
    """Before what broke twice in a row is tried again; then 3 times as long, 7, ...: things may mend."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        batch_size_run: PositiveInt
        env_workers: PositiveInt | None
        max_restarts: NonNegativeInt
        env_timeout: Seconds | None

    @classmethod
    def make_env(cls, config: Config, env: str, env_args: EnvArgs, seed: int, origin: Mapping[str, str]) -> BatchedEnv:
        """Return the env that this runner drives; see `make_batched_env`."""
        return make_batched_env(
            env, env_args, config.batch_size_run, seed, origin, cls.in_process, config.env_workers,
            revive=config.max_restarts > 0, timeout=config.env_timeout,
        )  # fmt: skip

    def __init__(self, config: Config, env: BatchedEnv, seeds: EpisodeSeeds) -> None:
        self.config, self.env, self.seeds = config, env, seeds
        self.batch_size = env.batch_size
        self.t_env = 0
        self.episodes: list[EpisodeRecord] = []
        self.restarts = 0
        self.on_broken: Callable[[str], None] = lambda reason: None

    def setup(self, scheme: Scheme, groups: Groups, preprocess: Preprocess | None, mac: ActingMAC) -> None:
        """Allocate the batch (on the CPU, wherever the mac computes) and take the controller that acts."""
        self.mac = mac
        self.batch = EpisodeBatch(scheme, groups, self.batch_size, self.env.info.episode_limit + 1, preprocess)
        self._views = {key: self.batch.numpy(key) for key in self.batch.data}
        self._observations = [field.name for field in self.env.info.with_role("observation")]
        self._observed = [(self._views[key], vars(self.env.arrays)[key]) for key in self._observations]
        self._stores_probs = "probs" in scheme
        self._used_slots = np.zeros(self.batch_size, np.int64)

    def get_env_info(self) -> EnvInfo:
        """Return what the env says of itself."""
        return self.env.info

    def run(self, test_mode: bool = False, phase: Phase | None = None) -> EpisodeBatch:
        """Play one episode in each row. One that breaks (the game failed) is played once more, from its start.

        Args:
            test_mode: act greedily; t_env and the training episodes' seeds stay as they are.
            phase: whose seeds to use; by default "test" in test mode, else "train".

        Returns:
            The runner's own batch: valid until the next `run`, so copy what is to be kept. A truncated episode's
            last transition is not `terminated`. The slot after it holds the final observation.

        Raises:
            BrokenTooOften: an episode broke more than max_restarts times.
            EnvUserError: an episode did not end within the env's episode_limit.
        """
        drawn = self.seeds.state_dict()
        try:
            return self._run(self.seeds.draw(phase or ("test" if test_mode else "train"), self.batch_size), test_mode)
        except BaseException:
            self.seeds.load_state_dict(drawn)  # nothing of these episodes is kept
            raise

    def _run(self, seeds: NDArray[np.uint64], test_mode: bool) -> EpisodeBatch:
        """Play the episodes of these seeds [B]."""
        self.batch.set_lengths(np.full(self.batch_size, -1))
        lengths = np.zeros(self.batch_size, np.int64)
        returns = np.zeros((self.batch_size, self.env.info.n_rewards))
        stale, self._used_slots = self._used_slots, np.full(self.batch_size, self.batch.max_seq_length)
        rows = np.arange(self.batch_size)
        broke, rounds = np.zeros(self.batch_size, np.int64), 0  # times in a row; rounds in which any did
        while len(rows):
            self.mac.init_hidden(self.batch_size)
            with torch.no_grad():
                self._play(rows, seeds, lengths, returns, test_mode)
            rows = np.flatnonzero(self.env.arrays.broken)
            broke[~self.env.arrays.broken] = 0  # a row that was done may still lose its episode with its worker
            broke[rows] += 1
            stale[rows] = self.batch.max_seq_length  # a broken episode has left its steps in the batch
            lengths[rows], returns[rows] = 0, 0.0
            if len(rows):
                rounds += 1
                self._note_broken(rows, broke, rounds)
                time.sleep(min(self.pause_seconds * (2 ** min(rounds - 1, 10) - 1), LONGEST_PAUSE))
        self._used_slots = stale  # unless this run failed half-way
        self._clear_padding(lengths)
        self.batch.set_lengths(lengths)
        self.episodes = [
            EpisodeRecord(
                seed=int(seeds[row]),
                ret=float(returns[row].sum()),
                length=int(lengths[row]),
                truncated=bool(self.env.arrays.truncated[row]),
                info=numeric_info(self.env.episode_info(row)) | _agent_returns(returns[row]),
            )
            for row in range(self.batch_size)
        ]
        if not test_mode:
            self.t_env += int(lengths.sum())
        return self.batch

    def _note_broken(self, rows: NDArray[np.int64], broke: NDArray[np.int64], rounds: int) -> None:
        """Count that these rows' episodes broke, and tell.

        BrokenTooOften if one has broken more than max_restarts times in a row, `broke` [B], or if others break instead
        of it, in more rounds than would be the most if each had its own.
        """
        reasons = {row: f"row {row}: {self.env.episode_info(row)['broken']}" for row in rows.tolist()}
        self.restarts += len(reasons)
        for reason in reasons.values():
            self.on_broken(reason)
        for row, reason in reasons.items():
            if broke[row] > self.config.max_restarts or rounds > max(1, self.config.max_restarts) * self.batch_size:
                raise BrokenTooOften(
                    f"env {env_name(self.env)!r}: an episode could not be played to its end, with max_restarts="
                    f"{self.config.max_restarts}; the last time: {reason}"
                )

    def _clear_padding(self, lengths: NDArray[np.int64]) -> None:
        """Zero what earlier episodes left behind the ends of these. Each slot before them was written anew."""
        for key, view in self._views.items():
            used = lengths + (key in self._observations)  # which the slot after the last transition holds too
            for row in np.flatnonzero(used < self._used_slots):
                view[row, used[row] : self._used_slots[row]] = 0
        self._used_slots = lengths + 1

    def _play(
        self,
        rows: NDArray[np.int64],
        seeds: NDArray[np.uint64],
        lengths: NDArray[np.int64],
        returns: NDArray[np.float64],
        test_mode: bool,
    ) -> None:
        """Step these rows to the end of their episodes, or until they break; fills batch, lengths, returns [B, R]."""
        env, arrays, views = self.env, self.env.arrays, self._views
        rewards, ends = views["reward"], views["terminated"]
        actions = np.zeros((self.batch_size, env.info.n_agents), np.int64)
        env.reset(rows, seeds[rows])
        rows = rows[~arrays.broken[rows]]
        # As long as all rows run a slice does, which copies faster than an array of rows.
        index: Any = slice(None) if len(rows) == self.batch_size else rows
        for t in range(env.info.episode_limit if len(rows) else 0):
            self._record_observations(index, t)
            actions[index] = chosen = self._act(index, t, test_mode)
            views["actions"][index, t, :, 0] = chosen
            env.step(actions, rows)
            reward = arrays.reward[index]
            returns[index] += reward
            rewards[index, t] = reward
            ends[index, t, 0] = arrays.terminated[index]
            ended = arrays.terminated[index] | arrays.truncated[index]
            gone = ended | arrays.broken[index]
            if gone.any():
                lengths[rows[ended]] = t + 1
                self._record_observations(rows[ended], t + 1)
                rows = rows[~gone]
                index = rows
                if not len(rows):
                    return
        if not len(rows):
            return
        raise EnvUserError(
            f"env {env_name(env)!r}: an episode goes on after episode_limit={env.info.episode_limit} steps; "
            "let step end it, with info['episode_limit'] = True"
        )

    def _record_observations(self, index: Any, t: int) -> None:
        for view, array in self._observed:
            view[index, t] = array[index]

    def _act(self, index: Any, t: int, test_mode: bool) -> NDArray[np.int64]:
        """Return the running rows' actions, and store their probabilities if the scheme asks for them."""
        selected = self.mac.select_actions(self.batch, t_ep=t, t_env=self.t_env, bs=index, test_mode=test_mode)
        if not self._stores_probs:
            return _numpy(selected)
        actions, probs = selected
        self._views["probs"][index, t] = _numpy(probs)
        return _numpy(actions)

    def save_replay(
        self, directory: Path, rows: int | None = None, values: NDArray[np.float32] | None = None
    ) -> list[Path]:
        """Save a replay of what each row has played; see `BatchedEnv`. UserError if the env has no replays."""
        try:
            return self.env.save_replay(directory, rows, values)
        except NotImplementedError as error:
            raise UserError(f"env {env_name(self.env)!r} has no replays; run it without save_replay") from error

    def close_env(self) -> None:
        """Free what the env holds."""
        self.env.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the counters of env steps, episodes and restarts: all that the next run depends on, beside the mac."""
        return {"t_env": self.t_env, "episodes": self.seeds.state_dict(), "restarts": self.restarts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.t_env, self.restarts = state["t_env"], state["restarts"]
        self.seeds.load_state_dict(state["episodes"])


def _agent_returns(returns: NDArray[np.float64]) -> dict[str, float]:
    """Return each agent's own return out of returns [R], under EPyMARL's names; {} of a team's."""
    if len(returns) == 1:
        return {}
    return {f"agent_{agent}_return": float(value) for agent, value in enumerate(returns)}


def _numpy(tensor: Tensor) -> NDArray[Any]:
    return tensor.cpu().numpy()
