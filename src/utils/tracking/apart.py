"""A tracker in a process of its own: what it imports, waits for, prints and draws at random is not the run's."""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from pymarl.utils.child import Channel, ChannelClosed, start_child
from pymarl.utils.errors import one_line
from pymarl.utils.redact import redacted
from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import Status, TrackedRun, Tracker

START, HISTORY, NUMBERS, FILES, FINISH = b"S", b"H", b"N", b"F", b"E"
STARTED, NOT_KEPT, FAILED, FINISHED = b"s", b"k", b"f", b"e"
FINISH_SECONDS = 120
"""Most that the end of a run waits for its trackers to send what is left."""
UNSAID_SECONDS = 3
"""How long it waits without a word."""
GATHER_SECONDS = 0.1
"""How long numbers are waited for that belong to the same env steps."""


class Apart:
    """The run's side of such a tracker. Nothing here waits for it, but `await_end`.

    Args:
        name: of the tracker.
        tracker: is sent there.
        run: what it begins.
        output: file for what it prints; None: nowhere.
        log: is told where to look at the run, and once what has failed.

    Raises:
        OSError: the system starts no process.
    """

    def __init__(self, name: str, tracker: Tracker, run: TrackedRun, output: Path | None, log: logging.Logger) -> None:
        self._name, self._output, self._log = name, output, log
        self._queue: queue.SimpleQueue[tuple[bytes, Any]] = queue.SimpleQueue()
        self._queue.put((START, (tracker, run, output and str(output))))
        self._over = False
        self._process, self._channel = start_child("pymarl.utils.tracking.apart:main")
        self._reader = threading.Thread(target=self._read, daemon=True, name=f"reads {name}")
        self._reader.start()
        threading.Thread(target=self._feed, daemon=True, name=f"feeds {name}").start()

    def history(self, numbers: dict[str, float], t_env: int) -> None:
        """Take what was logged before the run began, if the tracker has not got it."""
        self._put(HISTORY, (numbers, t_env))

    def log(self, numbers: dict[str, float], t_env: int) -> None:
        """Take what is logged now."""
        self._put(NUMBERS, (numbers, t_env))

    def keep(self, files: Files) -> None:
        """Take files."""
        self._put(FILES, files)

    def finish(self, status: Status) -> None:
        """Ask for the end of the run; see `await_end`."""
        self._put(FINISH, status)

    def _put(self, kind: bytes, value: Any) -> None:
        if not self._over:  # else they would pile up
            self._queue.put((kind, value))

    def await_end(self, deadline: float) -> None:
        """Wait for the end, and make it at `deadline`, a time of time.monotonic."""
        try:
            self._wait(min(time.monotonic() + UNSAID_SECONDS, deadline))
            if self._process.poll() is None and time.monotonic() < deadline:
                self._log.info(
                    "%s: sending what is left, for %d s at most; Ctrl-C ends that", self._name, FINISH_SECONDS
                )
                self._wait(deadline)
        finally:
            if self._process.poll() is None:
                self._over = True
                self._warn("was stopped before it had sent all")
                os.killpg(self._process.pid, signal.SIGKILL)  # with what it has started
                self._process.wait()
        self._reader.join(timeout=1)
        self._channel.close()

    def _wait(self, deadline: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(max(deadline - time.monotonic(), 0))

    def _feed(self) -> None:
        with suppress(ChannelClosed, OSError):  # of which the reader knows more
            last = b""
            while last != FINISH:
                messages = [self._queue.get()]
                if messages[0][0] == NUMBERS:
                    time.sleep(GATHER_SECONDS)
                with suppress(queue.Empty):
                    while True:
                        messages.append(self._queue.get_nowait())
                for last, value in gathered(messages):
                    self._channel.send(last, value)

    def _read(self) -> None:
        kind, value = b"", None
        with suppress(ChannelClosed, OSError):
            while kind not in (FAILED, FINISHED):
                kind, value = self._channel.receive()
                if kind == STARTED:
                    self._log.info("%s: %s", self._name, value)
                elif kind == NOT_KEPT:
                    self._warn(f"has not taken {value}")
        if kind == FAILED:
            self._warn(f"is off from now on: {value}")
        elif kind != FINISHED and not self._over:
            self._warn("is off from now on: its process has ended")
        self._over = True

    def _warn(self, what: str) -> None:
        seen = f" (see {self._output})" if self._output is not None else ""
        self._log.warning("%s %s%s", self._name, what, seen)


def gathered(messages: list[tuple[bytes, Any]]) -> list[tuple[bytes, Any]]:
    """Join the numbers of the same env steps that follow one another: (NUMBERS, ({name: number}, env steps))."""
    joined: list[tuple[bytes, Any]] = []
    for kind, value in messages:
        if kind in (NUMBERS, HISTORY) and joined and joined[-1][0] == kind and joined[-1][1][1] == value[1]:
            joined[-1][1][0].update(value[0])
        else:
            joined.append((kind, (dict(value[0]), value[1]) if kind in (NUMBERS, HISTORY) else value))
    return joined


def main(descriptor: int, parent: int) -> None:
    """Be the process. It ends a run whose process is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # of which the run will tell
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    channel = Channel(socket.socket(fileno=descriptor))
    with suppress(ChannelClosed):
        _, (tracker, run, output) = channel.receive()
        _redirect(output or os.devnull)
        try:
            _serve(channel, tracker, run)
            _tell(channel, FINISHED)
        except Exception as error:
            traceback.print_exc()
            _tell(channel, FAILED, redacted(one_line(error)))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that a package has left are not waited for


def _serve(channel: Channel, tracker: Tracker, run: TrackedRun) -> None:
    started = tracker.start(run)
    status: Status = "killed"
    _tell(channel, STARTED, started.where)
    with suppress(ChannelClosed):  # nobody is left, and all that was said has been read
        while True:
            kind, value = channel.receive()
            if kind == FINISH:
                status = value
                break
            if kind == FILES:
                _keep(channel, tracker, value)
            elif kind == NUMBERS or value[1] > started.has:
                tracker.log(*value)
    signal.alarm(FINISH_SECONDS)  # if nobody is left who would kill it
    tracker.finish(status)


def _tell(channel: Channel, kind: bytes, value: str = "") -> None:
    with suppress(ChannelClosed):
        channel.send(kind, value)


def _keep(channel: Channel, tracker: Tracker, files: Files) -> None:
    """Hand files over; that they cannot be is no reason to lose the numbers to come."""
    try:
        tracker.keep(files)
    except Exception as error:
        traceback.print_exc()
        _tell(channel, NOT_KEPT, redacted(f"the {files.kind} of t_env={files.t_env} ({one_line(error)})"))


def _redirect(output: str) -> None:
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(file, descriptor)
    os.close(file)
