"""Ctrl-C and SIGTERM: stop at once, or at the next safe point."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Makes both signals raise KeyboardInterrupt.

    Within `deferred` the first one only sets `requested`, which the run checks between episodes to save a checkpoint
    and stop; a second one interrupts at once.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False
        self._previous: dict[int, Any] = {}

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or not self._deferred:
            raise KeyboardInterrupt
        self.requested = True
        print("\nStopping after this episode; once more to stop at once.", flush=True)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let the first signal within wait for a safe point."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def __enter__(self) -> StopRequest:
        self._previous = {number: signal.signal(number, self._handle) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
