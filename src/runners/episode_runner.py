"""One env, one episode at a time."""

from __future__ import annotations

from pymarl.envs.multiagentenv import BatchedEnv
from pymarl.runners.runner import Runner
from pymarl.runners.seeds import EpisodeSeeds
from pymarl.utils.errors import UserError


class EpisodeRunner(Runner):
    """Plays one episode at a time; in this process, but for envs with a game behind them. UserError for more rows."""

    in_process = True

    def __init__(self, config: Runner.Config, env: BatchedEnv, seeds: EpisodeSeeds) -> None:
        super().__init__(config, env, seeds)
        if env.batch_size != 1:
            raise UserError(f"batch_size_run={env.batch_size}: runner='episode' plays 1; write runner='parallel'")
