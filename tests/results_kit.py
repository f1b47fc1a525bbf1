"""Run folders as runs leave them, without the running."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "env": "skirmish", "name": "qmix", "seed": 1, "t_max": 3000, "test_interval": 1000, "test_nepisode": 2, "lr": 0.1,
    "env_timeout": 600, "evaluate": False, "save_replay": False, "env_args": {"map_name": "3m"},
}  # fmt: skip
Tests = Sequence[tuple[int, Sequence[float]]]
"""env steps -> returns of the episodes."""


def write_run(
    folder: Path, tests: Tests = (), *, best: Sequence[float] = (), run: dict[str, Any] | None = None, late: int = 0,
    **config: Any,
) -> Path:  # fmt: skip
    """Write a run whose tests are `late` env steps behind their multiples; those with several episodes are kept one by
    one, as are the `best` networks' at the end.
    """
    folder.mkdir(parents=True)
    record = {"status": "COMPLETED", "start_time": "2026-01-01T10:00:00", "stop_time": "2026-01-01T10:01:40"}
    write(folder / "config.json", CONFIG | config)
    write(folder / "run.json", record | (run or {}))
    steps = [t + late for t, _ in tests]
    means = [sum(values) / len(values) for _, values in tests]
    write(folder / "info.json", {"test_return_mean": means, "test_return_mean_T": steps, "loss": [1.0], "loss_T": [9]})
    lines = [line(t, t + late, "training", values) for t, values in tests if len(values) > 1]
    lines += [line(t, t + late, "best", best) for t, _ in tests[-1:] if best]
    if lines:
        (folder / "evaluations.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    return folder


def line(at: int, t_env: int, of: str, values: Sequence[float]) -> dict[str, Any]:
    """Return a line of evaluations.jsonl: a test at a tenth of a second per env step, won if it returned 1 or more."""
    return {
        "at": at, "t_env": t_env, "of": of, "seconds": at / 10, "return": list(values),
        "length": [5] * len(values), "won": [int(value >= 1) for value in values], "seed": [None] * len(values),
    }  # fmt: skip


def write(path: Path, value: Any) -> None:
    """Write JSON."""
    path.write_text(json.dumps(value))
