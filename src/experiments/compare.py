"""Two sets of runs beside each other: what differs in their configs, and in their last tests, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pymarl.experiments import statistics
from pymarl.experiments.align import grid_of, nearest
from pymarl.experiments.protocol import labelled
from pymarl.experiments.results import Result, load_results, say
from pymarl.utils.errors import UserError

Array = NDArray[np.float64]

RESAMPLES = 10_000


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval.

    Attributes:
        mean: of the runs' means.
        interval: its ends; None where nothing can be resampled.
        over: what was resampled: "seeds", or the "episodes" of a single run; "" for nothing.
        count: how many runs.
    """

    mean: float
    interval: tuple[float, float] | None
    over: str
    count: int


@dataclass(frozen=True)
class Outcome:
    """A number of two sides.

    Attributes:
        what: "last test at 20,000 env steps", or "best checkpoint" and "last checkpoint" of the absolute metric.
        difference: of A minus B.
    """

    what: str
    a: Estimate
    b: Estimate
    difference: Estimate


def side_of(folder: Path, warn: Callable[[str], None] = say) -> dict[tuple[str, str], list[Result]]:
    """Return the runs of one method in a folder, by env and scenario.

    Args:
        folder: as for `load_results`; where there is none of this name, the token results/models/<folder>.
        warn: is told of runs that are left out.

    Raises:
        UserError: there is none that was tested, or there are several methods.
    """
    token = Path("results/models") / folder
    results = load_results([token if not folder.exists() and token.is_dir() else folder], warn)
    tested = [result for result in results if result.curves]
    if not tested:
        raise UserError(f"{folder}: {len(results)} training runs, none of which has been tested yet")
    methods = labelled(tested)
    if len(methods) > 1:
        raise UserError(f"{folder}: expected runs of one method, got {', '.join(methods)}; name the folder of one")
    scenarios: dict[tuple[str, str], list[Result]] = {}
    for result in tested:
        scenarios.setdefault((result.env, result.scenario), []).append(result)
    return scenarios


def outcomes(a: Sequence[Result], b: Sequence[Result], metric: str) -> list[Outcome]:
    """Return how two sides did: in the last test that all runs have come to, and where played by the absolute metric.

    Of each run it is the test that is nearest to those env steps: the last one of a report.
    """
    t = int(grid_of((*a, *b), metric).t[-1])
    tests = [[run.curves[metric].values[int(nearest(run.curves[metric], [t])[0])] for run in side] for side in (a, b)]
    found = [_outcome(f"last test at {t:,} env steps", *tests)]
    for which in ("best", "last"):
        if all(metric in result.absolute.get(which, {}) for result in (*a, *b)):
            runs_a, runs_b = ([run.absolute[which][metric] for run in side] for side in (a, b))
            found.append(_outcome(f"{which} checkpoint, {min(map(len, runs_a + runs_b))} episodes", runs_a, runs_b))
    return found


def _outcome(what: str, a: Sequence[Array], b: Sequence[Array]) -> Outcome:
    """Return the outcome of the runs' episodes."""
    rng = np.random.default_rng(0)
    drawn = [_resampled(side, rng) for side in (a, b)]
    means = [float(np.mean([run.mean() for run in side])) for side in (a, b)]
    sides = [Estimate(mean, _interval(draws), over, len(side))
             for mean, (draws, over), side in zip(means, drawn, (a, b), strict=True)]  # fmt: skip
    (draws_a, over_a), (draws_b, over_b) = drawn
    both = None if draws_a is None or draws_b is None else draws_a - draws_b
    over = "" if both is None else " and ".join(dict.fromkeys((over_a, over_b)))
    return Outcome(what, sides[0], sides[1], Estimate(means[0] - means[1], _interval(both), over, min(len(a), len(b))))


def _resampled(runs: Sequence[Array], rng: np.random.Generator) -> tuple[Array | None, str]:
    """Return means [RESAMPLES] of runs drawn with replacement, of a single run's episodes; and what was drawn."""
    items, over = (np.array([run.mean() for run in runs]), "seeds") if len(runs) > 1 else (runs[0], "episodes")
    if len(items) < 2:
        return None, ""
    return statistics.resample(items[:, None], statistics.mean, rng, RESAMPLES), over


def _interval(draws: Array | None) -> tuple[float, float] | None:
    """Return the interval of bootstrap means."""
    if draws is None:
        return None
    low, high = statistics.interval(draws)
    return float(low), float(high)
