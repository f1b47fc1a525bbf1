"""LICA: agents climb a critic of the joint action that takes their whole distributions, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.learners.action_values import frozen, one_hots
from pymarl.learners.critic_learner import CriticLearner
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import Policy, masked_mean
from pymarl.learners.values import at_steps
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.lica import LICACritic


class LICALearner(CriticLearner):
    """Learning implicit credit assignment (Zhou et al. 2020, arXiv:2007.02529).

    The critic learns Q(s, u) of the joint actions taken, by TD(lambda). Then the agents make Q(s, pi) larger, their
    probabilities in the place of one-hots: who is to be credited follows from the gradient. With adaptive_entropy the
    entropy's gradient is entropy_coef * grad log H, of the same size however peaked the policy is. The critic has seen
    one-hots alone, so that Q(s, pi) is what it makes of the space between them, and not the mean of Q under pi.

    Args:
        config, mac, info, generator: as for Learner.
        critic: Q(s, u).
    """

    networks = {"critic": NetworkKind(CRITICS, LICACritic)}

    def train_critic(self, batch: EpisodeBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Make a step of the critic; return its values of the joint actions taken, [B, T-1, 1]."""
        state = batch.packed("state")
        actions = one_hots(batch.packed_actions(), self.info.n_actions).flatten(1)
        with torch.no_grad():
            targets = self.targets(batch, cast(LICACritic, self.target_critic).value(state, actions))
        taken = at_steps(batch, cast(LICACritic, self.critic).value(state, actions))
        return taken.detach(), self.fit(taken, targets, batch.transitions().mask)

    def actor_loss(self, batch: EpisodeBatch, policy: Policy, q: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return what the updated critic says of the policy, its sign turned; see CriticLearner.actor_loss."""
        with frozen(self.critic):  # its own gradients are not wanted, and cost as much as the others
            value = cast(LICACritic, self.critic).value(batch.packed("state"), policy.log_pi.exp().flatten(1))
        loss = -masked_mean(at_steps(batch, value), batch.transitions().mask)
        return loss, {"mix_loss": loss.detach()}
