"""MLflow: a database in the results, or a server."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pymarl.utils.redact import redacted
from pymarl.utils.runs import dotted
from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import Started, Status, TrackedRun, Tracker

ID_TAG = "pymarl.id"
STATUS = {"completed": "FINISHED", "interrupted": "KILLED", "failed": "FAILED", "killed": "KILLED"}
MOST_PARAMS, MOST_METRICS, LONGEST_PARAM = 100, 1000, 6000  # that MLflow takes, the first two in one request


class MLflow(Tracker):
    """`use_mlflow=True`."""

    modules = ("mlflow", "sqlalchemy")  # mlflow-skinny has no sqlalchemy

    @dataclass(frozen=True, kw_only=True)
    class Config:
        mlflow_uri: str | None
        tracking_project: str

    def __init__(self, config: Config) -> None:
        self._config = config

    def start(self, run: TrackedRun) -> Started:
        """Begin, or go on with the run that has this id for a tag."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        run.results.mkdir(parents=True, exist_ok=True)
        database = run.results / "mlflow.db"
        uri = self._config.mlflow_uri or f"sqlite:///{database}"
        self._client: Any = MlflowClient(tracking_uri=uri)
        experiment = self._experiment(None if self._config.mlflow_uri else run.results / "mlartifacts")
        found = self._client.search_runs([experiment], f"tags.`{ID_TAG}` = '{run.id}'", max_results=1)
        tags = {"group": run.group, ID_TAG: run.id, "tags": ", ".join(run.tags)}
        if found:
            self._run = found[0].info.run_id
            self._client.update_run(self._run, status="RUNNING")
        else:
            self._run = self._client.create_run(experiment, tags=tags, run_name=run.name).info.run_id
        self._log_params(run.config, found[0].data.params if found else {})
        look = f"mlflow ui --backend-store-uri sqlite:///{os.path.relpath(database)}"
        return Started(redacted(self._config.mlflow_uri or look), self._last_step(found[0]) if found else -1)

    def _experiment(self, artifacts: Path | None) -> str:
        """Return the id of the experiment; it is made if it is not there."""
        from mlflow.exceptions import MlflowException

        name = self._config.tracking_project
        if (known := self._client.get_experiment_by_name(name)) is None:
            try:
                location = None if artifacts is None else artifacts.as_uri()
                return str(self._client.create_experiment(name, artifact_location=location))
            except MlflowException:  # another run was faster, or it raises again
                if (known := self._client.get_experiment_by_name(name)) is None:
                    raise
        return str(known.experiment_id)

    def _log_params(self, config: Mapping[str, Any], known: Mapping[str, str]) -> None:
        """Log what is new: parameters never change, those that may when a run goes on (t_max) are as at its start."""
        from mlflow.entities import Param

        new = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in dotted(config).items() if key not in known]
        for start in range(0, len(new), MOST_PARAMS):
            self._client.log_batch(self._run, params=new[start : start + MOST_PARAMS])

    def _last_step(self, found: Any) -> int:
        histories = (self._client.get_metric_history(self._run, key) for key in found.data.metrics)
        return max((metric.step for history in histories for metric in history), default=-1)

    def log(self, numbers: Mapping[str, float], t_env: int) -> None:
        """Take numbers."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(_name(key), value, now, t_env) for key, value in numbers.items()]
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(self._run, metrics=metrics[start : start + MOST_METRICS])

    def keep(self, files: Files) -> None:
        """Keep them in a folder of that kind."""
        for name, path in files.files.items():
            self._client.log_artifact(self._run, str(path), str(PurePosixPath(files.kind, name).parent))

    def finish(self, status: Status) -> None:
        """End the run."""
        self._client.set_terminated(self._run, status=STATUS[status])


def _name(key: str) -> str:
    """Return a name of the letters that MLflow takes."""
    return "".join(letter if letter.isalnum() or letter in "_-. /:" else "_" for letter in key)
