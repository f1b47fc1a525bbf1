"""One-step Q-learning on a team value: IQL, VDN and the first QMIX, as in PyMARL."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.returns import n_step_targets
from pymarl.learners.base import Learner
from pymarl.learners.values import Loss, after_steps, at_steps, td_loss, team_value


class QLearner(Learner):
    """Squared one-step TD error of the mixed Q-values; without a mixer, of every agent's own.

    With `double_q` the trained network chooses the next actions and the target network judges them (van Hasselt et
    al. 2016, arXiv:1509.06461); otherwise the target network does both.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        """Keys of q_learner; see config/default.yaml."""

        double_q: bool

    def loss(self, batch: EpisodeBatch, weights: Tensor | None) -> Loss:
        """Return the loss of a batch; `weights` as in the base."""
        rows = self.rows(batch)
        steps = batch.transitions()
        with torch.no_grad():
            greedy = rows.greedy(rows.q if self.config.double_q else rows.target_q)
            next_value = after_steps(batch, team_value(self.target_mixer, rows.target_q, greedy, rows))
            targets = n_step_targets(
                steps.reward, steps.terminated, steps.mask, next_value, gamma=self.config.gamma, n_steps=1
            )
        q_taken = at_steps(batch, team_value(self.mixer, rows.q, rows.actions, rows))
        return td_loss(q_taken, targets, steps.mask, weights)
