"""What a report is about: the runs that stand beside each other, and their tests as arrays of one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.experiments.origins import OURS
from pymarl.experiments.protocol import MARKED, REFUSED, Difference, differences, labelled
from pymarl.experiments.report.align import Grid, grid_of, on_seconds, values_at
from pymarl.experiments.results import Result
from pymarl.utils.errors import UserError, closest

Array = NDArray[np.float64]

PREFERRED = ("battle_won", "return")
BOUNDED = {"battle_won"}
"""Metrics that are fractions already; others are normalised before scenarios are averaged."""

FEW_SEEDS = 5


@dataclass(frozen=True)
class Options:
    """What a report was asked for; None is the default of each.

    Attributes:
        metric: number of the tests.
        scenarios, methods: which of those that there are.
        reference: the method that others are compared with.
        x: "env_steps" or "seconds".
        aggregate: of curves: "mean", "iqm" or "median".
        seed: of the bootstrap.
        threshold: what "won" means for steps-to-win.
        tests: over how many tests it must hold.
        unfinished: take runs that have not come to their end, too.
        anyway: compare although tasks differ.
    """

    metric: str | None = None
    scenarios: Sequence[str] = ()
    methods: Sequence[str] = ()
    reference: str | None = None
    x: str = "env_steps"
    aggregate: str = "mean"
    seed: int = 0
    threshold: float | None = None
    tests: int = 3
    unfinished: bool = False
    anyway: bool = False


@dataclass(frozen=True)
class Method:
    """A method; its place in `number` gives colour and line style, whichever others are shown."""

    label: str
    name: str
    number: int


@dataclass(frozen=True)
class Cell:
    """The runs of a method on a scenario, by seed.

    Attributes:
        t: [K] env steps of the tests that all runs of the scenario have.
        values: [N, K] means over the episodes of each test.
        x: [J] places of the curve: t, or seconds.
        curve: [N, J] values there.
    """

    runs: list[Result]
    t: NDArray[np.int64]
    values: Array
    x: Array
    curve: Array


@dataclass
class Study:
    """Methods on scenarios.

    Attributes:
        cells: those that there are, by (scenario, method's label).
        bounds: scenario -> the values that count as 0 and 1 where scenarios are averaged.
        shared: scenarios that all methods have been played on.
        notes: what a reader of the numbers has to know, a sentence each.
        differing: scenario -> in what the methods' runs differ.
    """

    metric: str
    options: Options
    methods: list[Method]
    scenarios: list[str]
    cells: dict[tuple[str, str], Cell]
    bounds: dict[str, tuple[float, float]]
    shared: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    differing: dict[str, list[Difference]] = field(default_factory=dict)

    def of(self, scenario: str) -> list[tuple[Method, Cell]]:
        """Return the methods that have runs on a scenario."""
        keyed = [(method, self.cells.get((scenario, method.label))) for method in self.methods]
        return [(method, cell) for method, cell in keyed if cell is not None]

    def normalised(self, scenario: str, values: Array) -> Array:
        """Return values with the scenario's bounds at 0 and 1."""
        low, high = self.bounds[scenario]
        return (values - low) / (high - low) if high > low else np.zeros_like(values)

    def scores(self, method: Method) -> Array:
        """Return the normalised last tests [N, M] on the shared scenarios; N is the fewest runs on one."""
        cells = [self.cells[scenario, method.label] for scenario in self.shared]
        count = min(len(cell.runs) for cell in cells)
        each = zip(self.shared, cells, strict=True)
        return np.stack([self.normalised(name, cell.values[:count, -1]) for name, cell in each], axis=-1)

    @property
    def reference(self) -> Method | None:
        """The method that was named as reference."""
        wanted = self.options.reference
        return next((each for each in self.methods if wanted in (each.name, each.label)), None)


def short_names(labels: Sequence[str]) -> dict[str, str]:
    """Return labels without what PyMARL2's names say of their settings, "qmix" for "qmix_env=8_adam", if that is clear."""
    names = {}
    for label in labels:
        first, *rest = label.split(" ")
        names[label] = " ".join([first.partition("_env=")[0] or first, *rest])
    counts = list(names.values())
    return {label: name if counts.count(name) == 1 else label for label, name in names.items()}


def study_of(results: Sequence[Result], options: Options) -> Study:
    """Return what there is to report. UserError, in one line, if that is nothing, or cannot be compared."""
    notes: list[str] = []
    tested = _finished(results, options, notes)
    by_label = labelled(tested)
    names = short_names(list(by_label))
    everyone = [Method(label, names[label], number) for number, label in enumerate(sorted(by_label))]
    methods = _chosen(everyone, options.methods)
    reference = _chosen(methods, [options.reference])[0].label if options.reference else None
    titles = _titles(tested)
    scenarios = _known(list(dict.fromkeys(titles.values())), options.scenarios, "--scenarios")
    runs: dict[tuple[str, str], list[Result]] = {}
    for method in methods:
        for run in by_label[method.label]:
            if titles[run.env, run.scenario] in scenarios:
                runs.setdefault((titles[run.env, run.scenario], method.label), []).append(run)
    methods = [method for method in methods if any(label == method.label for _, label in runs)]
    scenarios = [name for name in scenarios if any(of == name for of, _ in runs)]
    if not runs or (reference and all(reference != method.label for method in methods)):
        raise UserError("none of the named methods has been played on the named scenarios")
    metric = _metric([run for of_cell in runs.values() for run in of_cell], options.metric)
    cells = _cells(runs, scenarios, metric, options, notes)
    bounds = {name: _bounds(metric, [cell for (of, _), cell in cells.items() if of == name]) for name in scenarios}
    study = Study(metric, options, methods, scenarios, cells, bounds, notes=notes)
    study.shared = [name for name in scenarios if len(study.of(name)) == len(methods)]
    _check(study)
    return study


def _finished(results: Sequence[Result], options: Options, notes: list[str]) -> list[Result]:
    """Return the tested runs that are complete, or all tested ones."""
    kept = []
    for run in results:
        what = f"{run.method} on {run.scenario}, seed {run.seed}"
        if not run.curves:
            notes.append(f"Left out: {what}: not tested yet ({run.folder}).")
        elif not _complete(run) and not options.unfinished:
            ended = run.status.lower() or "ended early"
            notes.append(f"Left out: {what}: {ended}, tested up to {run.last:,} env steps; --unfinished takes it.")
        else:
            if not _complete(run):
                notes.append(f"Unfinished: {what}: {run.status.lower()}, tested up to {run.last:,} env steps.")
            kept.append(run)
    if not kept:
        raise UserError(f"{len(results)} runs, none of which is finished and tested; --unfinished takes others, too")
    return kept


def _complete(run: Result) -> bool:
    """Tell whether a run came to its end. PyMARL2's are killed by its own os._exit before they can say so."""
    t_max, interval = run.config.get("t_max"), run.config.get("test_interval")
    if run.status in ("COMPLETED", "") or run.origin == OURS or not isinstance(t_max, int):
        return run.status in ("COMPLETED", "")
    return run.last >= t_max - (interval if isinstance(interval, int) else 0)


def _chosen(methods: Sequence[Method], wanted: Sequence[str | None]) -> list[Method]:
    """Return the methods of these names or labels; all if there are none."""
    if not wanted:
        return list(methods)
    found = []
    for word in wanted:
        match = [method for method in methods if word in (method.name, method.label)]
        if not match:
            known = [method.name for method in methods]
            raise UserError(f"no method {word!r}{closest(str(word), known)} (there are {', '.join(known)})")
        found += match
    return sorted(dict.fromkeys(found), key=lambda method: method.number)


def _known(there: list[str], wanted: Sequence[str], option: str) -> list[str]:
    """Return what is wanted of what there is; all if nothing is named."""
    for word in wanted:
        if word not in there:
            raise UserError(f"{option}: no {word!r}{closest(word, there)} (there are {', '.join(there)})")
    return [name for name in there if name in wanted] if wanted else there


def _titles(results: Sequence[Result]) -> dict[tuple[str, str], str]:
    """Return what to call scenarios: with their env where two envs have one of a name."""
    envs: dict[str, set[str]] = {}
    for run in results:
        envs.setdefault(run.scenario, set()).add(run.env)
    return {
        (run.env, run.scenario): run.scenario if len(envs[run.scenario]) == 1 else f"{run.scenario} ({run.env})"
        for run in results
    }


def _metric(runs: Sequence[Result], wanted: str | None) -> str:
    """Return the metric: the win rate where all have it, else the return."""
    shared = set.intersection(*(set(run.curves) for run in runs))
    if wanted is None:
        wanted = next((name for name in PREFERRED if name in shared), PREFERRED[-1])
    if wanted not in shared:
        anywhere = sorted(set().union(*(run.curves for run in runs)))
        why = "not all runs have" if wanted in anywhere else "no"
        near = "" if wanted in anywhere else closest(wanted, shared)
        raise UserError(f"{why} metric {wanted!r}{near} (all have {', '.join(sorted(shared)) or 'none in common'})")
    return wanted


def _cells(
    runs: Mapping[tuple[str, str], list[Result]], scenarios: Sequence[str], metric: str, options: Options,
    notes: list[str],
) -> dict[tuple[str, str], Cell]:  # fmt: skip
    cells = {}
    for name in scenarios:
        here = {
            label: sorted(of, key=lambda run: run.seed) for (scenario, label), of in runs.items() if scenario == name
        }
        grid = grid_of([run for of in here.values() for run in of], metric)
        _say_cut(name, [run for of in here.values() for run in of], grid, metric, notes)
        for label, of in here.items():
            values = values_at(of, metric, grid.t)
            x, curve = (grid.t.astype(float), values) if options.x == "env_steps" else on_seconds(of, metric)
            cells[name, label] = Cell(of, grid.t, values, x, curve)
    return cells


def _say_cut(scenario: str, runs: Sequence[Result], grid: Grid, metric: str, notes: list[str]) -> None:
    longest = max(int(run.curves[metric].t[-1]) for run in runs)
    end = int(grid.t[-1])
    if longest - end >= grid.interval:
        short = min(runs, key=lambda run: int(run.curves[metric].t[-1]))
        notes.append(
            f"{scenario}: compared up to {end:,} env steps, the end of the shortest run ({short.method}, seed "
            f"{short.seed}); the longest has {longest:,}."
        )
    if grid.moved:
        notes.append(
            f"{scenario}: tests of different runs do not fall on the same env steps; at each multiple of "
            f"{grid.interval:,} the nearest test of each run counts."
        )


def _bounds(metric: str, cells: Sequence[Cell]) -> tuple[float, float]:
    """Return the least and the greatest value of a scenario (Gorsane et al. 2022); 0 and 1 for fractions."""
    if metric in BOUNDED:
        return 0.0, 1.0
    return min(float(cell.values.min()) for cell in cells), max(float(cell.values.max()) for cell in cells)


def _check(study: Study) -> None:
    """Note what is uneven. UserError where there is nothing to compare, or tasks differ."""
    if not study.shared:
        played = "; ".join(
            f"{each.name}: {', '.join(name for name in study.scenarios if (name, each.label) in study.cells)}"
            for each in study.methods
        )
        raise UserError(f"no scenario that all methods have been played on ({played}); name --methods or --scenarios")
    for name in study.scenarios:
        sides = {method.name: cell.runs for method, cell in study.of(name)}
        study.differing[name] = found = differences(sides)
        refused = [each for each in found if each.kind in REFUSED]
        if refused and not study.options.anyway:
            told = "; ".join(_told(each) for each in refused[:3])
            raise UserError(
                f"{name}: the methods were set different tasks: {told}; --anyway compares them all the same"
            )
        for each in (each for each in found if each.kind in (*REFUSED, *MARKED)):
            study.notes.append(f"{name}: not the same protocol: {_told(each)}.")
        study.notes += _uneven(study, name)
    if len(study.shared) < len(study.scenarios):
        left = ", ".join(name for name in study.scenarios if name not in study.shared)
        study.notes.append(f"Numbers over all scenarios are of {', '.join(study.shared)}; not all have played {left}.")
    if study.metric not in BOUNDED:
        study.notes.append(
            f"Over all scenarios and in aggregates, {study.metric} is normalised: on each scenario 0 is the least and 1 "
            "the greatest mean of any test of these runs."
        )


def _told(each: Difference) -> str:
    return f"{each.key} is " + ", ".join(f"{value} for {side}" for side, value in each.values.items())


def _uneven(study: Study, scenario: str) -> list[str]:
    notes = []
    counts = {method.name: len(cell.runs) for method, cell in study.of(scenario)}
    single = [name for name, count in counts.items() if count == 1]
    if single:
        notes.append(f"{scenario}: one seed of {', '.join(single)}: no interval, and nothing to conclude from it.")
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        notes.append(f"{scenario}: the methods have different numbers of seeds ({told}).")
    elif 1 < next(iter(counts.values())) < FEW_SEEDS:
        notes.append(
            f"{scenario}: {next(iter(counts.values()))} seeds: bootstrap intervals of so few are too narrow; "
            "take them for a hint."
        )
    return notes


def facts(run: Result) -> dict[str, Any]:
    """Return what a table of runs says of one beside its numbers."""
    commit = str(run.stamp.get("commit") or "")[:9]
    return {
        "commit": commit + ("+" if commit and run.stamp.get("dirty") else ""),
        "machine": str(run.stamp.get("machine") or ""),
        "cpu": str(run.stamp.get("cpu") or ""),
        "python": str(run.stamp.get("python") or ""),
        "torch": str(run.stamp.get("torch") or ""),
        "started": str(run.stamp.get("started") or "")[:16].replace("T", " "),
    }
