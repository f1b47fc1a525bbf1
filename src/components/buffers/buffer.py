"""What every buffer is: episodes in, samples to learn from out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme, stored_fields
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
        """Return the sample with its batches on a device."""
        replayed = None if self.replayed is None else self.replayed.to(device)
        return Sample(batch=self.batch.to(device), indices=self.indices, weights=self.weights, replayed=replayed)


class Learned(Protocol):
    """What a buffer reads of a learner's result."""

    @property
    def priorities(self) -> Tensor | None:
        """[B] of the sample's episodes, not negative."""


class Buffer:
    """Base of all buffers.

    Args:
        config: the subclass's Config.
        scheme, groups, preprocess: as for EpisodeBatch.
        max_seq_length: slots of the longest episode (or piece).
        rng: source of all draws; its state is part of `state_dict`.
        device: where episodes are kept.
        pin_memory: sample into pinned memory, for asynchronous copies to a GPU.

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
        pin_memory: bool = False,
    ) -> None:
        self.config, self.scheme, self.groups, self.preprocess = config, scheme, groups, preprocess
        self.max_seq_length, self.device, self.pin_memory = max_seq_length, torch.device(device), pin_memory
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
        """Yield a copy of each episode of a batch, at its true length."""
        for row, length in enumerate(batch.lengths.tolist()):
            yield {
                key: (batch.data[key][row] if field.const else batch.data[key][row, : length + 1]).to(
                    self.device, copy=True
                )
                for key, field in self.fields.items()
            }

    def gather(self, episodes: Sequence[Episode]) -> EpisodeBatch:
        """Return episodes as one batch, padded with zeros to the longest."""
        slots = [slots_of(episode) for episode in episodes]
        longest = max(slots)
        data = {}
        for key, field in self.fields.items():
            parts = [episode[key] for episode in episodes]
            data[key] = torch.stack(parts) if field.const else pad_sequence(parts, batch_first=True)
            if self.pin_memory:
                data[key] = data[key].pin_memory()
        lengths = torch.tensor(slots) - 1
        return EpisodeBatch(
            self.scheme, self.groups, len(episodes), longest, self.preprocess, self.device, data, lengths
        )

    def episodes_state(self, episodes: Sequence[Episode]) -> dict[str, Any]:
        """Return episodes as few large tensors: concatenated over time."""
        join = {key: torch.stack if field.const else torch.cat for key, field in self.fields.items()}
        together = {key: join[key]([episode[key] for episode in episodes]) for key in self.fields} if episodes else {}
        return {
            "episodes": together,
            "slots": torch.tensor([slots_of(episode) for episode in episodes], dtype=torch.int64),
        }

    def episodes_of(self, state: dict[str, Any]) -> list[Episode]:
        """Return the episodes of an `episodes_state`."""
        slots = state["slots"].tolist()
        parts = {
            key: tensor.unbind() if self.fields[key].const else tensor.split(slots)
            for key, tensor in state["episodes"].items()
        }
        return [{key: parts[key][i].to(self.device, copy=True) for key in parts} for i in range(len(slots))]

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
        if not count:
            return
        lead = {True: count, False: int(slots.sum())}
        fields = {
            key: torch.empty(lead[field.const], *field.shape, dtype=field.dtype, device="meta")
            for key, field in self.fields.items()
        }
        if problem := misfit(fields, state.get("episodes"), "episodes"):
            raise ValueError(problem)
        for key, field in self.fields.items():
            if state["episodes"][key].dtype != field.dtype:
                raise ValueError(f"episodes.{key} is of {state['episodes'][key].dtype}, expected {field.dtype}")


def slots_of(episode: Episode) -> int:
    """Return how many slots an episode fills."""
    return len(episode["reward"])
