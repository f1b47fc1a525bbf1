"""What several collectors have played as one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pymarl.components.episode_batch import EpisodeBatch, Groups, Preprocess, Scheme
from pymarl.runners.collector import Played
from pymarl.runners.player import EpisodeRecord


def join(
    parts: Sequence[Played], recorded: tuple[Scheme, Groups, Preprocess | None]
) -> tuple[EpisodeBatch, list[EpisodeRecord]]:
    """Return a batch of its own, padded to the longest row, and the records.

    Whole episodes come in the order of their numbers, each collector's first one, then each one's second; pieces come
    collector by collector.

    Args:
        parts: what each has played, in the order of their shares.
        recorded: scheme, groups and preprocess of the batch.
    """
    pieces = "start_hidden" in parts[0].data
    counts = [len(part.lengths) for part in parts]
    rows = _places(counts, in_turns=not pieces)
    lengths = np.zeros(sum(counts), np.int64)
    for at, part in zip(rows, parts, strict=True):
        lengths[at] = part.lengths
    scheme, groups, preprocess = recorded
    own = {key: entry for key, entry in scheme.items() if key in parts[0].data}
    slots = max(part.data["reward"].shape[1] for part in parts)
    batch = EpisodeBatch(own, groups, len(lengths), slots, preprocess)
    for key, tensor in batch.data.items():
        array, const = tensor.numpy(), batch.fields[key].const
        for at, part in zip(rows, parts, strict=True):
            given = part.data[key]
            if const:
                array[at] = given
            else:
                array[at, : given.shape[1]] = given
    batch.set_lengths(lengths)
    episodes = [part.episodes for part in parts]
    if pieces:
        return batch, [record for of_part in episodes for record in of_part]
    return batch, [record for in_turn in zip(*episodes, strict=True) for record in in_turn]


def _places(counts: Sequence[int], *, in_turns: bool) -> list[slice]:
    """Return which rows of the whole each part's are: one after the other, or each part's first, then each's second."""
    if in_turns:
        return [slice(number, None, len(counts)) for number in range(len(counts))]
    ends = np.cumsum(counts).tolist()
    return [slice(end - length, end) for end, length in zip(ends, counts, strict=True)]
