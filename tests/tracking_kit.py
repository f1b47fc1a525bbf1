"""Trackers that write down what they are told, or fail; and the run that they are told of."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import Started, Status, TrackedRun, Tracker


class Recorder(Tracker):
    """Appends a line to <results>/recorded.jsonl for each call; goes on where the file says that it was.

    Args:
        fault: at which call to do something else: "raise", "die" or "hang".
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        tracking_project: str

    def __init__(self, config: Config | None = None, fault: Mapping[str, str] | None = None) -> None:
        self.fault = fault or {}

    def start(self, run: TrackedRun) -> Started:
        self.path = run.results / "recorded.jsonl"
        before = [entry["t"] for entry in recorded(run.results) if entry["call"] == "log"]
        fields = ("id", "name", "group", "tags", "config", "hparams")
        about = {field: vars(run)[field] for field in fields}
        self._write("start", **about, t=run.t_env, apart=os.getpid() != run.pid)
        return Started("here", max(before, default=-1))

    def log(self, numbers: Mapping[str, float], t_env: int) -> None:
        self._write("log", numbers=dict(numbers), t=t_env)

    def keep(self, files: Files) -> None:
        self._write(
            "keep", kind=files.kind, last=files.last, t=files.t_env, files={n: str(p) for n, p in files.files.items()}
        )

    def finish(self, status: Status) -> None:
        self._write("finish", status=status)

    def _write(self, call: str, **entry: Any) -> None:
        fault = self.fault.get(call)
        if fault == "raise":
            raise ConnectionError("no way to http://me:secret@there")
        if fault == "die":
            os._exit(3)
        if fault == "hang":
            time.sleep(600)
        print(f"{call} was called")
        with self.path.open("a") as file:
            file.write(json.dumps({"call": call, **entry}) + "\n")


class RecorderHere(Recorder):
    """The same in the run's own process."""

    apart = False


class Greedy(Recorder):
    """Takes every checkpoint's networks."""

    def wants(self, files: Files) -> bool:
        return True


class Failing(Recorder):
    """Fails at its first number."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config, {"log": "raise"})


def recorded(results: Path) -> list[dict[str, Any]]:
    """Return what a Recorder was told."""
    path = results / "recorded.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def numbers_of(calls: list[dict[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Return {name: [(env steps, value)]} of what a Recorder was told."""
    found: dict[str, list[tuple[int, float]]] = {}
    for call in calls:
        if call["call"] == "log":
            for name, value in call["numbers"].items():
                found.setdefault(name, []).append((call["t"], value))
    return found


def tracked_run(results: Path, **changes: Any) -> TrackedRun:
    """Return a run to begin."""
    about: dict[str, Any] = {
        "id": "a1b2c3d4", "name": "qmix-3m-seed1", "group": "qmix-3m", "tags": ("qmix", "skirmish", "3m"),
        "config": {"name": "qmix", "lr": 0.5, "mixer": None, "env_args": {"map_name": "3m"}},
        "hparams": {"lr": 0.5, "mixer": None, "env_args.map_name": "3m"}, "results": results,
        "events": results / "tb_logs" / "token", "t_env": 0, "pid": os.getpid(),
    }  # fmt: skip
    return TrackedRun(**(about | changes))
