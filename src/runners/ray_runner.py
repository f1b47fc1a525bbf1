"""Collectors as actors of ray, on one machine or on many."""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from pymarl.envs.batched import is_native, needs_process
from pymarl.runners.collector import Collector, Order, Start, answer, failure
from pymarl.runners.parallel_runner import ParallelRunner
from pymarl.runners.player import Tell
from pymarl.runners.remote_runner import CollectorLost, RemoteRunner
from pymarl.runners.runner import Runner
from pymarl.runners.seeds import Share
from pymarl.utils.config import PositiveFloat, PositiveInt
from pymarl.utils.errors import UserError
from pymarl.utils.packages import missing_module
from pymarl.utils.ray_cluster import Cluster, import_ray, reason, worker_environment

EXIT_SECONDS = 5
"""For a worker to finish what it plays, and to close its envs, before it is ended."""

PAUSE_SECONDS = 0.5
"""Before ray is asked for a worker once more."""


class RayRunner(RemoteRunner):
    """Lets workers of ray play, each with a `ParallelRunner` of its own; tests, too.

    A worker whose process or machine is lost is replaced by another one, anywhere in the cluster.

    Args:
        config, origin, tell: see Runner.

    Raises:
        UserError: ray cannot be reached or started, has too few CPU cores, or a worker cannot make its envs.
    """

    local = ParallelRunner

    @dataclass(frozen=True, kw_only=True)
    class Config(Runner.Config):
        """Keys; see config/default.yaml."""

        async_collect: bool
        ray_workers: PositiveInt
        ray_address: str | None
        ray_cpus_per_worker: PositiveFloat

    @classmethod
    def check_config(cls, config: Any) -> None:
        """Raise UserError if the workers cannot have equal shares, or ray is not installed."""
        rows, workers = config.batch_size_run, config.ray_workers
        if rows % workers:
            raise UserError(
                f"batch_size_run={rows} episodes cannot be dealt out evenly to ray_workers={workers}; write "
                f"batch_size_run={rows + -rows % workers}, or another number of workers"
            )
        if config.env_workers is not None and config.env_workers > rows // workers:
            raise UserError(
                f"env_workers={config.env_workers} processes in each of ray_workers={workers}, which have "
                f"{rows // workers} of batch_size_run={rows} envs; write env_workers={rows // workers} or None"
            )
        if find_spec("ray") is None:
            raise UserError(f"runner='ray' needs {missing_module('ray')}")

    def __init__(self, config: Any, origin: Mapping[str, str], tell: Tell) -> None:
        self.check_config(config)
        self._cluster = Cluster(config.ray_address)
        self._check_cores(config)
        super().__init__(
            config, origin, tell, plays=ParallelRunner, workers=config.ray_workers, ahead=config.async_collect
        )

    def _check_cores(self, config: Any) -> None:
        """Raise UserError, and leave ray, if it has too few."""
        workers, cpus, there = config.ray_workers, config.ray_cpus_per_worker, self._cluster.cores()
        if workers * cpus > there:
            self._cluster.close()
            raise UserError(
                f"ray_workers={workers} with ray_cpus_per_worker={cpus:g} take {workers * cpus:g} CPU cores, ray has "
                f"{there:g} {'here' if config.ray_address is None else f'at {config.ray_address}'}; write fewer or "
                "smaller ones"
            )

    def start_remote(self, start: Start) -> RayCollector:
        """Ask ray for a worker."""
        return RayCollector(self._cluster.ray, start, self.config.ray_cpus_per_worker)

    def ship(self, weights: dict[str, Any]) -> Any:
        """Put weights into ray's store, from which each machine gets them once."""
        return self._cluster.ray.put(weights)

    def _start(self, share: Share) -> Start:
        """Where an env has worker processes, a collector starts them for its own CPU cores, not for all it sees."""
        start, c = super()._start(share), self.config
        if c.env_workers is not None or is_native(c.env) or needs_process(c.env):
            return start
        workers = min(share.rows(c.batch_size_run), max(1, int(c.ray_cpus_per_worker)))
        return start._replace(config=replace(c, env_workers=workers))

    def close_env(self) -> None:
        """End the workers, and ray if it was started here."""
        for worker in self._workers:
            cast(RayCollector, worker.remote).leave()
        super().close_env()
        self._cluster.close()


