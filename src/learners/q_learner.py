"""One-step Q-learning on a team value: IQL, VDN and the first QMIX, as in PyMARL."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Transitions
from pymarl.components.returns import n_step_targets
from pymarl.learners.targets_learner import TargetsLearner
from pymarl.learners.values import Rows, after_steps


class QLearner(TargetsLearner):
    """Squared one-step TD error of the mixed Q-values; without a mixer, of every agent's own.

    With `double_q` the trained network chooses the next actions and the target network judges them (van Hasselt et
    al. 2016, arXiv:1509.06461); otherwise the target network does both.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(TargetsLearner.Config):
        """Keys of q_learner; see config/default.yaml."""

        double_q: bool

    def targets(self, batch: EpisodeBatch, steps: Transitions, rows: Rows) -> Tensor:
        """Return [B, T-1, A]; see TargetsLearner.targets."""
        greedy = rows.greedy(rows.q if self.config.double_q else rows.target_q)
        next_value = after_steps(batch, self.target_value(rows, greedy))
        return n_step_targets(
            steps.reward, steps.terminated, steps.mask, next_value, gamma=self.config.gamma, n_steps=1
        )
