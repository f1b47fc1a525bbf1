"""Temporary folders of games, which do not outlive the process that made them for long, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

PREFIX = "pymarl-sc2-"
LOCK = "lock"


class GameFolder:
    """A temporary folder `pymarl-sc2-<process id>-<random>`, removed by `close`.

    A process that was killed leaves its folder behind. The next one sweeps it: each folder holds a file that its owner
    has locked, and the system takes the lock away when the owner ends. (A process id would not do: it may belong to
    another container that shares the folder for temporary files.)

    Attributes:
        path: the folder.
    """

    def __init__(self) -> None:
        sweep()
        hidden = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
        self._lock = os.open(hidden / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        suffix = hidden.name.removeprefix(f".{PREFIX}")
        self.path = hidden.rename(hidden.with_name(f"{PREFIX}{os.getpid()}-{suffix}"))  # locked before it can be swept

    def close(self) -> None:
        """Remove the folder. Calling it again does nothing."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def sweep() -> None:
    """Remove the folders that ended processes left behind; those of other users stay."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / LOCK, os.O_RDWR)
        except FileNotFoundError:  # half removed
            shutil.rmtree(folder, ignore_errors=True)
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its owner lives
        finally:
            os.close(lock)
