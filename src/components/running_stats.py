"""Running mean and variance of what a learner sees, as part of its state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Stats(nn.Module):
    """Base of running statistics: a subclass says how they follow what it takes in, and keeps them in buffers.

    Args:
        shape: of one number's statistics, () for a scalar.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    @torch.no_grad()
    def update(self, values: Tensor, mask: Tensor) -> None:
        """Take numbers in.

        Args:
            values: [..., *shape].
            mask: [...] (or broadcastable to it) in {0, 1}; others do not count.
        """
        lead = values.shape[: values.dim() - len(self.shape)]
        weights = mask.expand(lead).double().reshape(-1, *[1] * len(self.shape))
        self._take(torch.where(weights > 0, values.double().reshape(-1, *self.shape), 0.0), weights)

    def _take(self, values: Tensor, weights: Tensor) -> None:
        """Take in numbers [M, *shape], 0 where `weights` [M, 1, ...] in {0, 1} say that they do not count."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The mean so far, [*shape] float64; 0 before the first update."""
        raise NotImplementedError

    @property
    def std(self) -> Tensor:
        """The standard deviation so far, [*shape] float64, never 0; 1 before the first update."""
        raise NotImplementedError

    def normalise(self, values: Tensor) -> Tensor:
        """Return values as multiples of the deviation from the mean."""
        return ((values - self.mean) / self.std).to(values.dtype)

    def denormalise(self, values: Tensor) -> Tensor:
        """Undo `normalise`."""
        return (values * self.std + self.mean).to(values.dtype)


class RunningStats(Stats):
    """Exponentially weighted mean and variance of numbers, without the bias of the start (PopArt, MAPPO).

    Args:
        shape: of one number's statistics, () for a scalar.
        decay: weight of the past in each update, in [0, 1).
        eps: smallest variance that is divided by.
    """

    def __init__(self, shape: tuple[int, ...] = (), *, decay: float = 0.99999, eps: float = 1e-2) -> None:
        super().__init__(shape)
        self.decay, self.eps = decay, eps
        self.mean_sum: Tensor
        self.square_sum: Tensor
        self.weight: Tensor
        self.register_buffer("mean_sum", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("square_sum", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros((), dtype=torch.float64))

    def _take(self, values: Tensor, weights: Tensor) -> None:
        count = weights.sum().clamp(min=1)
        self.mean_sum.mul_(self.decay).add_((1 - self.decay) * values.sum(0) / count)
        self.square_sum.mul_(self.decay).add_((1 - self.decay) * values.pow(2).sum(0) / count)
        self.weight.mul_(self.decay).add_(1 - self.decay)

    @property
    def mean(self) -> Tensor:
        """See Stats."""
        return self.mean_sum / self.weight.clamp(min=1e-12)

    @property
    def std(self) -> Tensor:
        """See Stats; at least sqrt(eps)."""
        weight = self.weight.clamp(min=1e-12)
        variance = self.square_sum / weight - (self.mean_sum / weight) ** 2
        return torch.where(self.weight > 0, variance.clamp(min=self.eps).sqrt(), 1.0)


class TotalStats(Stats):
    """Mean and variance of all numbers so far, each of equal weight, as EPyMARL standardises rewards and returns.

    They begin as if 1e-4 numbers of mean 0 and variance 1 had been seen; batches are merged by Chan et al. 1979, each
    with its unbiased variance, of a single number 0. Constants have a deviation of sqrt(eps).

    Args:
        shape: of one number's statistics, () for a scalar.
        eps: smallest variance that is divided by: beyond what rewards differ by, not beyond rounding.
    """

    def __init__(self, shape: tuple[int, ...] = (), *, eps: float = 1e-12) -> None:
        super().__init__(shape)
        self.eps = eps
        self.so_far: Tensor
        self.variance: Tensor
        self.count: Tensor
        self.register_buffer("so_far", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(shape, dtype=torch.float64))
        self.register_buffer("count", torch.tensor(1e-4, dtype=torch.float64))

    def _take(self, values: Tensor, weights: Tensor) -> None:
        new = weights.sum()
        mean = values.sum(0) / new.clamp(min=1)
        variance = ((values - mean).pow(2) * weights).sum(0) / (new - 1).clamp(min=1)
        total, delta = self.count + new, mean - self.so_far
        squares = self.variance * self.count + variance * new + delta.pow(2) * self.count * new / total
        self.variance.copy_(squares / total)
        self.so_far.add_(delta * new / total)
        self.count.copy_(total)

    @property
    def mean(self) -> Tensor:
        """See Stats."""
        return self.so_far

    @property
    def std(self) -> Tensor:
        """See Stats; at least sqrt(eps)."""
        return self.variance.clamp(min=self.eps).sqrt()
