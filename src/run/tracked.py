"""What the trackers are told of a run, and when: its name, its config, its folders, how it ends."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pymarl.run.config import Classes, RunConfig, read_keys
from pymarl.utils.checkpoint import CONFIG_FILE
from pymarl.utils.config import build_config, config_class
from pymarl.utils.errors import UserError
from pymarl.utils.files import as_file_name, read_object, write_json
from pymarl.utils.logging import Logger
from pymarl.utils.redact import redacted
from pymarl.utils.runs import FREE_ON_RESUME, dotted, scenario_of
from pymarl.utils.tracking import REGISTRY as TRACKERS
from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import TrackedRun, Tracker, check_installed
from pymarl.utils.tracking.tracking import Tracking

ID_FILE = "tracking.json"
"""In a token's folder: {"id": ...}, which resumed runs go on with."""


def build_trackers(values: Mapping[str, Any], origin: Mapping[str, str]) -> dict[str, Tracker]:
    """Return the trackers that a config asks for, none of which has started. UserError if one could not."""
    trackers: dict[str, Tracker] = {}
    for name in (name for name in TRACKERS if values[f"use_{name}"]):
        tracker = TRACKERS[name]
        check_installed(name, tracker)
        kind = config_class(tracker)
        trackers[name] = tracker() if kind is None else tracker(build_config(kind, values, origin))
        trackers[name].check()
    return trackers


class Tracked:
    """A run in the trackers that its config asks for: ends there with this context, as the run has ended.

    Args:
        flat: the merged keys.
        config: those of the run.
        logger: hands its numbers and files over, from `begin` on.
    """

    def __init__(self, flat: dict[str, Any], config: RunConfig, logger: Logger) -> None:
        self._flat, self._config, self._logger = flat, config, logger
        self._tracking: Tracking | None = None

    def begin(self, folder: Path | None, token: Path | None, t_env: int) -> None:
        """Begin everywhere, or go on with the run of this token.

        Args:
            folder: the run's, or None if it has none.
            token: of its checkpoints; None for an evaluation.
            t_env: env steps that it begins with.
        """
        trackers = build_trackers(self._flat, {})
        if trackers:
            log = self._logger.console_logger
            self._tracking = Tracking(trackers, log, keeps=self._config.track_files)
            self._tracking.start(self._about(token, t_env, log), self._logger, folder)

    def _about(self, token: Path | None, t_env: int, log: logging.Logger) -> TrackedRun:
        values, results = self._flat, Path(self._config.local_results_path).absolute()
        read, apart = read_keys(Classes.of(values)), FREE_ON_RESUME - {"t_max"}
        hparams = dotted({key: value for key, value in redacted(values).items() if key in read})
        algorithm, scenario, kind = values["name"], scenario_of(values), [] if token else ["evaluation"]
        id_ = _new_id() if token is None else _id_of(token, log)
        started = token.name.removeprefix(f"{algorithm}__") if token else f"evaluation-{id_}"
        events = as_file_name(f"{scenario}__{algorithm}__seed{values['seed']}__{started}")
        return TrackedRun(
            id=id_,
            name="-".join([algorithm, scenario, f"seed{values['seed']}", *kind]),
            group=f"{algorithm}-{scenario}",
            tags=(algorithm, values["env"], scenario, *kind),
            config=redacted(values),
            hparams={key: value for key, value in hparams.items() if key not in apart},
            results=results,
            events=results / "tb_logs" / events,
            t_env=t_env,
            pid=os.getpid(),
        )

    def __enter__(self) -> Tracked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tracking is not None:
            interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
            self._tracking.finish("interrupted" if interrupted else "failed" if kind else "completed")


def _new_id() -> str:
    return secrets.token_hex(4)


def _id_of(token: Path, log: logging.Logger) -> str:
    """Return the id that a token's folder holds; it is put there if there is none."""
    path = token / ID_FILE
    if path.is_file():
        try:
            return str(read_object(path, "expected what a run wrote")["id"])
        except (UserError, KeyError):
            log.warning("%s is damaged: this run is a new one to its trackers", path)
    id_ = _new_id()
    try:
        write_json(path, {"id": id_})
    except OSError as error:
        log.warning("%s cannot be written (%s): a resumed run will be a new one to its trackers", path, error.strerror)
    return id_


def kept_networks(step: Path, *, last: bool) -> Files:
    """Return the networks of a checkpoint, laid out so that their folder serves as checkpoint_path.

    Args:
        step: its folder, results/models/<token>/<env steps>.
        last: training is over.
    """
    files = {f"{step.name}/{path.name}": path for path in sorted(step.glob("*.th"))}
    config = {CONFIG_FILE: step.parent / CONFIG_FILE}
    everything = {name: path.absolute() for name, path in (files | config).items()}
    return Files(kind="networks", t_env=int(step.name), last=last, files=everything)


def kept_replays(paths: list[Path], t_env: int) -> Files:
    """Return the replays of an evaluation."""
    return Files(kind="replays", t_env=t_env, last=True, files={path.name: path.absolute() for path in paths})
