"""On-policy learning with a critic of actions: first the critic from bootstrapped targets, then the policy from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.returns import td_lambda_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import Policy, PolicyLearner, masked_mean, value_means
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import bootstrapped
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.utils.config import PositiveFloat, Probability


class CriticLearner(PolicyLearner):
    """Base of learners whose critic judges actions. A subclass writes `train_critic` and `actor_loss`.

    target_update_interval counts the critic's optimiser steps, as in PyMARL; target_update_interval_or_tau calls of
    `train`, as in EPyMARL.

    Args:
        config, mac, info, generator: as for Learner.
        critic: of actions.
    """

    networks = {"critic": NetworkKind(CRITICS, Critic)}

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyLearner.Config):
        """Keys of learners with a critic of actions; see config/default.yaml."""

        critic_lr: PositiveFloat | None
        td_lambda: Probability

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.critic = critic
        self.target_critic = self.add_target(critic)
        self.critic_optimiser = self.add_optimiser("critic_opt", critic, lr=config.critic_lr)
        self.counters["critic_steps"] = 0

    def train_critic(self, batch: EpisodeBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Let the critic learn from a batch with last actions; return what it said of them before, and metrics."""
        raise NotImplementedError

    def actor_loss(self, batch: EpisodeBatch, policy: Policy, q: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss of the policy, 0-d with gradient, without the entropy; and metrics. `q` is train_critic's."""
        raise NotImplementedError

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make the critic's steps and one of the policy; see Learner.train."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        policy = self.policy(sample.batch)
        batch = self.with_last_actions(self.standardised(sample.batch), policy.log_pi.detach().exp())
        q, critic_metrics = self.train_critic(batch)
        loss, metrics = self.actor_loss(batch, policy, q)
        acting = self.acting(batch)
        grad_norm = self.step(self.agent_optimiser, loss - self.entropy_bonus(policy.entropy, acting), "actor loss")
        self.update_targets(self.counters["critic_steps"])
        entropy = masked_mean(policy.entropy.detach(), acting)
        own = {"agent_grad_norm": grad_norm, "entropy": entropy}
        return TrainResult(metrics={**critic_metrics, **metrics, **own}, t_env=t_env)

    def targets(self, batch: EpisodeBatch, values: Tensor) -> Tensor:
        """Return what the critic is to learn, [B, T-1, A], given what its copy says of the actions taken [P, A]."""
        return bootstrapped(td_lambda_targets, batch, values, gamma=self.config.gamma, td_lambda=self.config.td_lambda)

    def fit(self, taken: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Make a step of the critic on its values of the actions taken; return metrics. All are alike in shape."""
        error = taken - targets
        loss = masked_mean(error.pow(2), mask)
        grad_norm = self.step(self.critic_optimiser, loss, "critic_loss")
        self.counters["critic_steps"] += 1
        means = value_means(error, taken, targets, mask)
        return {"critic_loss": loss.detach(), "critic_grad_norm": grad_norm, **means}
