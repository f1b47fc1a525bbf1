"""Ctrl-C, SIGTERM and SIGHUP (the terminal is closed): stop at once, or at the next safe point."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Makes these signals raise KeyboardInterrupt. A SIGHUP that is ignored, as nohup has it, stays so.

    Within `deferred` the first one only sets `requested`, which the run checks between episodes to save a checkpoint
    and stop; a second one interrupts at once.

    Args:
        said: to the user at the first one.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, said: str = "Stopping after this episode; once more to stop at once.") -> None:
        self.requested = False
        self._said = said
        self._deferred = self._hung_up = False
        self._previous: dict[int, Any] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:  # comes from the shell and from the kernel, maybe while we are here: one request
            if self._hung_up:
                return
            self._hung_up = True
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            _forget_terminal()
        if self.requested or not self._deferred:
            raise KeyboardInterrupt
        self.requested = True
        print(f"\n{self._said}", flush=True)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let the first signal within wait for a safe point."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def __enter__(self) -> StopRequest:
        nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        heard = [number for number in self.SIGNALS if not (nohup and number == signal.SIGHUP)]
        self._previous = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handler)


def _forget_terminal() -> None:
    """Let what would go to a terminal that is gone, which is an error, go nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
