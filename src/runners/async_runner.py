"""Collecting while the learner learns: the next batch is played in another process, with the weights of before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymarl.runners.collector import Start
from pymarl.runners.collector_process import CollectorProcess
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.player import Tell
from pymarl.runners.remote_runner import RemoteRunner


class AsyncRunner(RemoteRunner):
    """Plays ahead on another core: each batch but the first comes from the weights of one iteration before.

    That is so in every run alike, however fast which process is: a run can be repeated, and resumed exactly. What was
    played ahead is part of a checkpoint.

    Args:
        config, origin, tell: see Runner.
        plays: the runner of the process.
    """

    def __init__(self, config: Any, origin: Mapping[str, str], tell: Tell, *, plays: type[LocalRunner]) -> None:
        plays.check_config(config)
        super().__init__(config, origin, tell, plays=plays, workers=1, ahead=True)

    def start_remote(self, start: Start) -> CollectorProcess:
        """Start the process."""
        return CollectorProcess(start)
