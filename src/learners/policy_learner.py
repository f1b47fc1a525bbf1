"""Actor-critic learning from what the present policy has played: advantages once, then epochs of minibatches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import own_numbers, packed_inputs
from pymarl.components.masking import mask_unavailable
from pymarl.components.returns import gae
from pymarl.components.running_stats import RunningStats
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import Learner, NetworkKind
from pymarl.learners.train_result import TrainResult
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.utils.config import PositiveFloat, PositiveInt, Probability
from pymarl.utils.devices import upload


class Policy(NamedTuple):
    """What the policy says of a batch, [B, T-1, n] each, 0 in padding: log pi(action taken), and entropy in nats."""

    log_probs: Tensor
    entropy: Tensor


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


class PolicyLearner(Learner):
    """Base of on-policy actor-critic learners. A subclass writes `loss`, and may overrule `targets` or `update`.

    Args:
        config, mac, info, generator: as for Learner.
        critic: values of states, [R, 1].
    """

    networks = {"critic": NetworkKind(CRITICS, Critic)}
    trains_on = ("rollout",)
    reads = frozenset({"logits", "probs"})
    individual_rewards = True

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        """epochs: passes over a sample; minibatches: parts of each, an update of either network on every one.
        gae_lambda: 0 is the one-step advantage, 1 the Monte Carlo one. critic_lr: learning rate of the critic.
        standardise_advantages: mean 0 and deviation 1 over a sample. normalise_values: the critic learns returns in
        multiples of their running deviation from their running mean.
        """

        epochs: PositiveInt
        minibatches: PositiveInt
        gae_lambda: Probability
        critic_lr: PositiveFloat
        standardise_advantages: bool
        normalise_values: bool

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.critic = critic
        self.value_stats = RunningStats() if config.normalise_values else None
        self.add_agent_optimisers()
        self.critic_optimiser = self.add_optimiser("critic_opt", critic, lr=config.critic_lr)

    def add_agent_optimisers(self) -> None:
        """Add what trains the agents: one optimiser of all of them."""
        self.agent_optimiser = self.add_optimiser("agent_opt", self.mac)

    def loss(self, batch: EpisodeBatch, targets: Targets) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the losses of actor and critic, 0-d with gradient, and what is to be logged, name -> 0-d without."""
        raise NotImplementedError

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make epochs x minibatches updates; see Learner.train. Metrics are the means over them."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        batch = sample.batch
        targets = self.targets(batch)

        def part(rows: Tensor) -> tuple[EpisodeBatch, Targets]:
            if len(rows) == batch.batch_size:
                return batch, targets  # nothing is copied, nor put in another order
            return batch[rows], targets.rows(upload(rows, batch.device))

        parts = self.minibatches(batch.batch_size, self.config.minibatches, self.config.epochs)
        return TrainResult.of_updates((self.update(*part(rows)) for rows in parts), t_env)

    def update(self, batch: EpisodeBatch, targets: Targets) -> dict[str, Tensor]:
        """Make a step of either optimiser on some episodes; return what is to be logged, name -> 0-d.

        A method with target networks lets them follow here (`self.update_targets(self.episode_num)`).
        """
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
            advantages = standardised(advantages, steps.mask)
        if self.value_stats is not None:
            self.value_stats.update(returns, steps.mask)
            returns = self.value_stats.normalise(returns) * steps.mask
        return Targets(self.policy(batch).log_probs, said[:, :-1] * steps.mask, advantages, returns)

    def policy(self, batch: EpisodeBatch, agents: tuple[int, ...] | None = None) -> Policy:
        """Return log-probabilities of the actions taken and entropies, with gradient, of some agents or all.

        They are those of the behaviour policy: of what the selector makes of the outputs, its epsilon included.
        """
        outputs = self.mac.unroll_packed(batch, agents=agents).outputs  # [P, n, A]
        avail_actions, actions = batch.packed("avail_actions"), batch.packed("actions").long()
        if agents is not None:
            own = own_numbers(self.info, agents, actions.device)
            avail_actions, actions = avail_actions.index_select(1, own), actions.index_select(1, own)
        log_probs = self.log_policy(outputs, avail_actions)
        taken = log_probs.gather(-1, actions).squeeze(-1)
        probs = log_probs.exp()
        entropy = -(probs * log_probs.masked_fill(probs == 0, 0.0)).sum(-1)
        mask = batch.transitions().mask
        unpack = batch.packing.unpack
        # The action of an episode's last slot has no meaning, and may be an unavailable one.
        return Policy(unpack(taken)[:, :-1].masked_fill(mask == 0, 0.0), unpack(entropy)[:, :-1] * mask)

    def log_policy(self, outputs: Tensor, avail_actions: Tensor) -> Tensor:
        """Return log-probabilities [..., A] of the behaviour policy, -inf where an action is not available."""
        if self.mac.outputs(self.mac.config) == "logits":
            return mask_unavailable(outputs, avail_actions).log_softmax(-1)
        probs = self.mac.action_selector.distribution(outputs, avail_actions, self.t_env)
        return mask_unavailable(probs.clamp(min=1e-10).log(), avail_actions)

    def values(self, batch: EpisodeBatch) -> Tensor:
        """Return the critic's values [B, T, N] of all slots, 0 in padding."""
        inputs = packed_inputs(batch, self.critic.sees, self.info, self.device)
        values: Tensor = self.critic(inputs)
        return batch.packing.unpack(values.view(-1, self.info.n_agents))


def standardised(values: Tensor, mask: Tensor) -> Tensor:
    """Return values [B, T, N] less their mean, over their deviation, among those of mask [B, T, 1]; 0 elsewhere."""
    wide = mask.expand_as(values)
    count = wide.sum()
    mean = (values * wide).sum() / count
    variance = ((values - mean).pow(2) * wide).sum() / count
    return (values - mean) / (variance.sqrt() + 1e-8) * wide
