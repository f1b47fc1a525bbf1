"""A worker process as the run sees it: how it is started, talked to and ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pymarl.envs.faults import EnvError, EnvUserError, env_error
from pymarl.envs.stacks import stack_of
from pymarl.envs.watchdog import CLOSE_SECONDS
from pymarl.envs.workers import worker
from pymarl.envs.workers.worker import WorkerSpec
from pymarl.utils.child import ChannelClosed, start_child

EXIT_SECONDS = 2
__all__ = ["EnvError", "EnvUserError", "WorkerDied", "WorkerProcess"]


class WorkerDied(EnvError):
    """A worker's process is gone, without a word, or does not answer, or could not be started."""


class WorkerProcess:
    """One worker, started without waiting for it.

    It leads a process group of its own, so that a game which its env starts ends with it, however it ends.

    Args:
        env: name of the env, for messages.
        spec: what it is told; its reply to that is the first to receive.

    Raises:
        WorkerDied: the system starts no process.
    """

    def __init__(self, env: str, spec: WorkerSpec) -> None:
        self.rows = spec.rows
        self._env, self._stacks = env, spec.stacks
        try:
            self._process, self._channel = start_child("pymarl.envs.workers.worker:main", (spec.memory, spec.stacks))
        except OSError as error:
            raise WorkerDied(f"{self._name()} could not be started: {error.strerror}") from error
        self.send(worker.SPEC, spec)

    @property
    def pid(self) -> int:
        """Process id, and id of the group."""
        return self._process.pid

    def fileno(self) -> int:
        """Return the descriptor that is readable when it has replied, or is gone."""
        return self._channel.fileno()

    def send(self, command: bytes, value: Any) -> None:
        """Send a command. If nobody is there, `receive` says so."""
        with suppress(ChannelClosed):
            self._channel.send(command, value)

    def receive(self, action: str) -> Any:
        """Return the reply to the last command; `action` is what it was for, in messages.

        Raises:
            EnvUserError: a UserError of the worker.
            EnvError: the env raised something else.
            WorkerDied: the process is gone.
        """
        try:
            kind, value = self._channel.receive()
        except ChannelClosed as error:
            raise self.exit_error(action) from error
        if kind == worker.USER_ERROR:
            raise EnvUserError(*value)
        if kind == worker.ENV_ERROR:
            row, line, details = value
            raise env_error(self._env, row, action, line, details)
        return value

    def ended(self) -> bool:
        """Tell whether the process has ended. One that its env forked may still hold its socket open."""
        return self._process.poll() is not None

    def exit_error(self, action: str) -> WorkerDied:
        """Return how the process ended, as an exception."""
        process = self._process
        if not self.wait(EXIT_SECONDS):
            return WorkerDied(f"{self._name()} closed its socket during {action}")
        code = process.returncode
        reason = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return WorkerDied(f"{self._name()} (process {process.pid}) {reason}{hint} during {action}")

    def timeout_error(self, action: str, began: float) -> WorkerDied:
        """Return that the process has not answered since `began` (monotonic seconds), as an exception."""
        seconds = time.monotonic() - began
        return WorkerDied(f"{self._name()} (process {self.pid}) has not answered for {seconds:.0f} s during {action}")

    def start(self, seconds: float | None) -> None:
        """Wait until its envs are built and bound to shared memory that is there already.

        Args:
            seconds: that this may take in all; None: any time.

        Raises:
            EnvUserError: a UserError of the worker.
            EnvError: the env raised something else.
            WorkerDied: the process is gone, or took longer.
        """
        began = time.monotonic()
        self._receive_in_time("start", began, seconds)
        self.send(worker.BIND, None)
        self._receive_in_time("start", began, seconds)

    def _receive_in_time(self, action: str, began: float, seconds: float | None) -> None:
        poller = select.poll()
        poller.register(self, select.POLLIN)
        left = None if seconds is None else max(0.0, began + seconds - time.monotonic())
        if not poller.poll(None if left is None else 1000 * left):
            raise self.timeout_error(action, began)
        self.receive(action)

    def stack(self) -> str:
        """Return where the env stands, as the lines of a traceback that are its own; "" if the process does not say."""
        return stack_of(self.pid, self._stacks)

    def end(self) -> None:
        """End a process that does not answer: politely, and soon."""
        self.terminate()
        self.wait(EXIT_SECONDS / 2)
        self.kill()

    def _name(self) -> str:
        rows = self.rows
        where = f"row {rows[0]}" if len(rows) == 1 else f"rows {rows[0]} to {rows[-1]}"
        return f"env {self._env!r}: the worker of {where}"

    def disconnect(self) -> None:
        """Close the socket, which tells the worker to leave."""
        self._channel.close()

    def wait(self, seconds: float) -> bool:
        """Give the process time to end; tell whether it has."""
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self) -> None:
        """Break into a long step; a worker that is closing its env already ignores this."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process, and everything in its group."""
        self._process.kill()
        with suppress(ProcessLookupError, PermissionError):  # nobody is left (macOS: PermissionError)
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def end_all(processes: Sequence[WorkerProcess]) -> None:
    """End workers that were hung up on: let them leave, then break into what they do, then kill them."""
    _wait(processes, EXIT_SECONDS)
    for process in processes:
        process.terminate()
    _wait(processes, CLOSE_SECONDS * max((len(process.rows) for process in processes), default=0))
    for process in processes:
        process.kill()


def _wait(processes: Sequence[WorkerProcess], seconds: float) -> None:
    """Give processes up to `seconds` in all to end."""
    deadline = time.monotonic() + seconds
    for process in processes:
        if not process.wait(deadline - time.monotonic()):
            return
