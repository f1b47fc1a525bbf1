"""The newest episodes together with a replayed batch: for methods that learn on-policy and off-policy (DOP, RIIT)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pymarl.components.buffers.buffer import Buffer, Clock, Sample
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.utils.config import PositiveFloat, PositiveInt
from pymarl.utils.errors import UserError
from pymarl.utils.tensors import misfit


class OnOffBuffer(Buffer):
    """A ring of the last `off_buffer_size` episodes. Each collect makes one sample: its newest `batch_size` episodes.

    Those are what was just collected, all of it, and where that is fewer than batch_size the newest from before: with
    batch_size at batch_size_run each episode is on-policy and given once, as of a rollout. Beside them a sample carries
    `off_batch_size` episodes of the whole ring; `Sample.replayed` is None until there are enough.

    Raises:
        UserError: full-length episodes would need more than `buffer_max_gib`, or a sample more than there will be.
    """

    gives = "on_off"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of on_off: batch_size newest episodes make a sample, the rest is in the class's docstring."""

        batch_size: PositiveInt
        buffer_max_gib: PositiveFloat
        off_batch_size: PositiveInt
        off_buffer_size: PositiveInt

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        for key in ("batch_size", "off_batch_size"):
            if getattr(config, key) > config.off_buffer_size:
                raise UserError(
                    f"{key}={getattr(config, key)} episodes can never be drawn from off_buffer_size="
                    f"{config.off_buffer_size}; raise off_buffer_size or lower {key}"
                )
        ring = ReplayBuffer.Config(
            batch_size=config.off_batch_size, buffer_size=config.off_buffer_size, buffer_max_gib=config.buffer_max_gib,
            updates_per_collect=1, accumulated_episodes=None,
        )  # fmt: skip
        self.ring = ReplayBuffer(ring, *args, **kwargs)
        self.collected = 0  # episodes in the last collect

    @property
    def describe(self) -> str:
        """What a sample is, and the ring."""
        c = self.config
        return f"The newest {c.batch_size} episodes, beside {c.off_batch_size} of a ring; {self.ring.describe}"

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Keep a copy of every episode."""
        self.ring.insert_episode_batch(batch)
        self.collected = min(batch.batch_size, self.config.off_buffer_size)

    def samples(self, clock: Clock) -> Iterator[Sample]:
        """Yield the newest episodes once there are batch_size of them, with a replayed batch."""
        count = max(self.config.batch_size, self.collected)
        if len(self.ring.episodes) >= count:
            enough = len(self.ring.episodes) >= self.config.off_batch_size
            replayed = self.ring.sample(self.config.off_batch_size, clock).batch if enough else None
            yield Sample(batch=self.gather(self.ring.newest(count)), replayed=replayed)

    def state_dict(self) -> dict[str, Any]:
        """Return the ring."""
        return {"ring": self.ring.state_dict()}

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise ValueError if `load_state_dict` cannot take this."""
        if problem := misfit({"ring": {}}, state):
            raise ValueError(problem)
        self.ring.check_state_dict(state["ring"])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. ValueError if it is not of such a buffer."""
        self.check_state_dict(state)
        self.ring.load_state_dict(state["ring"])
