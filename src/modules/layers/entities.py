"""Entities of an observation: which places are theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pymarl.envs.specs import Block, EntityLayout, block_slices

KINDS = ("enemies", "allies")
"""Blocks whose entries are entities."""


class Seen(NamedTuple):
    """Observations taken apart.

    Attributes:
        own: [R, D], what is of no entity.
        entities: block -> [R, count, width].
        heals: [R] bool, whose targets are allies; None where there are no healers.
    """

    own: Tensor
    entities: Mapping[str, Tensor]
    heals: Tensor | None


class EntityView:
    """Takes observations apart along an env's layout.

    Attributes:
        kinds: block -> the block, of those whose entries are entities.
        own: D.
    """

    def __init__(self, layout: EntityLayout) -> None:
        self._places = block_slices(layout.obs)
        self._healers = layout.healers
        self.kinds: dict[str, Block] = {block.name: block for block in layout.obs if block.name in KINDS}
        self._own = [self._places[block.name] for block in layout.obs if block.name not in KINDS]
        self.own = sum(place.stop - place.start for place in self._own)

    def __call__(self, obs: Tensor) -> Seen:
        """Return what observations [R, O] hold."""
        own = torch.cat([obs[:, place] for place in self._own] or [obs[:, :0]], dim=1)
        entities = {
            name: obs[:, self._places[name]].unflatten(1, (block.count, block.width))
            for name, block in self.kinds.items()
        }
        marks = [obs[:, place] != 0 for place in self._healers]
        return Seen(own, entities, torch.stack(marks).any(0) if marks else None)


def by_number(of_others: Tensor, numbers: Tensor, targets: int) -> Tensor:
    """Return [R, targets], what is said of agent 0, 1, ...; 0 of oneself and where there is no agent.

    Args:
        of_others: [R, N - 1], of all agents but oneself, in order.
        numbers: [R] int64, one's own number.
        targets: how many are wanted.
    """
    k = torch.arange(targets, device=numbers.device)
    own = numbers.unsqueeze(1)  # [R, 1]
    nobody = of_others.shape[1]
    place = torch.where((k == own) | (k > nobody), nobody, k - (k > own).long())  # [R, targets]
    return F.pad(of_others, (0, 1)).gather(1, place)
