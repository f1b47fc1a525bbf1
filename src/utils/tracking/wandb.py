"""Weights & Biases, offline (files for `wandb sync`) or online."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pymarl.utils.errors import UserError
from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import Started, Status, TrackedRun, Tracker

LONGEST_NAME, LONGEST_TAG = 128, 64  # that W&B takes
EXIT_CODES = {"completed": 0, "interrupted": 130, "failed": 1, "killed": 137}


class WandB(Tracker):
    """`use_wandb=True`, with EPyMARL's keys."""

    modules = ("wandb",)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        wandb_team: str | None
        wandb_project: str | None
        wandb_mode: Literal["offline", "online"]
        wandb_save_model: bool
        tracking_project: str

    def __init__(self, config: Config) -> None:
        self._config = config

    def check(self) -> None:
        """Raise UserError if it is to be online and nobody has logged in."""
        if self._config.wandb_mode == "online" and "WANDB_API_KEY" not in os.environ:
            import wandb  # knows where else keys are kept

            if not wandb.api.api_key:
                raise UserError(
                    "wandb_mode=online: no API key on this machine; `wandb login` once, set WANDB_API_KEY, or write "
                    "wandb_mode=offline and `wandb sync` later"
                )

    def start(self, run: TrackedRun) -> Started:
        """Begin, or go on with the run of this id, which online is looked up on the server."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        online = self._config.wandb_mode == "online"
        run.results.mkdir(parents=True, exist_ok=True)
        self._artifact, self._id = wandb.Artifact, run.id
        self._run: Any = wandb.init(
            entity=self._config.wandb_team,
            project=self._config.wandb_project or self._config.tracking_project,
            mode=self._config.wandb_mode,
            dir=run.results,
            id=run.id,
            resume="allow" if online else None,
            name=run.name[:LONGEST_NAME],
            group=run.group[:LONGEST_NAME],
            tags=[tag[:LONGEST_TAG] for tag in run.tags],
            config=run.config,
            allow_val_change=True,
            settings=wandb.Settings(console="off", x_stats_pid=run.pid, save_code=False),
        )
        self._step = self._run.starting_step if self._run.resumed else 0
        where = self._run.url if online else f"wandb sync {os.path.relpath(self._run.settings.sync_dir)}"
        return Started(str(where), self._step - 1)

    def log(self, numbers: Mapping[str, float], t_env: int) -> None:
        """Take numbers. W&B's steps never go back: what comes late stands in the summary alone."""
        if t_env < self._step:
            self._run.summary.update(dict(numbers))
        else:
            self._run.log(dict(numbers), step=t_env)
            self._step = t_env

    def wants(self, files: Files) -> bool:
        """Tell whether to hand files over: with wandb_save_model every checkpoint, too."""
        return files.last or self._config.wandb_save_model

    def keep(self, files: Files) -> None:
        """Keep them as a version of an artifact."""
        artifact = self._artifact(f"{files.kind}-{self._id}", type="model" if files.kind == "networks" else files.kind)
        for name, path in files.files.items():
            artifact.add_file(str(path), name=name)
        self._run.log_artifact(artifact, aliases=["latest", f"t{files.t_env}"])

    def finish(self, status: Status) -> None:
        """End the run, once all is sent."""
        self._run.finish(exit_code=EXIT_CODES[status])
