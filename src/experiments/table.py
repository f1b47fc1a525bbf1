"""What a launch shows: a table that is kept up to date on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pymarl.experiments.book import Numbers, numbers_of
from pymarl.experiments.launch import Run
from pymarl.utils.progress import duration

DRAW_SECONDS = 2.0
COLOURS = {"running": "cyan", "queued": "blue", "done": "green", "failed": "red", "stopped": "yellow",
           "pruned": "yellow", "waiting": "dim"}  # fmt: skip


def numbers(run: Run) -> Numbers:
    """Return how far a run is."""
    return Numbers(None, None, "") if run.entry is None else numbers_of(run.entry.folder)


def seconds_left(run: Run, seen: Numbers) -> float | None:
    """Return how long a run still takes at its speed."""
    if seen.steps is None or not seen.speed:
        return None
    return max(0.0, run.job.t_max - seen.steps) / seen.speed


def row(run: Run) -> tuple[str, ...]:
    """Return what stands in a line of the table: run, state, env steps, speed, time left, last test or the reason."""
    seen = numbers(run)
    left = seconds_left(run, seen) if run.state == "running" else None
    whole = f"{run.job.t_max:,}"
    part = "" if seen.steps is None else f"{seen.steps / run.job.t_max:.0%} of {whole}"
    steps = whole if run.state == "done" else part
    speed = f"{seen.speed:,.0f}/s" if seen.speed and run.state == "running" else ""
    return (
        run.job.label, run.state, steps, speed, "" if left is None else duration(left),
        run.reason if run.state == "failed" else seen.test,
    )  # fmt: skip


def counted(runs: Sequence[Run]) -> str:
    """Return how many runs are in which state, as a line."""
    count: Counter[str] = Counter(run.state for run in runs)
    order = ("done", "running", "queued", "stopped", "waiting", "pruned", "failed")
    return ", ".join(f"{count[state]} {state}" for state in order if count[state])


class Show:
    """The progress of a launch. Use it as a context.

    Args:
        console: where to.
        runs: of the launch, which may become more.
        title: what stands above the table; by default how many runs are in which state.
    """

    def __init__(self, console: Console, runs: Sequence[Run], title: Callable[[], str] | None = None) -> None:
        self.console, self.runs = console, runs
        self.title = title or (lambda: counted(runs))
        self._drawn = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Show:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()

    def changed(self, run: Run) -> None:
        """Say what became of a run; runs that wait are seen in the table alone."""
        if run.state == "waiting":
            return
        label, state, steps, *_, last = row(run)
        said = " ".join(text for text in (steps if state not in ("running", "queued") else "", last) if text)
        self.console.print(
            f"[{COLOURS[state]}]{state:8}[/] {label}{': ' + said if said else ''}", highlight=False, soft_wrap=True
        )

    def update(self) -> None:
        """Draw the table anew, if it was drawn a while ago."""
        if self._live is not None and time.monotonic() - self._drawn > DRAW_SECONDS:
            self._drawn = time.monotonic()
            self._live.update(self.table(), refresh=True)

    def table(self) -> Table:
        """Return the table of the runs that are being played, and its title."""
        table = Table(box=None, title=self.title(), title_justify="left", title_style="bold")
        for name in ("run", "state", "env steps", "speed", "time left", "last test"):
            table.add_column(name, justify="right" if name in ("env steps", "speed", "time left") else "left")
        for run in self.runs:
            if run.state in ("running", "queued"):
                table.add_row(*row(run))
        return table
