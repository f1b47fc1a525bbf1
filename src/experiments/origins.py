"""Whose run folders they are: ours, PyMARL's, PyMARL2's or EPyMARL's, and what they say of where they were played."""

from __future__ import annotations

from typing import Any

from pymarl.utils.info import JOURNAL
from pymarl.utils.runs import Record

OURS, PYMARL, PYMARL2, EPYMARL = "pymarl", "pymarl1", "pymarl2", "epymarl"

MARKS = {EPYMARL: "hypergroup", PYMARL2: "run"}
"""A key of the default.yaml of a framework, in all its versions, that those before it do not have."""


def origin_of(record: Record) -> str:
    """Return which framework has written a run folder."""
    if "env_timeout" in record.config or "models" in record.run or (record.folder / JOURNAL).is_file():
        return OURS
    return next((name for name, key in MARKS.items() if key in record.config), PYMARL)


def stamp_of(record: Record) -> dict[str, Any]:
    """Return commit, dirty, command_line, machine (its name), cpu, cores, gpu, python, torch, numpy and started.

    What its folder does not know is not among them.
    """
    run = record.run
    host, experiment = run.get("host") or {}, run.get("experiment") or {}
    repository: dict[str, Any] = next(iter(experiment.get("repositories") or []), {})  # sacred's, of others' runs
    packages = dict(text.split("==", 1) for text in experiment.get("dependencies") or [] if "==" in text)
    stamp = {
        "commit": repository.get("commit"),
        "dirty": repository.get("dirty"),
        "machine": host.get("hostname"),
        "cpu": host.get("cpu"),
        "python": host.get("python_version"),
        "torch": packages.get("torch"),
        "numpy": packages.get("numpy"),
        "started": run.get("start_time"),
    }
    own = {key: run[key] for key in ("commit", "dirty", "command_line") if key in run}
    for key in ("versions", "machine"):
        own |= run.get(key) or {}
    return {key: value for key, value in (stamp | own).items() if value is not None}
