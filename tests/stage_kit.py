"""A back end that is played: processes that end when they are told to, and the folders that they would leave."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymarl.experiments.plan import Job


def write_folder(
    job: Job, number: int, status: str, started: str = "2026-01-01T00:00:00", info: dict[str, Any] | None = None
) -> Path:
    """Write what a run of a job leaves."""
    folder = Path("results/sacred/3m/qmix") / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(job.config)))
    (folder / "run.json").write_text(json.dumps({"status": status, "start_time": started}))
    numbers = {"test_battle_won_mean": [0.25], "test_battle_won_mean_T": [500], "steps_per_s": [10.0]}
    (folder / "info.json").write_text(json.dumps(numbers if info is None else info))
    return folder


@dataclass
class Played:
    """A process that ends when it is told to."""

    words: Sequence[str]
    code: int | None = None
    asked: int = 0
    on_stop: Callable[[], int | None] = lambda: 130
    said: str = "error: out of luck"
    waits: bool = False

    def queued(self) -> bool:
        return self.waits

    def ended(self) -> bool:
        return self.code is not None

    def cut_off(self) -> str:
        return "killed by signal 9" if (self.code or 0) < 0 else ""

    def stop(self) -> None:
        self.asked += 1
        self.code = self.on_stop()

    def kill(self) -> None:
        self.code = -9

    def memory(self) -> int:
        return 0

    def last_line(self) -> str:
        return self.said


@dataclass
class Stage:
    """A back end for some runs at a time.

    Attributes:
        elsewhere: someone else's processes are at all runs.
    """

    places: int = 2
    begun: list[Played] = field(default_factory=list)
    goes_on: str = ""
    waits: bool = False
    elsewhere: bool = False

    def has_room(self, running: Sequence[Any]) -> bool:
        return len(running) < self.places

    def start(self, words: Sequence[str], name: str) -> Played | None:
        if self.elsewhere:
            return None
        self.begun.append(Played(words, waits=self.waits))
        return self.begun[-1]

    def leave(self, running: Sequence[Any]) -> str:
        return self.goes_on if running else ""

    def close(self) -> None:
        pass

    def seeds(self) -> list[str]:
        return [next(word for word in each.words if word.startswith("seed=")) for each in self.begun]
