"""Advantage actor-critic: one step along the policy gradient for each sample."""

from __future__ import annotations

from torch import Tensor

from pymarl.learners.advantage_learner import AdvantageLearner, Targets


class ActorCriticLearner(AdvantageLearner):
    """A2C (Mnih et al. 2016, arXiv:1602.01783) with a critic of each agent's observations (IA2C) or of the state
    (MAA2C; Papoudakis et al. 2021, arXiv:2006.07869).
    """

    def surrogate(self, log_probs: Tensor, targets: Targets) -> Tensor:
        """Return A log pi(a); see AdvantageLearner.surrogate."""
        return log_probs * targets.advantages
