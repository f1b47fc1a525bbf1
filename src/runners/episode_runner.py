"""One env, one episode at a time."""

from __future__ import annotations

from pymarl.runners.local_runner import LocalRunner
from pymarl.utils.errors import UserError


class EpisodeRunner(LocalRunner):
    """Plays one episode at a time; in this process, but for envs with a game behind them."""

    in_process = True

    @classmethod
    def check_rows(cls, rows: int) -> None:
        """Raise UserError for more than one."""
        if rows != 1:
            raise UserError(
                f"batch_size_run={rows} with runner='episode', which runs one env; "
                f"write runner=parallel or batch_size_run=1"
            )
