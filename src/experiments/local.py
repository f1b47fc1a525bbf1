"""Runs on this machine: each a process of main.py, as many at once as its cores and its memory take."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from pymarl.experiments.launch import Process
from pymarl.utils.child import ONE_THREAD
from pymarl.utils.memory import available_memory
from pymarl.utils.yaml_files import SRC

SPARE = 1.2
"""A run is begun while there is memory for as much as the largest so far has taken, times this."""


class LocalProcess:
    """A run on this machine.

    Args:
        words: of main.py.
        threads: of the run.
        log: takes what it prints.
    """

    def __init__(self, words: Sequence[str], threads: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, str(SRC / "main.py"), *words],
                env=os.environ | {name: str(threads) for name in ONE_THREAD},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is the launcher's, which asks each run to save and stop
            )  # fmt: skip

    def ended(self) -> bool:
        """Tell whether it has."""
        return self._process.poll() is not None

    @property
    def code(self) -> int | None:
        """Its exit code; None as long as it runs."""
        return self._process.returncode

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
        """Return the last thing that it said."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")


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

    def start(self, words: Sequence[str], name: str) -> LocalProcess:
        """Start a run; what it prints goes into the file of this name."""
        return LocalProcess(words, self.threads, self.logs / f"{name}.log")
