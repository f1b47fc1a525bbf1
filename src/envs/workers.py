"""Any PyMARL env as a batched one: in worker processes, with observations and actions in shared memory."""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import worker
from envs.adapter import EnvArgs, constructor_seeds
from envs.multiagentenv import EnvInfo
from envs.worker import Channel, ChannelClosed, SharedArrays, WorkerSpec
from utils.errors import UserError

# A fresh interpreter that knows our import path and nothing else of us: the user's script is not run again.
_START = (
    "import sys; sys.path[:] = sys.argv[3:]; from envs.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_POLL_MS = 2000
_LEAVE_SECONDS = 2


class EnvError(Exception):
    """An env failed in its worker process. The message holds the worker's traceback, or how its process ended."""


class WorkerEnvs:
    """B copies of a `MultiAgentEnv`, dealt out contiguously to worker processes. Arguments as `make_batched_env`.

    A worker steps its rows one after the other, the workers at the same time. How many there are changes no episode,
    unless an env draws from a generator that it shares with others in its process, such as `np.random`.

    The processes start together and end with this one, however it ends. Ctrl-C is left to this process. A failure in
    one of them closes all.

    Raises:
        UserError: from any method, one that a worker raised: missing package, unknown option, wrong shape.
        EnvError: from any method, the env raised something else or its process died.
    """

    replay_of_episode = False

    def __init__(
        self, env: str, env_args: EnvArgs, batch_size: int, seed: int, origin: Mapping[str, str], workers: int | None
    ) -> None:
        self.name, self.batch_size = env, batch_size
        self._rows = _deal(batch_size, min(batch_size, _cores()) if workers is None else workers)
        self._worker_of_row = [worker for worker, rows in enumerate(self._rows) for _ in rows]
        self._channels: list[Channel] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._poller = select.poll()
        self._worker_of_descriptor: dict[int, int] = {}
        self._ended_info: list[dict[str, float]] = [{} for _ in range(batch_size)]
        memory = _anonymous_memory()
        try:
            args, origin, seeds = _plain(env_args), _plain(origin), constructor_seeds(seed, batch_size)
            for rows in self._rows:
                self._start(WorkerSpec(
                    env=env, env_args=args, origin=origin, rows=rows, seeds=seeds[rows.start : rows.stop],
                    batch_size=batch_size, memory=memory,
                ))  # fmt: skip
            infos = self._collect(range(len(self._rows)), "start")
            self.info = self._agree([info for of_worker in infos for info in of_worker])
            shared = SharedArrays(self.info, batch_size, memory, create=True)
            self.arrays, self._actions = shared.arrays, shared.actions
            self._call_all(worker.BIND, None, "start")
        except BaseException:
            self.close()
            raise
        finally:
            os.close(memory)

    def _start(self, spec: WorkerSpec) -> None:
        """Start one worker without waiting for it."""
        ours, theirs = socket.socketpair()
        index = len(self._channels)
        self._channels.append(Channel(ours))
        self._worker_of_descriptor[ours.fileno()] = index
        self._poller.register(ours.fileno(), select.POLLIN)
        arguments = [str(theirs.fileno()), str(os.getpid()), *sys.path]
        environment = {key: "1" for key in _ONE_THREAD} | dict(os.environ)
        # Blocked signals stay blocked in a new process: a Ctrl-C cannot hit it before it ignores them itself.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), spec.memory),
                env=environment,
            )
            self._processes.append(process)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)
            theirs.close()
        self._send(index, worker.SPEC, spec, "start")

    def _agree(self, infos: list[EnvInfo]) -> EnvInfo:
        for row, info in enumerate(infos):
            if info != infos[0]:
                raise UserError(f"env {self.name!r}: copy {row} says it is {info}, copy 0 says {infos[0]}")
        return infos[0]

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start the episode of `seeds[k]` in row `rows[k]`."""
        seed_of = dict(zip(rows.tolist(), seeds.tolist(), strict=True))
        by_worker = self._by_worker(list(seed_of))
        messages = {index: {row: seed_of[row] for row in mine} for index, mine in by_worker.items()}
        self._call(worker.RESET, messages, "reset")

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Step the rows given with `actions[rows]`, actions being [B, N]."""
        self._actions[rows] = actions[rows]
        for ended in self._call(worker.STEP, self._by_worker(rows.tolist()), "step"):
            for row, info in ended.items():
                self._ended_info[row] = info

    def _by_worker(self, rows: list[int]) -> dict[int, list[int]]:
        """Return {worker: those of the rows that it drives}."""
        result: dict[int, list[int]] = {}
        for row in rows:
            result.setdefault(self._worker_of_row[row], []).append(row)
        return result

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return the numbers in the info of the row's last finished episode."""
        return self._ended_info[row]

    def get_stats(self) -> list[dict[str, float]]:
        """Return each env's statistics."""
        return [stats for of_worker in self._call_all(worker.STATS, None, "get_stats") for stats in of_worker]

    def save_replay(self, directory: Path, values: NDArray[np.float32] | None = None) -> list[Path]:
        """Save each env's replay. UserError if the env has none."""
        replies = self._call_all(worker.REPLAY, str(directory.absolute()), "save_replay")
        return [Path(path) for paths in replies for path in paths]

    def _call_all(self, command: bytes, value: Any, action: str) -> list[Any]:
        return self._call(command, dict.fromkeys(range(len(self._rows)), value), action)

    def _call(self, command: bytes, values: Mapping[int, Any], action: str) -> list[Any]:
        """Send each worker the command with its value, then return their replies. After a failure none is left."""
        if not self._channels:
            raise RuntimeError(f"env {self.name!r} is closed")
        try:
            for index, value in values.items():
                self._send(index, command, value, action)
            return self._collect(values, action)
        except BaseException:
            self.close()
            raise

    def _send(self, index: int, command: bytes, value: Any, action: str) -> None:
        try:
            self._channels[index].send(command, value)
        except ChannelClosed as error:
            self._receive(index, action)  # raises what the worker said last, if it said anything
            raise self._death(index, action) from error

    def _collect(self, workers: Iterable[int], action: str) -> list[Any]:
        """Wait for one reply of each worker, in whatever order they come."""
        replies: dict[int, Any] = {}
        waiting = set(workers)
        while waiting:
            events = self._poller.poll(_POLL_MS)
            for descriptor, _ in events:
                index = self._worker_of_descriptor[descriptor]
                replies[index] = self._receive(index, action)
                waiting.discard(index)
            if not events:
                for index in waiting:  # a process that the env forked may hold the socket of a dead worker open
                    if self._processes[index].poll() is not None:
                        raise self._death(index, action)
        return [replies[index] for index in workers]

    def _receive(self, index: int, action: str) -> Any:
        try:
            kind, value = self._channels[index].receive()
        except ChannelClosed as error:
            raise self._death(index, action) from error
        if kind == worker.USER_ERROR:
            raise UserError(value)
        if kind == worker.ENV_ERROR:
            row, text = value
            raise EnvError(f"env {self.name!r} failed in row {row} during {action}:\n{text}")
        return value

    def _death(self, index: int, action: str) -> EnvError:
        process, rows = self._processes[index], self._rows[index]
        where = f"row {rows[0]}" if len(rows) == 1 else f"rows {rows[0]} to {rows[-1]}"
        try:
            code = process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            return EnvError(f"env {self.name!r}: the worker of {where} closed its socket during {action}")
        reason = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return EnvError(
            f"env {self.name!r}: the worker of {where} (process {process.pid}) {reason}{hint} during {action}"
        )

    def close(self) -> None:
        """End every worker: by closing its socket, then by SIGTERM, then by SIGKILL. Calling it again does nothing."""
        channels, self._channels = self._channels, []
        processes, self._processes = self._processes, []
        for channel in channels:
            self._poller.unregister(channel.fileno())
            channel.close()
        _wait(processes, _LEAVE_SECONDS)
        for process in processes:
            process.terminate()  # breaks into a long step; who is closing its env already ignores it
        _wait(processes, worker.CLOSE_SECONDS * max(map(len, self._rows)))
        for process in processes:
            process.kill()
            process.wait()


def _cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _deal(batch_size: int, workers: int) -> list[range]:
    """Return each worker's rows: contiguous, and as even as can be."""
    assert 1 <= workers <= batch_size, "the config is checked for this"
    bounds = [batch_size * index // workers for index in range(workers + 1)]
    return [range(first, last) for first, last in itertools.pairwise(bounds)]


def _wait(processes: list[subprocess.Popen[bytes]], seconds: float) -> None:
    """Give processes up to `seconds` in all to end."""
    deadline = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return


def _anonymous_memory() -> int:
    """Return the descriptor of memory without a name: however the processes end, nothing is left behind."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("envs")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _plain(value: Any) -> Any:
    """Return `value` with plain dicts and lists: a worker need not import what the config came in."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
