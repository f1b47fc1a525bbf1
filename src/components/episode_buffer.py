"""Replay of whole episodes, stored at their true length: uniform and prioritised."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme, stored_fields
from pymarl.utils.config import PositiveFloat, PositiveInt, Probability
from pymarl.utils.errors import UserError
from pymarl.utils.tensors import misfit

GIB = 2**30


class Sample(NamedTuple):
    """Episodes drawn from a buffer.

    Attributes:
        batch: the episodes, padded to the longest of them.
        indices: [B] where they lie in the buffer, for `update_priorities`.
        weights: [B] float importance weights, largest possible 1; None from a uniform buffer.
    """

    batch: EpisodeBatch
    indices: NDArray[np.int64]
    weights: Tensor | None


class ReplayBuffer:
    """A ring of the last `buffer_size` episodes, sampled uniformly without replacement.

    Memory is taken as episodes arrive, each at its own length; the bound for full-length episodes is checked first.

    Args:
        config: `buffer_size` in episodes, `buffer_max_gib` the largest bound that is accepted.
        scheme, groups, preprocess: as for EpisodeBatch.
        max_seq_length: episode_limit + 1.
        rng: draws the samples; its state is part of `state_dict`.
        device: where episodes are kept.
        pin_memory: sample into pinned memory, for asynchronous copies to a GPU.

    Raises:
        UserError: full-length episodes would need more than `buffer_max_gib`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        buffer_size: PositiveInt
        buffer_max_gib: PositiveFloat

    def __init__(
        self,
        config: Config,
        scheme: Scheme,
        groups: Groups,
        max_seq_length: int,
        preprocess: Preprocess | None,
        rng: np.random.Generator,
        device: torch.device | str = "cpu",
        pin_memory: bool = False,
    ) -> None:
        self.scheme, self.groups, self.preprocess = scheme, groups, preprocess
        self.buffer_size, self.max_seq_length = config.buffer_size, max_seq_length
        self.device = torch.device(device)
        self.fields = stored_fields(scheme, groups)
        self.episodes: list[dict[str, Tensor]] = []
        self.buffer_index = 0
        self._rng = rng
        self._pin_memory = pin_memory
        slot_bytes = sum(field.bytes_per_slot for field in self.fields.values())
        self.max_gib = self.buffer_size * max_seq_length * slot_bytes / GIB
        if self.max_gib > config.buffer_max_gib:
            raise UserError(
                f"buffer_size={self.buffer_size} episodes of {max_seq_length} slots need up to {self.max_gib:.1f} GiB, "
                f"more than buffer_max_gib={config.buffer_max_gib:g}; lower buffer_size or raise buffer_max_gib"
            )

    @property
    def episodes_in_buffer(self) -> int:
        """Episodes that can be sampled now."""
        return len(self.episodes)

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Copy every episode of a batch into the ring, over the oldest ones once it is full."""
        for row, length in enumerate(batch.lengths.tolist()):
            self._insert({key: batch.data[key][row, : length + 1].to(self.device, copy=True) for key in self.fields})

    def _insert(self, episode: dict[str, Tensor]) -> int:
        index = self.buffer_index
        if index == len(self.episodes):
            self.episodes.append(episode)
        else:
            self.episodes[index] = episode
        self.buffer_index = (index + 1) % self.buffer_size
        return index

    def can_sample(self, batch_size: int) -> bool:
        """Return whether `batch_size` episodes are there."""
        return len(self.episodes) >= batch_size

    def sample(self, batch_size: int, t_env: int) -> Sample:
        """Return `batch_size` different episodes. `t_env` (env steps so far) anneals a prioritised buffer's beta."""
        if len(self.episodes) == batch_size:
            indices = np.arange(batch_size)
        else:
            indices = self._rng.choice(len(self.episodes), batch_size, replace=False)
        return Sample(self._gather(indices), indices, None)

    def update_priorities(self, indices: NDArray[np.int64], priorities: Tensor) -> None:
        """Set the priorities of sampled episodes; a uniform buffer has none."""

    def _gather(self, indices: NDArray[np.int64]) -> EpisodeBatch:
        """Return the episodes as one batch padded with zeros to the longest."""
        episodes = [self.episodes[index] for index in indices]
        slots = [len(episode["reward"]) for episode in episodes]
        longest = max(slots)
        data = {}
        for key, field in self.fields.items():
            padded = torch.empty(
                len(episodes), longest, *field.shape,
                dtype=field.dtype, device=self.device, pin_memory=self._pin_memory,
            )  # fmt: skip
            for row, episode in enumerate(episodes):
                padded[row, : slots[row]] = episode[key]
                padded[row, slots[row] :] = 0
            data[key] = padded
        lengths = torch.tensor(slots) - 1
        return EpisodeBatch(
            self.scheme, self.groups, len(episodes), longest, self.preprocess, self.device, data, lengths
        )

    def state_dict(self) -> dict[str, Any]:
        """Return episodes (concatenated over time), ring position and RNG."""
        return {
            "episodes": {key: torch.cat([e[key] for e in self.episodes]) for key in self.fields}
            if self.episodes
            else {},
            "slots": torch.tensor([len(episode["reward"]) for episode in self.episodes]),
            "buffer_index": self.buffer_index,
            "rng": json.dumps(self._rng.bit_generator.state),
        }

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise ValueError if `load_state_dict` cannot take this; of the episodes only shapes and types are read."""
        slots = state.get("slots")
        if not isinstance(slots, Tensor) or slots.dtype != torch.int64 or slots.dim() != 1:
            raise ValueError("slots: expected a vector of int64")
        if problem := misfit({"episodes": {}, "slots": slots, "buffer_index": 0, "rng": ""}, state):
            raise ValueError(problem)
        count, index = len(slots), state["buffer_index"]
        if count > self.buffer_size or not all(0 < slot <= self.max_seq_length for slot in slots.tolist()):
            raise ValueError(
                f"slots: {count} episodes of {min(slots.tolist(), default=0)} to {max(slots.tolist(), default=0)} "
                f"slots, expected up to {self.buffer_size} of 1 to {self.max_seq_length}"
            )
        if not 0 <= index < self.buffer_size or (count < self.buffer_size and index != count):
            raise ValueError(f"buffer_index={index} with {count} of {self.buffer_size} episodes")
        if count:
            self._check_episodes(state["episodes"], int(slots.sum()))
        type(self._rng.bit_generator)().state = json.loads(state["rng"])

    def _check_episodes(self, episodes: dict[str, Any], slots: int) -> None:
        fields = {
            key: torch.empty(slots, *field.shape, dtype=field.dtype, device="meta")
            for key, field in self.fields.items()
        }
        if problem := misfit(fields, episodes, "episodes"):
            raise ValueError(problem)
        for key, field in self.fields.items():
            if episodes[key].dtype != field.dtype:
                raise ValueError(f"episodes.{key} is of {episodes[key].dtype}, expected {field.dtype}")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. ValueError if it is not of such a buffer."""
        self.check_state_dict(state)
        slots = state["slots"].tolist()
        parts = {key: tensor.split(slots) for key, tensor in state["episodes"].items()}
        self.episodes = [{key: parts[key][i].to(self.device, copy=True) for key in parts} for i in range(len(slots))]
        self.buffer_index = state["buffer_index"]
        self._rng.bit_generator.state = json.loads(state["rng"])


