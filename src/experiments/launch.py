"""Plays the runs of a plan, those that are missing: begins, watches, continues and counts them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pymarl.experiments.book import Book, Entry, fail_trace
from pymarl.experiments.plan import Job
from pymarl.utils.files import as_file_name
from pymarl.utils.info import alive
from pymarl.utils.runs import read_record

State = Literal["waiting", "queued", "running", "done", "failed", "stopped", "pruned"]
ENDED = ("done", "failed", "stopped", "pruned")
TRIES = 3
"""How often a run that was cut off is begun in one launch. One that failed by itself would do so again."""
LOOK_SECONDS, POLL_SECONDS = 5.0, 0.5


class Process(Protocol):
    """A run that a back end has started."""

    def queued(self) -> bool:
        """Tell whether the back end has yet to begin it."""

    def ended(self) -> bool:
        """Tell whether it has."""

    def cut_off(self) -> str:
        """Return what ended it from outside, such as "killed by signal 9"; "" if it ended by itself. Once it has."""

    def stop(self) -> None:
        """Ask it to save a checkpoint and end."""

    def kill(self) -> None:
        """End it, and what it has started."""

    def memory(self) -> int:
        """Return the bytes that it and its children hold here; 0 if they are elsewhere."""

    def last_line(self) -> str:
        """Return the last thing that it said."""


class Backend(Protocol):
    """Where runs are played."""

    def has_room(self, running: Sequence[Process]) -> bool:
        """Tell whether another run may start beside those."""

    def start(self, words: Sequence[str], name: str) -> Process | None:
        """Start a run of these words of main.py, or find it if it is there; the name is that of no other run's.

        None if someone else's process is at it, which may have no folder yet: another launch's, or one whose launcher
        was killed.

        Raises:
            UserError: the back end takes no such run.
        """

    def leave(self, running: Sequence[Process]) -> str:
        """Return how the user ends runs that go on without the launcher; "" if it has to end them itself."""

    def close(self) -> None:
        """Let go of what the back end holds."""


@dataclass
class Run:
    """A job and what has become of it.

    Attributes:
        state: failed means by itself; one that is stopped goes on the next time, one that is pruned is of no use.
        entry: its newest folder.
        process: that this launch has started. None beside "running" is a run that someone else started.
        tries: how often it was begun.
        reason: why it failed.
        given_up: it is to end, or has, as pruned.
    """

    job: Job
    state: State = "waiting"
    entry: Entry | None = None
    process: Process | None = None
    tries: int = 0
    reason: str = ""
    given_up: bool = False

    @property
    def name(self) -> str:
        """File name of what it prints, which no other run has."""
        return as_file_name(f"{self.job.label.replace(' ', '_')}-{self.job.key[:8]}")


@dataclass
class Launch:
    """The runs of a plan on one back end.

    Attributes:
        runs: in the order in which they begin.
        backend: plays them.
        book: says what there is.
        changed: is told of every run whose state has changed.
    """

    runs: list[Run]
    backend: Backend
    book: Book
    changed: Callable[[Run], None] = lambda run: None
    _looked: float = field(default=-math.inf, init=False)
    _elsewhere: set[str] = field(default_factory=set, init=False)
    """Names of runs that someone else is at, until the next look."""

    def step(self) -> bool:
        """Do what there is to do now; return whether runs are left that wait or run."""
        ended = [run for run in self.runs if run.process is not None and run.process.ended()]
        if ended or time.monotonic() - self._looked > LOOK_SECONDS:
            self.look()
        for run in ended:
            self._end(run)
        room = True
        for run in self.runs:
            free = run.state == "waiting" and run.name not in self._elsewhere
            if free and room and (room := self.backend.has_room(self.processes())):
                run.process = self.backend.start(run.job.words, run.name)
                run.tries += run.process is not None
                if run.process is None:
                    self._elsewhere.add(run.name)  # that one may have ended well when it is tried again
            if run.process is not None:
                self._set(run, "queued" if run.process.queued() else "running")
        return any(run.state not in ENDED for run in self.runs)

    def processes(self) -> list[Process]:
        """Return what this launch has started and has not ended."""
        return [run.process for run in self.runs if run.process is not None]

    def look(self) -> None:
        """Take in what the folders say of runs that are not ours to wait for."""
        self._looked = time.monotonic()
        self._elsewhere.clear()
        entries = self.book.look_up(run.job for run in self.runs)
        for run in self.runs:
            run.entry = entries.get(run.job.key)
            if run.entry is None or run.process is not None or run.state in ENDED:
                continue
            if run.entry.completes(run.job):
                self._set(run, "done")
            elif run.entry.runs:
                self._set(run, "running")  # of another launch, or of one that was killed
            elif run.state == "running":
                self._set(run, "waiting")

    def _end(self, run: Run) -> None:
        """Say what became of a run whose process has ended."""
        process, run.process = run.process, None
        assert process is not None
        cut_off, entry = process.cut_off(), run.entry
        if entry is not None and entry.completes(run.job):
            self._set(run, "done")
        elif run.given_up:
            self._set(run, "pruned")
        elif cut_off and run.tries < TRIES:
            # It goes on from its checkpoint, as soon as nobody writes there: its machine may be gone for us alone.
            self._set(run, "running" if entry is not None and alive(entry.folder) else "waiting")
        else:
            trace = "" if entry is None else fail_trace(read_record(entry.folder))
            run.reason = f"{cut_off}, {run.tries} times" if cut_off else process.last_line() or trace
            self._set(run, "failed")

    def give_up(self, run: Run) -> None:
        """Have a run end that is of no use any more."""
        run.given_up = True
        if run.process is not None:
            run.process.stop()
        elif run.state not in ENDED:
            self._set(run, "pruned")

    def _set(self, run: Run, state: State) -> None:
        if run.state != state:
            run.state = state
            self.changed(run)

    def stop(self) -> str:
        """Ask all runs to save a checkpoint and end; those that wait, wait. Return how those are ended that go on."""
        left = self.backend.leave(self.processes())
        for run in self.runs:
            if run.process is not None and left:
                run.process = None
            elif run.process is not None:
                run.process.stop()
        return left

    def await_stopped(self, patience: Callable[[], bool]) -> None:
        """Wait until all have ended that were asked to, and kill them where patience is at an end."""
        while any(not process.ended() for process in self.processes()):
            if not patience():
                for process in self.processes():
                    process.kill()
            time.sleep(POLL_SECONDS)
        self.look()
        for run in self.runs:
            if run.process is not None:
                run.process = None
                done = run.entry is not None and run.entry.completes(run.job)
                self._set(run, "done" if done else "pruned" if run.given_up else "stopped")
