"""A collector in a process of its own on this machine: how it is driven, and what runs in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from contextlib import suppress
from typing import Any

from pymarl.runners.collector import Collector, Start, answer, failure
from pymarl.runners.remote_runner import CollectorLost
from pymarl.utils.child import Channel, ChannelClosed, guard, ignore_signals, start_child

EXIT_SECONDS = 5
"""For what it plays, and to close its envs, before it is told to leave; and then to do so."""

CALL, ANSWER = b"c", b"a"  # (method, arguments) to it; what came of that from it


class CollectorProcess:
    """A collector's process, started without waiting for it.

    Args:
        start: what it is made of.

    Raises:
        CollectorLost: the system starts no process.
    """

    def __init__(self, start: Start) -> None:
        try:
            self._process, self._channel = start_child("pymarl.runners.collector_process:main")
        except OSError as error:
            raise CollectorLost(f"the collecting process could not be started: {error.strerror}") from error
        self.send("start", start)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def send(self, method: str, *arguments: Any) -> None:
        """Ask for a method of Collector. If nobody is there, `receive` says so."""
        with suppress(ChannelClosed):
            self._channel.send(CALL, (method, arguments))

    def receive(self) -> Any:
        """Return the answer to the oldest call that has none yet. CollectorLost if none will come."""
        try:
            return self._channel.receive()[1]
        except ChannelClosed as error:
            raise CollectorLost(f"the collecting process {self._how_it_ended()}") from error

    def _how_it_ended(self) -> str:
        if not self._ends_within(EXIT_SECONDS):
            return "closed its socket"
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return "was killed by SIGKILL (out of memory?)"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Let it leave, or end it."""
        self._channel.close()
        if not self._ends_within(EXIT_SECONDS):
            self._process.terminate()
            if not self._ends_within(EXIT_SECONDS):
                self._process.kill()
                self._process.wait()


def main(descriptor: int, parent: int) -> None:
    """Run a collector whose socket is `descriptor`, until `parent` (its process id) closes its end or dies."""
    guard(parent)
    os.set_inheritable(descriptor, False)  # a worker process must not hold it open
    channel = Channel(socket.socket(fileno=descriptor))
    collector: Collector | None = None
    try:
        with suppress(ChannelClosed):
            (start,) = channel.receive()[1][1]
            try:
                collector = Collector(start)
            except Exception as error:
                channel.send(ANSWER, failure(error))
                return
            while True:
                channel.send(ANSWER, answer(collector, *channel.receive()[1]))
    finally:
        ignore_signals()
        if collector is not None:
            collector.close()
