"""COMA: an action is judged beside what the agent would have done on average, all else being equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.returns import n_step_targets
from pymarl.components.running_stats import TotalStats
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.critic_learner import CriticLearner
from pymarl.learners.policy_learner import Policy, counterfactual, masked_mean
from pymarl.learners.slots import slots_of
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import at_steps, bootstrapped, packed_steps
from pymarl.modules.critics.critic import Critic
from pymarl.modules.inputs import Inputs
from pymarl.utils.config import NonNegativeInt
from pymarl.utils.errors import UserError


class COMALearner(CriticLearner):
    """Counterfactual multi-agent policy gradients (Foerster et al. 2018, arXiv:1705.08926).

    The critic says Q_i(s, (a_-i, .)) of all actions of agent i; its advantage is Q_i of the action taken less the mean
    of Q_i under the policy that acted, exploration included. It learns from TD(lambda) targets of the actions taken, or
    from n-step ones. With critic_updates=slots it makes a step for each slot, from the last to the first, and judges a
    slot's actions before its own step, as in PyMARL: on-policy episodes come once, and a single step of each batch
    leaves the critic far behind the policy.

    Args:
        config, mac, info, generator: as for Learner.
        critic: of all actions of an agent, given the others', [R, A].

    Raises:
        UserError: the critic is another one.
    """

    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(CriticLearner.Config):
        """Keys of coma_learner; see config/default.yaml."""

        q_nstep: NonNegativeInt
        critic_updates: Literal["slots", "batch"]
        standardise_returns: bool

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic
    ) -> None:
        super().__init__(config, mac, info, generator, critic=critic)
        if critic.outputs() != info.n_actions or "others_actions" not in critic.sees:
            raise UserError(
                f"critic of {', '.join(critic.sees)} gives {critic.outputs()} values a row: coma_learner wants one of "
                f"each of {info.n_actions} actions, given what the others do; write critic=coma_critic or "
                "critic=coma_critic_ns"
            )
        self.return_stats = TotalStats((info.n_agents,)) if config.standardise_returns else None

    def train_critic(self, batch: EpisodeBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Make the critic's steps; return Q [P, N, A], each slot's as it was before that slot's step."""
        n = self.info.n_agents
        # Dense at once: with a step for each slot, many small one-hots would be made in each.
        inputs = Inputs(features=packed_inputs(batch, self.critic.sees, self.info, self.device).dense())
        actions = batch.packed("actions").long()  # [P, N, 1]
        with torch.no_grad():
            target_q = self.target_critic(inputs).view(-1, n, self.info.n_actions)
            values = target_q.gather(-1, actions).squeeze(-1)  # [P, N]
        targets = packed_steps(batch, self.targets(batch, values))
        mask = packed_steps(batch, batch.transitions().mask.expand(-1, -1, n))
        said, updates = torch.zeros_like(target_q), []
        for rows in self.parts(batch):
            q = self.critic(inputs.rows(slice(rows.start * n, rows.stop * n))).view(-1, n, self.info.n_actions)
            said[rows] = q.detach()
            updates.append(self.fit(q.gather(-1, actions[rows]).squeeze(-1), targets[rows], mask[rows]))
        return said, TrainResult.of_updates(updates, self.t_env).metrics

    def parts(self, batch: EpisodeBatch) -> list[slice]:
        """Return the packed rows of each step of the critic, in their order; none is without a transition."""
        if self.config.critic_updates == "batch":
            return [slice(0, sum(batch.packing.counts))]
        return slots_of(batch)[::-1]

    def targets(self, batch: EpisodeBatch, values: Tensor) -> Tensor:
        """Return [B, T-1, N]; see CriticLearner.targets."""
        if self.return_stats is not None:
            values = self.return_stats.denormalise(values)
        c, mask = self.config, batch.transitions().mask
        if c.q_nstep:
            targets = bootstrapped(n_step_targets, batch, values, gamma=c.gamma, n_steps=c.q_nstep)
        else:
            targets = super().targets(batch, values)
        if self.return_stats is not None:
            self.return_stats.update(targets, mask.squeeze(-1))
            targets = self.return_stats.normalise(targets) * mask
        return targets

    def actor_loss(self, batch: EpisodeBatch, policy: Policy, q: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the policy gradient's loss; see CriticLearner.actor_loss."""
        probs, mask = policy.log_pi.detach().exp(), self.acting(batch)
        advantage = counterfactual(q, probs).gather(-1, batch.packed("actions").long()).squeeze(-1)
        advantages = at_steps(batch, advantage)
        loss = -masked_mean(advantages * policy.log_probs, mask)
        metrics = {
            "coma_loss": loss.detach(), "advantage_mean": masked_mean(advantages, mask),
            "pi_max": masked_mean(at_steps(batch, probs.amax(-1)), mask),
        }  # fmt: skip
        return loss, metrics
