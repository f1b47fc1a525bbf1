"""One env, one episode at a time."""

from __future__ import annotations

from typing import Any

from pymarl.runners.runner import Runner
from pymarl.utils.errors import UserError


class EpisodeRunner(Runner):
    """Plays one episode at a time; in this process, but for envs with a game behind them. UserError for more rows."""

    in_process = True

    def __init__(self, config: Runner.Config, *args: Any, **kwargs: Any) -> None:
        if config.batch_size_run != 1:
            raise UserError(
                f"batch_size_run={config.batch_size_run}: runner='episode' plays 1; write runner='parallel'"
            )
        super().__init__(config, *args, **kwargs)
