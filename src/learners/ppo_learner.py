"""Proximal policy optimisation: several epochs on a sample, bounded by a clipped ratio of probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from pymarl.learners.advantage_learner import AdvantageLearner, Targets
from pymarl.utils.config import PositiveInt, Range


class PPOLearner(AdvantageLearner):
    """PPO (Schulman et al. 2017, arXiv:1707.06347) with a critic of each agent's observations (IPPO; de Witt et al.
    2020, arXiv:2011.09533) or of the state (MAPPO; Yu et al. 2022, arXiv:2103.01955).

    The policy that acted, to which ratios are, is the one before the first update on a sample.
    """

    unsaved: ClassVar[tuple[str, ...]] = ("critic",)  # of PyMARL2's IPPO

    @dataclass(frozen=True, kw_only=True)
    class Config(AdvantageLearner.Config):
        """Keys of ppo_learner; see config/default.yaml."""

        epochs: PositiveInt
        minibatches: PositiveInt
        eps_clip: Annotated[float, Range(gt=0, lt=1)]

    def parts(self, size: int) -> Iterator[Tensor]:
        """Yield the rows of each update: `epochs` times `minibatches` parts."""
        return self.minibatches(size, self.config.minibatches, self.config.epochs)

    def surrogate(self, log_probs: Tensor, targets: Targets) -> Tensor:
        """Return min(r A, clip(r) A) with r = pi(a) / pi_old(a); see AdvantageLearner.surrogate."""
        ratio = (log_probs - targets.log_probs).exp()
        clipped = ratio.clamp(1 - self.config.eps_clip, 1 + self.config.eps_clip)
        return torch.minimum(ratio * targets.advantages, clipped * targets.advantages)
