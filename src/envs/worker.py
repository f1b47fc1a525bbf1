"""The process behind some rows of `WorkerEnvs`: it holds their envs, and never outlives the run.

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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.adapter import EnvAdapter, save_replays
from envs.multiagentenv import EnvArrays, EnvInfo
from utils.errors import UserError

# A message is one of these with a pickle of plain values. The two ends take turns.
SPEC, BIND, RESET = b"w", b"B", b"R"  # to the worker: its WorkerSpec; nothing; {row: episode's seed}
STEP, STATS, REPLAY = b"S", b"T", b"P"  # rows to step; nothing; (directory, rows)
# From it: RESULT of SPEC: [EnvInfo], of BIND: seconds or None (see Rows.bind), of RESET and STEP: {row: info} of the
# episodes that ended or broke, of STATS: [stats], of REPLAY: ([path], [why one is missing]). USER_ERROR: the message.
# ENV_ERROR: (row, traceback).
RESULT, USER_ERROR, ENV_ERROR = b"r", b"u", b"x"
_HEADER = struct.Struct("<cQ")  # kind and length
_READ_SIZE = 4096

CLOSE_SECONDS = 10
"""How long each env may take to close before its process is ended."""

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker is told at its start.

    Attributes:
        rows: the rows of the batch that it drives.
        seeds: for the constructor of each row's env.
        memory: descriptor of the shared memory, sized before BIND.
    """

    env: str
    env_args: Mapping[str, Any]
    origin: Mapping[str, str]
    rows: range
    seeds: list[int]
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

    def send(self, kind: bytes, value: Any = None) -> None:
        """Send a message. ChannelClosed if nobody is there."""
        payload = pickle.dumps(value)
        try:
            self._socket.sendall(_HEADER.pack(kind, len(payload)) + payload)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ChannelClosed from error

    def receive(self) -> tuple[bytes, Any]:
        """Wait for a message and return its kind and value. ChannelClosed if none will come."""
        data = self._read(_READ_SIZE)  # nearly always the whole message, and never more: the ends take turns
        while len(data) < _HEADER.size:
            data += self._read(_READ_SIZE)
        kind, length = _HEADER.unpack_from(data)
        missing = _HEADER.size + length - len(data)
        if missing:
            chunks = [data]
            while missing:
                chunks.append(self._read(missing))
                missing -= len(chunks[-1])
            data = b"".join(chunks)
        return kind, pickle.loads(memoryview(data)[_HEADER.size :])

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


class Rows:
    """The envs of one worker: what its messages ask for, row by row.

    Attributes:
        row: the one at work, for messages.
    """

    def __init__(self) -> None:
        self.row = 0
        self._envs: dict[int, EnvAdapter] = {}

    def build(self, spec: WorkerSpec) -> list[EnvInfo]:
        """Build each row's env and return what it says of itself."""
        for row, seed in zip(spec.rows, spec.seeds, strict=True):
            self.row = row
            self._envs[row] = EnvAdapter(spec.env, spec.env_args, spec.origin, seed)
        return [env.info for env in self._envs.values()]

    def bind(self, spec: WorkerSpec) -> float | None:
        """Read actions from the shared memory and write into it, from now on.

        Returns:
            Seconds that a reset or a step of all rows may take, None if an env does not say.
        """
        shared = SharedArrays(self._envs[self.row].info, spec.batch_size, spec.memory, create=False)
        os.close(spec.memory)
        self._actions = shared.actions
        for row, env in self._envs.items():
            env.bind(shared.arrays, row)
        limits = [env.answer_seconds for env in self._envs.values()]
        return None if None in limits else sum(limit for limit in limits if limit is not None)

    def _each(self, rows: Iterable[int]) -> Iterator[tuple[int, EnvAdapter]]:
        for row in rows:
            self.row = row
            yield row, self._envs[row]

    def reset(self, seeds: Mapping[int, int]) -> dict[int, dict[str, Any]]:
        """Start the episode of `seeds[row]` in each row given; return the info of each that broke."""
        return {row: env.last_info for row, env in self._each(seeds) if env.reset(seeds[row])}

    def step(self, rows: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Step the rows given; return the info of each episode that ended or broke."""
        return {row: env.last_info for row, env in self._each(rows) if env.step(self._actions[row])}

    def get_stats(self) -> list[dict[str, float]]:
        """Return each row's statistics."""
        return [env.get_stats() for _, env in self._each(self._envs)]

    def save_replay(self, directory: Path, rows: Iterable[int]) -> tuple[list[Path], list[str]]:
        """Save a replay of each row given; see `save_replays`."""
        return save_replays((env for _, env in self._each(rows)), directory)

    def close(self) -> None:
        """Close every env, whether or not another's raises; each has CLOSE_SECONDS before SIGALRM ends the process."""
        with ExitStack() as stack:
            for env in reversed(self._envs.values()):
                stack.callback(env.close)
                stack.callback(signal.alarm, CLOSE_SECONDS)  # called before it


def main(descriptor: int, parent: int) -> None:
    """Run a worker whose socket is `descriptor`, until `parent` (its process id) closes its end or dies."""
    _guard(parent)
    os.set_inheritable(descriptor, False)  # a game process must not hold it open
    channel = Channel(socket.socket(fileno=descriptor))
    rows = Rows()
    try:
        try:
            _work(channel, rows)
        finally:  # a signal may still break in here, but only one ever does
            _ignore_signals()
    finally:
        _ignore_signals()
        rows.close()


def _work(channel: Channel, rows: Rows) -> None:
    """Build the envs and serve them; failures go to the other end."""
    try:
        spec: WorkerSpec = channel.receive()[1]
        channel.send(RESULT, rows.build(spec))
        while True:
            channel.send(RESULT, _answer(rows, spec, *channel.receive()))
    except ChannelClosed:
        pass
    except UserError as error:
        _report(channel, USER_ERROR, str(error))
    except Exception:
        _report(channel, ENV_ERROR, (rows.row, traceback.format_exc()))


def _answer(rows: Rows, spec: WorkerSpec, command: bytes, value: Any) -> Any:
    """Do what a message asks for."""
    if command == STEP:
        return rows.step(value)
    if command == RESET:
        return rows.reset(value)
    if command == BIND:
        return rows.bind(spec)
    if command == STATS:
        return rows.get_stats()
    directory, of_rows = value
    return rows.save_replay(Path(directory), of_rows)


def _report(channel: Channel, kind: bytes, value: Any) -> None:
    try:
        channel.send(kind, value)
    except ChannelClosed:
        sys.stderr.write(f"{value if kind == USER_ERROR else value[1]}\n")  # nobody is left to tell


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
