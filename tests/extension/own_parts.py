"""A buffer that forgets at random what it has, and a runner that counts its calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymarl.components.buffers.buffer import Episode
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.runners.parallel_runner import ParallelRunner
from pymarl.utils.config import Probability


class ForgetfulBuffer(ReplayBuffer):
    @dataclass(frozen=True, kw_only=True)
    class Config(ReplayBuffer.Config):
        forget: Probability

    def insert(self, episode: Episode) -> int:
        if len(self.episodes) == self.buffer_size and self.rng.random() < self.config.forget:
            self.buffer_index = int(self.rng.integers(self.buffer_size))
        return super().insert(episode)


class CountingRunner(ParallelRunner):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls = 0

    def run(self, test_mode: bool = False, phase: Any = None) -> EpisodeBatch:
        self.calls += 1
        return super().run(test_mode, phase)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"calls": self.calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.calls = state["calls"]
