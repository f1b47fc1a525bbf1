"""Runs as actors of Ray, on this machine or on a cluster; one whose worker or machine is lost goes on elsewhere.

All machines must see the folder of the results, and the checkout, at the same paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pymarl.experiments.attempt import INTERRUPTED, Attempt, here, last_line
from pymarl.experiments.launch import Process
from pymarl.utils.child import import_path
from pymarl.utils.errors import UserError, closest
from pymarl.utils.packages import missing_module
from pymarl.utils.ray_cluster import Cluster, reason
from pymarl.utils.values import shown

OPTIONS = ("address", "gpus")


class Player:
    """Plays a run on the machine that Ray has chosen. An actor, because Ray cannot interrupt a task that waits."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def play(self) -> int:
        """Play it; return its exit code."""
        return self.attempt()

    def stop(self) -> None:
        """Ask it to save a checkpoint and end."""
        self.attempt.interrupt()


class RayProcess:
    """A run in an actor.

    Args:
        ray: the package.
        player: the actor.
        log: takes what the run prints.
    """

    def __init__(self, ray: Any, player: Any, log: Path) -> None:
        self._ray, self._player, self.log = ray, player, log
        self._code = player.play.remote()

    def queued(self) -> bool:
        """Tell whether it has yet to begin, as far as we can: the log is its first sign of life."""
        return not self.log.exists()

    def ended(self) -> bool:
        """Tell whether it has."""
        return bool(self._ray.wait([self._code], timeout=0)[0])

    def cut_off(self) -> str:
        """Return what ended it from outside; "" if it ended by itself."""
        try:
            code = self._ray.get(self._code)
        except self._ray.exceptions.RayError as error:
            return reason(error)
        self.kill()  # its cores are for the next one
        if code == INTERRUPTED:
            return "told to end"
        return f"killed by signal {-code}" if code < 0 else ""

    def stop(self) -> None:
        """Ask it to save a checkpoint and end."""
        if self.queued():
            self.kill()
        else:
            self._player.stop.remote()

    def kill(self) -> None:
        """End its worker; the run saves, and ends with it."""
        self._ray.kill(self._player)

    def memory(self) -> int:
        """Return 0: it is elsewhere."""
        return 0

    def last_line(self) -> str:
        """Return the last thing that it said."""
        return last_line(self.log)


class RayBackend:
    """Hands runs to Ray.

    Args:
        options: "address", HOST:PORT of a cluster's head, without which Ray is started here; "gpus" of each run, which
            may be a part of one.
        at_once: most runs at a time; None: as many as Ray has cores for `threads` each.
        threads: of each run, and the CPU cores that Ray sets aside for it.
        logs: folder of what they print.

    Raises:
        UserError: Ray is not installed, cannot be reached, or an option is none.
    """

    def __init__(self, options: Mapping[str, Any], at_once: int | None, threads: int, logs: Path) -> None:
        if find_spec("ray") is None:
            raise UserError(f"--backend=ray needs {missing_module('ray')}")
        for key in options:
            if key not in OPTIONS:
                raise UserError(f"--ray {key}: expected address=HOST:PORT or gpus=NUMBER{closest(key, OPTIONS)}")
        address, self.gpus = options.get("address"), options.get("gpus", 0)
        if not isinstance(self.gpus, (int, float)) or self.gpus < 0:
            raise UserError(f"--ray gpus={shown(self.gpus)}: expected a number, such as 1 or 0.25")
        self.at_once, self.threads, self.logs = at_once, threads, logs
        self._cluster = Cluster(None if address is None else str(address))
        if self._places() < 1:
            self.close()
            raise UserError(f"--threads={threads}: no machine of Ray's has as many CPU cores; write fewer")

    def _places(self) -> int:
        """Return how many runs the machines have CPU cores for that are there now."""
        alive = [node for node in self._cluster.ray.nodes() if node["Alive"]]
        return sum(int(node["Resources"].get("CPU", 0)) // self.threads for node in alive)

    def has_room(self, running: Sequence[Process]) -> bool:
        """Tell whether another run may start beside those."""
        places = self._places()
        return len(running) < (places if self.at_once is None else min(places, self.at_once))

    def start(self, words: Sequence[str], name: str) -> RayProcess:
        """Hand over a run; what it prints goes into the file of this name."""
        ray, log = self._cluster.ray, self.logs / f"{name}.log"
        log.unlink(missing_ok=True)
        player = ray.remote(
            num_cpus=self.threads, num_gpus=self.gpus, max_concurrency=2, scheduling_strategy="SPREAD",
            runtime_env={"env_vars": {"PYTHONPATH": import_path()}},
        )(Player)  # fmt: skip
        return RayProcess(ray, player.remote(here(words, self.threads, log)), log)

    def leave(self, running: Sequence[Process]) -> str:
        """Keep all runs: Ray would end them with the launcher."""
        return ""

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        self._cluster.close()
