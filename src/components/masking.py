"""The one way to take unavailable actions out of the running."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_unavailable(values: Tensor, avail_actions: Tensor) -> Tensor:
    """Return `values` with -inf where an action is not available, for a max, an argmax or a softmax over actions.

    Args:
        values: [..., A] float, Q-values or logits.
        avail_actions: [..., A] bool.

    Returns:
        [..., A], a new tensor. A row without any available action is -inf throughout, so its softmax is NaN and its
        max is -inf: it shows instead of passing for a choice.
    """
    return torch.where(avail_actions, values, -float("inf"))
