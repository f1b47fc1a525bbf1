"""Replay of whole episodes, stored at their true length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pymarl.components.buffers.buffer import Buffer, Clock, Episode, Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.utils.config import PositiveFloat, PositiveInt
from pymarl.utils.errors import UserError
from pymarl.utils.tensors import misfit


class ReplayBuffer(Buffer):
    """A ring of the last `buffer_size` episodes, sampled uniformly without replacement.

    Memory is taken as episodes arrive, each at its own length; the bound for full-length episodes is checked first.

    Raises:
        UserError: full-length episodes would need more than `buffer_max_gib`, or a sample more than there will be.
    """

    gives = "replay"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of replay; see config/default.yaml."""

        batch_size: PositiveInt
        buffer_size: PositiveInt
        buffer_max_gib: PositiveFloat
        updates_per_collect: PositiveInt
        accumulated_episodes: PositiveInt | None

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.buffer_size = config.buffer_size
        self.episodes: list[Episode] = []
        self.buffer_index = 0
        gib = self.gib(self.buffer_size)
        if gib > config.buffer_max_gib:
            raise UserError(
                f"buffer_size={self.buffer_size} episodes of {self.max_seq_length} slots need up to {gib:.1f} GiB, "
                f"more than buffer_max_gib={config.buffer_max_gib:g}; lower buffer_size or raise buffer_max_gib"
            )
        if config.batch_size > self.buffer_size:
            raise UserError(
                f"batch_size={config.batch_size} episodes can never be drawn from buffer_size={self.buffer_size}; "
                f"raise buffer_size or lower batch_size"
            )

    @property
    def describe(self) -> str:
        """Size and largest memory."""
        return f"Replay buffer: {self.buffer_size} episodes, at most {self.gib(self.buffer_size):.2f} GiB"

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Copy every episode of a batch into the ring, over the oldest ones once it is full."""
        for episode in self.cut(batch):
            self.insert(episode)

    def insert(self, episode: Episode) -> int:
        """Put an episode into the ring and return where."""
        index = self.buffer_index
        if index == len(self.episodes):
            self.episodes.append(episode)
        else:
            self.episodes[index] = episode
        self.buffer_index = (index + 1) % self.buffer_size
        return index

    def samples(self, clock: Clock) -> Iterator[Sample]:
        """Yield updates_per_collect random samples; none while there are too few episodes, or where updates wait."""
        every = self.config.accumulated_episodes
        if len(self.episodes) >= self.config.batch_size and (every is None or clock.episodes % every == 0):
            for _ in range(self.config.updates_per_collect):
                yield self.sample(self.config.batch_size, clock)

    def sample(self, count: int, clock: Clock) -> Sample:
        """Return `count` different episodes."""
        if len(self.episodes) == count:
            indices = np.arange(count)
        else:
            indices = self.rng.choice(len(self.episodes), count, replace=False)
        return Sample(batch=self.gather([self.episodes[index] for index in indices]), indices=indices)

    def newest(self, count: int) -> list[Episode]:
        """Return the last `count` episodes, the newest last; there have to be so many."""
        return [self.episodes[self.buffer_index - back] for back in range(count, 0, -1)]

    def state_dict(self) -> dict[str, Any]:
        """Return episodes, ring position and RNG."""
        return self.episodes_state(self.episodes) | {
            "buffer_index": self.buffer_index,
            "rng": json.dumps(self.rng.bit_generator.state),
        }

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise ValueError if `load_state_dict` cannot take this; of the episodes only shapes and types are read."""
        self.check_episodes(state, self.buffer_size)
        if problem := misfit({"episodes": {}, "slots": state["slots"], "buffer_index": 0, "rng": ""}, state):
            raise ValueError(problem)
        count, index = len(state["slots"]), state["buffer_index"]
        if not 0 <= index < self.buffer_size or (count < self.buffer_size and index != count):
            raise ValueError(f"buffer_index={index} with {count} of {self.buffer_size} episodes")
        type(self.rng.bit_generator)().state = json.loads(state["rng"])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. ValueError if it is not of such a buffer."""
        self.check_state_dict(state)
        self.episodes = self.episodes_of(state)
        self.buffer_index = state["buffer_index"]
        self.rng.bit_generator.state = json.loads(state["rng"])
