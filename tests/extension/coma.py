"""COMA: a counterfactual baseline under the behaviour distribution that acting stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pymarl.components.buffers.buffer import Sample
from pymarl.components.inputs import packed_inputs
from pymarl.components.returns import td_lambda_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import Learner, NetworkKind
from pymarl.learners.train_result import TrainResult
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.modules.critics.mlp import MLPCritic
from pymarl.utils.config import PositiveFloat, PositiveInt, Probability


class COMACritic(MLPCritic):
    sees = ("state", "obs", "others_actions", "agent_id")

    def outputs(self) -> int:
        return self.info.n_actions


class COMALearner(Learner):
    networks = {"critic": NetworkKind(CRITICS, Critic)}
    trains_on = ("rollout",)
    reads = frozenset({"probs"})
    stores = ("probs",)

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        critic_lr: PositiveFloat
        td_lambda: Probability
        target_update_interval: PositiveInt

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.critic = critic
        self.target_critic = self.add_target(critic, every=config.target_update_interval)
        self.agent_optimiser = self.add_optimiser("agent_opt", mac)
        self.critic_optimiser = self.add_optimiser("critic_opt", critic, lr=config.critic_lr)

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        self.t_env = t_env
        batch = self.with_last_actions(sample.batch)  # the targets bootstrap from the value of an action
        steps = batch.transitions()
        n, (pack, unpack) = self.info.n_agents, (batch.packing.pack, batch.packing.unpack)
        inputs = packed_inputs(batch, self.critic.sees, self.info, self.device)
        actions = pack(batch["actions"]).long()  # [P, N, 1]
        with torch.no_grad():
            target_q = self.target_critic(inputs).view(-1, n, self.info.n_actions)
            taken = unpack(target_q.gather(-1, actions).squeeze(-1))[:, 1:]
            targets = td_lambda_targets(
                steps.reward.expand_as(taken), steps.terminated, steps.mask, taken,
                gamma=self.config.gamma, td_lambda=self.config.td_lambda,
            )  # fmt: skip
        wide = steps.mask.expand_as(targets)
        q = self.critic(inputs).view(-1, n, self.info.n_actions)
        td = unpack(q.gather(-1, actions).squeeze(-1))[:, :-1] - targets
        critic_loss = (td.pow(2) * wide).sum() / wide.sum()
        norm = self.step(self.critic_optimiser, critic_loss, "critic_loss")
        behaviour = pack(batch["probs"])  # [P, N, A]: what acting stored
        q = q.detach()
        advantage = unpack(q.gather(-1, actions).squeeze(-1) - (behaviour * q).sum(-1))[:, :-1]
        outputs = self.mac.unroll_packed(batch).outputs
        probs = self.mac.action_selector.distribution(outputs, pack(batch["avail_actions"]), t_env)
        log_probs = probs.clamp(min=1e-10).log()
        log_taken = unpack(log_probs.gather(-1, actions).squeeze(-1))[:, :-1].masked_fill(wide == 0, 0.0)
        pg_loss = -(advantage * log_taken * wide).sum() / wide.sum()
        agent_norm = self.step(self.agent_optimiser, pg_loss, "pg_loss")
        self.update_targets(episode_num)
        metrics = {"critic_loss": critic_loss.detach(), "critic_grad_norm": norm, "pg_loss": pg_loss.detach(),
                   "agent_grad_norm": agent_norm}  # fmt: skip
        return TrainResult(metrics=metrics, t_env=t_env)
