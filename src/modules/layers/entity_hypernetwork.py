"""Hypernetworks of entities, as HPN has them (Hao et al., ICLR 2023).

An entity x is read with weights that a hypernetwork makes of x itself, and what is read of all entities is added up;
the value of an action that aims at it is made likewise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Merger(nn.Module):
    """Makes heads one: their mean with learned weights that sum to 1; one head stays as it is."""

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, heads, width)) if heads > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., width] for [..., heads, width]."""
        return x.squeeze(-2) if self.weight is None else (x * self.weight[0].softmax(0)).sum(-2)


class EntityHypernetwork(nn.Sequential):
    """Writes the weights with which entities of one kind are read, and those of the values of aiming at them.

    Args:
        width: F, features of an entity.
        hyper: width of the hidden layer.
        hidden: H, width of the agent's state, and of what is read.
        heads: K; each is a whole set of weights.
        aimed: actions aim at these entities.
    """

    def __init__(self, width: int, hyper: int, hidden: int, heads: int, *, aimed: bool) -> None:
        self.sizes = (width, heads, hidden)
        self.reads, self.aims = width * heads * hidden, (hidden + 1) * heads if aimed else 0
        super().__init__(nn.Linear(width, hyper), nn.ReLU(), nn.Linear(hyper, self.reads + self.aims))

    def read(self, entities: Tensor, written: Tensor) -> Tensor:
        """Return [R, K, H], what is read of all entities [R, M, F] with the weights that this has written for them."""
        width, heads, hidden = self.sizes
        weights = written[..., : self.reads].unflatten(-1, (width, heads * hidden))
        return (entities.unsqueeze(-2) @ weights).sum((1, 2)).unflatten(-1, (heads, hidden))

    def aimed(self, state: Tensor, written: Tensor) -> Tensor:
        """Return [R, M, K], the values of aiming at each entity in a state [R, H]."""
        _, heads, hidden = self.sizes
        weights, bias = written[..., self.reads :].split([hidden * heads, heads], dim=-1)
        return torch.einsum("rh,rmhk->rmk", state, weights.unflatten(-1, (hidden, heads))) + bias
