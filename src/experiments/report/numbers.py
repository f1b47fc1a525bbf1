"""The numbers of a report: of a study's scores, with their bootstrap intervals."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pymarl.experiments import statistics
from pymarl.experiments.report.study import Cell, Method, Study
from pymarl.experiments.statistics import Statistic

Array = NDArray[np.float64]

AGGREGATES: dict[str, Statistic] = {
    "IQM": statistics.interquartile_mean,
    "Median": statistics.median,
    "Mean": statistics.mean,
    "Optimality gap": statistics.optimality_gap,
}
CURVES: dict[str, tuple[str, Statistic, Statistic]] = {
    "mean": ("mean", statistics.mean, statistics.mean),
    "iqm": ("interquartile mean", statistics.interquartile_mean, statistics.interquartile_mean),
    "median": ("median", statistics.median_run, statistics.median),
}
"""--aggregate -> in words, the statistic over the seeds of a scenario, that over scenarios."""

THRESHOLDS = np.linspace(0, 1, 101)
"""Of performance profiles."""

WIN_THRESHOLD = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval, which is None where there is one seed."""

    value: float
    interval: tuple[float, float] | None
    count: int


@dataclass(frozen=True)
class Band:
    """A curve [J] with its 95% band; without, where there is one seed."""

    x: Array
    centre: Array
    low: Array | None
    high: Array | None
    count: int


@dataclass(frozen=True)
class Win:
    """When the runs of a cell won: NaN for one that never did.

    Attributes:
        steps: [N] env steps.
        seconds: [N]; None where the runs do not say when they were tested.
        tested: env steps of the last test that a win can begin with.
    """

    steps: Array
    seconds: Array | None
    tested: int


def generator(study: Study, *words: str) -> np.random.Generator:
    """Return the bootstrap's draws for something of this name, whatever else is reported."""
    return np.random.default_rng([study.options.seed, zlib.crc32("\n".join(words).encode())])


def estimate(study: Study, scores: Array, statistic: Statistic, *words: str) -> Estimate:
    """Return a statistic of scores [N, M] with its stratified bootstrap interval."""
    value, count = float(statistic(scores)), scores.shape[-2]
    if count == 1:
        return Estimate(value, None, count)
    low, high = statistics.interval(statistics.resample(scores, statistic, generator(study, *words)))
    return Estimate(value, (float(low), float(high)), count)


def last_tests(study: Study, scenario: str, method: Method) -> Estimate:
    """Return the mean of the last test that all runs of the scenario have, over the method's seeds."""
    values = study.cells[scenario, method.label].values[:, -1:]
    return estimate(study, values, statistics.mean, "last", scenario, method.label)


def absolute(study: Study, scenario: str, method: Method, which: str) -> Estimate | None:
    """Return the mean of what the "best" or "last" checkpoint came to; None where a run has not played it."""
    played = [run.absolute.get(which, {}).get(study.metric) for run in study.cells[scenario, method.label].runs]
    means = [values.mean() for values in played if values is not None]
    if len(means) < len(played):
        return None
    return estimate(study, np.array(means)[:, None], statistics.mean, which, scenario, method.label)


def aggregates(study: Study, method: Method) -> dict[str, Estimate]:
    """Return IQM, median, mean and optimality gap of a method's normalised last tests on the shared scenarios."""
    scores = study.scores(method)
    return {name: estimate(study, scores, each, name, method.label) for name, each in AGGREGATES.items()}


def _band(x: Array, scores: Array, statistic: Statistic, rng: np.random.Generator) -> Band:
    """Return the band of scores [J, N, M]."""
    centre, count = statistic(scores), scores.shape[-2]
    if count == 1:
        return Band(x, centre, None, None, count)
    return Band(x, centre, *statistics.interval(statistics.resample(scores, statistic, rng)), count)


def curve(study: Study, scenario: str, method: Method) -> Band:
    """Return a method's learning curve on a scenario."""
    cell = study.cells[scenario, method.label]
    statistic = CURVES[study.options.aggregate][1]
    return _band(cell.x, cell.curve.T[:, :, None], statistic, generator(study, "curve", scenario, method.label))


