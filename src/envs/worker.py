"""The process behind one row of `WorkerEnvs`: it holds one env, and never outlives the run.

Messages are a few bytes; observations and actions lie in shared memory. The process imports NumPy and the env, and
nothing of the program that started it. It ends when the other end of its socket closes, which is also what it sees
when the run is killed; because it may be deep inside a step just then, the kernel also sends it SIGHUP (Linux).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import pickle
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.adapter import EnvAdapter
from envs.multiagentenv import EnvArrays, EnvInfo
from utils.errors import UserError

# A message is one of these bytes; all but BARE ones go on with a length and as many bytes.
BIND, RESET, STEP, STATS, REPLAY = b"B", b"R", b"S", b"T", b"P"  # to the worker; RESET carries SEED, REPLAY a path
OK, ENDED, RESULT, USER_ERROR, ENV_ERROR = b"o", b"e", b"r", b"u", b"x"  # from it, with a pickle of plain values
SPEC = b"w"
BARE = frozenset((BIND, STEP, STATS, OK))
SEED = struct.Struct("<Q")
_LENGTH = struct.Struct("<Q")

CLOSE_SECONDS = 10
"""How long an env may take to close before its process is ended."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker is told at its start. `memory` is the descriptor of the shared memory, sized before BIND."""

    env: str
    env_args: Mapping[str, Any]
    origin: Mapping[str, str]
    seed: int
    row: int
    batch_size: int
    memory: int


class SharedArrays:
    """The arrays of a batch and its actions, laid out the same way in each process that maps the memory."""

    def __init__(self, info: EnvInfo, batch_size: int, memory: int, *, create: bool) -> None:
        self._used = 0
        self._memory: mmap.mmap | None = None
        if create:
            self._lay_out(info, batch_size)
            os.ftruncate(memory, self._used)
            self._used = 0
        self._memory = mmap.mmap(memory, 0)
        self.arrays, self.actions = self._lay_out(info, batch_size)

    def _lay_out(self, info: EnvInfo, batch_size: int) -> tuple[EnvArrays, NDArray[np.int64]]:
        arrays = EnvArrays.allocate(info, batch_size, self._allocate)
        return arrays, self._allocate((batch_size, info.n_agents), np.int64)

    def _allocate(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return the next array, on a cache line of its own; an empty one while only sizes are counted."""
        start, dtype = self._used, np.dtype(dtype)
        self._used += -(-int(np.prod(shape)) * dtype.itemsize // 64) * 64
        if self._memory is None:
            return np.empty(0, dtype)
        return np.ndarray(shape, dtype, buffer=self._memory, offset=start)


class ChannelClosed(Exception):
    """The other end is closed, or its process is gone."""


class Channel:
    """One end of the socket between the run and a worker.

    Its errors have a class of their own, because an env may have broken pipes and resets of its own.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Send a message. ChannelClosed if nobody is there."""
        try:
            self._socket.sendall(kind if kind in BARE else kind + _LENGTH.pack(len(payload)) + payload)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed from error

    def receive(self) -> tuple[bytes, bytes]:
        """Wait for a message and return its kind and payload. ChannelClosed if none will come."""
        kind = self._read(1)
        if kind in BARE:
            return kind, b""
        return kind, self._read(_LENGTH.unpack(self._read(_LENGTH.size))[0])

    def _read(self, size: int) -> bytes:
        try:
            data = self._socket.recv(size)
            while data and len(data) < size:
                more = self._socket.recv(size - len(data))
                data = more and data + more
        except ConnectionResetError as error:
            raise ChannelClosed from error
        if size and not data:
            raise ChannelClosed
        return data

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def main(descriptor: int, parent: int) -> None:
    """Run a worker whose socket is `descriptor`, until `parent` (its process id) closes its end or dies."""
    _guard(parent)
    os.set_inheritable(descriptor, False)  # a game process must not hold it open
    channel = Channel(socket.socket(fileno=descriptor))
    envs: list[EnvAdapter] = []
    try:
        try:
            _work(channel, envs)
        finally:  # a signal may still break in here, but only one ever does
            _ignore_signals()
    finally:
        _ignore_signals()
        signal.alarm(CLOSE_SECONDS)
        for env in envs:
            env.close()


def _work(channel: Channel, envs: list[EnvAdapter]) -> None:
    """Build the env into `envs`, where it will be closed, and serve it; failures go to the other end."""
    try:
        spec: WorkerSpec = pickle.loads(channel.receive()[1])
        env = EnvAdapter(spec.env, spec.env_args, spec.origin, spec.seed)
        envs.append(env)
        channel.send(RESULT, pickle.dumps(env.info))
        _serve(channel, env, spec)
    except ChannelClosed:
        pass
    except UserError as error:
        _report(channel, USER_ERROR, str(error))
    except Exception:
        _report(channel, ENV_ERROR, traceback.format_exc())


def _serve(channel: Channel, env: EnvAdapter, spec: WorkerSpec) -> None:
    """Answer every message until the channel closes."""
    actions: NDArray[np.int64] | None = None
    while True:
        command, payload = channel.receive()
        reply: tuple[bytes, ...] = (OK,)
        if command == STEP:
            assert actions is not None
            if env.step(actions):
                reply = (ENDED, pickle.dumps(env.last_info))
        elif command == RESET:
            env.reset(SEED.unpack(payload)[0])
        elif command == BIND:
            shared = SharedArrays(env.info, spec.batch_size, spec.memory, create=False)
            os.close(spec.memory)
            env.bind(shared.arrays, spec.row)
            actions = shared.actions[spec.row]
        elif command == STATS:
            reply = (RESULT, pickle.dumps(env.get_stats()))
        else:
            reply = (RESULT, pickle.dumps([str(path) for path in env.save_replay(Path(os.fsdecode(payload)))]))
        channel.send(*reply)


def _report(channel: Channel, kind: bytes, text: str) -> None:
    try:
        channel.send(kind, pickle.dumps(text))
    except ChannelClosed:
        sys.stderr.write(text + "\n")  # nobody is left to tell


def _guard(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end with it even in the middle of a step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    signal.signal(signal.SIGTERM, _leave)

    def orphaned(number: int, frame: FrameType | None) -> None:
        # The kernel means the parent's THREAD, which may end before the process does: look.
        if os.getppid() != parent:
            _leave(number, frame)

    signal.signal(signal.SIGHUP, orphaned)
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGHUP)
    if os.getppid() != parent:  # it died before we could ask
        sys.exit(1)


def _leave(number: int, frame: FrameType | None) -> None:
    """End the process by way of main's `finally`, which closes the env."""
    _ignore_signals()
    sys.exit(128 + number)


def _ignore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
