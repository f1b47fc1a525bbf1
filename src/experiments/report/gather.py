"""Which runs stand beside each other in a report, and what a reader has to know of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pymarl.experiments.align import Grid, grid_of, on_seconds, shared_metric, values_at
from pymarl.experiments.origins import OURS
from pymarl.experiments.protocol import MARKED, REFUSED, Difference, differences, labelled
from pymarl.experiments.report.study import BOUNDED, Cell, Method, Notes, Options, Study
from pymarl.experiments.results import Result
from pymarl.experiments.statistics import few_seeds
from pymarl.utils.errors import UserError, closest


def short_names(labels: Sequence[str]) -> dict[str, str]:
    """Return labels without the settings in PyMARL2's names, "qmix" for "qmix_env=8_adam", where that is clear."""
    names = {}
    for label in labels:
        first, *rest = label.split(" ")
        names[label] = " ".join([_short(first), *rest])
    counts = list(names.values())
    return {label: name if counts.count(name) == 1 else label for label, name in names.items()}


def _short(name: str) -> str:
    return name.partition("_env=")[0] or name


def study_of(results: Sequence[Result], options: Options) -> Study:
    """Return what there is to report. UserError, in one line, if that is nothing, or cannot be compared."""
    notes: Notes = {}
    titles = _titles(results)
    scenarios = _known(list(dict.fromkeys(titles.values())), options.scenarios, "--scenarios")
    tested = _finished([run for run in results if titles[run.env, run.scenario] in scenarios], options, notes)
    by_label = labelled(tested)
    names = short_names(list(by_label))
    everyone = [Method(label, names[label], number) for number, label in enumerate(sorted(by_label))]
    methods = _chosen(everyone, options.methods)
    reference = _chosen(methods, [options.reference])[0].label if options.reference else None
    runs: dict[tuple[str, str], list[Result]] = {}
    for method in methods:
        for run in by_label[method.label]:
            runs.setdefault((titles[run.env, run.scenario], method.label), []).append(run)
    methods = [method for method in methods if any(label == method.label for _, label in runs)]
    scenarios = [name for name in scenarios if any(of == name for of, _ in runs)]
    if not runs or (reference and all(reference != method.label for method in methods)):
        raise UserError("none of the named methods has been played on the named scenarios")
    metric = shared_metric([run for of_cell in runs.values() for run in of_cell], options.metric)
    cells = _cells(runs, scenarios, metric, options, notes)
    bounds = {name: _bounds(metric, [cell for (of, _), cell in cells.items() if of == name]) for name in scenarios}
    study = Study(metric, options, methods, scenarios, cells, bounds, notes=notes)
    study.shared = [name for name in scenarios if len(study.of(name)) == len(methods)]
    _check(study)
    return study


def _finished(results: Sequence[Result], options: Options, notes: Notes) -> list[Result]:
    """Return the tested runs that are complete, or all tested ones."""
    kept = []
    for run in results:
        what = f"{_short(run.method)} on {run.scenario}, seed {run.seed}"
        if not run.curves:
            tell(notes, f"Left out: {what}: not tested yet ({run.folder}).")
        elif not _complete(run) and not options.unfinished:
            ended = run.status.lower() or "ended early"
            tell(notes, f"Left out: {what}: {ended}, tested up to {run.last:,} env steps; --unfinished takes it.")
        else:
            if not _complete(run):
                tell(notes, f"Unfinished: {what}: {run.status.lower()}, tested up to {run.last:,} env steps.")
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


def _cells(
    runs: Mapping[tuple[str, str], list[Result]], scenarios: Sequence[str], metric: str, options: Options,
    notes: Notes,
) -> dict[tuple[str, str], Cell]:  # fmt: skip
    cells = {}
    for name in scenarios:
        here = {label: sorted(of, key=lambda run: run.seed) for (each, label), of in runs.items() if each == name}
        every = [run for of in here.values() for run in of]
        grid = grid_of(every, metric)
        _say_cut(name, every, grid, metric, notes)
        for label, of in here.items():
            values = values_at(of, metric, grid.t)
            x, curve = (grid.t.astype(float), values) if options.x == "env_steps" else on_seconds(of, metric)
            cells[name, label] = Cell(of, grid.t, values, x, curve)
    return cells


def _say_cut(scenario: str, runs: Sequence[Result], grid: Grid, metric: str, notes: Notes) -> None:
    longest = max(int(run.curves[metric].t[-1]) for run in runs)
    end = int(grid.t[-1])
    if longest - end >= grid.interval:
        short = min(runs, key=lambda run: int(run.curves[metric].t[-1]))
        which = f"{_short(short.method)}, seed {short.seed}"
        if len(grid.t) > 1:
            text = (
                f"compared up to {end:,} env steps, the end of the shortest run ({which}); the longest has {longest:,}."
            )
        else:
            text = (
                f"compared at {end:,} env steps alone: tests that all runs have are {grid.interval:,} apart, and the "
                f"last of the shortest run ({which}) is at {int(short.curves[metric].t[-1]):,}."
            )
        tell(notes, text, scenario)
    if grid.moved:
        where = f"multiples of {grid.interval:,} env steps"
        tell(notes, f"not all tests were made at {where}; at each the nearest of each run counts.", scenario)


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
            tell(study.notes, f"not the same protocol: {_told(each)}.", name)
        _tell_uneven(study, name)
    _tell_overall(study)


def _tell_overall(study: Study) -> None:
    """Note what numbers over all scenarios are of."""
    if len(study.shared) < len(study.scenarios):
        left = ", ".join(name for name in study.scenarios if name not in study.shared)
        tell(study.notes, f"Numbers over all scenarios are of {', '.join(study.shared)}; not all have played {left}.")
    counts = {method.name: [len(study.cells[name, method.label].runs) for name in study.shared]
              for method in study.methods}  # fmt: skip
    uneven = [f"{min(each)} of {name}" for name, each in counts.items() if min(each) < max(each)]
    if uneven:
        text = "Numbers over all scenarios take as many seeds of a method, the first ones, as it has on each:"
        tell(study.notes, f"{text} {', '.join(uneven)}.")
    if study.metric not in BOUNDED:
        text = f"Over all scenarios and in aggregates, {study.metric} is normalised: on each scenario"
        tell(study.notes, f"{text} 0 is the least and 1 the greatest mean of any test of these runs.")


def _told(each: Difference) -> str:
    return f"{each.key} is " + ", ".join(f"{value} for {side}" for side, value in each.values.items())


def _tell_uneven(study: Study, scenario: str) -> None:
    counts = {method.name: len(cell.runs) for method, cell in study.of(scenario)}
    single = [name for name, count in counts.items() if count == 1]
    if single:
        tell(study.notes, f"one seed of {', '.join(single)}: no interval, and nothing to conclude from it.", scenario)
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        tell(study.notes, f"the methods have different numbers of seeds ({told}).", scenario)
    least = min(counts.values())
    if few := few_seeds(least):
        tell(study.notes, few, scenario)


def tell(notes: Notes, text: str, scenario: str = "") -> None:
    """Note a sentence, of a scenario or of all."""
    places = notes.setdefault(text, [])
    if scenario:
        places.append(scenario)
