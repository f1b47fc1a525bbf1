"""Trackio: a database in the results, looked at with `trackio show`; TRACKIO_SPACE_ID or TRACKIO_SERVER_URL send it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import Started, Status, TrackedRun, Tracker


class Trackio(Tracker):
    """`use_trackio=True`."""

    modules = ("trackio",)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        tracking_project: str

    def __init__(self, config: Config) -> None:
        self._project = config.tracking_project

    def start(self, run: TrackedRun) -> Started:
        """Begin, or go on with the run of this name, which has the id in it."""
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        own = os.environ.setdefault("TRACKIO_DIR", str(run.results / "trackio"))
        import trackio

        self._artifact: Any = trackio.Artifact
        self._name = f"{run.name}-{run.id}"
        self._run = trackio.init(
            project=self._project,
            name=self._name,
            group=run.group,
            config={**run.config, "tags": list(run.tags)},
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        last = vars(self._run).get("_next_step", 0) - 1  # no public name for it (0.43)
        return Started(f"TRACKIO_DIR={os.path.relpath(own)} trackio show --project {self._project}", last)

    def log(self, numbers: Mapping[str, float], t_env: int) -> None:
        """Take numbers."""
        self._run.log(dict(numbers), step=t_env)

    def keep(self, files: Files) -> None:
        """Keep them as a version of an artifact."""
        name = re.sub("[^A-Za-z0-9._-]", "_", f"{self._name}-{files.kind}")
        artifact = self._artifact(name, type="model" if files.kind == "networks" else files.kind)
        for inner, path in files.files.items():
            artifact.add_file(path, name=inner)
        self._run.log_artifact(artifact)

    def finish(self, status: Status) -> None:
        """End the run, once all is written; Trackio keeps no status."""
        self._run.finish()
