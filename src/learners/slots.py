"""The transitions of several batches together, slot of time by slot of time: for critics that make a step on each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.envs.specs import EnvInfo
from pymarl.utils.devices import upload


class Half(NamedTuple):
    """A batch to learn from.

    Attributes:
        batch: the episodes.
        targets: [B, T-1, 1].
        share: what the mean over its transitions counts in a loss, or None: each transition counts the same.
    """

    batch: EpisodeBatch
    targets: Tensor
    share: float | None


class Rows(NamedTuple):
    """What a critic learns of R transitions in one step.

    Attributes:
        inputs: [R, N, E], of the critic.
        actions: [R, N] int64, taken.
        state: [R, S].
        targets: [R, 1].
        weight: [R, 1], of the squared error.
    """

    inputs: Tensor
    actions: Tensor
    state: Tensor
    targets: Tensor
    weight: Tensor


def groups(
    halves: Sequence[Half], sees: Sequence[str], info: EnvInfo, device: torch.device, *, by_slot: bool
) -> Iterator[Rows]:
    """Yield what each step learns from: the transitions of each slot of all halves, or all there are at once."""
    numbers, parts = [], []
    for batch, targets, share in halves:
        index, slot = transitions_of(batch)
        group = slot if by_slot else np.zeros_like(slot)
        weight = np.ones(len(group)) if share is None else share / np.bincount(group)[group]
        inputs = packed_inputs(batch, sees, info, device).dense().unflatten(0, (-1, info.n_agents))
        of_slots = batch.packing.pack(F.pad(targets, (0, 0, 0, 1)))
        kept, rows = (
            (inputs, taken_actions(batch), batch.packed("state"), of_slots),
            upload(torch.tensor(index), device),
        )
        weights = upload(torch.tensor(weight[:, None], dtype=torch.float32), device)
        parts.append((*(tensor.index_select(0, rows) for tensor in kept), weights))
        numbers.append(group)
    together = np.concatenate(numbers)
    order = upload(torch.tensor(np.argsort(together, kind="stable")), device)
    sizes = np.bincount(together).tolist()
    columns = (torch.cat(column).index_select(0, order).split(sizes) for column in zip(*parts, strict=True))
    return (Rows(*group) for group in zip(*columns, strict=True))


def taken_actions(batch: EpisodeBatch) -> Tensor:
    """Return [P, N] int64."""
    return batch.packed("actions").squeeze(-1).long()


def transitions_of(batch: EpisodeBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the packed rows with a transition, and the slot of each, both [R] and rising.

    Those are the first rows of a slot, as many as the next slot has: the longest episodes come first.
    """
    counts = np.asarray([*batch.packing.counts, 0])
    slot = np.repeat(np.arange(len(counts) - 1), counts[:-1])
    before = np.cumsum(counts) - counts
    index = np.flatnonzero(np.arange(len(slot)) - before[slot] < counts[slot + 1])
    return index, slot[index]
