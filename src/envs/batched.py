"""From an env's name to a batched env: native, in this process, or in worker processes.

A native batched env (`batched = True`) steps all rows itself. Any other env is looped over, or worker processes share
its copies; one with `own_process = True` is never looped over. The same seeds give the same episodes in each of these.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs import REGISTRY
from pymarl.envs.adapter import EnvAdapter, EnvArgs, all_or_error, constructor_seeds, save_replays
from pymarl.envs.contract import check_info
from pymarl.envs.faults import EnvError, EnvUserError, env_error, fault, stuck_error
from pymarl.envs.multiagentenv import BatchedEnv, EnvArrays, ReplayError
from pymarl.envs.watchdog import CallTimeout, Watchdog
from pymarl.envs.workers.worker_envs import WorkerEnvs
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError, where


def make_batched_env(
    env: str,
    env_args: EnvArgs,
    batch_size: int,
    seed: int,
    origin: Mapping[str, str],
    in_process: bool,
    workers: int | None = None,
    revive: bool = False,
    timeout: float | None = None,
) -> BatchedEnv:
    """Return `batch_size` envs that step together.

    Args:
        env: registry name, or `module:Class`.
        env_args: the env's options.
        batch_size: B.
        seed: the constructors' seeds come from it; an episode's own seed is given to `reset`.
        origin: "env_args.<key>" -> where it was set, for messages.
        in_process: start no workers, unless the env needs them.
        workers: how many to start, at most B; None: one for each CPU core that this process may use, or for
            each copy of an env with `own_process`.
        revive: start a worker that dies again; what its rows were playing is `broken`.
        timeout: seconds that a reset, a step or the constructor of one env may take; None: no limit. A native batched
            env and one that has `answer_seconds` are left alone.

    Raises:
        UserError: unknown env or option, missing package, an env that describes itself wrongly, `workers` for a native
            batched env.
        EnvError: an env raised something else, does not come back, or its worker died.
    """
    refuse_workers(env, workers)
    if is_native(env):
        return _native_env(env, env_args, batch_size, origin)
    if needs_process(env):
        return WorkerEnvs(env, env_args, batch_size, seed, origin, workers or batch_size, revive, timeout)
    if in_process:
        return SerialEnvs(env, env_args, batch_size, seed, origin, timeout)
    return WorkerEnvs(env, env_args, batch_size, seed, origin, workers, revive, timeout)


def _native_env(env: str, env_args: EnvArgs, batch_size: int, origin: Mapping[str, str]) -> BatchedEnv:
    env_class = REGISTRY[env]
    native: BatchedEnv = env_class(build_config(env_class.Config, env_args, origin, "env_args."), batch_size)
    check_info(env, native.info)
    return native


def is_native(env: str) -> bool:
    """Tell whether an env is batched by itself."""
    env_class = REGISTRY[env]
    return hasattr(env_class, "batched") and bool(env_class.batched)


def refuse_workers(env: str, workers: int | None) -> None:
    """Raise UserError if there are to be worker processes for an env that needs none."""
    if workers is not None and is_native(env):
        raise UserError(
            f"env_workers={workers}: {env} steps all envs of a batch itself, without worker processes; "
            "write env_workers=None"
        )


def needs_process(env: str) -> bool:
    """Tell whether an env must not run in this process: a game runs behind it."""
    env_class = REGISTRY[env]
    return hasattr(env_class, "own_process") and bool(env_class.own_process)


def env_name(env: BatchedEnv) -> str:
    """Return what to call an env in a message."""
    return env.name if isinstance(env, (SerialEnvs, WorkerEnvs)) else type(env).__name__


class _Call:
    """A call of an env in this process, as a context that is entered anew for each: there are many, and they are short.

    What the env raises within becomes an EnvError, or an EnvUserError where it said in one line what is wrong.
    """

    def __init__(self, env: str, watchdog: Watchdog | None) -> None:
        self.env, self.watchdog = env, watchdog
        self.row, self.action, self.step = 0, "start", 0

    def __enter__(self) -> None:
        if self.watchdog is not None:
            self.watchdog.begin(self.row, self.action, self.step)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.watchdog is not None:
            self.watchdog.end()
        if error is None:
            return
        if isinstance(error, ReplayError | EnvError | EnvUserError):
            return
        if isinstance(error, UserError):
            raise EnvUserError(str(error), error.details) from error
        if isinstance(error, CallTimeout):
            stood = where(traceback.extract_tb(trace))
            raise stuck_error(self.env, self.row, self.action, self.step, error.seconds, stood) from error
        if isinstance(error, Exception | SystemExit):
            raise env_error(self.env, self.row, self.action, *fault(error)) from error


class SerialEnvs:
    """B copies of a `MultiAgentEnv`, stepped one after the other in this process. Arguments as `make_batched_env`.

    Raises:
        UserError: from any method, what an env says or returns is wrong.
        EnvError: from any method, an env raised something else, or did not come back within `timeout`.
    """

    replay_of_episode = False

    def __init__(
        self,
        env: str,
        env_args: EnvArgs,
        batch_size: int,
        seed: int,
        origin: Mapping[str, str],
        timeout: float | None = None,
    ) -> None:
        self.name, self.batch_size = env, batch_size
        self._steps = [0] * batch_size
        self._envs: list[EnvAdapter] = []
        self._watchdog = Watchdog(env, timeout) if timeout and Watchdog.possible() else None
        self._one_call = _Call(env, self._watchdog)
        try:
            for row, child in enumerate(constructor_seeds(seed, batch_size)):
                with self._call(row, "start"):
                    self._envs.append(EnvAdapter(env, env_args, origin, child))
        except BaseException:
            self.close()
            raise
        self.info = self._envs[0].info
        self.arrays = EnvArrays.allocate(self.info, batch_size)
        for row, adapter in enumerate(self._envs):
            adapter.bind(self.arrays, row)

    def _call(self, row: int, action: str) -> _Call:
        """Watch a call of a row's env, and say whose fault it is if it fails."""
        call = self._one_call
        call.row, call.action, call.step = row, action, self._steps[row]
        return call

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start the episode of `seeds[k]` in row `rows[k]`."""
        for row, seed in zip(rows.tolist(), seeds.tolist(), strict=True):
            self._steps[row] = 0
            with self._call(row, "reset"):
                self._envs[row].reset(seed)

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Step the rows given with `actions[rows]`, actions being [B, N]."""
        for row in rows.tolist():
            self._steps[row] += 1
            with self._call(row, "step"):
                self._envs[row].step(actions[row])

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return the numbers in the info of the row's last finished episode, or {"broken": why}."""
        return self._envs[row].last_info

    def get_stats(self) -> list[dict[str, float]]:
        """Return each env's statistics."""
        stats = []
        for row, adapter in enumerate(self._envs):
            with self._call(row, "get_stats"):
                stats.append(adapter.get_stats())
        return stats

    def save_replay(
        self, directory: Path, rows: int | None = None, values: NDArray[np.float32] | None = None
    ) -> list[Path]:
        """Save each env's replay. UserError if the env has none, ReplayError if one cannot be saved."""
        saved, errors = [], []
        for row, adapter in enumerate(self._envs[:rows]):
            with self._call(row, "save_replay"):
                files, refused = save_replays([adapter], directory)
            saved += files
            errors += refused
        return all_or_error(saved, errors)

    def close(self) -> None:
        """Close every env, once. What fails then, or does not come back, is said and no error."""
        envs, self._envs = self._envs, []
        for row, adapter in enumerate(envs):
            try:
                with self._call(row, "close"):
                    adapter.close()
            except UserError as error:
                sys.stderr.write(f"warning: {error}\n{error.details}\n")
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = self._one_call.watchdog = None
