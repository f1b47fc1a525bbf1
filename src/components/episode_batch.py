"""Batches of episodes: PyMARL's scheme, groups and preprocess over padded tensors with known lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pymarl.components.transforms import Transform
from pymarl.utils.devices import upload

Scheme = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, int]
Preprocess = Mapping[str, tuple[str, Sequence[Transform]]]


class Transitions(NamedTuple):
    """The steps of a batch, without the slot that only holds an episode's last observation.

    Attributes:
        actions: [B, T-1, N, 1] int64.
        reward: [B, T-1, R] float; R is 1 for a team reward, N for one per agent.
        terminated: [B, T-1, 1] float in {0, 1}; 1 only in a true terminal state.
        mask: [B, T-1, 1] float in {0, 1}; 1 where a transition was recorded.
    """

    actions: Tensor
    reward: Tensor
    terminated: Tensor
    mask: Tensor


class Packing:
    """Time-major order of a batch's filled slots: first slot 0 of every episode, longest first, then slot 1, ...

    In this order the episodes that are active at slot t are the first `counts[t]` ones, so that a recurrent network
    runs over contiguous rows and padding is never computed.

    Args:
        slots: [B] filled slots of each episode (transitions + 1), on the CPU.
        max_slots: T of the padded layout.
        device: where the data to pack is.

    Attributes:
        counts: T ints, episodes active at each slot, never increasing; 0 past the longest episode.
        order: [B] int64, episodes by falling length (ties in batch order).
        index: [P] int64, position b * T + t of each packed slot in the padded layout; P = sum(counts).
    """

    def __init__(self, slots: Tensor, max_slots: int, device: torch.device) -> None:
        lengths = slots.numpy()
        order = np.argsort(-lengths, kind="stable")
        active = lengths[order][None, :] > np.arange(max_slots)[:, None]  # [T, B]
        time, rank = np.nonzero(active)
        self.batch_size, self.max_slots = len(lengths), max_slots
        self.counts: list[int] = active.sum(1).tolist()
        self.order = upload(torch.from_numpy(order), device)
        self.index = upload(torch.from_numpy(order[rank] * max_slots + time), device)

    def pack(self, padded: Tensor) -> Tensor:
        """Return [P, ...] of a padded [B, T, ...]."""
        return padded.flatten(0, 1).index_select(0, self.index)

    def unpack(self, packed: Tensor) -> Tensor:
        """Return [B, T, ...] of a packed [P, ...], with zeros (and no gradient) in the padding."""
        padded = packed.new_zeros(self.batch_size * self.max_slots, *packed.shape[1:])
        return padded.index_copy(0, self.index, packed).unflatten(0, (self.batch_size, self.max_slots))


@dataclass(frozen=True)
class Field:
    """One stored entry of a scheme: the shape of one slot and its type; `const` has one slot for a whole episode."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    const: bool = False

    def bytes_of(self, slots: int) -> int:
        """Size of an episode of so many slots in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize * (1 if self.const else slots)


def smallest_integer(largest: int) -> torch.dtype:
    """Return the smallest integer type that holds 0 .. largest."""
    for dtype in (torch.uint8, torch.int16, torch.int32):
        if largest <= torch.iinfo(dtype).max:
            return dtype
    return torch.int64


def stored_fields(scheme: Scheme, groups: Groups) -> dict[str, Field]:
    """Return how each entry of a scheme is stored.

    `vshape` is the shape of one entry, `group` says whose property it is (N of them are kept), `dtype` its type,
    `episode_const` that it has one value for a whole episode.
    """
    fields = {}
    for key, entry in scheme.items():
        vshape = entry["vshape"]
        shape = (vshape,) if isinstance(vshape, int) else tuple(vshape)
        if "group" in entry:
            if entry["group"] not in groups:
                raise ValueError(f"scheme[{key!r}]: group {entry['group']!r} is not one of {sorted(groups)}")
            shape = (groups[entry["group"]], *shape)
        fields[key] = Field(shape, entry.get("dtype", torch.float32), entry.get("episode_const", False))
    return fields


class EpisodeBatch:
    """B episodes padded to T slots. Slot t holds what was seen at step t and the action, reward and end that followed.

    An episode with L transitions fills L + 1 slots: the last one holds its final observation and no transition, so no
    action either. Whoever bootstraps there from the value of an action needs `Learner.with_last_actions`.

    Args:
        scheme: {key: {"vshape", "group", "dtype", "episode_const"}}, PyMARL's.
        groups: {"agents": N}.
        batch_size: B.
        max_seq_length: T, at most episode_limit + 1.
        preprocess: {key: (new key, transforms)}; the new key is computed when it is read and never stored.
        device: where the tensors live.
        data: the stored tensors, if they exist already.
        lengths: [B] their transitions.

    Attributes:
        derived: what others made of the data and will want again (a network's inputs); gone when slots are written.
    """

    def __init__(
        self,
        scheme: Scheme,
        groups: Groups,
        batch_size: int,
        max_seq_length: int,
        preprocess: Preprocess | None = None,
        device: torch.device | str = "cpu",
        data: dict[str, Tensor] | None = None,
        lengths: Tensor | None = None,
    ) -> None:
        self.scheme, self.groups, self.preprocess = scheme, groups, preprocess or {}
        self.batch_size, self.max_seq_length = batch_size, max_seq_length
        self.device = torch.device(device)
        self.fields = stored_fields(scheme, groups)
        self.data = data if data is not None else self._zeros()
        self.derived: dict[Any, Any] = {}
        self._lengths = torch.full((batch_size,), -1) if lengths is None else lengths

    def _zeros(self) -> dict[str, Tensor]:
        lead = {True: (self.batch_size,), False: (self.batch_size, self.max_seq_length)}
        return {
            key: torch.zeros(*lead[field.const], *field.shape, dtype=field.dtype, device=self.device)
            for key, field in self.fields.items()
        }

    @property
    def n_agents(self) -> int:
        """N."""
        return self.groups["agents"]

    @property
    def lengths(self) -> Tensor:
        """[B] int64 on the CPU: transitions recorded in each episode; -1 where nothing is filled."""
        return self._lengths

    def set_lengths(self, lengths: Tensor | NDArray[np.int64]) -> None:
        """Say how many transitions each episode holds; what lies behind them is padding."""
        self._lengths = torch.as_tensor(lengths, dtype=torch.int64).clone()
        self.derived.clear()
        self.__dict__.pop("packing", None)

    @cached_property
    def packing(self) -> Packing:
        """The time-major order of the filled slots."""
        return Packing(self._lengths + 1, self.max_seq_length, self.device)

    def packed(self, key: str) -> Tensor:
        """Return [P, ...], a field's filled slots in the order of `packing`; packed once, until slots are written."""
        if ("packed", key) not in self.derived:
            self.derived["packed", key] = self.packing.pack(self[key])
        packed: Tensor = self.derived["packed", key]
        return packed

    def packed_actions(self) -> Tensor:
        """Return [P, N] int64, the actions taken; of no meaning in an episode's last slot."""
        return self.packed("actions").squeeze(-1).long()

    def numpy(self, key: str) -> NDArray[Any]:
        """Return a writable NumPy view of a stored field of a CPU batch."""
        return self.data[key].numpy()

    def __getitem__(self, item: Any) -> Any:
        """Return a field by its key, or the batch of some rows and slots (`batch[rows]`, `batch[rows, slots]`)."""
        if isinstance(item, str):
            return self._field(item)
        rows, times = item if isinstance(item, tuple) else (item, slice(None))
        rows = slice(rows, rows + 1) if isinstance(rows, int) else rows
        times = slice(times, times + 1) if isinstance(times, int) else times
        if not isinstance(times, slice) or times.step not in (None, 1):
            raise IndexError("slots must be one contiguous slice")
        start, stop, _ = times.indices(self.max_seq_length)
        if start and any(field.const for field in self.fields.values()):
            raise IndexError("a piece without its first slots has not begun with what it says")
        lengths = (self._lengths[rows] - start).clamp(-1, stop - start - 1)
        if self.device.type != "cpu" and not isinstance(rows, slice):
            rows = upload(torch.arange(self.batch_size)[rows], self.device)
        data = {
            key: tensor[rows] if self.fields[key].const else tensor[rows, times] for key, tensor in self.data.items()
        }
        return EpisodeBatch(
            self.scheme, self.groups, len(lengths), stop - start, self.preprocess, self.device, data, lengths
        )

    def _field(self, key: str) -> Tensor:
        if key in self.data:
            return self.data[key]
        if key == "filled":
            time = torch.arange(self.max_seq_length)
            return upload((time <= self._lengths[:, None]).unsqueeze(-1), self.device)  # [B, T, 1]
        for source, (derived, transforms) in self.preprocess.items():
            if derived == key:
                tensor = self.data[source]
                for transform in transforms:
                    tensor = transform.transform(tensor)
                return tensor
        raise KeyError(f"no field {key!r} in this batch; it has {sorted(self.data)}")

    def update(
        self, data: Mapping[str, Any], bs: Any = slice(None), ts: Any = slice(None), *, mark_filled: bool = True
    ) -> None:
        """Write slots, as PyMARL's call does.

        Args:
            data: {key: array or tensor}, shaped like the rows and slots it replaces.
            bs: rows, a slice, list or array.
            ts: slots, an int or slice.
            mark_filled: the slots up to here now hold observations.
        """
        slots = slice(ts, ts + 1) if isinstance(ts, int) else ts
        for key, value in data.items():
            where = bs if self.fields[key].const else (bs, slots)
            target = self.data[key][where]
            array = np.asarray(value) if isinstance(value, (list, tuple)) else value
            tensor = torch.as_tensor(array, device=self.device).to(target.dtype)
            self.data[key][where] = tensor.reshape(target.shape)
        self.derived.clear()
        if mark_filled:
            last = slots.indices(self.max_seq_length)[1] - 1
            lengths = self._lengths.clone()
            lengths[bs] = lengths[bs].clamp(min=last)
            self.set_lengths(lengths)

    def with_last_actions(self, actions: Tensor) -> EpisodeBatch:
        """Return this batch with `actions` [B, N] in the last slot of each episode; all else is shared."""
        stored = self.data["actions"].clone()
        rows = torch.arange(self.batch_size, device=self.device)
        stored[rows, upload(self._lengths, self.device), :, 0] = actions.to(stored)
        return self.replaced(actions=stored)

    def replaced(self, **data: Tensor) -> EpisodeBatch:
        """Return this batch with other tensors in place of some stored ones; all else is shared."""
        return EpisodeBatch(
            self.scheme, self.groups, self.batch_size, self.max_seq_length, self.preprocess, self.device,
            {**self.data, **data}, self._lengths,
        )  # fmt: skip

    def transitions(self) -> Transitions:
        """Return actions, reward, terminated and mask of the steps: the one place where the last slot is cut off."""
        steps = self.max_seq_length - 1
        mask = (torch.arange(steps) < self._lengths[:, None]).unsqueeze(-1).float()
        return Transitions(
            self.data["actions"][:, :-1].long(),
            self.data["reward"][:, :-1],
            self.data["terminated"][:, :-1].float(),
            upload(mask, self.device),
        )

    def to(self, device: torch.device | str) -> EpisodeBatch:
        """Return this batch on a device; copies to a GPU are not waited for."""
        if torch.device(device) == self.device:
            return self
        data = {key: upload(tensor, torch.device(device)) for key, tensor in self.data.items()}
        return EpisodeBatch(
            self.scheme, self.groups, self.batch_size, self.max_seq_length, self.preprocess, device, data, self._lengths
        )

    def __repr__(self) -> str:
        return f"EpisodeBatch(episodes={self.batch_size}, slots={self.max_seq_length}, keys={sorted(self.data)})"
