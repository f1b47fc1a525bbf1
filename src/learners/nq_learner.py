"""Double Q-learning with TD(lambda) or Q(lambda) targets on a team value: PyMARL2's tuned QMIX and VDN."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Transitions
from pymarl.components.returns import q_lambda_targets, td_lambda_targets
from pymarl.learners.base import Learner
from pymarl.learners.values import Loss, Rows, after_steps, at_steps, td_loss, team_value
from pymarl.utils.config import Probability


class NQLearner(Learner):
    """Squared TD error of the mixed Q-values against targets that look many steps ahead (arXiv:2102.03479).

    The trained network chooses the greedy actions and the target network judges them. Without a mixer every agent
    has a loss of its own.
    """

    # PyMARL2's YAML files say `mixer: qmix`, and its nq_learner takes that for the tuned network.
    mixer_names: ClassVar[Mapping[str, str]] = {"qmix": "nmix"}
    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        """Keys of nq_learner; see config/default.yaml."""

        td_lambda: Probability
        q_lambda: bool

    def loss(self, batch: EpisodeBatch, weights: Tensor | None) -> Loss:
        """Return the loss of a batch; `weights` as in the base."""
        rows = self.rows(batch)
        steps = batch.transitions()
        with torch.no_grad():
            targets = self._targets(batch, steps, rows)
        q_taken = at_steps(batch, team_value(self.mixer, rows.q, rows.actions, rows))
        return td_loss(q_taken, targets, steps.mask, weights)

    def _targets(self, batch: EpisodeBatch, steps: Transitions, rows: Rows) -> Tensor:
        """Return [B, T-1, A]."""
        value = team_value(self.target_mixer, rows.target_q, rows.greedy(rows.q), rows)
        next_value = after_steps(batch, value)
        gamma, td_lambda = self.config.gamma, self.config.td_lambda
        if not self.config.q_lambda:
            return td_lambda_targets(
                steps.reward, steps.terminated, steps.mask, next_value, gamma=gamma, td_lambda=td_lambda
            )
        taken = team_value(self.target_mixer, rows.target_q, rows.actions, rows)
        return q_lambda_targets(
            steps.reward,
            steps.terminated,
            steps.mask,
            at_steps(batch, value),
            at_steps(batch, taken),
            next_value,
            gamma=gamma,
            td_lambda=td_lambda,
        )