class RayCollector:
    """A collector in an actor, started without waiting for it. Ray neither restarts it nor repeats a call: we do.

    Args:
        ray: the package.
        start: what it is made of.
        cpus: CPU cores that it takes of the cluster.
    """

    place_seconds: ClassVar[float] = 120.0
    """For ray to find a machine with free CPU cores, and to start a process there."""

    def __init__(self, ray: Any, start: Start, cpus: float) -> None:
        options = {
            "num_cpus": cpus,
            "num_gpus": 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "scheduling_strategy": "SPREAD",
            "runtime_env": {"env_vars": worker_environment()},
        }
        self._ray, self._cpus, self._start = ray, cpus, start
        self._class = ray.remote(**options)(Actor)
        self._place: str | None = None
        self._asked: deque[tuple[Any, tuple[Any, ...]]] = deque()  # answers to come, and what was asked
        self._left: tuple[Any, float] | None = None
        self._begin()

    def _begin(self) -> None:
        """Ask ray for an actor, and it for what there is to ask."""
        self._actor = self._class.remote(self._start, str(Path.cwd()))
        self._placed = self._actor.place.remote()
        self._asked = deque((self._actor.call.remote(*call), call) for _, call in self._asked)

    def send(self, method: str, *arguments: Any) -> None:
        """Ask for a method of Collector. If nobody is there, `receive` says so."""
        self._asked.append((self._actor.call.remote(method, *arguments), (method, *arguments)))

    def receive(self) -> Any:
        """Return the answer to the oldest call that has none yet. CollectorLost if none will come."""
        try:
            if self._place is None:
                self._place = self._find_place()
            return self._ray.get(self._asked.popleft()[0])
        except self._ray.exceptions.RayTaskError:
            raise  # by what is around the collector: a fault of ours
        except self._ray.exceptions.RayError as error:
            raise CollectorLost(f"{self._place or 'a ray worker'} is lost: {reason(error)}") from error

    def _find_place(self) -> str:
        """Wait for the process to start, and return what to call it.

        It takes a while until ray knows that a machine is gone, and until then it may send workers there.
        """
        errors, deadline = self._ray.exceptions, time.monotonic() + self.place_seconds
        while True:
            try:
                place: str = self._ray.get(self._placed, timeout=max(0.0, deadline - time.monotonic()))
                return place
            except errors.GetTimeoutError as error:
                raise CollectorLost(
                    f"no machine of the ray cluster had {self._cpus:g} free CPU cores within {self.place_seconds:g} s"
                ) from error
            except errors.RayActorError as error:
                if error.actor_init_failed:
                    raise UserError(
                        f"a ray worker cannot start: {str(error).splitlines()[-1]}; every machine needs this checkout "
                        "and its Python packages at the same path, see docs/ray.md"
                    ) from error
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE_SECONDS)
                self._begin()

    def leave(self) -> None:
        """Tell it to close its envs, without waiting."""
        if self._left is None:
            self._left = self._actor.call.remote("close"), time.monotonic() + EXIT_SECONDS

    def close(self) -> None:
        """Let it leave, and end it."""
        self.leave()
        assert self._left is not None
        closed, deadline = self._left
        if self._place is not None:  # else it may never start
            self._ray.wait([closed], timeout=max(0.0, deadline - time.monotonic()))
        self._ray.kill(self._actor)


class Actor:
    """What ray runs: a collector, made at the first call, so that a process that has started can be told from one
    that has not.

    Args:
        start: what it is made of.
        directory: the run's, which paths in env_args may begin at; where a machine has none, it stays where it is.
    """

    def __init__(self, start: Start, directory: str) -> None:
        self._start = start
        self._collector: Collector | None = None
        if Path(directory).is_dir():
            os.chdir(directory)

    def place(self) -> str:
        """Return what to call it."""
        return f"the ray worker {os.getpid()} on {socket.gethostname()}"

    def call(self, method: str, *arguments: Any) -> Any:
        """Return what a method of the collector returns, or a Failure."""
        if self._collector is None:
            if method == "close":
                return None
            try:
                self._collector = Collector(self._start)
            except Exception as error:
                return failure(error)
        return answer(self._collector, method, tuple(map(_fetched, arguments)))


def _fetched(argument: Any) -> Any:
    """Return an order with its weights, which the store gives out read-only."""
    if not isinstance(argument, Order) or argument.weights is None:
        return argument
    weights = import_ray().get(argument.weights)
    return argument._replace(weights={key: np.array(array) for key, array in weights.items()})
