"""What learners of bootstrapped targets share: when target networks follow, and rewards in their own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.running_stats import TotalStats
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import Learner, M
from pymarl.utils.config import PositiveFloat, PositiveInt
from pymarl.utils.errors import UserError


class BootstrapLearner(Learner):
    """Base of learners from rewards and from values of what comes after: they call `standardised`, `update_targets`.

    With standardise_rewards each update takes the valid rewards of its sample into running statistics, and learns from
    the sample's rewards less their mean, in multiples of their deviation (EPyMARL). Where episodes end early that is
    another task: a constant per step rewards lasting, or ending.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        """Keys of targets; see config/default.yaml."""

        target_update_interval: PositiveInt | None
        target_update_interval_or_tau: PositiveFloat | None
        standardise_rewards: bool

    def __init__(self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator) -> None:
        super().__init__(config, mac, info, generator)
        if config.target_update_interval_or_tau is not None:
            self.counters["updates"] = 0
        self.reward_stats = TotalStats((info.n_rewards,)) if config.standardise_rewards else None

    def add_target(self, module: M, *, every: int | None = None, tau: float | None = None) -> M:
        """Return a target that follows as the config says: target_update_interval counts episodes, EPyMARL's
        target_update_interval_or_tau updates where it is above 1, else it is the share of a soft update.

        Raises:
            UserError: the config says neither, or a part of an update.
        """
        given = self.config.target_update_interval_or_tau
        if every is not None or tau is not None:
            return super().add_target(module, every=every, tau=tau)
        if given is None and self.config.target_update_interval is None:
            raise UserError(
                "target_update_interval and target_update_interval_or_tau are both None: targets would never follow; "
                "write target_update_interval=200 (episodes)"
            )
        if given is None:
            return super().add_target(module, every=self.config.target_update_interval)
        if given > 1 and given % 1:
            raise UserError(
                f"target_update_interval_or_tau={given}: expected a whole number of updates, or a share of at most 1; "
                f"write {round(given)} or {1 / given:.2g}"
            )
        return super().add_target(module, tau=given) if given <= 1 else super().add_target(module, every=int(given))

    def update_targets(self, now: int) -> None:
        """Let the targets follow, where it is time to, after an update; `now` is in training episodes."""
        if "updates" in self.counters:
            self.counters["updates"] = now = self.counters["updates"] + 1
        super().update_targets(now)

    def standardised(self, batch: EpisodeBatch) -> EpisodeBatch:
        """Return a batch with the rewards that are learned from, whose own have become part of the statistics."""
        if self.reward_stats is None:
            return batch
        steps = batch.transitions()
        self.reward_stats.update(steps.reward, steps.mask.squeeze(-1))
        return batch.replaced(reward=self.reward_stats.normalise(batch.data["reward"]))
