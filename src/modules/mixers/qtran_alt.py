"""QTRAN-alt: the sum is held to the joint value at each agent's tightest action, not just from below."""

from __future__ import annotations

import torch
from torch import Tensor

from pymarl.modules.mixers.qtran import Joint, JointInputs, QTranBase


class QTranAlt(QTranBase):
    """QTRAN-alt (Son et al. 2019, arXiv:1905.05408, theorem 2), which no PyMARL has.

    For each agent i, with the others' actions as they were, min over its available actions of
    sum_j Q_j - Q_jt + V has to be 0: the mean square over the agents of these minima is its loss off the optimum. The
    paper has a network of its own say all Q_jt(., a_i, .) of an agent at once; here Q_jt itself is asked for each of
    the N * A joint actions, without gradient, so that there is one Q_jt and not N.
    """

    Config = QTranBase.Config

    def nopt_error(self, inputs: JointInputs, joint: Joint) -> Tensor:
        """Return [P, N]; see QTranBase.nopt_error."""
        taken_q = inputs.q.gather(-1, inputs.actions.unsqueeze(-1))  # [P, N, 1]
        q_sums = inputs.q_sum().unsqueeze(-1) - taken_q + inputs.q  # [P, N, A]
        slack = q_sums - self.counterfactuals(inputs) + joint.v.unsqueeze(-1)
        of_taken = slack.gather(-1, inputs.actions.unsqueeze(-1))
        return torch.where(inputs.avail_actions, slack, of_taken).amin(-1)

    @torch.no_grad()
    def counterfactuals(self, inputs: JointInputs) -> Tensor:
        """Return [P, N, A], Q_jt of the joint actions in which one agent alone does something else."""
        taken = self.parts(inputs.states, inputs.actions)  # [P, N, W]
        others = taken.sum(1, keepdim=True) - taken
        of_actions = []
        for action in range(self.info.n_actions):
            team = others + self.parts(inputs.states, torch.full_like(inputs.actions, action))  # [P, N, W]
            state = inputs.state.unsqueeze(1).expand(-1, self.info.n_agents, -1)
            of_actions.append(self.judge(state, team))
        return torch.cat(of_actions, -1)
