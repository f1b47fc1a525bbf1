"""Ends a call of an env in this process that never returns.

A process looks on, because C code may hold this one's interpreter. After `seconds` it has the signal INTERRUPT raise
`CallTimeout` in the call; if that does not help, because the env is in C code, it says where the env stands and kills
this process. Its imports are Python's own, so that it is small and starts at once.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

from pymarl.envs.faults import stuck_error
from pymarl.envs.stacks import DUMP_SIGNAL, dump_on_signal, stack_of
from pymarl.utils.memory import anonymous_memory

INTERRUPT = signal.SIGUSR2
CLOSE_SECONDS = 10
"""How long an env may take to close."""

GRACE_SECONDS = 5.0
"""After CallTimeout was raised, before the process is killed."""

ACTIONS = ("start", "reset", "step", "get_stats", "save_replay", "close")
_NUMBER = {action: number for number, action in enumerate(ACTIONS)}
_CALL, _ROW, _ACTION, _STEP, _ASKED = range(5)  # what is shared; CALL counts beginnings and ends: odd within a call
_BYTES = 64
_START = "import sys; sys.path[:] = sys.argv[6:]; from pymarl.envs.watchdog import watch; watch(*sys.argv[1:6])"


class CallTimeout(BaseException):
    """A call lasts too long. Not an Exception, so that the env does not take it for one of its own."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds


class Watchdog:
    """Looks on while envs are called in the main thread.

    Args:
        env: name of the env, for messages.
        seconds: that a call may last.
    """

    def __init__(self, env: str, seconds: float) -> None:
        self._seconds = seconds
        memory, stacks = anonymous_memory(), anonymous_memory()
        os.ftruncate(memory, _BYTES)
        self._page = memoryview(mmap.mmap(memory, _BYTES)).cast("q")
        dump_on_signal(stacks)
        self._previous = signal.signal(INTERRUPT, self._interrupt)
        words = [str(memory), str(stacks), str(os.getpid()), str(seconds), env, *sys.path]
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _START, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(memory, stacks),
        )
        self._stacks = stacks
        os.close(memory)

    @staticmethod
    def possible() -> bool:
        """Tell whether this is the main thread: no signal interrupts another."""
        return threading.current_thread() is threading.main_thread()

    def begin(self, row: int, action: str, step: int) -> None:
        """Look on from now."""
        page = self._page
        page[_ROW], page[_ACTION], page[_STEP] = row, _NUMBER[action], step
        page[_CALL] += 1

    def end(self) -> None:
        """Look away."""
        self._page[_CALL] += self._page[_CALL] % 2

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._page[_CALL] == self._page[_ASKED]:  # it is still the same call
            raise CallTimeout(allowed(ACTIONS[self._page[_ACTION]], self._seconds))

    def close(self) -> None:
        """End the process that looks on."""
        faulthandler.unregister(DUMP_SIGNAL)
        signal.signal(INTERRUPT, self._previous)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        os.close(self._stacks)


def allowed(action: str, seconds: float) -> float:
    """Return how long a call may last; to close, an env is given less time."""
    return min(seconds, CLOSE_SECONDS) if action == "close" else seconds


def watch(memory: str, stacks: str, watched: str, limit: str, env: str) -> None:
    """Look on from the other process, until its other end of stdin closes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a stop is asked of the watched, which may take time
        signal.signal(number, signal.SIG_IGN)
    page = memoryview(mmap.mmap(int(memory), _BYTES)).cast("q")
    process, seconds = int(watched), float(limit)
    tick, grace = min(1.0, seconds / 4), min(GRACE_SECONDS, seconds)
    waited, last = 0.0, 0  # ticks are added up: while all of us are suspended there are none
    while not select.select([0], [], [], tick)[0] and os.getppid() == process:
        call = page[_CALL]
        waited = waited + tick if call == last and call % 2 and not _stopped(process) else 0.0
        last = call
        patience = allowed(ACTIONS[page[_ACTION]], seconds)
        if waited > patience + grace:
            _kill(page, process, int(stacks), env, patience)
        elif waited > patience and page[_ASKED] != call:
            page[_ASKED] = call
            os.kill(process, INTERRUPT)


def _kill(page: memoryview, process: int, stacks: int, env: str, seconds: float) -> None:
    error = stuck_error(env, page[_ROW], ACTIONS[page[_ACTION]], page[_STEP], seconds, stack_of(process, stacks))
    sys.stderr.write(
        f"error: {error}\n{error.details}\n"
        "error: it did not stop when it was interrupted (C code, or a bare except), so the run is killed without a "
        "checkpoint; "
        "with runner=parallel one would be saved\n"
    )
    sys.stderr.flush()
    os.kill(process, signal.SIGKILL)


def _stopped(process: int) -> bool:
    """Tell whether a process is suspended, or a debugger has stopped it."""
    with suppress(FileNotFoundError):  # not Linux
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    return False
