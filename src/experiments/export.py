"""Results for the tools of others: a CSV of every test, and the JSON that marl-eval reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.experiments.align import grid_of, nearest
from pymarl.experiments.protocol import labelled
from pymarl.experiments.results import Result, say
from pymarl.utils.errors import UserError
from pymarl.utils.files import replacing_file, write_text

CSV_COLUMNS = ("method", "env", "scenario", "seed", "t", "metric", "value", "episodes", "seconds", "origin", "folder")

Runs = dict[str, dict[str, dict[str, list[Result]]]]
"""env -> scenario -> method -> its runs."""


def write_csv(path: Path, results: Sequence[Result]) -> int:
    """Write a line for each run, metric and test, with the mean over the test's episodes; return how many lines.

    The absolute metric's lines have "absolute_best" or "absolute_last" before the metric's name, and no t.
    """
    lines = [row for label, runs in labelled(results).items() for run in runs for row in _rows(label, run)]
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        writer.writerows(lines)
    return len(lines)


def _rows(label: str, run: Result) -> Iterator[tuple[Any, ...]]:
    which, whose = (label, run.env, run.scenario, run.seed), (run.origin, run.folder)
    for metric, curve in sorted(run.curves.items()):
        for number, (t, values) in enumerate(zip(curve.t, curve.values, strict=True)):
            seconds = "" if curve.seconds is None else round(float(curve.seconds[number]), 3)
            known = len(values) if len(values) > 1 else ""  # a single number is the mean of a test of unknown size
            yield (*which, int(t), metric, float(values.mean()), known, seconds, *whose)
    for name, metrics in sorted(run.absolute.items()):
        for metric, values in sorted(metrics.items()):
            yield (*which, "", f"absolute_{name}_{metric}", float(values.mean()), len(values), "", *whose)


def write_marl_eval(path: Path, results: Sequence[Result], warn: Callable[[str], None] = say) -> None:
    """Write what marl-eval reads (Gorsane et al. 2022, arXiv:2209.10485); see `marl_eval`."""
    write_text(path, json.dumps(marl_eval(results, warn), allow_nan=False, indent=1) + "\n")  # it goes by the order


def marl_eval(results: Sequence[Result], warn: Callable[[str], None] = say) -> dict[str, Any]:
    """Return env -> scenario -> method -> seed_N -> step_K and absolute_metrics -> {metric: values}.

    marl-eval wants as many methods, runs and steps of the same metrics everywhere in an env: what not all have is left
    out. Steps are those of a report: multiples of test_interval up to the shortest run's last test, of each run the
    test that is nearest.
    absolute_metrics are those of the best checkpoint; where a run has not played them, the last test stands in for all.

    Args:
        results: of any number of envs.
        warn: is told, in a line each, what is left out.

    Raises:
        UserError: nothing is left of an env.
    """
    return {env: _of_env(env, scenarios, warn) for env, scenarios in _sorted_out(results).items()}


def _sorted_out(results: Sequence[Result]) -> Runs:
    found: Runs = {}
    for label, runs in labelled([result for result in results if result.curves]).items():
        name = label.replace(",", ";")  # marl-eval has no commas in names
        for run in runs:
            found.setdefault(run.env, {}).setdefault(run.scenario, {}).setdefault(name, []).append(run)
    return found


def _of_env(env: str, scenarios: dict[str, dict[str, list[Result]]], warn: Callable[[str], None]) -> dict[str, Any]:
    scenarios = _evened(env, scenarios, warn)
    every = [run for methods in scenarios.values() for runs in methods.values() for run in runs]
    metrics, absolute = _metrics(every)
    if not metrics:
        raise UserError(f"{env}: its runs have no metric in common; export fewer of them at a time")
    if not absolute:
        lacking = sum("best" not in run.absolute for run in every)
        warn(
            f"{env}: {lacking} of {len(every)} runs have no absolute metric (absolute_episodes); "
            f"absolute_metrics hold the last test of all runs"
        )
    grids = {name: _grid([run for runs in methods.values() for run in runs], metrics)
             for name, methods in scenarios.items()}  # fmt: skip
    steps = min(len(grid) for grid in grids.values())
    if not steps:
        raise UserError(f"{env}: its runs' metrics were not tested at the same env steps; export fewer runs at a time")
    for name, grid in grids.items():
        if len(grid) > steps:
            warn(f"{env} {name}: its tests after {grid[steps - 1]:,} env steps are left out; other maps have no more")
    seeds = {_seeds(runs) for methods in scenarios.values() for runs in methods.values()}
    if len(seeds) > 1:
        warn(f"{env}: methods have other seeds; they are numbered: seed_0, seed_1, ...")
    return {
        name: {method: {f"seed_{number if len(seeds) > 1 else run.seed}":
                        _of_run(run, grids[name][:steps], metrics, absolute=absolute)
                        for number, run in enumerate(runs)}
               for method, runs in methods.items()}
        for name, methods in scenarios.items()
    }  # fmt: skip


def _metrics(runs: Sequence[Result]) -> tuple[list[str], bool]:
    """Return the metrics that all runs have, and whether all have played their best networks' episodes of them."""
    metrics = set.intersection(*(set(run.curves) for run in runs))
    absolute = metrics.intersection(*(run.absolute.get("best", {}) for run in runs))
    return sorted(absolute or metrics), bool(absolute)


def _seeds(runs: Sequence[Result]) -> tuple[int, ...]:
    """Return the seeds of runs."""
    return tuple(run.seed for run in runs)


def _evened(
    env: str, scenarios: dict[str, dict[str, list[Result]]], warn: Callable[[str], None]
) -> dict[str, dict[str, list[Result]]]:
    """Return the methods that all scenarios have, with as many runs each."""
    shared = set.intersection(*(set(methods) for methods in scenarios.values()))
    if not shared:
        raise UserError(f"{env}: no method has been played on all of {', '.join(scenarios)}; export them one by one")
    for name in sorted(set().union(*scenarios.values()) - shared):
        warn(f"{env}: {name} is left out: it has not been played on all of {', '.join(scenarios)}")
    count = min(len(runs) for methods in scenarios.values() for name, runs in methods.items() if name in shared)
    for scenario, methods in scenarios.items():
        for name, runs in methods.items():
            if name in shared and len(runs) > count:
                left = ", ".join(str(run.seed) for run in runs[count:])
                warn(f"{env} {scenario}: {name} without its seeds {left}: others have {count}")
    return {scenario: {name: sorted(methods[name], key=lambda run: run.seed)[:count] for name in sorted(shared)}
            for scenario, methods in scenarios.items()}  # fmt: skip


def _grid(runs: Sequence[Result], metrics: Sequence[str]) -> NDArray[np.int64]:
    """Return the env steps at which all metrics of runs are compared."""
    t = grid_of(runs, metrics[0]).t
    for metric in metrics[1:]:
        t = np.intersect1d(t, grid_of(runs, metric).t)
    return t


def _of_run(run: Result, grid: NDArray[np.int64], metrics: Sequence[str], *, absolute: bool) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    at = {name: nearest(run.curves[name], grid) for name in metrics}
    for number, t in enumerate(grid):
        steps[f"step_{number}"] = {"step_count": int(t)} | {
            name: run.curves[name].values[at[name][number]].tolist() for name in metrics
        }
    last: Mapping[str, Any] = run.absolute["best"] if absolute else {
        name: run.curves[name].values[-1] for name in metrics
    }  # fmt: skip
    return steps | {"absolute_metrics": {name: last[name].tolist() for name in metrics}}
