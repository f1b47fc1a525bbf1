"""The table of a report for a README: what came of each method on each scenario, at what cost, and where from."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from pymarl.experiments.report import numbers
from pymarl.experiments.report.study import Cell, Study, facts
from pymarl.experiments.report.tables import Entry, Table, best_of, number, words
from pymarl.experiments.report.words import amount, axis_name, duration


def summary(study: Study) -> Table:
    """Return a row for each method on each scenario: last test, steps and time to win, wall clock, commit, machine."""
    threshold = numbers.win_threshold(study)
    rows = []
    for name in study.scenarios:
        there = study.of(name)
        last = [numbers.last_tests(study, name, method) for method, _ in there]
        best = best_of(last)
        for place, (method, cell) in enumerate(there):
            rows.append((
                *words(name, method.name), Entry(str(len(cell.runs)), len(cell.runs)),
                number(last[place], bold=place == best), *_won(study, cell, threshold), _wall(cell), *_where(cell),
            ))  # fmt: skip
    goal = () if threshold is None else (f"steps to {threshold:g}", f"time to {threshold:g}")
    columns = ("scenario", "method", "seeds", "last test", *goal, "wall clock", "commit", "processor")
    caption = f"Last test's {axis_name(study.metric)}: mean over seeds, 95% bootstrap interval; the rest: medians"
    return Table("summary", "Summary", caption, columns, rows)


def _won(study: Study, cell: Cell, threshold: float | None) -> list[Entry]:
    """Return the medians of when the seeds won, of which one that never did is infinitely late."""
    if threshold is None:
        return []
    found = numbers.win(study, cell, threshold)
    entries = []
    for values, shown in ((found.steps, amount), (found.seconds, duration)):
        if values is None:  # the runs do not say when they were tested
            entries.append(Entry("-", ""))
            continue
        middle = numbers.median_of(values)
        entries.append(Entry(shown(middle) if math.isfinite(middle) else "never", middle))
    return entries


def _wall(cell: Cell) -> Entry:
    walls = [run.wall_seconds for run in cell.runs if run.wall_seconds is not None]
    if len(walls) < len(cell.runs):
        return Entry("-", "")
    middle = float(np.median(walls))
    return Entry(duration(middle), middle)


def _where(cell: Cell) -> tuple[Entry, ...]:
    told = [facts(run) for run in cell.runs]
    return words(*(_all(str(each[key]) for each in told) for key in ("commit", "cpu")))


def _all(texts: Iterable[str]) -> str:
    """Return what runs say of themselves, each once."""
    return ", ".join(dict.fromkeys(text or "-" for text in texts))
