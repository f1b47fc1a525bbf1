"""What every runner does: play one episode in each row of a batched env and record it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from envs.adapter import EnvArgs, numeric_info
from envs.batched import env_name, make_batched_env
from envs.multiagentenv import BatchedEnv, EnvInfo
from runners.seeds import EpisodeSeeds, Phase
from utils.config import PositiveInt
from utils.errors import UserError

OBSERVATIONS = ("obs", "state", "avail_actions")
"""What the slot after the last transition holds too."""


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
        ret: undiscounted sum of the team's rewards, in env units.
        length: env steps.
        truncated: only the clock ended it.
        info: the numbers in the last step's info.
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
    """

    in_process: ClassVar[bool]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        batch_size_run: PositiveInt
        env_workers: PositiveInt | None

    @classmethod
    def make_env(cls, config: Config, env: str, env_args: EnvArgs, seed: int, origin: Mapping[str, str]) -> BatchedEnv:
        """Return the env that this runner drives; see `make_batched_env`."""
        return make_batched_env(env, env_args, config.batch_size_run, seed, origin, cls.in_process, config.env_workers)

    def __init__(self, env: BatchedEnv, seeds: EpisodeSeeds) -> None:
        self.env, self.seeds = env, seeds
        self.batch_size = env.batch_size
        self.t_env = 0
        self.episodes: list[EpisodeRecord] = []

    def setup(self, scheme: Scheme, groups: Groups, preprocess: Preprocess | None, mac: ActingMAC) -> None:
        """Allocate the batch (on the CPU, wherever the mac computes) and take the controller that acts."""
        self.mac = mac
        self.batch = EpisodeBatch(scheme, groups, self.batch_size, self.env.info.episode_limit + 1, preprocess)
        self._views = {key: self.batch.numpy(key) for key in self.batch.data}
        self._observed = [(self._views[key], vars(self.env.arrays)[key]) for key in OBSERVATIONS]
        self._stores_probs = "probs" in scheme
        self._used_slots = np.zeros(self.batch_size, np.int64)

    def get_env_info(self) -> EnvInfo:
        """Return what the env says of itself."""
        return self.env.info

    def run(self, test_mode: bool = False, phase: Phase | None = None) -> EpisodeBatch:
        """Play one episode in each row.

        Args:
            test_mode: act greedily; t_env and the training episodes' seeds stay as they are.
            phase: whose seeds to use; by default "test" in test mode, else "train".

        Returns:
            The runner's own batch: valid until the next `run`, so copy what is to be kept. A truncated episode's
            last transition is not `terminated`. The slot after it holds the final observation.

        Raises:
            UserError: an episode did not end within the env's episode_limit.
        """
        seeds = self.seeds.draw(phase or ("test" if test_mode else "train"), self.batch_size)
        self.mac.init_hidden(self.batch_size)
        self.batch.set_lengths(np.full(self.batch_size, -1))
        lengths = np.zeros(self.batch_size, np.int64)
        returns = np.zeros(self.batch_size)
        stale, self._used_slots = self._used_slots, np.full(self.batch_size, self.batch.max_seq_length)
        with torch.no_grad():
            self._play(seeds, lengths, returns, test_mode)
        self._used_slots = stale  # unless this run failed half-way
        self._clear_padding(lengths)
        self.batch.set_lengths(lengths)
        self.episodes = [
            EpisodeRecord(
                seed=int(seeds[row]),
                ret=float(returns[row]),
                length=int(lengths[row]),
                truncated=bool(self.env.arrays.truncated[row]),
                info=numeric_info(self.env.episode_info(row)),
            )
            for row in range(self.batch_size)
        ]
        if not test_mode:
            self.t_env += int(lengths.sum())
        return self.batch

    def _clear_padding(self, lengths: NDArray[np.int64]) -> None:
        """Zero what earlier episodes left behind the ends of these. Each slot before them was written anew."""
        for key, view in self._views.items():
            used = lengths + (key in OBSERVATIONS)
            for row in np.flatnonzero(used < self._used_slots):
                view[row, used[row] : self._used_slots[row]] = 0
        self._used_slots = lengths + 1

    def _play(
        self, seeds: NDArray[np.uint64], lengths: NDArray[np.int64], returns: NDArray[np.float64], test_mode: bool
    ) -> None:
        """Step all rows to the end of their episodes; fills the batch, `lengths` and `returns`."""
        env, arrays, views = self.env, self.env.arrays, self._views
        rewards, ends = views["reward"], views["terminated"]
        actions = np.zeros((self.batch_size, env.info.n_agents), np.int64)
        rows = np.arange(self.batch_size)
        index: Any = slice(None)  # as long as all rows run: a slice copies faster than an array of rows
        env.reset(rows, seeds)
        for t in range(env.info.episode_limit):
            self._record_observations(index, t)
            actions[index] = chosen = self._act(index, t, test_mode)
            views["actions"][index, t, :, 0] = chosen
            env.step(actions, rows)
            reward = arrays.reward[index]
            returns[index] += reward
            rewards[index, t, 0] = reward
            ends[index, t, 0] = arrays.terminated[index]
            ended = arrays.terminated[index] | arrays.truncated[index]
            if ended.any():
                lengths[rows[ended]] = t + 1
                self._record_observations(rows[ended], t + 1)
                rows = rows[~ended]
                index = rows
                if not len(rows):
                    return
        raise UserError(
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

    def save_replay(self, directory: Path, values: NDArray[np.float32] | None = None) -> list[Path]:
        """Save a replay of what each row has played; see `BatchedEnv`. UserError if the env has no replays."""
        try:
            return self.env.save_replay(directory, values)
        except NotImplementedError as error:
            raise UserError(f"env {env_name(self.env)!r} has no replays; run it without save_replay") from error

    def close_env(self) -> None:
        """Free what the env holds."""
        self.env.close()

    def state_dict(self) -> dict[str, Any]:
        """Return t_env and the episode counters: all that the next episode depends on, beside the mac."""
        return {"t_env": self.t_env, "episodes": self.seeds.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.t_env = state["t_env"]
        self.seeds.load_state_dict(state["episodes"])


def _numpy(tensor: Tensor) -> NDArray[Any]:
    return tensor.cpu().numpy()
