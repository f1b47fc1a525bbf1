"""MAPPO: a clipped surrogate on GAE advantages, four epochs of two minibatches, normalised values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.learners.advantage_learner import AdvantageLearner, Targets
from pymarl.utils.config import PositiveFloat, PositiveInt


class MAPPOLearner(AdvantageLearner):
    @dataclass(frozen=True, kw_only=True)
    class Config(AdvantageLearner.Config):
        epochs: PositiveInt
        minibatches: PositiveInt
        eps_clip: PositiveFloat

    def parts(self, size: int) -> Iterator[Tensor]:
        return self.minibatches(size, self.config.minibatches, self.config.epochs)

    def loss(self, batch: EpisodeBatch, targets: Targets) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        mask = batch.transitions().mask
        wide = mask.expand_as(targets.advantages)
        count = wide.sum()
        policy = self.policy(batch)
        ratio = (policy.log_probs - targets.log_probs).exp()
        clipped = ratio.clamp(1 - self.config.eps_clip, 1 + self.config.eps_clip)
        surrogate = torch.minimum(ratio * targets.advantages, clipped * targets.advantages)
        entropy = (policy.entropy * wide).sum() / count
        actor = -(surrogate * wide).sum() / count - self.config.entropy_coef * entropy
        critic = ((self.state_values(batch, self.critic)[:, :-1] - targets.returns).pow(2) * wide).sum() / count
        return actor, critic, {"entropy": entropy.detach(), "ratio_spread": ((ratio - 1).abs() * wide).max().detach()}
