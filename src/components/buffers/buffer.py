"""What every buffer is: episodes in, samples to learn from out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pymarl.components.buffers.staging import join, pad, places
from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme, stored_fields
from pymarl.utils.compiled import kernels
from pymarl.utils.devices import upload
from pymarl.utils.tensors import misfit

GIB = 2**30

Episode = dict[str, Tensor]
"""One episode: {key: [slots, ...], or [...] of what is constant over an episode}."""

Uses = Literal["replay", "rollout", "on_off"]
"""What a sample holds: episodes drawn from many collects, those just collected, or both."""


class Clock(NamedTuple):
    """Where training stands when samples are asked for.

    Attributes:
        t_env: env steps so far.
        episodes: training episodes so far, those just collected included.
    """

    t_env: int
    episodes: int


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Episodes (or pieces of them) to learn from.

    Attributes:
        batch: padded to the longest of them.
        indices: [B] where they lie in the buffer, for `feedback`; None from a buffer that does not draw.
        weights: [B] float importance weights, largest possible 1; None: all equal.
        replayed: of an on_off buffer, a second batch, drawn from all that was collected lately.
    """

    batch: EpisodeBatch
    indices: NDArray[np.int64] | None = None
    weights: Tensor | None = None
    replayed: EpisodeBatch | None = None

    def to(self, device: torch.device | str) -> Sample:
        """Return the sample with its batches and weights on a device."""
        replayed = None if self.replayed is None else self.replayed.to(device)
        weights = None if self.weights is None else upload(self.weights, torch.device(device))
        return Sample(batch=self.batch.to(device), indices=self.indices, weights=weights, replayed=replayed)


class Learned(Protocol):
    """What a buffer reads of a learner's result."""

    @property
    def priorities(self) -> Tensor | None:
        """[B] of the sample's episodes, not negative."""


