"""Statistics of few runs: aggregates over seeds and scenarios, and how sure of them one may be.

Scores are arrays [..., N, M]: N runs on each of M scenarios; leading axes, such as the tests of a curve, are kept.
Formulas are those of Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (NeurIPS
2021, arXiv:2108.13264), whose package rliable gives the same numbers; which of them to report, and that scores be
normalised per scenario, is from Gorsane et al., "Towards a Standardised Performance Evaluation Protocol for
Cooperative MARL" (NeurIPS 2022, arXiv:2209.10485).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Array], Array]
"""Of scores [..., N, M] to [...]."""

LEVEL = 0.95
RESAMPLES = 2000
FEW_SEEDS = 5
BLOCK = 4_000_000
"""Most numbers that are resampled at once, 32 MB."""


def mean(scores: Array) -> Array:
    """Return the mean over runs and scenarios."""
    return np.asarray(scores.mean((-2, -1)))


def median(scores: Array) -> Array:
    """Return the median over scenarios of the mean over runs; over one scenario it is the mean."""
    return np.asarray(np.median(scores.mean(-2), axis=-1))


def median_run(scores: Array) -> Array:
    """Return the median over all runs, which on one scenario is what SMAC's figures show (Samvelyan et al. 2019)."""
    return np.asarray(np.median(_flat(scores), axis=-1))


def interquartile_mean(scores: Array) -> Array:
    """Return the mean of the middle half of all runs: floor(N M / 4) are left out at either end."""
    ordered = np.sort(_flat(scores), axis=-1)
    cut = ordered.shape[-1] // 4
    return np.asarray(ordered[..., cut : ordered.shape[-1] - cut].mean(-1))


def optimality_gap(scores: Array, optimum: float = 1.0) -> Array:
    """Return by how much runs fall short of the optimum, on average; what is above it does not make up for it."""
    return optimum - np.minimum(scores, optimum).mean((-2, -1))


def performance_profile(scores: Array, thresholds: ArrayLike) -> Array:
    """Return the fraction [..., T] of runs with a score above each of T thresholds: the run-score distribution."""
    ordered = np.sort(_flat(scores), axis=-1)
    return np.stack([(ordered > tau).mean(-1) for tau in np.asarray(thresholds, np.float64)], axis=-1)


def probability_of_improvement(x: Array, y: Array) -> Array:
    """Return how likely a run of X is better than one of Y on a scenario, averaged over scenarios.

    Of all pairs of runs the share in which X's score is higher, a tie counting half (Mann and Whitney's U).

    Args:
        x: [..., N, M].
        y: [..., L, M].
    """
    a, b = x[..., :, None, :], y[..., None, :, :]
    return np.asarray(((a > b) + 0.5 * (a == b)).mean((-3, -2, -1)))


def _flat(scores: Array) -> Array:
    return scores.reshape(*scores.shape[:-2], -1)


def resample(scores: Array, statistic: Statistic, rng: np.random.Generator, resamples: int = RESAMPLES) -> Array:
    """Return a statistic [R, ...] of R stratified bootstrap samples of scores [..., N, M].

    Each scenario's runs are drawn with replacement for themselves (strata); along leading axes they are the same runs.
    """
    return _resample([scores], lambda drawn: statistic(drawn[0]), rng, resamples)


def resample_pair(
    x: Array, y: Array, statistic: Callable[[Array, Array], Array], rng: np.random.Generator, resamples: int = RESAMPLES
) -> Array:
    """Return a statistic [R, ...] of R stratified bootstrap samples of both X and Y, drawn independently."""
    return _resample([x, y], lambda drawn: statistic(*drawn), rng, resamples)


def _resample(
    sides: list[Array], statistic: Callable[[list[Array]], Array], rng: np.random.Generator, resamples: int
) -> Array:
    size = sum(side.size for side in sides)
    if len(sides) == 2:
        size += sides[0].shape[-2] * sides[1].size  # all pairs
    block = max(1, BLOCK // size)
    found = []
    for start in range(0, resamples, block):
        count = min(block, resamples - start)
        drawn = []
        for side in sides:
            runs = rng.integers(side.shape[-2], size=(count, *side.shape[-2:]))
            drawn.append(side[..., runs, np.arange(side.shape[-1])])  # [..., R, N, M]
        found.append(np.moveaxis(statistic(drawn), sides[0].ndim - 2, 0))
    return np.concatenate(found)


def interval(draws: Array, level: float = LEVEL) -> tuple[Array, Array]:
    """Return the ends [...] of the percentile interval of bootstrap samples [R, ...] (Efron 1979)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def few_seeds(count: int) -> str:
    """Return what to say of the interval of so many seeds; "" if nothing, or if there is none, as of one."""
    if not 1 < count < FEW_SEEDS:
        return ""
    return f"{count} seeds: bootstrap intervals of so few are too narrow; take them for a hint."


def first_lasting(values: Array, threshold: float, tests: int) -> int | None:
    """Return the first test from which values [K] hold a threshold as their mean over `tests` tests; None: never.

    The last tests have not enough tests behind them and are none to begin with.
    """
    if len(values) < tests:
        return None
    sums = np.convolve(values, np.ones(tests), "valid")
    holds = np.flatnonzero(sums >= threshold * tests - 1e-9)
    return int(holds[0]) if len(holds) else None
