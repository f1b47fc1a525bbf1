"""Runs on this machine: each a process of main.py, as many at once as its cores and its memory take."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from pymarl.experiments.attempt import INTERRUPTED, here, last_line
from pymarl.experiments.launch import Process
from pymarl.utils.files import locked
from pymarl.utils.memory import available_memory

SPARE = 1.2
"""A run is begun while there is memory for as much as the largest so far has taken, times this."""


class LocalProcess:
    """A run on this machine.

    Args:
        words: of main.py.
        threads: of the run.
        log: takes what it prints; the run holds its lock as long as it lives, whoever has started it.

    Raises:
        BlockingIOError: such a run is at work.
    """

    def __init__(self, words: Sequence[str], threads: int, log: Path) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        with locked(log) as lock:
            self._process = here(words, threads, log).start(held=[] if lock is None else [lock])

    def queued(self) -> bool:
        """Tell whether it has yet to begin."""
        return False

    def ended(self) -> bool:
        """Tell whether it has."""
        return self._process.poll() is not None

    def cut_off(self) -> str:
        """Return what killed it; "" if it ended by itself."""
        code = self._process.returncode
        return f"killed by signal {-code}" if code < 0 else ""

    def stop(self) -> None:
        """Ask it to save a checkpoint and end."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it, and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def memory(self) -> int:
        """Return the bytes that it and its children hold."""
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            return sum(part.memory_info().rss for part in (process, *process.children(recursive=True)))
        return 0

    def last_line(self) -> str:
        """Return the last thing that it said, or that someone has ended it."""
        if self._process.returncode == INTERRUPTED:
            return "it was told to end, and has saved"
        return last_line(self.log)


class LocalBackend:
    """Starts runs on this machine.

    Args:
        at_once: most runs at a time; None: as many as there are cores for `threads` each.
        threads: of each run.
        logs: folder of what they print.
    """

    def __init__(self, at_once: int | None, threads: int, logs: Path) -> None:
        cores = len(os.sched_getaffinity(0))
        self.at_once = at_once or max(1, cores // threads)
        self.threads, self.logs = threads, logs
        self._largest = 0

    def has_room(self, running: Sequence[Process]) -> bool:
        """Tell whether another run may start beside those."""
        if len(running) >= self.at_once:
            return False
        self._largest = max([self._largest, *(process.memory() for process in running)])
        return not running or available_memory() > SPARE * self._largest

    def start(self, words: Sequence[str], name: str) -> LocalProcess | None:
        """Start a run; what it prints goes into the file of this name. None if such a run is at work."""
        try:
            return LocalProcess(words, self.threads, self.logs / f"{name}.log")
        except BlockingIOError:
            return None

    def leave(self, running: Sequence[Process]) -> str:
        """Keep all runs: they are this launch's to end."""
        return ""

    def close(self) -> None:
        """Nothing is left."""
