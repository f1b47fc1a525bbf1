"""Pareto actor-critic: each agent counts on the others to do what is best for what it does itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.masking import some_available
from pymarl.components.returns import n_step_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.action_values import check_of_states
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import PolicyLearner, masked_mean, value_means
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import after_steps, at_steps
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.modules.critics.pac import OthersCritic
from pymarl.utils.config import PositiveFloat, PositiveInt, Probability


class PACLearner(PolicyLearner):
    """Pareto-AC (Christianos et al. 2023, arXiv:2209.14344), for games in which all agents prefer the same outcome.

    Q_i(s, a) and V_i(s) learn the same n-step target, which ends in the target critic's M_i(s', a_i'): the largest
    Q_i(s', a_i', a_-i) over the others' available actions, beside the action a_i' that agent i took there; behind the
    last step, where none was taken, one is drawn from the policy. The advantage of agent i is M_i(s, a_i) - V_i(s),
    with both critics as they were before the update. A large weight of the entropy keeps policies from settling on what
    is safe beside others that still play at random, until the critic knows better.

    Of several outcomes that are equally good M_i prefers none, and agents may settle on their parts in different
    ones. With `optimism` below 1, which is ours, the advantage is optimism M_i(s, a_i) + (1 - optimism) Q_i(s, a) -
    V_i(s): what the others did is a draw from their policies, and tips each agent towards the outcome they lean to.
    With too little of it, what is safe beside others that play at random is best again.

    Args:
        config, mac, info, generator: as for Learner.
        critic: Q_i, which sees the others' actions.
        state_value: V_i, [R, 1].

    Raises:
        UserError: state_value is not of states.
    """

    networks = {"critic": NetworkKind(CRITICS, OthersCritic), "state_value": NetworkKind(CRITICS, Critic)}
    individual_rewards = True
    unsaved = ("state_value",)

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyLearner.Config):
        """Keys of pac_learner and pac_dcg_learner; see config/default.yaml."""

        critic_lr: PositiveFloat | None
        q_nstep: PositiveInt
        optimism: Probability

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Any, state_value: Critic
    ) -> None:
        check_of_states(state_value, "state_value")
        super().__init__(config, mac, info, generator)
        self.critic, self.state_value = critic, state_value
        self.target_critic = self.add_target(critic)
        self.add_critic_optimisers()

    def add_critic_optimisers(self) -> None:
        """Add what trains the critics: one optimiser of both."""
        self.critic_optimiser = self.add_optimiser(
            "critic_opt", self.critic, self.state_value, lr=self.config.critic_lr
        )

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make a step of each optimiser; see Learner.train."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        policy, mask = self.policy(sample.batch), self.acting(sample.batch)
        batch = self.with_last_actions(self.standardised(sample.batch), policy.log_pi.detach().exp())
        advantages, metrics = self.learn_values(batch)
        pg_loss = -masked_mean(advantages * policy.log_probs, mask) - self.entropy_bonus(policy.entropy, mask)
        norm = self.step(self.agent_optimiser, pg_loss, "pg_loss")
        self.update_targets(episode_num)
        own = {
            "pg_loss": pg_loss, "agent_grad_norm": norm, "advantage_mean": masked_mean(advantages, mask),
            "entropy": masked_mean(policy.entropy, mask),
            "pi_max": masked_mean(at_steps(batch, policy.log_pi.exp().amax(-1)), mask),
            "entropy_coef": torch.full((), self.entropy_weight, device=self.device),
        }  # fmt: skip
        logged = {name: value.detach() for name, value in {**own, **metrics}.items()}
        return TrainResult(metrics=logged, t_env=t_env)

    def learn_values(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Make a step of the critics.

        Returns:
            The advantages before it, [B, T-1, N] without gradient, and what is to be logged, name -> 0-d.
        """
        inputs = packed_inputs(batch, self.critic.sees, self.info, self.device)
        joint, avail_actions = batch.packed_actions(), some_available(batch.packed("avail_actions"))
        best, target_best = (
            critic.best(inputs, joint, avail_actions, self.generator) for critic in (self.critic, self.target_critic)
        )
        q = self.critic(inputs).view(*joint.shape, -1).gather(-1, joint.unsqueeze(-1)).squeeze(-1)
        q, v = at_steps(batch, q), self.state_values(batch, self.state_value)[:, :-1]
        targets, mask = self.returns(batch, after_steps(batch, target_best)), batch.transitions().mask.expand_as(q)
        td_error = (q - targets) * mask
        loss = masked_mean(td_error.pow(2), mask) + masked_mean((v - targets).pow(2), mask)
        norm = self.step(self.critic_optimiser, loss, "critic_loss")
        metrics = {"critic_loss": loss, "critic_grad_norm": norm, **value_means(td_error, q, targets, mask)}
        return self.advantages(at_steps(batch, best), q, v), metrics

    def advantages(self, best: Tensor, q: Tensor, v: Tensor) -> Tensor:
        """Return optimism M_i + (1 - optimism) Q_i - V_i, [B, T-1, N] without gradient."""
        return torch.lerp(q.detach(), best, self.config.optimism) - v.detach()

    def returns(self, batch: EpisodeBatch, next_value: Tensor) -> Tensor:
        """Return n-step targets [B, T-1, N] that end in `next_value` [B, T-1, N], of the state after each step."""
        steps = batch.transitions()
        return n_step_targets(
            steps.reward.expand_as(next_value), steps.terminated, steps.mask, next_value,
            gamma=self.config.gamma, n_steps=self.config.q_nstep,
        )  # fmt: skip
