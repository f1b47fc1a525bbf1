"""On-policy learning with a critic of states: advantages once, under the weights that acted, then several epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.returns import gae
from pymarl.components.running_stats import RunningStats
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import PolicyLearner, standardised
from pymarl.learners.train_result import TrainResult
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.utils.config import PositiveFloat, PositiveInt, Probability
from pymarl.utils.devices import upload


class Targets(NamedTuple):
    """What was computed once, with the weights that acted; [B, T-1, N] each, without gradient, 0 in padding.

    `values` are the critic's own outputs, and `returns` what it is to learn: both normalised if values are.
    """

    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def rows(self, rows: Tensor) -> Targets:
        """Return those of some episodes."""
        return Targets(*(tensor[rows] for tensor in self))


class AdvantageLearner(PolicyLearner):
    """Base of on-policy learners with a critic of states. A subclass writes `loss`, or overrules `targets` or `update`.

    Args:
        config, mac, info, generator: as for Learner.
        critic: values of states, [R, 1].
    """

    networks = {"critic": NetworkKind(CRITICS, Critic)}
    individual_rewards = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyLearner.Config):
        """Keys of learners with advantages; see config/default.yaml."""

        epochs: PositiveInt
        minibatches: PositiveInt
        gae_lambda: Probability
        critic_lr: PositiveFloat | None
        standardise_advantages: bool
        normalise_values: bool

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.critic = critic
        self.value_stats = RunningStats() if config.normalise_values else None
        self.critic_optimiser = self.add_optimiser("critic_opt", critic, lr=config.critic_lr)

    def loss(self, batch: EpisodeBatch, targets: Targets) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the losses of actor and critic, 0-d with gradient, and what is to be logged, name -> 0-d without."""
        raise NotImplementedError

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make epochs x minibatches updates; see Learner.train. Metrics are the means over them."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        batch = self.standardised(sample.batch)
        targets = self.targets(batch)

        def part(rows: Tensor) -> tuple[EpisodeBatch, Targets]:
            if len(rows) == batch.batch_size:
                return batch, targets  # nothing is copied, nor put in another order
            return batch[rows], targets.rows(upload(rows, batch.device))

        parts = self.minibatches(batch.batch_size, self.config.minibatches, self.config.epochs)
        return TrainResult.of_updates((self.update(*part(rows)) for rows in parts), t_env)

    def update(self, batch: EpisodeBatch, targets: Targets) -> dict[str, Tensor]:
        """Make a step of either optimiser on some episodes; return what is to be logged, name -> 0-d."""
        actor_loss, critic_loss, metrics = self.loss(batch, targets)
        norms = {
            "agent_grad_norm": self.step(self.agent_optimiser, actor_loss, "pg_loss"),
            "critic_grad_norm": self.step(self.critic_optimiser, critic_loss, "critic_loss"),
        }
        return {"pg_loss": actor_loss.detach(), "critic_loss": critic_loss.detach(), **norms, **metrics}

    @torch.no_grad()
    def targets(self, batch: EpisodeBatch) -> Targets:
        """Return old log-probabilities, values, GAE advantages and the returns that they imply."""
        steps = batch.transitions()
        said = self.values(batch)
        values = said if self.value_stats is None else self.value_stats.denormalise(said)
        value, next_value = values[:, :-1], values[:, 1:]
        reward = steps.reward.expand_as(value)
        advantages, returns = gae(
            reward, steps.terminated, steps.mask, value, next_value,
            gamma=self.config.gamma, gae_lambda=self.config.gae_lambda,
        )  # fmt: skip
        if self.config.standardise_advantages:
            advantages = standardised(advantages, self.acting(batch))
        if self.value_stats is not None:
            self.value_stats.update(returns, steps.mask)
            returns = self.value_stats.normalise(returns) * steps.mask
        return Targets(self.policy(batch).log_probs, said[:, :-1] * steps.mask, advantages, returns)

    def values(self, batch: EpisodeBatch) -> Tensor:
        """Return the critic's values [B, T, N] of all slots, 0 in padding."""
        inputs = packed_inputs(batch, self.critic.sees, self.info, self.device)
        values: Tensor = self.critic(inputs)
        return batch.packing.unpack(values.view(-1, self.info.n_agents))
