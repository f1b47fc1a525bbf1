"""What became of the runs of a plan, as their folders say: nothing else is kept of a launch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymarl.experiments.plan import Job, key_of
from pymarl.utils.errors import UserError
from pymarl.utils.files import read_object
from pymarl.utils.info import EXPECTED, read_info
from pymarl.utils.runs import RUNNING, Record, read_record

WON, RETURN = "test_battle_won_mean", "test_return_mean"


@dataclass(frozen=True)
class Entry:
    """The newest folder of a job.

    Attributes:
        folder: of the run.
        status: RUNNING, COMPLETED, INTERRUPTED, FAILED or DIED.
        t_max: what it was to reach.
        absolute: episodes that it was to play at its end.
    """

    folder: Path
    status: str
    t_max: int
    absolute: int = 0

    def completes(self, job: Job) -> bool:
        """Tell whether nothing of the job is missing."""
        absolute = int(job.config.get("absolute_episodes", 0))
        return self.status == "COMPLETED" and self.t_max >= job.t_max and self.absolute >= absolute

    @property
    def runs(self) -> bool:
        """Whether someone is at it."""
        return self.status == RUNNING


class Book:
    """Finds the run folders of jobs under a results folder; each config is read once.

    Args:
        results: where the runs write, local_results_path.
    """

    def __init__(self, results: Path) -> None:
        self.results = results
        self._keys: dict[Path, str | None] = {}

    def look_up(self, jobs: Iterable[Job]) -> dict[str, Entry]:
        """Return, for those jobs that have one, the folder that began last, or of several one that is complete."""
        wanted = {job.key: job for job in jobs}
        found: dict[str, list[tuple[str, Entry]]] = {}
        for folder in self.results.glob("sacred/*/*/*"):
            key = self._key(folder)
            if key in wanted and (started := self._entry(folder)):
                found.setdefault(str(key), []).append(started)
        return {
            key: max(entries, key=lambda each: (each[1].completes(wanted[key]), each[0]))[1]
            for key, entries in found.items()
        }

    def _key(self, folder: Path) -> str | None:
        """Return the key of a run folder; None if it has no config."""
        if folder not in self._keys:
            path = folder / "config.json"
            if not path.is_file():
                return None  # sacred writes it soon, or the folder holds sources
            try:
                config = read_object(path, EXPECTED)
                self._keys[folder] = key_of({key: value for key, value in config.items() if key != "__doc__"})
            except (UserError, OSError):
                self._keys[folder] = None
        return self._keys[folder]

    def _entry(self, folder: Path) -> tuple[str, Entry] | None:
        """Return when a run began, and what its folder says; None if that cannot be read."""
        try:
            record = read_record(folder)
        except (UserError, OSError):
            return None
        status = "DIED" if record.dead() else record.status
        t_max, absolute = (int(record.config.get(key, 0)) for key in ("t_max", "absolute_episodes"))
        return str(record.run.get("start_time", "")), Entry(folder, status, t_max, absolute)


def fail_trace(record: Record) -> str:
    """Return the last line of what a run failed with; "" if it does not say."""
    trace = record.run.get("fail_trace") or [""]
    return str(trace[-1]).strip().splitlines()[-1] if str(trace[-1]).strip() else ""


@dataclass(frozen=True)
class Numbers:
    """How far a run is: env steps, env steps per second lately, and its last test, all None where it has none yet."""

    steps: float | None
    speed: float | None
    test: str


def numbers_of(folder: Path) -> Numbers:
    """Return what a run has logged."""
    try:
        info = read_info(folder)
    except (UserError, OSError, json.JSONDecodeError):
        return Numbers(None, None, "")
    steps = max((float(value[-1]) for key, value in info.items() if key.endswith("_T") and value), default=None)
    won, reward = _last(info, WON), _last(info, RETURN)
    test = f"won {won:.0%}" if won is not None else f"return {reward:.2f}" if reward is not None else ""
    return Numbers(steps, _last(info, "steps_per_s"), test)


def _last(info: Mapping[str, Any], key: str) -> float | None:
    values = info.get(key) or [None]
    return float(values[-1]) if isinstance(values[-1], (int, float)) else None