def overall_curve(study: Study, method: Method) -> Band:
    """Return a method's learning curve over the shared scenarios, normalised; its x is what all of these have."""
    cells = [study.cells[name, method.label] for name in study.shared]
    x = _shared_x(study, cells)
    count = min(len(cell.runs) for cell in cells)
    rows = [
        study.normalised(name, np.stack([np.interp(x, cell.x, run) for run in cell.curve[:count]]))
        for name, cell in zip(study.shared, cells, strict=True)
    ]
    scores = np.moveaxis(np.stack(rows, axis=-1), 1, 0)  # [J, N, M]
    return _band(x, scores, CURVES[study.options.aggregate][2], generator(study, "overall", method.label))


def _shared_x(study: Study, cells: Sequence[Cell]) -> Array:
    if study.options.x == "seconds":
        first, last = max(cell.x[0] for cell in cells), min(cell.x[-1] for cell in cells)
        return np.linspace(first, last, len(cells[0].x))
    every = [cell for (name, _), cell in study.cells.items() if name in study.shared]
    x = every[0].x
    for cell in every[1:]:
        x = np.intersect1d(x, cell.x)
    return x


def curve_bands(study: Study) -> list[tuple[str, Method, Band]]:
    """Return all learning curves with their scenario, "all" for those over the shared ones, and their method."""
    found = [(name, method, curve(study, name, method)) for name in study.scenarios for method, _ in study.of(name)]
    if len(study.shared) > 1:
        found += [("all", method, overall_curve(study, method)) for method in study.methods]
    return found


def profile(study: Study, method: Method) -> Band:
    """Return the fraction of a method's runs, on the shared scenarios, above each threshold."""

    def above(scores: Array) -> Array:
        return statistics.performance_profile(scores, THRESHOLDS)

    scores = study.scores(method)
    if len(scores) == 1:
        return Band(THRESHOLDS, above(scores), None, None, 1)
    draws = statistics.resample(scores, above, generator(study, "profile", method.label))
    return Band(THRESHOLDS, above(scores), *statistics.interval(draws), len(scores))


def improvement(study: Study, method: Method, other: Method) -> Estimate:
    """Return the probability that a run of a method is better than one of another."""
    x, y = study.scores(method), study.scores(other)
    value, count = float(statistics.probability_of_improvement(x, y)), min(len(x), len(y))
    if count == 1:
        return Estimate(value, None, count)
    rng = generator(study, "improvement", method.label, other.label)
    draws = statistics.resample_pair(x, y, statistics.probability_of_improvement, rng)
    low, high = statistics.interval(draws)
    return Estimate(value, (float(low), float(high)), count)


def reference(study: Study) -> Method:
    """Return the method that others are compared with: the one that was named, else that of the greatest IQM."""
    return study.reference or max(study.methods, key=lambda each: float(AGGREGATES["IQM"](study.scores(each))))


def win_threshold(study: Study) -> float | None:
    """Return what counts as won: the user's value, or .95 for a win rate; None for other metrics."""
    if study.options.threshold is not None:
        return study.options.threshold
    return WIN_THRESHOLD if study.metric == "battle_won" else None


def win(study: Study, cell: Cell, threshold: float) -> Win:
    """Return when each run's tests began to hold the threshold as a mean over the next tests, each up to its end."""
    tests = study.options.tests
    steps, seconds = [], []
    curves = [run.curves[study.metric] for run in cell.runs]
    for each in curves:
        means = np.array([values.mean() for values in each.values])
        at = statistics.first_lasting(means, threshold, tests)
        steps.append(float(each.t[at]) if at is not None else np.nan)
        if each.seconds is not None:
            seconds.append(float(each.seconds[at]) if at is not None else np.nan)
    tested = min(int(each.t[-tests]) if len(each.t) >= tests else 0 for each in curves)
    return Win(np.array(steps), np.array(seconds) if len(seconds) == len(steps) else None, tested)


def median_of(values: Array) -> float:
    """Return the median of times; infinite where half of the runs or more never came so far (NaN)."""
    return float(np.median(np.where(np.isnan(values), np.inf, values)))
