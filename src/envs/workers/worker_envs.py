"""Any PyMARL env as a batched one: in worker processes, with observations and actions in shared memory."""

from __future__ import annotations

import itertools
import os
import select
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.adapter import EnvArgs, all_or_error, constructor_seeds
from pymarl.envs.faults import stuck_error
from pymarl.envs.multiagentenv import EnvInfo
from pymarl.envs.shared import SharedArrays, shared_clock
from pymarl.envs.workers import worker
from pymarl.envs.workers.process import EnvError, EnvUserError, WorkerDied, WorkerProcess, end_all
from pymarl.envs.workers.worker import WorkerSpec
from pymarl.utils.config import plain
from pymarl.utils.errors import UserError
from pymarl.utils.memory import anonymous_memory

__all__ = ["EnvError", "WorkerEnvs"]

_POLL_MS = 2000


class WorkerEnvs:
    """B copies of a `MultiAgentEnv`, dealt out contiguously to worker processes. Arguments as `make_batched_env`.

    A worker steps its rows one after the other, the workers at the same time. How many there are changes no episode,
    unless an env draws from a generator that it shares with others in its process, such as `np.random`.

    The processes start together and end with this one, however it ends. Ctrl-C is left to this process. A failure in
    one of them closes all; but with `revive`, a process that is found dead in a step or a reset is started again, and
    the episodes of its rows are broken. So is one that takes longer than its envs say they may (`answer_seconds`). One
    that cannot be started is tried again when its rows are reset.

    An env that does not promise this, and is in one reset, one step or its constructor for longer than `timeout`, is an
    error that says where it stands.

    Raises:
        UserError: from any method, one that a worker raised: missing package, unknown option, wrong shape.
        EnvError: from any method, the env raised something else or its process died.
    """

    replay_of_episode = False

    def __init__(
        self,
        env: str,
        env_args: EnvArgs,
        batch_size: int,
        seed: int,
        origin: Mapping[str, str],
        workers: int | None,
        revive: bool = False,
        timeout: float | None = None,
    ) -> None:
        self.name, self.batch_size, self._revive, self._timeout = env, batch_size, revive, timeout
        rows_of = _deal(batch_size, min(batch_size, _cores()) if workers is None else workers)
        self._worker_of_row = [index for index, rows in enumerate(rows_of) for _ in rows]
        self._processes: list[WorkerProcess] = []
        self._poller = select.poll()
        self._worker_of_descriptor: dict[int, int] = {}
        self._ended_info: list[dict[str, Any]] = [{} for _ in range(batch_size)]
        self._revivals = 0
        self._down: dict[int, str] = {}  # workers that could not be started again, and why
        self._limits: list[float | None] = [None] * len(rows_of)  # seconds that a worker may take for a reset or a step
        self._poll_ms = _POLL_MS if timeout is None else min(_POLL_MS, 250 * timeout)
        self._steps = np.zeros(batch_size, np.int64)  # of each row's episode, for messages
        self._memory, self._stacks = anonymous_memory(), anonymous_memory()
        self._clock = shared_clock(batch_size, self._memory, create=True)
        args, origin, seeds = plain(env_args), plain(origin), constructor_seeds(seed, batch_size)
        self._specs = [
            WorkerSpec(
                env=env, env_args=args, origin=origin, rows=rows, seeds=seeds[rows.start : rows.stop],
                batch_size=batch_size, memory=self._memory, stacks=self._stacks,
            )
            for rows in rows_of
        ]  # fmt: skip
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        """Start all workers, and share memory of the size that their envs need."""
        for spec in self._specs:
            self._processes.append(WorkerProcess(self.name, spec))
            self._listen(len(self._processes) - 1)
        infos = self._collect(dict.fromkeys(range(len(self._specs))), worker.SPEC, "start")
        self.info = self._agree([info for of_worker in infos for info in of_worker])
        shared = SharedArrays(self.info, self.batch_size, self._memory, create=True)
        self.arrays, self._actions = shared.arrays, shared.actions
        self._limits = self._call_all(worker.BIND, None, "start")

    def _listen(self, index: int) -> None:
        descriptor = self._processes[index].fileno()
        self._worker_of_descriptor[descriptor] = index
        self._poller.register(descriptor, select.POLLIN)

    def _disconnect(self, process: WorkerProcess) -> None:
        if self._worker_of_descriptor.pop(process.fileno(), None) is not None:
            self._poller.unregister(process.fileno())
        process.disconnect()

    def _agree(self, infos: list[EnvInfo]) -> EnvInfo:
        for row, info in enumerate(infos):
            if info != infos[0]:
                raise UserError(f"env {self.name!r}: copy {row} says it is {info}, copy 0 says {infos[0]}")
        return infos[0]

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start the episode of `seeds[k]` in row `rows[k]`."""
        self._steps[rows] = 0
        seed_of = dict(zip(rows.tolist(), seeds.tolist(), strict=True))
        by_worker = self._by_worker(list(seed_of))
        messages = {index: {row: seed_of[row] for row in mine} for index, mine in by_worker.items()}
        self._call(worker.RESET, messages, "reset")

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Step the rows given with `actions[rows]`, actions being [B, N]."""
        self._steps[rows] += 1
        self._actions[rows] = actions[rows]
        self._call(worker.STEP, self._by_worker(rows.tolist()), "step")

    def _note_ends(self, ended: dict[int, dict[str, Any]]) -> None:
        for row, info in ended.items():
            self._ended_info[row] = info

    def _by_worker(self, rows: list[int]) -> dict[int, list[int]]:
        """Return {worker: those of the rows that it drives}."""
        result: dict[int, list[int]] = {}
        for row in rows:
            result.setdefault(self._worker_of_row[row], []).append(row)
        return result

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return the numbers in the info of the row's last finished episode, or {"broken": why}."""
        return self._ended_info[row]

    def get_stats(self) -> list[dict[str, float]]:
        """Return each env's statistics."""
        return [stats for of_worker in self._call_all(worker.STATS, None, "get_stats") for stats in of_worker]

    def save_replay(
        self, directory: Path, rows: int | None = None, values: NDArray[np.float32] | None = None
    ) -> list[Path]:
        """Save each env's replay. UserError if the env has none, ReplayError if one cannot be saved."""
        wanted = self._by_worker(list(range(self.batch_size))[:rows])
        messages = {index: (str(directory.absolute()), mine) for index, mine in wanted.items()}
        replies = self._call(worker.REPLAY, messages, "save_replay")
        return all_or_error(
            [path for saved, _ in replies for path in saved], [error for _, errors in replies for error in errors]
        )

    def _call_all(self, command: bytes, value: Any, action: str) -> list[Any]:
        return self._call(command, dict.fromkeys(range(len(self._processes)), value), action)

    def _call(self, command: bytes, values: Mapping[int, Any], action: str) -> list[Any]:
        """Send each worker the command with its value, then return their replies. After a failure none is left."""
        if not self._processes:
            raise RuntimeError(f"env {self.name!r} is closed")
        try:
            for index, value in values.items():
                if index in self._down:
                    self._restart(index)
                if index not in self._down:
                    self._processes[index].send(command, value)
            return self._collect(values, command, action)
        except BaseException:
            self.close()
            raise

    def _collect(self, values: Mapping[int, Any], command: bytes, action: str) -> list[Any]:
        """Wait for the reply of each worker that was sent a value, in whatever order they come."""
        in_play = command in (worker.RESET, worker.STEP)
        replies: dict[int, Any] = {}
        for index in self._down.keys() & values.keys():
            if not in_play:
                raise WorkerDied(self._down[index])
            replies[index] = self._break_rows(index, self._down[index])
            self._note_ends(replies[index])
        began = time.monotonic()
        while len(replies) < len(values):
            events = self._poller.poll(self._poll_ms)
            ready = [self._worker_of_descriptor[descriptor] for descriptor, _ in events]
            for index in ready or [index for index in values if index not in replies]:
                process = self._processes[index]
                try:
                    if ready:
                        reply = process.receive(action)
                    elif not process.ended() and not (in_play and self._is_late(index, began)):
                        self._refuse_stuck(index, action)
                        continue
                    else:  # a process that the env forked may hold the socket of a dead worker open
                        raise process.exit_error(action) if process.ended() else process.timeout_error(action, began)
                except WorkerDied as death:  # it may have replied before, or not have been asked
                    if not (self._revive and in_play):
                        raise
                    reply = self._replace(index, str(death))
                if index in values:
                    replies[index] = reply
                if in_play:
                    self._note_ends(reply)
                if not ready:
                    break  # to replace it took time, in which others may have replied
        return [replies[index] for index in values]

    def _is_late(self, index: int, began: float) -> bool:
        limit = self._limits[index]
        return limit is not None and time.monotonic() - began > limit

    def _refuse_stuck(self, index: int, action: str) -> None:
        """Raise EnvError if a call of one of a worker's envs lasts longer than env_timeout, and end the worker.

        Workers whose envs have limits of their own are left to `_is_late`.
        """
        if self._timeout is None or self._limits[index] is not None:
            return
        for row in self._specs[index].rows:
            since = float(self._clock[row])
            if since and time.monotonic() - since > self._timeout:
                process = self._processes[index]
                stood = process.stack()
                process.end()
                raise stuck_error(self.name, row, action, int(self._steps[row]), self._timeout, stood)

    def _replace(self, index: int, reason: str) -> dict[int, dict[str, Any]]:
        """Start a dead worker again and return {row: info}: the episodes of its rows are broken.

        That goes for those that have just ended as well: what their envs held of them, such as a replay, is lost.
        """
        self._disconnect(self._processes[index])
        self._processes[index].kill()
        self._restart(index)
        return self._break_rows(index, reason)

    def _restart(self, index: int) -> None:
        """Start the worker of one that has ended; if that fails it is down, and nothing is sent to it."""
        self._revivals += 1  # an env whose reset takes no seed is not to play the same episodes again
        spec = self._specs[index]
        seeds = [int(np.random.SeedSequence((seed, self._revivals)).generate_state(1)[0]) for seed in spec.seeds]
        try:
            process = WorkerProcess(self.name, replace(spec, seeds=seeds))
        except WorkerDied as death:
            self._down[index] = str(death)
            return
        self._processes[index] = process
        try:
            process.start(self._start_seconds(index))
        except (WorkerDied, EnvUserError) as death:  # the first start was well: what is missing now may come back
            self._down[index] = str(death)
            process.disconnect()
            process.kill()
            return
        self._down.pop(index, None)
        self._listen(index)

    def _start_seconds(self, index: int) -> float | None:
        """Return how long a worker may take to start again: env_timeout for each env, else as long as for a reset."""
        return self._limits[index] if self._timeout is None else self._timeout * len(self._specs[index].rows)

    def _break_rows(self, index: int, reason: str) -> dict[int, dict[str, Any]]:
        """Break the episodes of a worker's rows; return {row: info}."""
        rows = self._specs[index].rows
        lost = slice(rows.start, rows.stop)
        self.arrays.terminated[lost] = self.arrays.truncated[lost] = False
        self.arrays.broken[lost] = True
        return {row: {"broken": reason} for row in rows}

    def close(self) -> None:
        """End every worker: by closing its socket, then by SIGTERM, then by SIGKILL. Calling it again does nothing."""
        processes, self._processes = self._processes, []
        for descriptor in {self._memory, self._stacks} - {-1}:
            os.close(descriptor)
        self._memory = self._stacks = -1
        for process in processes:
            self._disconnect(process)
        end_all(processes)


def _cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _deal(batch_size: int, workers: int) -> list[range]:
    """Return each worker's rows: contiguous, and as even as can be."""
    assert 1 <= workers <= batch_size, "the config is checked for this"
    bounds = [batch_size * index // workers for index in range(workers + 1)]
    return [range(first, last) for first, last in itertools.pairwise(bounds)]
