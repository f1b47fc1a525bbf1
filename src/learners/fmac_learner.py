"""FACMAC and RIIT: one critic of the team, mixed of the agents' own, that all policies climb together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.masking import greedy_actions
from pymarl.components.returns import td_lambda_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.action_values import (
    check_sees,
    critic_metrics,
    frozen,
    gumbel_one_hots,
    one_hots,
    with_actions,
)
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import PolicyLearner, masked_mean
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import at_steps, bootstrapped, td_loss
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import BaseMixer, Mixed, MixerInputs
from pymarl.utils.config import PositiveFloat, Probability
from pymarl.utils.errors import UserError


class FMACLearner(PolicyLearner):
    """RIIT (Hu et al. 2021, arXiv:2102.03479) and FACMAC (Peng et al. 2021, arXiv:2003.06709) for discrete actions.

    Each agent's critic values its own action, and a mixer makes the team's value of theirs, which learns TD(lambda)
    targets: of the actions taken in the next step (RIIT), or of those that the target policies find best there
    (FACMAC). All policies climb the team's value of their joint action, which is their probabilities (RIIT) or one-hots
    drawn by a straight-through Gumbel-softmax (FACMAC). Of an on_off buffer the replayed batch trains the critic first,
    by one-step targets, and the newest episodes train critic and policies then (RIIT).

    Assumes: the state in training; agents act on their own observations.

    Args:
        config, mac, info, generator: as for Learner.
        critic: of each agent's own action, [R, 1].
        mixer: makes the team's value of the agents'; None: each policy climbs its own critic.
    """

    config: Config
    networks = {"critic": NetworkKind(CRITICS, Critic), "mixer": NetworkKind(MIXERS, BaseMixer, optional=True)}
    trains_on = ("replay", "on_off", "rollout")
    unsaved = ("critic",)  # of PyMARL2's RIIT
    stores = ()  # the policies of today climb, whoever acted
    individual_rewards = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyLearner.Config):
        """Keys of fmac_learner; see config/default.yaml."""

        critic_lr: PositiveFloat | None
        td_lambda: Probability
        next_actions: Literal["taken", "greedy"]
        actor_actions: Literal["soft", "gumbel"]

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic,
        mixer: BaseMixer | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, mac, info, generator)
        check_sees(critic, "actions", "fmac_learner", "fmac")
        if mixer is not None and (mixer.needs_q_max or mixer.needs_states):
            raise UserError(
                f"mixer of {type(mixer).__name__} reads values of other actions or agents' hidden states, which the "
                f"critics of learner='fmac_learner' do not have; write mixer=qmix, nmix or vdn"
            )
        self.critic, self.mixer = critic, mixer
        self.target_critic = self.add_target(critic)
        self.target_mixer = None if mixer is None else self.add_target(mixer)
        self.target_mac = self.add_target(mac) if config.next_actions == "greedy" else None
        self.critic_optimiser = self.add_optimiser("critic_opt", critic, mixer, lr=config.critic_lr)

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make one step of the critic on what is replayed, if anything is, then one of it and one of the policies."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        metrics: dict[str, Tensor] = {}
        if sample.replayed is not None:
            off = self.train_critic(self.standardised(sample.replayed), td_lambda=0.0)
            metrics = {f"off_{name}": value for name, value in off.items()}
        batch = self.standardised(sample.batch)
        metrics |= self.train_critic(batch, td_lambda=self.config.td_lambda) | self.train_actor(batch)
        self.update_targets(episode_num)
        return TrainResult(metrics=metrics, t_env=t_env)

    def train_critic(self, batch: EpisodeBatch, *, td_lambda: float) -> dict[str, Tensor]:
        """Make a step of critic and mixer; return what is to be logged, name -> 0-d."""
        after = self.target_values(batch)
        targets = bootstrapped(td_lambda_targets, batch, after, gamma=self.config.gamma, td_lambda=td_lambda)
        values = self.values(batch, self.critic, self.mixer)
        loss = td_loss(batch, Mixed(values), targets, batch.transitions().mask, None)
        return critic_metrics(loss, self.step(self.critic_optimiser, loss.value, "critic_loss"))

    def train_actor(self, batch: EpisodeBatch) -> dict[str, Tensor]:
        """Make a step of the policies; return what is to be logged, name -> 0-d."""
        said = self.policy(batch)
        soft = self.config.actor_actions == "soft"
        actions = said.log_pi.exp() if soft else gumbel_one_hots(said.log_pi, self.generator)
        with frozen(self.critic, self.mixer):
            values = self.values(batch, self.critic, self.mixer, actions)
        mask = self.acting(batch)
        of_team = batch.transitions().mask  # in whose value all agents have a share, [B, T-1, 1]
        pg_loss = -masked_mean(at_steps(batch, values), mask if self.mixer is None else of_team)
        loss = pg_loss - self.entropy_bonus(said.entropy, mask)
        grad_norm = self.step(self.agent_optimiser, loss, "pg_loss")
        entropy = masked_mean(said.entropy.detach(), mask)
        return {"pg_loss": pg_loss.detach(), "agent_grad_norm": grad_norm, "entropy": entropy}

    @torch.no_grad()
    def target_values(self, batch: EpisodeBatch) -> Tensor:
        """Return the target networks' values [P, A] of all slots, for actions as next_actions says; A as in Loss."""
        if self.target_mac is None:
            return self.values(self.with_last_actions(batch), self.target_critic, self.target_mixer)
        best = greedy_actions(self.target_mac.unroll_packed(batch).outputs, batch.packed("avail_actions"))
        return self.values(batch, self.target_critic, self.target_mixer, one_hots(best, self.info.n_actions))

    def values(
        self, batch: EpisodeBatch, critic: Critic, mixer: BaseMixer | None, actions: Tensor | None = None
    ) -> Tensor:
        """Return the team's values [P, 1], or without a mixer each agent's [P, N], of actions [P, N, A] or of those
        taken.
        """
        inputs = packed_inputs(batch, critic.sees, self.info, self.device)
        if actions is not None:
            inputs = with_actions(inputs, actions.flatten(0, 1))
        q: Tensor = critic(inputs).view(-1, self.info.n_agents)
        if mixer is None:
            return q
        taken = batch.packed_actions()
        value: Tensor = mixer(MixerInputs(q, None, taken, batch.packed("state"))).value
        return value
