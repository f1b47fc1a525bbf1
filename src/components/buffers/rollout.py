"""What was just collected, once: for methods that learn from their present policy's episodes alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymarl.components.buffers.buffer import Buffer, Clock, Episode, Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.utils.config import PositiveFloat, PositiveInt
from pymarl.utils.errors import UserError
from pymarl.utils.tensors import misfit


class RolloutBuffer(Buffer):
    """Keeps episodes (or pieces) until there are `batch_size` of them, gives all as one sample and forgets them.

    Raises:
        UserError: batch_size full-length episodes would need more than `buffer_max_gib`.
    """

    gives = "rollout"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of rollout; see config/default.yaml."""

        batch_size: PositiveInt
        buffer_max_gib: PositiveFloat

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.episodes: list[Episode] = []
        gib = self.gib(config.batch_size)
        if gib > config.buffer_max_gib:
            raise UserError(
                f"batch_size={config.batch_size} episodes of {self.max_seq_length} slots need up to {gib:.1f} GiB, "
                f"more than buffer_max_gib={config.buffer_max_gib:g}; lower batch_size or raise buffer_max_gib"
            )

    @property
    def describe(self) -> str:
        """How many episodes make a sample."""
        return f"Rollout buffer: learns from new ones, {self.config.batch_size} episodes or pieces, and forgets them"

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Keep a copy of every episode of a batch."""
        self.episodes += self.cut(batch)

    def samples(self, clock: Clock) -> Iterator[Sample]:
        """Yield all episodes once there are batch_size of them, and forget them."""
        if len(self.episodes) >= self.config.batch_size:
            episodes, self.episodes = self.episodes, []
            yield Sample(batch=self.gather(episodes))

    def state_dict(self) -> dict[str, Any]:
        """Return the episodes that wait."""
        return self.episodes_state(self.episodes)

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise ValueError if `load_state_dict` cannot take this; of the episodes only shapes and types are read."""
        self.check_episodes(state, self.config.batch_size - 1)
        if problem := misfit({"episodes": {}, "slots": state["slots"]}, state):
            raise ValueError(problem)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. ValueError if it is not of such a buffer."""
        self.check_state_dict(state)
        self.episodes = self.episodes_of(state)
