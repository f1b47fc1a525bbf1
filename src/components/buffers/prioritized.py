"""Prioritised replay of whole episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from pymarl.components.buffers.buffer import Clock, Episode, Learned, Sample
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.utils.config import PositiveInt, Probability
from pymarl.utils.devices import Fetched
from pymarl.utils.tensors import misfit


class PrioritizedReplayBuffer(ReplayBuffer):
    """Proportional prioritised replay over episodes (Schaul et al. 2016), with PyMARL2's keys.

    Episode i is drawn with probability p_i^alpha / sum p^alpha, one draw from each of `batch_size` equal strata.
    Its importance weight is (P(i) * size)^-beta over the largest such weight; beta rises from `per_beta` to 1 over
    `t_max` env steps. A new episode gets the largest priority seen so far.
    """

    needs_priorities = True

    @dataclass(frozen=True, kw_only=True)
    class Config(ReplayBuffer.Config):
        """Keys of prioritized; see config/default.yaml."""

        per_alpha: Probability
        per_beta: Probability
        t_max: PositiveInt

    def __init__(self, config: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.alpha, self.beta_start, self.t_max = config.per_alpha, config.per_beta, config.t_max
        self.max_priority = 1.0
        self.priorities = np.zeros(self.buffer_size)  # p^alpha; 0 where no episode is
        self._told: tuple[Any, Fetched] | None = None  # indices and priorities of a feedback yet to be heeded

    def insert(self, episode: Episode) -> int:
        """Put an episode into the ring, with the largest priority so far, and return where."""
        self._heed()
        index = super().insert(episode)
        self.priorities[index] = self.max_priority**self.alpha
        return index

    def beta(self, t_env: int) -> float:
        """Return the exponent of the importance weights after `t_env` env steps."""
        return min(1.0, self.beta_start + (1.0 - self.beta_start) * t_env / self.t_max)

    def sample(self, count: int, clock: Clock) -> Sample:
        """Return `count` episodes (one may come twice) and their importance weights."""
        self._heed()
        priorities = self.priorities[: len(self.episodes)]
        cumulative = np.cumsum(priorities)
        strata = (np.arange(count) + self.rng.random(count)) / count
        indices = np.searchsorted(cumulative, strata * cumulative[-1], side="right").clip(max=len(priorities) - 1)
        weights = (priorities[indices] / priorities.min()) ** -self.beta(clock.t_env)
        batch = self.gather([self.episodes[index] for index in indices])
        return Sample(batch=batch, indices=indices, weights=torch.from_numpy(weights).float())

    def feedback(self, sample: Sample, learned: Learned) -> None:
        """Set the priorities of a sample's episodes; a small constant keeps every episode reachable.

        What a GPU has to say is awaited when the priorities are next needed.
        """
        assert learned.priorities is not None, "the learner says that it gives them"
        self._told = (sample.indices, Fetched(learned.priorities.double()))
        if learned.priorities.is_cpu:
            self._heed()

    def _heed(self) -> None:
        """Set the priorities of the last feedback, if that has not been done."""
        told, self._told = self._told, None
        if told is not None:
            values = told[1].get().numpy() + 1e-6
            self.priorities[told[0]] = values**self.alpha
            self.max_priority = max(self.max_priority, float(values.max()))

    def state_dict(self) -> dict[str, Any]:
        """Return the ring and its priorities."""
        self._heed()
        return super().state_dict() | {
            "priorities": torch.from_numpy(self.priorities.copy()),
            "max_priority": self.max_priority,
        }

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise ValueError if `load_state_dict` cannot take this."""
        super().check_state_dict({key: state[key] for key in state if key not in {"priorities", "max_priority"}})
        own = {"priorities": torch.from_numpy(self.priorities), "max_priority": 1.0}
        if problem := misfit(own, {key: state[key] for key in own if key in state}):
            raise ValueError(problem)
        priorities, count = state["priorities"], len(state["slots"])
        if not (priorities.isfinite().all() and (priorities[:count] > 0).all() and (priorities[count:] == 0).all()):
            raise ValueError("priorities: expected a positive one for each episode and 0 elsewhere")
        if not 0 < state["max_priority"] < float("inf"):
            raise ValueError(f"max_priority={state['max_priority']}: expected a positive number")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. ValueError if it is not of such a buffer."""
        super().load_state_dict(state)
        self._told = None
        self.priorities[:] = state["priorities"].numpy()
        self.max_priority = state["max_priority"]