class PrioritizedReplayBuffer(ReplayBuffer):
    """Proportional prioritised replay over episodes (Schaul et al. 2016), with PyMARL2's keys.

    Episode i is drawn with probability p_i^alpha / sum p^alpha, one draw from each of `batch_size` equal strata.
    Its importance weight is (P(i) * size)^-beta over the largest such weight; beta rises from `per_beta` to 1 over
    `t_max` env steps. A new episode gets the largest priority seen so far.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(ReplayBuffer.Config):
        per_alpha: Probability
        per_beta: Probability
        t_max: PositiveInt

    def __init__(self, config: Config, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.alpha, self.beta_start, self.t_max = config.per_alpha, config.per_beta, config.t_max
        self.max_priority = 1.0
        self.priorities = np.zeros(self.buffer_size)  # p^alpha; 0 where no episode is

    def _insert(self, episode: dict[str, Tensor]) -> int:
        index = super()._insert(episode)
        self.priorities[index] = self.max_priority**self.alpha
        return index

    def beta(self, t_env: int) -> float:
        """Return the exponent of the importance weights after `t_env` env steps."""
        return min(1.0, self.beta_start + (1.0 - self.beta_start) * t_env / self.t_max)

    def sample(self, batch_size: int, t_env: int) -> Sample:
        """Return `batch_size` episodes (one may come twice) and their importance weights."""
        priorities = self.priorities[: len(self.episodes)]
        cumulative = np.cumsum(priorities)
        strata = (np.arange(batch_size) + self._rng.random(batch_size)) / batch_size
        indices = np.searchsorted(cumulative, strata * cumulative[-1], side="right").clip(max=len(priorities) - 1)
        weights = (priorities[indices] / priorities.min()) ** -self.beta(t_env)
        return Sample(self._gather(indices), indices, torch.from_numpy(weights).float())

    def update_priorities(self, indices: NDArray[np.int64], priorities: Tensor) -> None:
        """Set priorities: [B], not negative; a small constant keeps every episode reachable."""
        values = priorities.double().cpu().numpy() + 1e-6
        self.priorities[indices] = values**self.alpha
        self.max_priority = max(self.max_priority, float(values.max()))

    def state_dict(self) -> dict[str, Any]:
        """Return the ring and its priorities."""
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
        self.priorities[:] = state["priorities"].numpy()
        self.max_priority = state["max_priority"]
