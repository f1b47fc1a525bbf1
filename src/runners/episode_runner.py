"""One env, one episode at a time."""

from __future__ import annotations

from typing import Any

from pymarl.runners.local_runner import LocalRunner
from pymarl.utils.errors import UserError


class EpisodeRunner(LocalRunner):
    """Plays one episode at a time; in this process, but for envs with a game behind them."""

    in_process = True

    @classmethod
    def check_config(cls, config: Any) -> None:
        """Raise UserError for more than one env."""
        if config.batch_size_run != 1:
            raise UserError(
                f"batch_size_run={config.batch_size_run} with runner='episode', which runs one env; "
                f"write runner=parallel or batch_size_run=1"
            )
