"""What a report is about: the runs that stand beside each other, and their tests as arrays of one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.experiments.protocol import Difference
from pymarl.experiments.results import Result

Array = NDArray[np.float64]

BOUNDED = {"battle_won"}
"""Metrics that are fractions already; others are normalised before scenarios are averaged."""


Notes = dict[str, list[str]]


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
        notes: what a reader of the numbers has to know: sentence -> the scenarios that it is about; none for all.
        differing: scenario -> in what the methods' runs differ.
    """

    metric: str
    options: Options
    methods: list[Method]
    scenarios: list[str]
    cells: dict[tuple[str, str], Cell]
    bounds: dict[str, tuple[float, float]]
    shared: list[str] = field(default_factory=list)
    notes: Notes = field(default_factory=dict)
    differing: dict[str, list[Difference]] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """The notes in full."""
        return [f"{', '.join(places)}: {text}" if places else text for text, places in self.notes.items()]

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


def facts(run: Result) -> dict[str, Any]:
    """Return what a table of runs says of one beside its numbers."""
    commit, release = str(run.stamp.get("commit") or "")[:9], str(run.stamp.get("pymarl") or "")
    return {
        "commit": commit + ("+" if run.stamp.get("dirty") else "") if commit else release and f"release {release}",
        "machine": str(run.stamp.get("machine") or ""),
        "cpu": str(run.stamp.get("cpu") or ""),
        "python": str(run.stamp.get("python") or ""),
        "torch": str(run.stamp.get("torch") or ""),
        "started": str(run.stamp.get("started") or "")[:16].replace("T", " "),
    }
