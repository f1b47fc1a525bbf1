"""What several runs have in common: a metric, and tests at the same places, multiples of their interval or seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pymarl.experiments.results import Curve, Result
from pymarl.utils.errors import UserError, closest

Array = NDArray[np.float64]

PREFERRED = ("battle_won", "return")
"""Metrics, the first of which that all runs have is looked at."""

SECONDS_POINTS = 200
"""Places of a curve over seconds."""


@dataclass(frozen=True)
class Grid:
    """Where runs are compared.

    Attributes:
        t: [K] env steps.
        interval: between them.
        moved: whether some run has no test at just these steps, and its nearest one stands in.
    """

    t: NDArray[np.int64]
    interval: int
    moved: bool


def shared_metric(runs: Sequence[Result], wanted: str | None) -> str:
    """Return the metric: the win rate where all have it, else the return. UserError if a run lacks what is wanted."""
    shared = set.intersection(*(set(run.curves) for run in runs))
    if wanted is None:
        wanted = next((name for name in PREFERRED if name in shared), PREFERRED[-1])
    if wanted not in shared:
        anywhere = sorted(set().union(*(run.curves for run in runs)))
        why = "not all runs have" if wanted in anywhere else "no"
        near = "" if wanted in anywhere else closest(wanted, shared)
        raise UserError(f"{why} metric {wanted!r}{near} (all have {', '.join(sorted(shared)) or 'none in common'})")
    return wanted


def interval_of(run: Result, curve: Curve) -> int:
    """Return the env steps between two tests of a run."""
    told = run.config.get("test_interval")
    if isinstance(told, int) and told > 0:
        return told
    return max(1, int(np.median(np.diff(curve.t)))) if len(curve.t) > 1 else 1


def grid_of(runs: Sequence[Result], metric: str) -> Grid:
    """Return the multiples of the longest interval between tests that all runs come to, 0 among them.

    Each run's nearest test counts. Where tests are not made at these multiples, they drift by what each overshoots, so
    that a test may be up to an interval away; multiples at which some run has none so near are left out.
    """
    curves = [run.curves[metric] for run in runs]
    interval = max(interval_of(run, curve) for run, curve in zip(runs, curves, strict=True))
    end = min(int(curve.t[-1]) for curve in curves)
    last = end // interval + (end % interval > interval // 2)
    t = np.arange(last + 1, dtype=np.int64) * interval
    away = np.stack([np.abs(curve.t[nearest(curve, t)] - t) for curve in curves])
    near = np.flatnonzero((away <= interval).all(0))
    if not len(near):
        near = np.array([last])
    return Grid(t[near], interval, bool(away[:, near].any()))


def nearest(curve: Curve, t: ArrayLike) -> NDArray[np.intp]:
    """Return which test is nearest to each of some env steps."""
    return np.abs(curve.t[:, None] - np.asarray(t)).argmin(0)


def values_at(runs: Sequence[Result], metric: str, t: NDArray[np.int64]) -> Array:
    """Return the means [N, K] of the tests nearest to env steps."""
    rows = []
    for run in runs:
        curve = run.curves[metric]
        means = np.array([values.mean() for values in curve.values])
        rows.append(means[nearest(curve, t)])
    return np.stack(rows)


def on_seconds(runs: Sequence[Result], metric: str) -> tuple[Array, Array]:
    """Return seconds [J] of training up to the quickest run's end, and values [N, J], straight between two tests.

    Raises:
        UserError: a run's folder does not say when it was tested.
    """
    for run in runs:
        if run.curves[metric].seconds is None:
            raise UserError(f"--x seconds: {run.folder} does not say when it was tested; --x env_steps needs no times")
    spent = [seconds for run in runs if (seconds := run.curves[metric].seconds) is not None]
    x = np.linspace(max(each[0] for each in spent), min(each[-1] for each in spent), SECONDS_POINTS)
    means = [np.array([values.mean() for values in run.curves[metric].values]) for run in runs]
    return x, np.stack([np.interp(x, each, values) for each, values in zip(spent, means, strict=True)])
