"""The process behind some rows of `WorkerEnvs`: it holds their envs, and never outlives the run.

Messages are a few bytes; observations and actions lie in shared memory. The process imports NumPy and the env, and
nothing of the program that started it. It ends when the other end of its socket closes, which is also what it sees
when the run is killed; because it may be deep inside a step just then, the kernel also sends it SIGHUP (Linux).
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymarl.envs.adapter import EnvAdapter, save_replays
from pymarl.envs.faults import fault
from pymarl.envs.multiagentenv import EnvInfo
from pymarl.envs.shared import SharedArrays, shared_clock
from pymarl.envs.stacks import dump_on_signal
from pymarl.envs.watchdog import CLOSE_SECONDS
from pymarl.utils.child import Channel, ChannelClosed, Terminated, guard, ignore_signals
from pymarl.utils.errors import UserError

# A message is one of these with a pickle of plain values. The two ends take turns.
SPEC, BIND, RESET = b"w", b"B", b"R"  # to the worker: its WorkerSpec; nothing; {row: episode's seed}
STEP, STATS, REPLAY = b"S", b"T", b"P"  # rows to step; nothing; (directory, rows)
# From it: RESULT of SPEC: [EnvInfo], of BIND: seconds or None (see Rows.bind), of RESET and STEP: {row: info} of the
# episodes that ended or broke, of STATS: [stats], of REPLAY: ([path], [why one is missing]). USER_ERROR: its message
# and details. ENV_ERROR: row, line and details.
RESULT, USER_ERROR, ENV_ERROR = b"r", b"u", b"x"


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker is told at its start.

    Attributes:
        rows: the rows of the batch that it drives.
        seeds: for the constructor of each row's env.
        memory: descriptor of the shared memory; the clock is there from the start, the arrays from BIND on.
        stacks: descriptor of the file that workers write to when they are asked where they stand.
    """

    env: str
    env_args: Mapping[str, Any]
    origin: Mapping[str, str]
    rows: range
    seeds: list[int]
    batch_size: int
    memory: int
    stacks: int


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
        self._clock = shared_clock(spec.batch_size, spec.memory, create=False)
        for row, seed in zip(spec.rows, spec.seeds, strict=True):
            self._began(row)
            self._envs[row] = EnvAdapter(spec.env, spec.env_args, spec.origin, seed)
            self._clock[row] = 0.0
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
            self._began(row)
            yield row, self._envs[row]
            self._clock[row] = 0.0

    def _began(self, row: int) -> None:
        self.row = row
        self._clock[row] = time.monotonic()

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
    guard(parent)
    os.set_inheritable(descriptor, False)  # a game process must not hold it open
    channel = Channel(socket.socket(fileno=descriptor))
    rows = Rows()
    try:
        try:
            _work(channel, rows)
        finally:  # a signal may still break in here, but only one ever does
            ignore_signals()
    finally:
        ignore_signals()
        rows.close()


def _work(channel: Channel, rows: Rows) -> None:
    """Build the envs and serve them; failures go to the other end."""
    try:
        spec: WorkerSpec = channel.receive()[1]
        dump_on_signal(spec.stacks)
        channel.send(RESULT, rows.build(spec))
        while True:
            channel.send(RESULT, _answer(rows, spec, *channel.receive()))
    except ChannelClosed:
        pass
    except Terminated:
        raise
    except UserError as error:
        _report(channel, USER_ERROR, str(error), error.details)
    except BaseException as error:  # Ctrl-C is not for this process, so KeyboardInterrupt too is the env's
        _report(channel, ENV_ERROR, rows.row, *fault(error))


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


def _report(channel: Channel, kind: bytes, *values: Any) -> None:
    with suppress(ChannelClosed):  # the run has ended, by the fault of another worker that it has told of, or killed
        channel.send(kind, values)
