"""One attempt at a run: main.py as a child process, on this machine or wherever a back end has put its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymarl.utils.child import ONE_THREAD, import_path
from pymarl.utils.doors import SRC
from pymarl.utils.processes import parent_death_signal

POLL_SECONDS = 0.2
INTERRUPTED = 130
"""Exit code of a run that was asked to end: its checkpoint is saved."""


@dataclass
class Attempt:
    """A command line of main.py, and all that another machine needs to carry it out. Call it there.

    Attributes:
        words: for main.py.
        threads: of the run.
        log: takes what it prints; an absolute path.
        folder: where it runs.
        path: what we import from beyond Python's own, as PYTHONPATH.
    """

    words: tuple[str, ...]
    threads: int
    log: Path
    folder: Path
    path: str
    _pid: int = 0
    _stopped: bool = False

    def start(self, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start it, in a session of its own: Ctrl-C is its parent's, which asks it to save and end."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        threads = {name: str(self.threads) for name in ONE_THREAD}
        with self.log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, *prefix, str(SRC / "main.py"), *self.words], cwd=self.folder,
                env=os.environ | threads | {"PYTHONPATH": self.path},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def __call__(self) -> int:
        """Play it and return the exit code. It saves and ends when this process is interrupted, or dies."""
        if self._stopped:
            return INTERRUPTED
        process = self.start(("-m", "pymarl.experiments.attempt", str(os.getpid())))
        self._pid = process.pid
        if self._stopped:  # in between
            self.interrupt()
        while True:
            try:
                while process.poll() is None:  # a wait could not be interrupted everywhere
                    time.sleep(POLL_SECONDS)
                return process.returncode
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)

    def interrupt(self) -> None:
        """Have the run save and end; from another thread than that of `__call__`."""
        self._stopped = True
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGINT)

    def checkpoint(self) -> Any:
        """Let the run save and end, and return what submitit is to submit again: the job's time is up, or its place is
        needed. Called by submitit's signal handler, in the middle of `__call__`.
        """
        from submitit.helpers import DelayedSubmission

        if self._pid:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGTERM)
                os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)  # poll() may be holding its lock just now
        self._pid = 0
        return DelayedSubmission(self)


def here(words: Sequence[str], threads: int, log: Path) -> Attempt:
    """Return an attempt in this folder, with what this process can import."""
    return Attempt(tuple(words), threads, log.absolute(), Path.cwd(), import_path())


def last_line(log: Path) -> str:
    """Return the last thing that a run said in its log: its error, if it has one; "" if there is none yet."""
    with suppress(OSError):
        lines = log.read_text(errors="replace").strip().splitlines()
        return next((line for line in reversed(lines) if line.startswith("error: ")), lines[-1] if lines else "")
    return ""


def main(parent: int, command: Sequence[str]) -> None:
    """Become main.py, which is to save and end with `parent`.

    Slurm sends the signal by which submitit saves to all processes of a job; to others than submitit it is deadly. The
    threads of Ray's workers block signals, which a child would do as well.
    """
    parent_death_signal(signal.SIGTERM)()
    if os.getppid() != parent:
        sys.exit(INTERRUPTED)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1, signal.SIGUSR2})
    os.execv(sys.executable, [sys.executable, *command])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
