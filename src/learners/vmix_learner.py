"""VDAC: an actor-critic whose team value is mixed of the agents' own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.returns import td_lambda_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import PolicyLearner, masked_mean, value_means
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import at_steps, bootstrapped
from pymarl.modules.agents.rnn_ppo_agent import RNNPPOAgent
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import BaseMixer, MixerInputs
from pymarl.utils.config import NonNegativeFloat, Probability
from pymarl.utils.errors import UserError


class VMIXLearner(PolicyLearner):
    """Value-decomposition actor-critics (Su et al. 2021, arXiv:2007.12306): VDAC-mix, VDAC-sum, or independent agents.

    Each agent's network has a policy and a value V_i; a monotone mixer makes V_tot of the values, whose TD(lambda)
    error is everybody's advantage. Without a mixer each agent has its own. There are no targets: values are learned
    on-policy, by the optimiser that trains the policy.

    Args:
        config, mac, info, generator: as for Learner.
        mixer: makes the team's value of the agents'; None for independent agents.
    """

    networks = {"mixer": NetworkKind(MIXERS, BaseMixer, optional=True)}
    agent = RNNPPOAgent
    individual_rewards = True

    @dataclass(frozen=True, kw_only=True)
    class Config(PolicyLearner.Config):
        """Keys of vmix_learner; see config/default.yaml."""

        td_lambda: Probability
        vf_coef: NonNegativeFloat

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, mixer: BaseMixer | None = None
    ) -> None:
        super().__init__(config, mac, info, generator)
        if mixer is not None and (mixer.needs_q_max or mixer.needs_states):
            raise UserError(
                f"{type(mixer).__name__} mixes Q-values of actions, but vmix_learner has values of states; "
                f"write mixer=qmix, nmix, vdn or None"
            )
        self.mixer = mixer
        self.optimiser = self.add_optimiser("opt", mac, mixer)

    def add_agent_optimisers(self) -> None:
        """Add none: policy, values and mixer are trained as one."""

    def value(self, batch: EpisodeBatch, states: Tensor) -> Tensor:
        """Return the team's value [P, 1] (each agent's [P, N] without a mixer) for hidden states [P, N, H]."""
        values = cast(RNNPPOAgent, self.mac.agent).values(states)
        if self.mixer is None:
            return values
        actions = batch.packed_actions()
        return cast(Tensor, self.mixer(MixerInputs(values, None, actions, batch.packed("state"))).value)

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make one update; see Learner.train."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        batch = self.standardised(sample.batch)
        run = self.mac.unroll_packed(batch, states=True)
        assert run.states is not None, "they were asked for"
        log_pi = self.log_policy(run.outputs, batch.packed("avail_actions"), self.acted_at(batch))
        policy = self.policy_of(batch, log_pi)
        values = self.value(batch, run.states)
        taken, c = at_steps(batch, values), self.config
        targets = bootstrapped(td_lambda_targets, batch, values, gamma=c.gamma, td_lambda=c.td_lambda)
        mask, acting = batch.transitions().mask.expand_as(taken), self.acting(batch)
        advantages = (targets - taken).detach()
        pg_loss = -masked_mean(advantages * policy.log_probs, acting)
        critic_loss = masked_mean((taken - targets).pow(2), mask)
        loss = pg_loss + c.vf_coef * critic_loss - self.entropy_bonus(policy.entropy, acting)
        grad_norm = self.step(self.optimiser, loss, "loss")
        with torch.no_grad():
            metrics = {
                "pg_loss": pg_loss, "critic_loss": critic_loss, "agent_grad_norm": grad_norm,
                **value_means(advantages, taken, targets, mask), "advantage_mean": masked_mean(advantages, mask),
                "entropy": masked_mean(policy.entropy, acting),
            }  # fmt: skip
        return TrainResult(metrics={name: metric.detach() for name, metric in metrics.items()}, t_env=t_env)
