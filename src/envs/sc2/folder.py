"""Temporary folders of games, which do not outlive the process that made them for long, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "pymarl-sc2-"


class GameFolder:
    """A temporary folder `pymarl-sc2-<process id>-<random>`, removed by `close`.

    A process that was killed leaves its folder behind. The next one removes it: each folder is locked by its owner, and
    the system takes the lock away when the owner ends. (A process id would not do: it may belong to another container
    that shares the folder for temporary files. A locked file in it would not do: others clean there, too, but
    systemd-tmpfiles leaves a locked folder alone.)

    Attributes:
        path: the folder.
    """

    def __init__(self) -> None:
        remove_abandoned()
        hidden = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
        self._lock = os.open(hidden, os.O_RDONLY)
        with suppress(OSError):  # NFS locks no folders; then this one is never removed
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        suffix = hidden.name.removeprefix(f".{PREFIX}")
        self.path = hidden.rename(hidden.with_name(f"{PREFIX}{os.getpid()}-{suffix}"))  # locked, so nobody removes it

    def close(self) -> None:
        """Remove the folder. Calling it again does nothing."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def remove_abandoned() -> None:
    """Remove the folders that ended processes left behind; those of other users stay."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # removed meanwhile, another user's, or no folder
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            pass  # its owner lives, or nobody can know
        finally:
            os.close(lock)
