"""What stands in the tables of a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pymarl.experiments.report import numbers
from pymarl.experiments.report.numbers import Estimate, Win
from pymarl.experiments.report.study import BOUNDED, Method, Study, facts
from pymarl.experiments.report.tables import Entry, Table, best_of, digits_for, number, words
from pymarl.experiments.report.words import amount, axis_name, duration
from pymarl.experiments.results import Result

BOLD = "Bold: the best, if its interval overlaps no other."
KINDS = {
    "task": "what is to be solved",
    "framework": "whose code",
    "test": "how it is tested",
    "length": "how long it is trained",
    "training": "training",
    "method": "the method",
}


def tables(study: Study) -> list[Table]:
    """Return the tables of numbers, the most general first."""
    found = [_aggregates(study), _last_tests(study), *_absolute(study)]
    if len(study.methods) > 1:
        found.append(_improvement(study))
    return [*found, _cost(study), _runs(study)]


def _aggregates(study: Study) -> Table:
    found = [numbers.aggregates(study, method) for method in study.methods]
    best = {name: best_of([each[name] for each in found], less=name == "Optimality gap") for name in numbers.AGGREGATES}
    rows = [
        (Entry(method.name), Entry(str(each["IQM"].count), each["IQM"].count),
         *(number(each[name], bold=best[name] == place) for name in numbers.AGGREGATES))
        for place, (method, each) in enumerate(zip(study.methods, found, strict=True))
    ]  # fmt: skip
    caption = (
        f"Last {axis_name(study.metric, normalised=study.metric not in BOUNDED)} over the runs on "
        f"{', '.join(study.shared)}, with 95% stratified bootstrap intervals. Median: over scenarios, of the means "
        f"over seeds. {BOLD}"
    )
    columns = ("method", "seeds", *(f"{name} ↓" if name == "Optimality gap" else name for name in numbers.AGGREGATES))
    return Table("aggregates", "Aggregates", caption, columns, rows)


def _by_scenario(
    study: Study, name: str, title: str, caption: str, found: Mapping[tuple[str, str], Estimate | None]
) -> Table:
    """Return a table of a row for each scenario and a column for each method."""
    rows = []
    for scenario in study.scenarios:
        row = [found.get((scenario, method.label)) for method in study.methods]
        best, digits = best_of(row), digits_for(row)
        entries = (number(each, bold=place == best, digits=digits) for place, each in enumerate(row))
        rows.append((Entry(scenario), *entries))
    columns = ("scenario", *(method.name for method in study.methods))
    return Table(name, title, f"{caption}, mean over seeds with its 95% bootstrap interval. {BOLD}", columns, rows)


def _last_tests(study: Study) -> Table:
    found = {(name, method.label): numbers.last_tests(study, name, method)
             for name in study.scenarios for method, _ in study.of(name)}  # fmt: skip
    ends = [f"{name}: {amount(next(cell.t[-1] for _, cell in study.of(name)))}" for name in study.scenarios]
    what = axis_name(study.metric).capitalize()
    caption = f"{what} in the last test that all runs have (env steps: {', '.join(ends)})"
    return _by_scenario(study, "last_test", "Last test", caption, found)


def _absolute(study: Study) -> list[Table]:
    made = []
    for which in ("best", "last"):
        found = {(name, method.label): numbers.absolute(study, name, method, which)
                 for name in study.scenarios for method, _ in study.of(name)}  # fmt: skip
        if not any(found.values()):
            continue
        played = {len(values) for cell in study.cells.values() for run in cell.runs
                  if (values := run.absolute.get(which, {}).get(study.metric)) is not None}  # fmt: skip
        episodes = " to ".join(str(count) for count in dict.fromkeys((min(played), max(played))))
        caption = (
            f"Absolute metric (Gorsane et al. 2022): {axis_name(study.metric)} of each run's {which} checkpoint over "
            f"{episodes} more episodes"
        )
        missing = "" if all(found.values()) else " (a dash: not all seeds have played it)"
        title = f"Absolute metric, {which} checkpoint"
        made.append(_by_scenario(study, f"absolute_{which}", title, caption + missing, found))
    return made


def _improvement(study: Study) -> Table:
    rows = []
    for method in study.methods:
        row = [None if other is method else numbers.improvement(study, method, other) for other in study.methods]
        likely = [each is not None and each.interval is not None and each.interval[0] > 0.5 for each in row]
        entries = (number(each, bold=bold) for each, bold in zip(row, likely, strict=True))
        rows.append((Entry(method.name), *entries))
    caption = (
        "Probability that a run of X (row) is better than one of Y (column) in the last test, over "
        f"{', '.join(study.shared)}, with its 95% stratified bootstrap interval; a tie counts half. Bold: the interval "
        "lies above 0.5."
    )
    columns = ("X", *(f"Y: {method.name}" for method in study.methods))
    return Table("improvement", "Probability of improvement", caption, columns, rows)


def _cost(study: Study) -> Table:
    threshold = numbers.win_threshold(study)
    rows = []
    for name in study.scenarios:
        for method, cell in study.of(name):
            row = [*words(name, method.name), Entry(str(len(cell.runs)), len(cell.runs)), *_clock(cell.runs)]
            if threshold is not None:
                row += _win(numbers.win(study, cell, threshold), len(cell.runs))
            rows.append(tuple(row))
    columns = ["scenario", "method", "seeds", "env steps", "wall clock", "env steps/s"]
    caption = (
        "Wall clock of a whole run with its tests: median over seeds, and least to greatest; machines: see the runs."
    )
    if threshold is not None:
        goal = f"{threshold:g}"
        columns += [f"reach {goal}", f"steps to {goal}", f"time to {goal}"]
        caption += (
            f" Steps and time to {goal}: the first test from which the {axis_name(study.metric)} is at least {goal} as "
            f"a mean over {study.options.tests} tests; median over seeds, of which one that never came so far counts "
            "as infinitely late."
        )
    title = "Cost" if threshold is None else "Cost, steps and time to win"
    return Table("cost", title, caption, tuple(columns), rows)


def _clock(runs: Sequence[Result]) -> list[Entry]:
    walls = np.array([math.nan if run.wall_seconds is None else run.wall_seconds for run in runs])
    steps = np.array([run.last for run in runs], np.float64)
    entries = [Entry(amount(float(np.median(steps))), float(np.median(steps)))]
    if np.isnan(walls).any():
        return [*entries, Entry("-", ""), Entry("-", "")]
    return [*entries, _spread(walls, duration), _spread(steps / np.maximum(walls, 1e-9), lambda value: f"{value:,.0f}")]


def _spread(values: NDArray[np.float64], shown: Callable[[float], str]) -> Entry:
    """Return the entry of a median, with the least and the greatest."""
    middle, ends = float(np.median(values)), (float(values.min()), float(values.max()))
    if len(values) == 1:
        return Entry(shown(middle), middle)
    return Entry(shown(middle), middle, ends, note=" to ".join(shown(end) for end in ends))


def _win(found: Win, count: int) -> list[Entry]:
    """Return how many runs won, and when."""
    reached = int(np.isfinite(found.steps).sum())
    entries = [Entry(f"{reached} of {count}", reached)]
    for values, shown in ((found.steps, amount), (found.seconds, duration)):
        if values is None:
            entries.append(Entry("-", ""))
        elif not reached:
            entries.append(Entry("never", math.inf, note=f"up to {amount(found.tested)}" if shown is amount else ""))
        else:
            entries.append(_first(values, shown))
    return entries


def _first(values: NDArray[np.float64], shown: Callable[[float], str]) -> Entry:
    """Return the entry of the median of times, some of which may be NaN: never."""
    middle, there = numbers.median_of(values), values[np.isfinite(values)]
    ends = (float(there.min()), float(there.max()))
    note = " to ".join(shown(end) for end in ends) if len(there) > 1 else f"one: {shown(ends[0])}"
    text = shown(middle) if math.isfinite(middle) else "never"
    ends = (ends[0], ends[1] if len(there) == len(values) else math.inf)
    return Entry(text, middle, ends, note="" if len(values) == 1 else note) if len(values) > 1 else Entry(text, middle)


def summary(study: Study) -> Table:
    """Return what a README wants: what came of each method on each scenario, at what cost, and from where."""
    threshold = numbers.win_threshold(study)
    rows = []
    for name in study.scenarios:
        there = study.of(name)
        last = [numbers.last_tests(study, name, method) for method, _ in there]
        best = best_of(last)
        for place, (method, cell) in enumerate(there):
            won = [] if threshold is None else _win(numbers.win(study, cell, threshold), len(cell.runs))[1:]
            medians = [replace(entry, interval=None, note="") for entry in (*won, _clock(cell.runs)[1])]
            told = [facts(run) for run in cell.runs]
            where = (", ".join(dict.fromkeys(each[key] or "-" for each in told)) for key in ("commit", "cpu"))
            rows.append((
                *words(name, method.name), Entry(str(len(cell.runs)), len(cell.runs)),
                number(last[place], bold=place == best), *medians, *words(*where),
            ))  # fmt: skip
    goal = () if threshold is None else (f"steps to {threshold:g}", f"time to {threshold:g}")
    columns = ("scenario", "method", "seeds", "last test", *goal, "wall clock", "commit", "processor")
    caption = f"Last {axis_name(study.metric)}: mean over seeds, 95% bootstrap interval; the rest: medians"
    return Table("summary", "Summary", caption, columns, rows)


def _runs(study: Study) -> Table:
    rows = [
        _run(name, method, run, float(values[-1]))
        for name in study.scenarios
        for method, cell in study.of(name)
        for run, values in zip(cell.runs, cell.values, strict=True)
    ]
    columns = ("scenario", "method", "seed", "last test", "env steps", "wall clock", "status", "started", "commit",
               "machine", "processor", "python", "torch", "folder")  # fmt: skip
    known = [place for place in range(len(columns)) if any(row[place].text != "-" for row in rows)]
    caption = "Each run, and where it was played. A + behind a commit: with changes that were not committed."
    kept = [tuple(row[place] for place in known) for row in rows]
    return Table("runs", "Runs", caption, tuple(columns[place] for place in known), kept)


def _run(name: str, method: Method, run: Result, last: float) -> tuple[Entry, ...]:
    told = facts(run)
    wall = Entry("-", "") if run.wall_seconds is None else Entry(duration(run.wall_seconds), run.wall_seconds)
    stamp = (told[key] or "-" for key in ("started", "commit", "machine", "cpu", "python", "torch"))
    return (
        *words(name, method.name), Entry(str(run.seed), run.seed), number(Estimate(last, None, 1)),
        Entry(amount(run.last), run.last), wall,
        *words(run.status.lower() or "-", *stamp, "/".join(run.folder.parts[-3:])),
    )  # fmt: skip


def protocol(study: Study) -> list[tuple[str, Table]]:
    """Return tables of what differs between methods, the gravest first, each with the scenarios that it holds of."""
    made: dict[str, tuple[list[str], Table]] = {}
    for name in study.scenarios:
        shown = [method.name for method, _ in study.of(name)]
        rows = [(Entry(each.key), Entry(KINDS[each.kind]), *words(*(each.values[side] for side in shown)))
                for each in study.differing[name]]  # fmt: skip
        table = Table("protocol", "Protocol", "In what the methods' configs differ, beside their seeds",
                      ("key", "of what", *shown), rows)  # fmt: skip
        made.setdefault(repr(rows) + repr(shown), ([], table))[0].append(name)
    return [(", ".join(names), table) for names, table in made.values()]


def own_of_methods(table: Table) -> tuple[list[tuple[Entry, ...]], list[tuple[Entry, ...]]]:
    """Return the rows of a protocol that a comparison of methods should not have, and those that make the methods."""
    kinds = [row[1].text == KINDS["method"] for row in table.rows]
    return ([row for row, own in zip(table.rows, kinds, strict=True) if not own],
            [row for row, own in zip(table.rows, kinds, strict=True) if own])  # fmt: skip
