"""What was just collected together with a replayed batch: for methods whose critic learns off-policy as well (DOP)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymarl.components.buffers.buffer import Buffer, Clock, Sample
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.components.buffers.rollout import RolloutBuffer
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.utils.config import PositiveFloat, PositiveInt
from pymarl.utils.tensors import misfit


class OnOffBuffer(Buffer):
    """Rollout and replay side by side: each sample of what was collected carries `off_batch_size` replayed episodes.

    Those come from a ring of the last `off_buffer_size` episodes; `Sample.replayed` is None until there are enough.
    """

    gives = "on_off"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of on_off: batch_size episodes make a sample, the rest is in the class's docstring."""

        batch_size: PositiveInt
        buffer_max_gib: PositiveFloat
        off_batch_size: PositiveInt
        off_buffer_size: PositiveInt

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.fresh = RolloutBuffer(config, *args, **kwargs)
        ring = ReplayBuffer.Config(
            batch_size=config.off_batch_size, buffer_size=config.off_buffer_size, buffer_max_gib=config.buffer_max_gib,
            updates_per_collect=1, accumulated_episodes=None,
        )  # fmt: skip
        self.ring = ReplayBuffer(ring, *args, **kwargs)

    @property
    def describe(self) -> str:
        """Both halves."""
        return f"{self.fresh.describe}, beside {self.config.off_batch_size} of a ring; {self.ring.describe}"

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Keep a copy of every episode in either half."""
        self.fresh.insert_episode_batch(batch)
        self.ring.insert_episode_batch(batch)

    def samples(self, clock: Clock) -> Iterator[Sample]:
        """Yield what was collected once there are batch_size episodes, with a replayed batch."""
        for sample in self.fresh.samples(clock):
            enough = len(self.ring.episodes) >= self.config.off_batch_size
            replayed = self.ring.sample(self.config.off_batch_size, clock).batch if enough else None
            yield dataclasses.replace(sample, replayed=replayed)

    def state_dict(self) -> dict[str, Any]:
        """Return both halves."""
        return {"fresh": self.fresh.state_dict(), "ring": self.ring.state_dict()}

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise ValueError if `load_state_dict` cannot take this."""
        if problem := misfit({"fresh": {}, "ring": {}}, state):
            raise ValueError(problem)
        self.fresh.check_state_dict(state["fresh"])
        self.ring.check_state_dict(state["ring"])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. ValueError if it is not of such a buffer."""
        self.check_state_dict(state)
        self.fresh.load_state_dict(state["fresh"])
        self.ring.load_state_dict(state["ring"])
