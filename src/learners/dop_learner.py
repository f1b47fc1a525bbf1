"""DOP: a critic that is linear in the agents' own, trained on-policy and off-policy, and a policy gradient of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.returns import td_lambda_targets, tree_backup_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import PolicyLearner, counterfactual, masked_mean, value_means
from pymarl.learners.slots import SlotRows, by_slot
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import after_steps, at_steps, bootstrapped
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.modules.inputs import INPUTS_OF_STATES
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.dop import DOPMixer
from pymarl.modules.mixers.mixer import MixerInputs
from pymarl.utils.config import PositiveFloat, PositiveInt, Probability
from pymarl.utils.errors import UserError


class DOPLearner(PolicyLearner):
    """Off-policy multi-agent policy gradients with a decomposed critic (Wang et al. 2020, arXiv:2007.12322).

    The team's value is linear in those of the agents, Q_tot = sum_i k_i(s) Q_i(s, o_i, a_i). It learns TD(lambda)
    targets of the newest episodes and n-step tree backups of replayed ones, which follow the policy of today, epsilon
    included, and need not know which one played. On the newest episodes each agent's policy follows its own gradient,
    k_i (Q_i(a_i) - sum over a of pi_i(a) Q_i(a)) grad log pi_i(a_i). Critic and mixer make one step for each slot of
    time (`slots`, as the authors' do) or one for all (`batch`); target_update_interval counts these.

    Assumes: the state in training; agents act on their own observations.

    Args:
        config, mac, info, generator: as for Learner.
        critic: of each agent's actions, [R, A].
        mixer: makes the team's value of the agents', and says what each counts.

    Raises:
        UserError: the critic is another one.
    """

    config: Config
    networks = {"critic": NetworkKind(CRITICS, Critic), "mixer": NetworkKind(MIXERS, DOPMixer)}
    trains_on = ("on_off", "rollout")
    unsaved = ("critic_opt",)  # there each of critic and mixer has its own

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyLearner.Config):
        """Keys of dop_learner; see config/default.yaml."""

        critic_lr: PositiveFloat | None
        td_lambda: Probability
        tb_lambda: Probability
        tb_steps: PositiveInt
        kappa: Probability | None
        critic_updates: Literal["slots", "batch"]

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic,
        mixer: DOPMixer,
    ) -> None:  # fmt: skip
        super().__init__(config, mac, info, generator)
        if critic.outputs() != info.n_actions or not set(INPUTS_OF_STATES).issuperset(critic.sees):
            raise UserError(
                f"critic of {', '.join(critic.sees)} gives {critic.outputs()} values a row: dop_learner wants one of "
                f"each of {info.n_actions} actions, whatever the others do; write critic=dop or critic=dop_ns"
            )
        self.critic, self.mixer = critic, mixer
        self.target_critic, self.target_mixer = self.add_target(critic), self.add_target(mixer)
        self.critic_optimiser = self.add_optimiser("critic_opt", critic, mixer, lr=config.critic_lr)
        self.counters["critic_steps"] = 0

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make steps of the critic, then one of the policies; see Learner.train. Metrics of the critic are means."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        batch = self.standardised(sample.batch)
        critic = TrainResult.of_updates(map(self.train_critic, self.parts(batch, sample.replayed)), t_env).metrics
        self.update_targets(self.counters["critic_steps"])
        return TrainResult(metrics={**critic, **self.train_actor(batch)}, t_env=t_env)

    def parts(self, batch: EpisodeBatch, replayed: EpisodeBatch | None) -> Iterator[list[SlotRows]]:
        """Return what the critic learns from in each step, as critic_updates says."""
        kappa = self.config.kappa
        batches, targets = [batch], [self.on_targets(batch)]
        shares = [None if kappa is None else 1 - kappa, kappa]
        if replayed is not None:
            batches.append(self.standardised(replayed))
            targets.append(self.off_targets(batches[-1]))
        rows = [
            SlotRows.of(each, packed_inputs(each, self.critic.sees, self.info, self.device), target, share)
            for each, target, share in zip(batches, targets, shares, strict=False)
        ]
        return by_slot(batches, rows) if self.config.critic_updates == "slots" else iter([rows])

    @torch.no_grad()
    def on_targets(self, batch: EpisodeBatch) -> Tensor:
        """Return TD(lambda) targets [B, T-1, 1] of the actions taken."""
        batch = self.with_last_actions(batch)
        taken, c = batch.packed_actions().unsqueeze(-1), self.config
        q = self.q_values(batch, self.target_critic).gather(-1, taken).squeeze(-1)
        value = self.target_value(batch, q)
        return bootstrapped(td_lambda_targets, batch, value, gamma=c.gamma, td_lambda=c.td_lambda)

    @torch.no_grad()
    def off_targets(self, batch: EpisodeBatch) -> Tensor:
        """Return tree backups [B, T-1, 1] of the policy of today."""
        steps, taken = batch.transitions(), batch.packed_actions().unsqueeze(-1)
        outputs, avail_actions = self.mac.unroll_packed(batch).outputs, batch.packed("avail_actions")
        pi = self.log_policy(outputs, avail_actions, self.t_env).exp()  # [P, N, A]
        q = self.q_values(batch, self.target_critic)
        value = self.target_value(batch, q.gather(-1, taken).squeeze(-1))
        expected = self.target_value(batch, (pi * q).sum(-1))
        share = pi.gather(-1, taken).squeeze(-1).prod(-1, keepdim=True)  # [P, 1]
        return tree_backup_targets(
            steps.reward, steps.terminated, steps.mask, at_steps(batch, value), after_steps(batch, expected),
            at_steps(batch, share), gamma=self.config.gamma, tb_lambda=self.config.tb_lambda,
            n_steps=self.config.tb_steps,
        )  # fmt: skip

    def q_values(self, batch: EpisodeBatch, critic: Critic) -> Tensor:
        """Return a critic's values [P, N, A] of all agents' actions."""
        values: Tensor = critic(packed_inputs(batch, critic.sees, self.info, self.device))
        return values.view(-1, self.info.n_agents, self.info.n_actions)

    def target_value(self, batch: EpisodeBatch, q: Tensor) -> Tensor:
        """Return the target mixer's value [P, 1] of the agents' [P, N]."""
        value: Tensor = self.target_mixer(MixerInputs(q, None, batch.packed_actions(), batch.packed("state"))).value
        return value

    def train_critic(self, parts: list[SlotRows]) -> dict[str, Tensor]:
        """Make a step of critic and mixer; return what is to be logged, name -> 0-d."""
        values, targets, mask, weights = (
            torch.cat(column)
            for column in zip(*((self.taken_value(p), p.targets, p.mask, p.weights) for p in parts), strict=True)
        )
        error = (values - targets) * mask
        loss = (error.pow(2) * weights).sum() / weights.sum().clamp(min=1e-8)
        grad_norm = self.step(self.critic_optimiser, loss, "critic_loss")
        self.counters["critic_steps"] += 1
        return {
            "critic_loss": loss.detach(), "critic_grad_norm": grad_norm,
            **value_means(error, values, targets, mask),
        }  # fmt: skip

    def taken_value(self, rows: SlotRows) -> Tensor:
        """Return the team's value [P, 1] of the actions taken."""
        q = self.critic(rows.inputs).view(*rows.actions.shape, -1)
        taken = q.gather(-1, rows.actions.unsqueeze(-1)).squeeze(-1)
        value: Tensor = self.mixer(MixerInputs(taken, None, rows.actions, rows.state)).value
        return value

    def train_actor(self, batch: EpisodeBatch) -> dict[str, Tensor]:
        """Make a step of the policies; return what is to be logged, name -> 0-d."""
        said, taken = self.policy(batch), batch.packed_actions().unsqueeze(-1)
        with torch.no_grad():
            q = self.q_values(batch, self.critic)
            advantages = counterfactual(q, said.log_pi.exp()).gather(-1, taken).squeeze(-1)  # [P, N]
            weighted = at_steps(batch, self.mixer.k(batch.packed("state")) * advantages)
        mask = self.acting(batch)
        pg_loss = -masked_mean(weighted * said.log_probs, mask)
        loss = pg_loss - self.entropy_bonus(said.entropy, mask)
        grad_norm = self.step(self.agent_optimiser, loss, "pg_loss")
        entropy = masked_mean(said.entropy.detach(), mask)
        return {"pg_loss": pg_loss.detach(), "agent_grad_norm": grad_norm, "entropy": entropy}
