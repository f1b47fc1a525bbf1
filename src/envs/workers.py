"""Any PyMARL env as a batched one: a process per env, with observations and actions in shared memory."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
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
    """B copies of a `MultiAgentEnv`, each in a process of its own. Arguments as `make_batched_env`.

    The processes start together and end with this one, however it ends. Ctrl-C is left to this process. A failure in
    one of them closes all.

    Raises:
        UserError: from any method, one that a worker raised: missing package, unknown option, wrong shape.
        EnvError: from any method, the env raised something else or its process died.
    """

    def __init__(self, env: str, env_args: EnvArgs, batch_size: int, seed: int, origin: Mapping[str, str]) -> None:
        self.name, self.batch_size = env, batch_size
        self._channels: list[Channel] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._poller = select.poll()
        self._row_of: dict[int, int] = {}
        self._ended_info: list[dict[str, float]] = [{} for _ in range(batch_size)]
        memory = _anonymous_memory()
        try:
            args, origin = _plain(env_args), _plain(origin)
            for row, child in enumerate(constructor_seeds(seed, batch_size)):
                self._start(WorkerSpec(
                    env=env, env_args=args, origin=origin, seed=child, row=row, batch_size=batch_size, memory=memory
                ))  # fmt: skip
            self.info = self._agree([pickle.loads(info) for _, info in self._collect(range(batch_size), "start")])
            shared = SharedArrays(self.info, batch_size, memory, create=True)
            self.arrays, self._actions = shared.arrays, shared.actions
            self._call(range(batch_size), worker.BIND, "start")
        except BaseException:
            self.close()
            raise
        finally:
            os.close(memory)

    def _start(self, spec: WorkerSpec) -> None:
        """Start one worker without waiting for it."""
        ours, theirs = socket.socketpair()
        self._channels.append(Channel(ours))
        self._row_of[ours.fileno()] = spec.row
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
        self._send(spec.row, worker.SPEC, pickle.dumps(spec), "start")

    def _agree(self, infos: list[EnvInfo]) -> EnvInfo:
        for row, info in enumerate(infos):
            if info != infos[0]:
                raise UserError(f"env {self.name!r}: copy {row} says it is {info}, copy 0 says {infos[0]}")
        return infos[0]

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start the episode of `seeds[k]` in row `rows[k]`."""
        payloads = [worker.SEED.pack(seed) for seed in seeds.tolist()]
        self._call(rows.tolist(), worker.RESET, "reset", payloads)

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Step the rows given with `actions[rows]`, actions being [B, N]."""
        self._actions[rows] = actions[rows]
        stepped = rows.tolist()
        for row, (kind, info) in zip(stepped, self._call(stepped, worker.STEP, "step"), strict=True):
            if kind == worker.ENDED:
                self._ended_info[row] = pickle.loads(info)

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return the numbers in the info of the row's last finished episode."""
        return self._ended_info[row]

    def get_stats(self) -> list[dict[str, float]]:
        """Return each env's statistics."""
        return [pickle.loads(stats) for _, stats in self._call(range(self.batch_size), worker.STATS, "get_stats")]

    def save_replay(self, directory: Path) -> list[Path]:
        """Save each env's replay. UserError if the env has none."""
        payloads = [os.fsencode(directory.absolute())] * self.batch_size
        replies = self._call(range(self.batch_size), worker.REPLAY, "save_replay", payloads)
        return [Path(path) for _, paths in replies for path in pickle.loads(paths)]

    def _call(
        self, rows: Sequence[int], command: bytes, action: str, payloads: Sequence[bytes] | None = None
    ) -> list[tuple[bytes, bytes]]:
        """Send each row the command, then return their replies. After a failure no worker is left."""
        if not self._channels:
            raise RuntimeError(f"env {self.name!r} is closed")
        try:
            for row, payload in zip(rows, payloads or [b""] * len(rows), strict=True):
                self._send(row, command, payload, action)
            return self._collect(rows, action)
        except BaseException:
            self.close()
            raise

    def _send(self, row: int, command: bytes, payload: bytes, action: str) -> None:
        try:
            self._channels[row].send(command, payload)
        except ChannelClosed as error:
            self._receive(row, action)  # raises what the worker said last, if it said anything
            raise self._death(row, action) from error

    def _collect(self, rows: Sequence[int], action: str) -> list[tuple[bytes, bytes]]:
        """Wait for one reply of each row, in whatever order they come."""
        replies: dict[int, tuple[bytes, bytes]] = {}
        waiting = set(rows)
        while waiting:
            events = self._poller.poll(_POLL_MS)
            for descriptor, _ in events:
                row = self._row_of[descriptor]
                replies[row] = self._receive(row, action)
                waiting.discard(row)
            if not events:
                for row in waiting:  # a process that the env forked may hold the socket of a dead worker open
                    if self._processes[row].poll() is not None:
                        raise self._death(row, action)
        return [replies[row] for row in rows]

    def _receive(self, row: int, action: str) -> tuple[bytes, bytes]:
        try:
            kind, payload = self._channels[row].receive()
        except ChannelClosed as error:
            raise self._death(row, action) from error
        if kind == worker.USER_ERROR:
            raise UserError(pickle.loads(payload))
        if kind == worker.ENV_ERROR:
            raise EnvError(f"env {self.name!r} failed in row {row} during {action}:\n{pickle.loads(payload)}")
        return kind, payload

    def _death(self, row: int, action: str) -> EnvError:
        process = self._processes[row]
        try:
            code = process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            return EnvError(f"env {self.name!r}: the worker of row {row} closed its socket during {action}")
        reason = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return EnvError(
            f"env {self.name!r}: the worker of row {row} (process {process.pid}) {reason}{hint} during {action}"
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
        _wait(processes, worker.CLOSE_SECONDS)
        for process in processes:
            process.kill()
            process.wait()


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
