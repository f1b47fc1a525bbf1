"""On-policy learning with a critic of states: advantages once, under the weights that acted, then updates on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.returns import Advantages, gae, n_step_targets, td_lambda_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.action_values import check_of_states
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import PolicyLearner, masked_mean, standardised, value_means
from pymarl.learners.train_result import TrainResult
from pymarl.learners.value_units import in_env_units, in_new_units, value_stats
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.utils.config import PositiveFloat, PositiveInt, Probability
from pymarl.utils.devices import upload
from pymarl.utils.errors import UserError


class Targets(NamedTuple):
    """What was computed once, with the weights that acted; [B, T-1, N] each, without gradient, 0 in padding.

    `values` are the critic's own outputs, and `returns` what it is to learn: both in the critic's units.
    """

    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def rows(self, rows: Tensor) -> Targets:
        """Return those of some episodes."""
        return Targets(*(tensor[rows] for tensor in self))

    def agent(self, agent: int) -> Targets:
        """Return those of one agent, [B, T-1, 1] each."""
        return Targets(*(tensor[..., agent : agent + 1] for tensor in self))


class AdvantageLearner(PolicyLearner):
    """Base of on-policy learners with a critic of states. A subclass writes `surrogate`, and says in `parts` how often
    it goes over a sample.

    Returns are GAE's, of the trained critic's values, or n-step or TD(lambda) returns of a target critic's; advantages
    are what they exceed the trained critic's values by, in the env's units, whatever units the critic learns in.

    Args:
        config, mac, info, generator: as for Learner.
        critic: values of states, [R, 1].

    Raises:
        UserError: the critic is not of states; two ways to normalise values at once, or PopArt without them; or a
            learning rate of the critic's own where it shares the agents' optimiser.
    """

    networks = {"critic": NetworkKind(CRITICS, Critic)}
    individual_rewards = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyLearner.Config):
        """Keys of learners with advantages; see config/default.yaml."""

        returns: Literal["gae", "n_step", "td_lambda"]
        gae_lambda: Probability
        q_nstep: PositiveInt
        td_lambda: Probability
        critic_lr: PositiveFloat | None
        critic_coef: PositiveFloat
        share_optimiser: bool
        value_clip: PositiveFloat | None
        huber_delta: PositiveFloat | None
        normalise_values: bool
        popart: bool
        standardise_returns: bool
        standardise_advantages: bool
        lr_anneal: bool

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic
    ) -> None:
        if config.share_optimiser and config.critic_lr not in (None, config.lr):
            raise UserError(
                f"share_optimiser=True trains the critic with lr={config.lr}, too; write critic_lr=None, or "
                "share_optimiser=False"
            )
        check_of_states(critic, "critic")
        super().__init__(config, mac, info, generator)
        self.critic = critic
        self.target_critic = critic if config.returns == "gae" else self.add_target(critic)
        self.value_stats = value_stats(config, info)
        if config.share_optimiser:
            self.agent_optimiser = self.critic_optimiser = self.add_optimiser("agent_opt", mac, critic)
        else:
            self.critic_optimiser = self.add_optimiser("critic_opt", critic, lr=config.critic_lr)

    def add_agent_optimisers(self) -> None:
        """Add what trains the agents; with share_optimiser that is the critic's optimiser, too."""
        if not self.config.share_optimiser:
            super().add_agent_optimisers()

    def surrogate(self, log_probs: Tensor, targets: Targets) -> Tensor:
        """Return what the actor maximises, [B, T-1, n], of the log-probabilities now of what was played, alike."""
        raise NotImplementedError

    def parts(self, size: int) -> Iterator[Tensor]:
        """Yield the rows of each update, of `size` rows: here once all."""
        yield torch.arange(size)

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make an update for each of `parts`; see Learner.train. Metrics are the means over them."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        if self.config.lr_anneal:
            for optimiser in self._optimisers.values():
                optimiser.anneal(t_env / self.config.t_max)
        batch = self.standardised(sample.batch)
        result = TrainResult.of_updates(self.updates(batch, self.targets(batch)), t_env)
        self.update_targets(episode_num)
        return result

    def updates(self, batch: EpisodeBatch, targets: Targets) -> Iterator[dict[str, Tensor]]:
        """Make the updates, and yield of each what is to be logged, name -> 0-d."""
        for rows in self.parts(batch.batch_size):
            yield self.update(*self.part(batch, targets, rows))

    def part(self, batch: EpisodeBatch, targets: Targets, rows: Tensor) -> tuple[EpisodeBatch, Targets]:
        """Return some rows of a sample."""
        if len(rows) == batch.batch_size:
            return batch, targets  # nothing is copied, nor put in another order
        return batch[rows], targets.rows(upload(rows, batch.device))

    def update(self, batch: EpisodeBatch, targets: Targets) -> dict[str, Tensor]:
        """Make a step of actor and critic on some episodes; return what is to be logged, name -> 0-d."""
        actor_loss, critic_loss, metrics = self.loss(batch, targets)
        weighted = self.config.critic_coef * critic_loss
        if self.config.share_optimiser:
            norms = {"grad_norm": self.step(self.agent_optimiser, actor_loss + weighted, "loss")}
        else:
            norms = {
                "agent_grad_norm": self.step(self.agent_optimiser, actor_loss, "pg_loss"),
                "critic_grad_norm": self.step(self.critic_optimiser, weighted, "critic_loss"),
            }
        return {"pg_loss": actor_loss.detach(), "critic_loss": critic_loss.detach(), **norms, **metrics}

    def loss(self, batch: EpisodeBatch, targets: Targets) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the losses of actor and critic, 0-d with gradient, and what is to be logged, name -> 0-d without."""
        actor, of_actor = self.actor_loss(batch, targets)
        critic, of_critic = self.critic_loss(batch, targets)
        return actor, critic, of_actor | of_critic

    def actor_loss(
        self, batch: EpisodeBatch, targets: Targets, agents: tuple[int, ...] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of the agents, or of some of them whose targets these are, and what is to be logged."""
        policy, acting = self.policy(batch, agents), self.acting(batch, agents)
        gain = masked_mean(self.surrogate(policy.log_probs, targets), acting)
        with torch.no_grad():
            ratio = (policy.log_probs - targets.log_probs).exp()
            metrics = {"entropy": masked_mean(policy.entropy, acting),
                       "advantage_mean": masked_mean(targets.advantages, acting),
                       "ratio_spread": masked_mean((ratio - 1).abs(), acting)}  # fmt: skip
        return -gain - self.entropy_bonus(policy.entropy, acting), metrics

    def critic_loss(self, batch: EpisodeBatch, targets: Targets) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean over all transitions and agents of half the squared error (or Huber's, which is linear beyond
        huber_delta), of the value or of its clipped change, whichever is worse; and what is to be logged.
        """
        values, c = self.state_values(batch, self.critic)[:, :-1], self.config
        mask = batch.transitions().mask.expand_as(values)
        loss = _half_squares(values - targets.returns, c.huber_delta)
        if c.value_clip is not None:
            near = targets.values + (values - targets.values).clamp(-c.value_clip, c.value_clip)
            loss = torch.maximum(loss, _half_squares(near - targets.returns, c.huber_delta))
        return masked_mean(loss, mask), value_means(values - targets.returns, values, targets.returns, mask)

    @torch.no_grad()
    def targets(self, batch: EpisodeBatch) -> Targets:
        """Return old log-probabilities and values, advantages, and the returns that the critic is to learn."""
        said = self.state_values(batch, self.critic)
        advantages, returns = self.advantages(batch, in_env_units(said, self.value_stats))
        if self.config.standardise_advantages:
            advantages = standardised(advantages, self.acting(batch))
        mask = batch.transitions().mask
        rescaled = {self.critic, self.target_critic} if self.config.popart else ()
        said, returns = in_new_units(said, returns, mask, self.value_stats, rescaled=rescaled)
        return Targets(self.policy(batch).log_probs, said[:, :-1] * mask, advantages, returns * mask)

    def advantages(self, batch: EpisodeBatch, values: Tensor) -> Advantages:
        """Return advantages and returns, given the critic's values [B, T, N] in the env's units."""
        c, steps, value = self.config, batch.transitions(), values[:, :-1]
        given = steps.reward.expand_as(value), steps.terminated, steps.mask
        if c.returns == "gae":
            return gae(*given, value, values[:, 1:], gamma=c.gamma, gae_lambda=c.gae_lambda)
        after = in_env_units(self.state_values(batch, self.target_critic), self.value_stats)[:, 1:]
        if c.returns == "n_step":
            returns = n_step_targets(*given, after, gamma=c.gamma, n_steps=c.q_nstep)
        else:
            returns = td_lambda_targets(*given, after, gamma=c.gamma, td_lambda=c.td_lambda)
        return Advantages((returns - value) * steps.mask, returns)


def _half_squares(error: Tensor, huber_delta: float | None) -> Tensor:
    """Return half the squares of errors, linear from `huber_delta` on if there is one."""
    if huber_delta is None:
        return 0.5 * error.pow(2)
    return F.huber_loss(error, torch.zeros_like(error), reduction="none", delta=huber_delta)
