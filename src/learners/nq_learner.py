"""Double Q-learning with TD(lambda) or Q(lambda) targets on a team value: PyMARL2's tuned QMIX and VDN."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Transitions
from pymarl.components.returns import q_lambda_targets, td_lambda_targets
from pymarl.learners.value_learner import ValueLearner
from pymarl.learners.values import Loss, Rows, after_steps, at_steps, td_loss
from pymarl.utils.config import Probability


class NQLearner(ValueLearner):
    """Squared TD error of the mixed Q-values against targets that look many steps ahead (arXiv:2102.03479).

    The trained network chooses the greedy actions and the target network judges them. Without a mixer every agent
    has a loss of its own.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(ValueLearner.Config):
        """Keys of nq_learner; see config/default.yaml."""

        td_lambda: Probability
        q_lambda: bool

    def loss(self, batch: EpisodeBatch, weights: Tensor | None) -> Loss:
        """Return the loss of a batch; `weights` as in the base."""
        rows = self.rows(batch)
        steps = batch.transitions()
        with torch.no_grad():
            targets = self.targets(batch, steps, rows)
        return td_loss(batch, self.value(rows), targets, steps.mask, weights)

    def targets(self, batch: EpisodeBatch, steps: Transitions, rows: Rows) -> Tensor:
        """Return [B, T-1, A]."""
        next_value = after_steps(batch, self.target_value(rows, rows.greedy(rows.q)))
        gamma, td_lambda = self.config.gamma, self.config.td_lambda
        ends = (steps.reward, steps.terminated, steps.mask)
        if not self.config.q_lambda:
            return td_lambda_targets(*ends, next_value, gamma=gamma, td_lambda=td_lambda)
        taken = at_steps(batch, self.target_value(rows, rows.actions))
        return q_lambda_targets(*ends, taken, next_value, gamma=gamma, td_lambda=td_lambda)
