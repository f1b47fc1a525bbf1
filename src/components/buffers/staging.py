"""How episodes go to a GPU: joined without padding, one copy for each field, and padded there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def join(parts: Sequence[Tensor], *, const: bool, pinned: bool = False) -> Tensor:
    """Return a field of some episodes as one tensor.

    Args:
        parts: [slots, ...] of each episode, or [...] of what is constant over an episode.
        const: it is that.
        pinned: write it to pinned memory, from where a GPU fetches it by itself.

    Returns:
        [slots of all, ...], or [episodes, ...].
    """
    together = torch.stack if const else torch.cat
    if not pinned:
        return together(list(parts))
    shape = (len(parts), *parts[0].shape) if const else (sum(map(len, parts)), *parts[0].shape[1:])
    return together(list(parts), out=torch.empty(shape, dtype=parts[0].dtype, pin_memory=True))


def places(slots: Sequence[int]) -> Tensor:
    """Return [sum of slots] int64, where each joined slot stands in the padded layout [B, T]: b * T + t."""
    return torch.from_numpy(np.flatnonzero(np.arange(max(slots)) < np.asarray(slots)[:, None]))


def pad(joined: Tensor, where: Tensor, size: int, slots: int) -> Tensor:
    """Return [size, slots, ...] of joined slots that belong at `where`, with zeros in the padding."""
    padded = joined.new_zeros(size * slots, *joined.shape[1:])
    return padded.index_copy_(0, where, joined).unflatten(0, (size, slots))
