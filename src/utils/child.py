"""A child process of ours: how it is started, how the two talk, and how it ends with its parent."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from pymarl.utils.processes import parent_death_signal

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_HEADER = struct.Struct("<cQ")  # kind and length
_READ_SIZE = 4096


def start_child(main: str, pass_fds: Sequence[int] = ()) -> tuple[subprocess.Popen[bytes], Channel]:
    """Start a process that runs `main`, and return it and our end of the channel to it.

    It is a fresh interpreter that knows our import path and nothing else of us (the user's script is not run again),
    leads a process group of its own, and computes on one thread.

    Args:
        main: "module:function" of what to call with the descriptor of its end and our process id; see `guard`.
        pass_fds: descriptors that it inherits as well.

    Raises:
        OSError: the system starts no process.
    """
    ours, theirs = socket.socketpair()
    module, function = main.split(":")
    start = (
        f"import sys; sys.path[:] = sys.argv[3:]; from {module} import {function} as main; "
        "main(*map(int, sys.argv[1:3]))"
    )
    environment = {key: "1" for key in ONE_THREAD} | dict(os.environ)
    # Blocked signals stay blocked in a new process: a Ctrl-C cannot hit it before it ignores them itself.
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", start, str(theirs.fileno()), str(os.getpid()), *sys.path],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), *pass_fds),
            env=environment,
            process_group=0,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        theirs.close()
    return process, Channel(ours)


def import_path() -> str:
    """Return our import path beyond Python's own, as PYTHONPATH of a process on this machine or one that is like it."""
    python = tuple(str(Path(prefix).resolve()) + os.sep for prefix in {sys.prefix, sys.base_prefix})
    path = [str(Path(entry).resolve()) for entry in sys.path if not entry.endswith(".zip")]
    own = [entry for entry in path if not f"{entry}{os.sep}".startswith(python)]
    return os.pathsep.join(dict.fromkeys(own))


class ChannelClosed(Exception):
    """The other end is closed, or its process is gone."""


class Channel:
    """One end of the socket between a process and its child.

    Its errors have a class of their own, because an env may have broken pipes and resets of its own.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._rest = b""  # of what was read, the next message's

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def send(self, kind: bytes, value: Any = None) -> None:
        """Send a message. ChannelClosed if nobody is there."""
        payload = pickle.dumps(value)
        try:
            self._socket.sendall(_HEADER.pack(kind, len(payload)) + payload)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed from error

    def receive(self) -> tuple[bytes, Any]:
        """Wait for a message and return its kind and value. ChannelClosed if none will come."""
        data = self._rest or self._read(_READ_SIZE)  # nearly always one whole message
        while len(data) < _HEADER.size:
            data += self._read(_READ_SIZE)
        kind, length = _HEADER.unpack_from(data)
        end = _HEADER.size + length
        if len(data) < end:
            chunks, missing = [data], end - len(data)
            while missing:
                chunks.append(self._read(missing))
                missing -= len(chunks[-1])
            data = b"".join(chunks)
        self._rest = data[end:]
        return kind, pickle.loads(memoryview(data)[_HEADER.size : end])

    def _read(self, size: int) -> bytes:
        try:
            data = self._socket.recv(size)
        except ConnectionResetError as error:
            raise ChannelClosed from error
        if not data:
            raise ChannelClosed
        return data

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


class Terminated(SystemExit):
    """The process was asked to end. Any other SystemExit is the env's."""


def guard(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end with it even in the middle of a step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _terminate)

    def orphaned(number: int, frame: FrameType | None) -> None:
        # The kernel means the parent's THREAD, which may end before the process does: look.
        if os.getppid() != parent:
            _terminate(number, frame)

    signal.signal(signal.SIGHUP, orphaned)
    parent_death_signal(signal.SIGHUP)()
    if os.getppid() != parent:  # it died before we could ask
        sys.exit(1)


def _terminate(number: int, frame: FrameType | None) -> None:
    """End the process by way of main's `finally`, which closes the env."""
    ignore_signals()
    raise Terminated(128 + number)


def ignore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
