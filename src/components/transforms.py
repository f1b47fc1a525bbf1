"""Transforms that an EpisodeBatch applies to a stored field (the scheme's `preprocess`)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Transform(Protocol):
    """Turns a stored field into a derived one."""

    def transform(self, tensor: Tensor) -> Tensor:
        """Return the derived field of a stored one, with the same leading sizes."""


class OneHot:
    """One-hot of an integer field: [..., 1] -> [..., out_dim] float."""

    def __init__(self, out_dim: int) -> None:
        self.out_dim = out_dim

    def transform(self, tensor: Tensor) -> Tensor:
        """Return the one-hot of `tensor`, whose last size is 1."""
        onehot = torch.zeros(*tensor.shape[:-1], self.out_dim, device=tensor.device)
        return onehot.scatter_(-1, tensor.long(), 1.0)
