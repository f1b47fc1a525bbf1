"""TensorBoard: torch's writer, which knows hparams, where the package tensorboard is; else tensorboard-logger."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pymarl.utils.protobuf import use_fast_backend
from pymarl.utils.runs import dotted
from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import Started, Status, TrackedRun, Tracker

HPARAM_METRICS = ("test/return_mean", "test/battle_won_mean", "test/ep_length_mean")
"""Whose last values stand beside the hparams."""


class TensorBoard(Tracker):
    """`use_tensorboard=True`. Writes files alone, at once, so it lives in the run's own process."""

    apart = False

    def start(self, run: TrackedRun) -> Started:
        """Begin a file of events, beside those of the run that it goes on from."""
        goes_on = any(run.events.glob("events.*"))
        self._scalar, self._close = self._torchs(run, goes_on) if find_spec("tensorboard") else _loggers(run.events)
        return Started(f"tensorboard --logdir {os.path.relpath(run.events.parent)}", run.t_env if goes_on else -1)

    def _torchs(self, run: TrackedRun, goes_on: bool) -> tuple[Callable[..., Any], Callable[[], Any]]:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        # What was logged after the checkpoint that it goes on from is not shown twice.
        writer = SummaryWriter(str(run.events), purge_step=run.t_env + 1 if goes_on else None)
        values = {k: v if isinstance(v, bool | int | float) else str(v) for k, v in run.hparams.items()}
        # Not by add_hparams, whose metrics lie in a folder of their own: the run's last numbers stand in the table.
        for summary in hparams(values, dict.fromkeys(HPARAM_METRICS, 0))[:2]:
            writer._get_file_writer().add_summary(summary)
        lines = "\n".join(f"| {key} | {value} |" for key, value in dotted(run.config).items())
        writer.add_text("config", f"| key | value |\n|---|---|\n{lines}")
        return writer.add_scalar, writer.close

    def log(self, numbers: Mapping[str, float], t_env: int) -> None:
        """Write numbers."""
        for name, value in numbers.items():
            self._scalar(name, value, t_env)

    def wants(self, files: Files) -> bool:
        """Tell whether to hand files over: TensorBoard shows none."""
        return False

    def keep(self, files: Files) -> None:
        """Take none."""
        raise NotImplementedError

    def finish(self, status: Status) -> None:
        """Write what is left."""
        self._close()


def _loggers(directory: Path) -> tuple[Callable[..., Any], Callable[[], Any]]:
    use_fast_backend()
    from tensorboard_logger import Logger as Writer

    return Writer(str(directory)).log_value, lambda: None  # it writes each number at once
