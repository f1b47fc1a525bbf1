"""What a back end of tracking promises, and what it is told of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

from pymarl.utils.errors import UserError
from pymarl.utils.logging import WALL_CLOCK_KEYS
from pymarl.utils.packages import missing_module
from pymarl.utils.tracking.files import Files

Status = Literal["completed", "interrupted", "failed", "killed"]


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run as its trackers know it.

    Attributes:
        id: letters and digits that no other run has; a resumed run has that of the one it goes on from.
        name: algorithm, map and seed.
        group: algorithm and map: what the seeds of one experiment have in common.
        tags: words to look for it by.
        config: its merged keys, without passwords.
        hparams: of these, dotted, the ones that make it the run it is: it reads them, and they are not about files.
        results: absolute path of the folder of results, for trackers that write files.
        events: absolute path of its folder in tb_logs.
        t_env: env steps that it begins with.
        pid: its process.
    """

    id: str
    name: str
    group: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    hparams: dict[str, Any]
    results: Path
    events: Path
    t_env: int
    pid: int


@dataclass(frozen=True)
class Started:
    """What came of a start.

    Attributes:
        where: in words, where to look at the run.
        has: env steps up to which it has its numbers already, since it goes on; -1: none.
    """

    where: str
    has: int = -1


class Tracker(ABC):
    """A back end. All but its check is called by one thread, in a process of its own if it is `apart`.

    Whatever it raises there is one warning, and the run goes on without it. Made of its Config, if it has one.

    Attributes:
        modules: that have to be installed.
        apart: it lives in a process of its own: what it imports, waits for and draws at random is not the run's.
    """

    modules: ClassVar[tuple[str, ...]] = ()
    apart: ClassVar[bool] = True

    def check(self) -> None:  # noqa: B027  # most have nothing to say
        """Raise UserError, before the run begins, for what the user has to mend."""

    @abstractmethod
    def start(self, run: TrackedRun) -> Started:
        """Begin, or go on with the run of this id."""

    @abstractmethod
    def log(self, numbers: Mapping[str, float], t_env: int) -> None:
        """Take numbers by their grouped names; their env steps rise, but for single numbers that come late."""

    def wants(self, files: Files) -> bool:
        """Tell whether to hand files over: replays, and the networks at the end."""
        return files.last

    @abstractmethod
    def keep(self, files: Files) -> None:
        """Take files."""

    @abstractmethod
    def finish(self, status: Status) -> None:
        """End the run; return once all is written or sent."""


def check_installed(name: str, tracker: type[Tracker]) -> None:
    """Raise UserError if a tracker's package is missing."""
    for module in tracker.modules:
        spec = find_spec(module)
        if spec is None or spec.origin is None:  # a folder of that name, as W&B and MLflow make them, is no package
            raise UserError(f"use_{name}=True needs {missing_module(module)}, or leave use_{name} out")


def grouped(key: str) -> str:
    """Return a statistic's name with its group: test/return_mean, train/return_mean, speed/steps_per_s."""
    if key in WALL_CLOCK_KEYS:
        return f"speed/{key}"
    if key.startswith("absolute_"):
        return f"test/{key}"
    return f"test/{key[5:]}" if key.startswith("test_") else f"train/{key}"
