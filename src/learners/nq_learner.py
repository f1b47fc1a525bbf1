"""Double Q-learning with TD(lambda) or Q(lambda) targets on a team value: PyMARL2's tuned QMIX and VDN."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch, Transitions
from pymarl.components.returns import q_lambda_targets, td_lambda_targets
from pymarl.learners.targets_learner import TargetsLearner
from pymarl.learners.values import Rows, after_steps, at_steps
from pymarl.utils.config import Probability


class NQLearner(TargetsLearner):
    """Squared TD error of the mixed Q-values against targets that look many steps ahead (arXiv:2102.03479).

    The trained network chooses the greedy actions and the target network judges them. Without a mixer every agent
    has a loss of its own.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(TargetsLearner.Config):
        """Keys of nq_learner; see config/default.yaml."""

        td_lambda: Probability
        q_lambda: bool

    def targets(self, batch: EpisodeBatch, steps: Transitions, rows: Rows) -> Tensor:
        """Return [B, T-1, A]; see TargetsLearner.targets."""
        next_value = after_steps(batch, self.target_value(rows, rows.greedy(rows.q)))
        gamma, td_lambda = self.config.gamma, self.config.td_lambda
        ends = (steps.reward, steps.terminated, steps.mask)
        if not self.config.q_lambda:
            return td_lambda_targets(*ends, next_value, gamma=gamma, td_lambda=td_lambda)
        taken = at_steps(batch, self.target_value(rows, rows.actions))
        return q_lambda_targets(*ends, taken, next_value, gamma=gamma, td_lambda=td_lambda)
