"""Plays a plan, or searches, and shows how far it is; signals leave all of it so that it can go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from pymarl.experiments.best import best_config
from pymarl.experiments.book import Book
from pymarl.experiments.launch import POLL_SECONDS, Backend, Launch, Run
from pymarl.experiments.plan import Grid, Job, jobs_of
from pymarl.experiments.search import Search, Space, need_optuna, open_study, said, words_of
from pymarl.experiments.table import Show, counted, row
from pymarl.utils.doors import from_here
from pymarl.utils.errors import UserError
from pymarl.utils.files import locked, write_text
from pymarl.utils.interrupts import StopRequest

AGAIN = "The same command plays what is missing."
STOPPING = "Stopping: runs save after their episode, none begins; once more to end them at once."
MakeBackend = Callable[[Path], Backend]
"""Makes a back end that puts what runs print into a folder."""


def play_plan(grids: Sequence[Grid], make: MakeBackend, *, here: bool, dry: bool) -> int:
    """Play all runs of a plan; return the exit code. UserError before anything begins if one of them could not.

    Args:
        grids: which runs.
        make: makes the back end.
        here: it plays on this machine.
        dry: only list them.
    """
    jobs, folder = checked(grids, here=here)
    runs, console = [Run(job) for job in jobs], Console()
    show = Show(console, runs)
    with closing(make(folder / "launch")) as backend:
        launch = Launch(runs, backend, Book(folder))
        launch.look()
        if dry:
            for run in runs:
                console.print("  ".join(row(run)[:3]), highlight=False, soft_wrap=True)
            return 0
        for run in runs:
            if run.state != "waiting":
                show.changed(run)
        launch.changed = show.changed
        stopped = watch(launch.step, launch, show)
    said = [counted(runs)]
    if any(run.state != "done" for run in runs):
        said.append(AGAIN)
    if any(run.state == "failed" for run in runs):
        said.append(f"What failed has printed into {folder / 'launch'}.")
    console.print(". ".join(said[:2]), *said[2:], highlight=False, soft_wrap=True)
    if any(run.state == "done" for run in runs):
        console.print(f"Figures and tables: {from_here('python src/report.py')} {folder / 'sacred'}", soft_wrap=True)
    return 130 if stopped else int(any(run.state == "failed" for run in runs))


def checked(grids: Sequence[Grid], *, here: bool) -> tuple[list[Job], Path]:
    """Return the runs of grids and the folder of their results, and print the notes on their keys; see `jobs_of`.

    Raises:
        UserError: one of them could not start, or they have several folders.
    """
    jobs, notes = jobs_of(grids, here=here)
    for note in notes:
        print(note, file=sys.stderr)
    results = {str(job.config["local_results_path"]) for job in jobs}
    if len(results) > 1:
        raise UserError(f"local_results_path: expected one for all runs, got {' and '.join(sorted(results))}")
    return jobs, Path(*results)


def play_search(space: Space, trials: int, make: MakeBackend, *, here: bool, dry: bool) -> int:
    """Play the trials of a search that are missing, and write the best config; return the exit code, as `play_plan`."""
    _, folder = checked([space.grid], here=here)
    need_optuna()
    space.check()
    path = folder / "search" / f"{space.name()}.db"
    console = Console()
    if dry:
        console.print(f"{trials} trials of {' '.join(map(str, space.parameters))}; the study: {path}", highlight=False)
        return 0

    def tell(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    with closing(make(folder / "launch")) as backend, _alone(path):
        launch = Launch([], backend, Book(folder))
        search = Search(space, open_study(path, space), trials, launch, tell)
        show = Show(console, launch.runs, lambda: escape(search.counted()))
        launch.changed = lambda run: show.changed(run) if run.state == "failed" else None
        stopped = watch(search.step, launch, show)
        tell(search.counted())
        if search.best() is not None:
            _write_best(search, path.with_suffix(".yaml"), tell)
        if stopped:
            console.print(AGAIN)
    return 130 if stopped else int(search.best() is None)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a search, so that no second one plays its trials. UserError if another one does."""
    lock = path.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    try:
        with locked(lock):
            yield
    except BlockingIOError as error:
        raise UserError(f"{path}: another launch is at this search; wait for it, or stop it") from error


def _write_best(search: Search, path: Path, tell: Callable[[str], None]) -> None:
    """Write the best config and say how it is played."""
    best, space = search.best(), search.space
    reason = f"trial {best.number} of {len(search.study.get_trials(deepcopy=False))}: {space.metric} {best.value:.6g}"
    values = {each.key: best.params[each.key] for each in space.parameters}
    text = best_config(space.grid, space.parameters, values, reason)
    write_text(path, text)
    tell(f"the best: {said(values)}")
    tell("".join(f"    {line}\n" for line in text.splitlines() if "# found in" in line).rstrip())
    chosen = [word for word in space.jobs(words_of(values))[0].words if word.startswith("env_args.")][:1]
    maps = f" with {chosen[0]}" if space.grid.maps else ""
    tell(f"{path}: {from_here('python src/main.py')} --config={path} --env-config={space.grid.env_configs[0]}{maps}")


def watch(step: Callable[[], bool], launch: Launch, show: Show) -> bool:
    """Call `step` until nothing is left; return whether a signal stopped that. A second one kills what has not saved.

    Raises:
        UserError: as `step` does, once the runs have saved and ended.
    """
    again = False
    fault: Exception | None = None

    def patience() -> bool:
        show.update()
        return not again

    def wait() -> None:
        nonlocal again
        try:
            launch.await_stopped(patience)
        except KeyboardInterrupt:
            again = True
            launch.await_stopped(patience)

    with StopRequest(STOPPING) as stop, show:
        try:
            with stop.deferred():
                while step() and not stop.requested:
                    show.update()
                    time.sleep(POLL_SECONDS)
            if not stop.requested:
                return False
        except KeyboardInterrupt:
            again = True
        except Exception as error:
            fault = error
        if left := launch.stop():
            show.console.print(f"Jobs go on without this launch. To end them: {left}", highlight=False, soft_wrap=True)
        wait()
    if fault is not None:
        raise fault
    return True