class Buffer:
    """Base of all buffers. Scheme, groups and preprocess are those of EpisodeBatch.

    Args:
        config: the subclass's Config.
        max_seq_length: slots of the longest episode (or piece).
        rng: source of all draws; its state is part of `state_dict`.
        device: where episodes are kept.
        sample_device: where samples are wanted; `device` unless given. The copies to a GPU are queued, not waited for.

    Attributes:
        gives: what its samples hold; a learner says what it trains on.
        needs_priorities: it needs a learner that gives them.
    """

    gives: ClassVar[Uses]
    needs_priorities: ClassVar[bool] = False

    def __init__(
        self,
        config: Any,
        scheme: Scheme,
        groups: Groups,
        max_seq_length: int,
        preprocess: Preprocess | None,
        rng: np.random.Generator,
        device: torch.device | str = "cpu",
        sample_device: torch.device | str | None = None,
    ) -> None:
        self.config, self.scheme, self.groups, self.preprocess = config, scheme, groups, preprocess
        self.max_seq_length, self.device = max_seq_length, torch.device(device)
        self.sample_device = self.device if sample_device is None else torch.device(sample_device)
        self.rng = rng
        self.fields = stored_fields(scheme, groups)

    def gib(self, episodes: int) -> float:
        """Return the memory of so many full-length episodes, GiB."""
        per_episode = sum(field.bytes_of(self.max_seq_length) for field in self.fields.values())
        return episodes * per_episode / GIB

    @property
    def describe(self) -> str:
        """What it is and at most takes, for the log."""
        raise NotImplementedError

    def insert_episode_batch(self, batch: EpisodeBatch) -> None:
        """Take what was collected. The batch is the runner's own, so copy what is to be kept."""
        raise NotImplementedError

    def samples(self, clock: Clock) -> Iterator[Sample]:
        """Yield what there is to learn from after this collect, which may be nothing.

        Between two samples the caller gives `feedback` on the first.
        """
        raise NotImplementedError

    def feedback(self, sample: Sample, learned: Learned) -> None:
        """Hear what came of learning from a sample."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that later samples depend on."""
        raise NotImplementedError

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise ValueError if `load_state_dict` cannot take this."""
        raise NotImplementedError

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken. ValueError if it is not of such a buffer."""
        raise NotImplementedError

    def cut(self, batch: EpisodeBatch) -> Iterator[Episode]:
        """Yield a copy of each episode of a batch, at its true length, on `device`."""
        slots = (batch.lengths + 1).tolist()
        episodes = (
            {
                key: batch.data[key][row] if field.const else batch.data[key][row, :count]
                for key, field in self.fields.items()
            }
            for row, count in enumerate(slots)
        )
        if self.device.type == "cpu":
            yield from ({key: view.clone() for key, view in episode.items()} for episode in episodes)
        elif slots:
            # One copy for each field: a collect's episodes share their memory until the last of them is replaced.
            joined = self._joined(list(episodes), pinned=self.device.type == "cuda")
            yield from self._parts({key: upload(tensor, self.device) for key, tensor in joined.items()}, slots)

    def gather(self, episodes: Sequence[Episode]) -> EpisodeBatch:
        """Return episodes as one batch on `sample_device`, padded with zeros to the longest."""
        slots = [slots_of(episode) for episode in episodes]
        data = self._pad(episodes, slots) if self.sample_device.type == "cpu" else self._pad_there(episodes, slots)
        lengths = torch.tensor(slots) - 1
        return EpisodeBatch(
            self.scheme, self.groups, len(episodes), max(slots), self.preprocess, self.sample_device, data, lengths
        )

    def _pad(self, episodes: Sequence[Episode], slots: list[int]) -> dict[str, Tensor]:
        parts = {key: [episode[key] for episode in episodes] for key in self.fields}
        data = {key: torch.stack(parts[key]) for key, field in self.fields.items() if field.const}
        moving = [key for key in self.fields if key not in data]
        if kernels is not None and self.device.type == "cpu":
            return data | dict(zip(moving, kernels.pad([parts[key] for key in moving], slots), strict=True))
        return data | {key: pad_sequence(parts[key], batch_first=True) for key in moving}

    def _pad_there(self, episodes: Sequence[Episode], slots: list[int]) -> dict[str, Tensor]:
        """The same on a GPU, to which only what the episodes hold is copied, if they are not there already."""
        pinned = self.device.type == "cpu" and self.sample_device.type == "cuda"
        where = upload(places(slots), self.sample_device)
        data = {}
        for key, tensor in self._joined(episodes, pinned=pinned).items():
            there = upload(tensor, self.sample_device)
            data[key] = there if self.fields[key].const else pad(there, where, len(slots), max(slots))
        return data

    def _joined(self, episodes: Sequence[Episode], *, pinned: bool = False) -> dict[str, Tensor]:
        """Return each field of at least one episode as one tensor; see `join`."""
        return {
            key: join([episode[key] for episode in episodes], const=field.const, pinned=pinned)
            for key, field in self.fields.items()
        }

    def _parts(self, joined: Mapping[str, Tensor], slots: list[int]) -> list[Episode]:
        """Return the episodes of what `_joined` returned, as views."""
        parts = {
            key: tensor.unbind() if self.fields[key].const else tensor.split(slots) for key, tensor in joined.items()
        }
        return [{key: parts[key][i] for key in parts} for i in range(len(slots))]

    def episodes_state(self, episodes: Sequence[Episode]) -> dict[str, Any]:
        """Return {key: [tensor of each episode]}, on the CPU, and their slots.

        They are the tensors that are stored, not copies: a buffer may be half of the memory there is.
        """
        slots = [slots_of(episode) for episode in episodes]
        if self.device.type != "cpu" and slots:
            joined = {key: tensor.cpu() for key, tensor in self._joined(episodes).items()}
            episodes = self._parts(joined, slots)
        return {
            "episodes": {key: [episode[key] for episode in episodes] for key in self.fields},
            "slots": torch.tensor(slots, dtype=torch.int64),
        }

    def episodes_of(self, state: dict[str, Any]) -> list[Episode]:
        """Return the episodes of an `episodes_state`."""
        return [
            {key: parts[number].to(self.device, copy=True) for key, parts in state["episodes"].items()}
            for number in range(len(state["slots"]))
        ]

    def check_episodes(self, state: dict[str, Any], most: int) -> None:
        """Raise ValueError if this is no `episodes_state` of at most so many; only shapes and types are read."""
        slots = state.get("slots")
        if not isinstance(slots, Tensor) or slots.dtype != torch.int64 or slots.dim() != 1:
            raise ValueError("slots: expected a vector of int64")
        count = len(slots)
        if count > most or not all(0 < slot <= self.max_seq_length for slot in slots.tolist()):
            raise ValueError(
                f"slots: {count} episodes of {min(slots.tolist(), default=0)} to {max(slots.tolist(), default=0)} "
                f"slots, expected up to {most} of 1 to {self.max_seq_length}"
            )
        if problem := misfit({key: [] for key in self.fields}, state.get("episodes"), "episodes"):
            raise ValueError(problem)
        for key, field in self.fields.items():
            parts = state["episodes"][key]
            if len(parts) != count:
                raise ValueError(f"episodes.{key}: {len(parts)} of {count} episodes")
            for number, (part, of_part) in enumerate(zip(parts, slots.tolist(), strict=True)):
                shape = field.shape if field.const else (of_part, *field.shape)
                own = torch.empty(shape, dtype=field.dtype, device="meta")
                if problem := misfit(own, part, f"episodes.{key}[{number}]"):
                    raise ValueError(problem)
                if part.dtype != field.dtype:
                    raise ValueError(f"episodes.{key}[{number}] is of {part.dtype}, expected {field.dtype}")


def slots_of(episode: Episode) -> int:
    """Return how many slots an episode fills."""
    return len(episode["reward"])
