"""Running mean and variance of what a learner sees, as part of its state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningStats(nn.Module):
    """Exponentially weighted mean and variance of numbers, without the bias of the start (PopArt, MAPPO).

    Args:
        shape: of one number's statistics, () for a scalar.
        decay: weight of the past in each update, in [0, 1).
        eps: smallest variance that is divided by.
    """

    def __init__(self, shape: tuple[int, ...] = (), *, decay: float = 0.99999, eps: float = 1e-2) -> None:
        super().__init__()
        self.decay, self.eps = decay, eps
        self.mean_sum: Tensor
        self.square_sum: Tensor
        self.weight: Tensor
        self.register_buffer("mean_sum", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("square_sum", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, values: Tensor, mask: Tensor) -> None:
        """Take numbers in.

        Args:
            values: [..., *shape].
            mask: [...] (or broadcastable to it) in {0, 1}; others do not count.
        """
        lead = values.dim() - self.mean_sum.dim()
        axes = tuple(range(lead))
        weights = mask.expand(values.shape[:lead]).double().reshape(*values.shape[:lead], *[1] * self.mean_sum.dim())
        count = weights.sum().clamp(min=1)
        clean = torch.where(weights > 0, values.double(), 0.0)
        self.mean_sum.mul_(self.decay).add_((1 - self.decay) * clean.sum(axes) / count)
        self.square_sum.mul_(self.decay).add_((1 - self.decay) * clean.pow(2).sum(axes) / count)
        self.weight.mul_(self.decay).add_(1 - self.decay)

    @property
    def mean(self) -> Tensor:
        """The mean so far, [*shape]; 0 before the first update."""
        return (self.mean_sum / self.weight.clamp(min=1e-12)).float()

    @property
    def std(self) -> Tensor:
        """The standard deviation so far, [*shape], at least sqrt(eps); 1 before the first update."""
        weight = self.weight.clamp(min=1e-12)
        variance = self.square_sum / weight - (self.mean_sum / weight) ** 2
        return torch.where(self.weight > 0, variance.clamp(min=self.eps).sqrt(), 1.0).float()

    def normalise(self, values: Tensor) -> Tensor:
        """Return values as multiples of the deviation from the mean."""
        return (values - self.mean) / self.std

    def denormalise(self, values: Tensor) -> Tensor:
        """Undo `normalise`."""
        return values * self.std + self.mean
