"""Learning from TD errors: a squared distance of the team's value to targets. A subclass writes the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Transitions
from pymarl.components.running_stats import TotalStats
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.value_learner import ValueLearner
from pymarl.learners.values import Loss, Rows, td_loss
from pymarl.modules.mixers.mixer import BaseMixer


class TargetsLearner(ValueLearner):
    """Base of learners of one squared TD error. A subclass writes `targets`.

    Without a mixer each agent learns from its own reward, where it has one. With standardise_returns the networks'
    values are in multiples of the targets' running deviation from their running mean (EPyMARL): weights are not
    rescaled when these move, unlike in PopArt.

    Args:
        config, mac, info, generator, mixer: as for ValueLearner.
    """

    individual_rewards = True

    @dataclass(frozen=True, kw_only=True)
    class Config(ValueLearner.Config):
        """Keys of every such learner; see config/default.yaml."""

        standardise_returns: bool

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, mixer: BaseMixer | None = None
    ) -> None:
        super().__init__(config, mac, info, generator, mixer=mixer)
        values = info.n_agents if mixer is None else 1
        self.return_stats = TotalStats((values,)) if config.standardise_returns else None

    def loss(self, batch: EpisodeBatch, weights: Tensor | None) -> Loss:
        """Return the loss of a batch; `weights` as in the base."""
        rows, steps = self.rows(batch), batch.transitions()
        with torch.no_grad():
            targets = self.targets(batch, steps, rows)
            if self.return_stats is not None:
                self.return_stats.update(targets, steps.mask.squeeze(-1))
                targets = self.return_stats.normalise(targets) * steps.mask
        return td_loss(batch, self.value(rows), targets, steps.mask, weights)

    def targets(self, batch: EpisodeBatch, steps: Transitions, rows: Rows) -> Tensor:
        """Return [B, T-1, A] in units of the rewards; no gradient is recorded."""
        raise NotImplementedError

    def target_value(self, rows: Rows, actions: Tensor) -> Tensor:
        """Return the target networks' team value [P, A] of `actions` [P, N], in units of the rewards."""
        value = super().target_value(rows, actions)
        return value if self.return_stats is None else self.return_stats.denormalise(value)
