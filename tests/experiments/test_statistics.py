"""Statistics of few runs: equal to rliable's, to numbers worked out by hand, and to what a bootstrap must not do."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pymarl.experiments import statistics
from pymarl.experiments.statistics import (
    first_lasting,
    interquartile_mean,
    interval,
    mean,
    median,
    median_run,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    resample,
    resample_pair,
)

RLIABLE: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parent.parent / "fixtures" / "rliable_numbers.json").read_text()
)
"""Of rliable 1.2.0; see make_rliable_numbers.py."""

SCORES = {name: np.array(values) for name, values in RLIABLE["scores"].items()}
STATISTICS = {"mean": mean, "median": median, "iqm": interquartile_mean, "optimality_gap": optimality_gap}


def agrees(draws: NDArray[np.float64], ends: tuple[float, float], repetitions: int) -> bool:
    """Tell whether an interval's ends are the 2.5% and 97.5% quantiles of draws, up to the error of sampling both.

    The share of draws below an end has a standard error of sqrt(p (1 - p) (1 / R + 1 / repetitions)), whatever their
    distribution; where draws are ties, the end may lie anywhere among its equals.
    """
    error = 5 * math.sqrt(0.025 * 0.975 * (1 / len(draws) + 1 / repetitions))
    shares = [((draws < end - 1e-12).mean(), (draws <= end + 1e-12).mean()) for end in ends]
    return all(low - error <= p <= high + error for (low, high), p in zip(shares, (0.025, 0.975), strict=True))


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_aggregates_equal_rliables(name: str, statistic: str) -> None:
    theirs = RLIABLE["aggregates"][name][statistic]
    assert float(STATISTICS[statistic](SCORES[name])) == pytest.approx(theirs["point"], abs=1e-12)
    draws = resample(SCORES[name], STATISTICS[statistic], np.random.default_rng(0), 5000)
    assert agrees(draws, theirs["interval"], RLIABLE["repetitions"]["aggregates"])
    assert not agrees(draws + draws.std(), theirs["interval"], RLIABLE["repetitions"]["aggregates"])


@pytest.mark.parametrize("name", SCORES)
def test_profiles_equal_rliables(name: str) -> None:
    theirs, thresholds = RLIABLE["profiles"][name], RLIABLE["thresholds"]

    def profile(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return performance_profile(scores, thresholds)

    assert profile(SCORES[name]) == pytest.approx(np.array(theirs["point"]), abs=1e-12)
    draws = resample(SCORES[name], profile, np.random.default_rng(0), 2000)
    assert draws.shape == (2000, len(thresholds))
    for place in range(len(thresholds)):
        ends = tuple(np.array(theirs["interval"])[:, place])
        assert agrees(draws[:, place], ends, RLIABLE["repetitions"]["profiles"])


@pytest.mark.parametrize("pair", RLIABLE["improvement"])
def test_probabilities_of_improvement_equal_rliables(pair: str) -> None:
    x, y = (SCORES[name] for name in pair.split(","))
    theirs = RLIABLE["improvement"][pair]
    assert float(probability_of_improvement(x, y)) == pytest.approx(theirs["point"], abs=1e-12)
    draws = resample_pair(x, y, probability_of_improvement, np.random.default_rng(0), 2000)
    assert agrees(draws, theirs["interval"], RLIABLE["repetitions"]["improvement"])


def test_by_hand() -> None:
    scores = np.array([[0.0, 4.0], [1.0, 5.0], [2.0, 9.0], [9.0, 6.0]])
    assert float(interquartile_mean(scores)) == (2 + 4 + 5 + 6) / 4  # of 0 1 2 4 5 6 9 9
    assert float(median(scores)) == (3 + 6) / 2
    assert float(median_run(scores)) == 4.5
    assert float(optimality_gap(scores, 5.0)) == 5 - (0 + 1 + 2 + 5 + 4 + 5 + 5 + 5) / 8
    assert performance_profile(scores, [1.0, 8.9]).tolist() == [6 / 8, 2 / 8]  # above, not at
    better = probability_of_improvement(np.array([[1.0], [2.0]]), np.array([[2.0], [0.0], [2.0]]))
    assert float(better) == (0 + 1 + 0 + 0.5 + 1 + 0.5) / 6


def test_of_three_runs_the_interquartile_mean_is_the_mean() -> None:
    scores = np.array([[0.1], [0.9], [0.3]])
    assert float(interquartile_mean(scores)) == pytest.approx(float(mean(scores)))


def test_leading_axes_are_kept() -> None:
    scores = np.random.default_rng(1).normal(size=(7, 5, 4, 3))
    for statistic in (mean, median, median_run, interquartile_mean, optimality_gap):
        assert statistic(scores).shape == (7, 5)
        assert statistic(scores)[2, 3] == pytest.approx(float(statistic(scores[2, 3])))


def test_scenarios_are_strata() -> None:
    """A scenario's runs are never drawn for another, and each scenario's draws are its own."""
    scores = np.arange(4.0)[:, None] + 10 * np.arange(3.0)
    drawn = resample(scores, lambda samples: np.moveaxis(samples, -3, 0)[None], np.random.default_rng(0), 400)
    samples = drawn.reshape(-1, 4, 3)
    assert (samples // 10 == np.arange(3)).all()
    runs = samples % 10
    assert set(runs.ravel()) == {0, 1, 2, 3}
    assert abs(np.corrcoef(runs[:, 0, 0], runs[:, 0, 1])[0, 1]) < 0.2
    assert abs(np.corrcoef(runs[:, 0, 0], runs[:, 1, 0])[0, 1]) < 0.2


def test_along_a_curve_the_same_runs_are_drawn() -> None:
    """Else a band would be of other runs at each test."""
    curve = np.stack([np.arange(5.0), np.arange(5.0) * 2])[:, :, None]  # [J, N, M]
    draws = resample(curve, mean, np.random.default_rng(0), 50)
    assert draws.shape == (50, 2)
    assert draws[:, 1] == pytest.approx(2 * draws[:, 0])


def test_blocks_change_nothing_but_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = SCORES["many"]
    whole = interval(resample(scores, mean, np.random.default_rng(0), 4000))
    monkeypatch.setattr(statistics, "BLOCK", 1000)
    assert interval(resample(scores, mean, np.random.default_rng(0), 4000)) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("values", "tests", "first"),
    [
        ([0, 0.9, 1.0, 0.95, 1.0], 3, 1),  # .95 on average, though the first of them is below
        ([0, 1, 0, 1, 1, 1], 3, 3),  # one lucky test is none
        ([0, 0, 0, 0.5, 1, 1], 3, None),  # too late: two tests only
        ([1, 1], 3, None),
        ([0.2, 0.95], 1, 1),
    ],
)
def test_a_win_lasts(values: list[float], tests: int, first: int | None) -> None:
    assert first_lasting(np.array(values, np.float64), 0.95, tests) == first
