"""The transitions of several batches, slot of time by slot of time: for critics that make a step on each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.learners.values import packed_steps
from pymarl.modules.inputs import Inputs


class SlotRows(NamedTuple):
    """What a critic learns of P packed slots of a batch.

    Attributes:
        inputs: of the critic, P * N rows.
        actions: [P, N] int64, taken.
        state: [P, S].
        targets: [P, 1].
        mask: [P, 1] in {0, 1}, 1 where there is a transition.
        share: what the mean over the transitions counts in a loss, or None: each transition counts the same.
    """

    inputs: Inputs
    actions: Tensor
    state: Tensor
    targets: Tensor
    mask: Tensor
    share: float | None

    @classmethod
    def of(cls, batch: EpisodeBatch, inputs: Inputs, targets: Tensor, share: float | None) -> SlotRows:
        """Return all slots of a batch, whose critic sees `inputs` and learns `targets` [B, T-1, 1]."""
        learned, mask = packed_steps(batch, targets), packed_steps(batch, batch.transitions().mask)
        return cls(inputs, batch.packed_actions(), batch.packed("state"), learned, mask, share)

    @property
    def weights(self) -> Tensor:
        """[P, 1], of the squared errors."""
        return self.mask if self.share is None else self.mask * (self.share / self.mask.sum())

    def part(self, rows: slice) -> SlotRows:
        """Return some of them, as views."""
        n = self.actions.shape[1]
        return SlotRows(
            self.inputs.rows(slice(rows.start * n, rows.stop * n)), self.actions[rows], self.state[rows],
            self.targets[rows], self.mask[rows], self.share,
        )  # fmt: skip


def by_slot(batches: Sequence[EpisodeBatch], rows: Sequence[SlotRows]) -> Iterator[list[SlotRows]]:
    """Yield the rows of each slot with a transition, of all batches that have one there."""
    slots = [slots_of(batch) for batch in batches]
    for t in range(max(map(len, slots))):
        yield [each.part(own[t]) for each, own in zip(rows, slots, strict=True) if t < len(own)]


def slots_of(batch: EpisodeBatch) -> list[slice]:
    """Return the packed rows with a transition, slot by slot: those that go on come first in a slot."""
    counts = batch.packing.counts
    starts = [0, *accumulate(counts)]
    return [slice(start, start + count) for start, count in zip(starts, counts[1:], strict=False) if count]
