"""MADDPG with discrete actions: two optimisers, soft targets, gradients through a Gumbel-softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.components.buffers.buffer import Sample
from pymarl.components.masking import mask_unavailable
from pymarl.components.returns import n_step_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import Learner, NetworkKind
from pymarl.learners.train_result import TrainResult
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.utils.config import PositiveFloat, PositiveInt, Probability


class JointActionCritic(nn.Module):
    """Q(s, a_1 .. a_N), of one-hots or of what relaxes them."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        critic_hidden_dim: PositiveInt

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__()
        width, hidden = info.state_shape + info.n_agents * info.n_actions, config.critic_hidden_dim
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, state: Tensor, actions: Tensor) -> Tensor:
        """Return [P, 1] for states [P, S] and actions [P, N, A]."""
        q: Tensor = self.net(torch.cat([state, actions.flatten(1)], -1))
        return q


class MADDPGLearner(Learner):
    networks = {"critic": NetworkKind(CRITICS, JointActionCritic)}
    reads = frozenset({"logits"})

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        critic_lr: PositiveFloat
        target_tau: Probability

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: JointActionCritic
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.critic = critic
        self.target_mac = self.add_target(mac, tau=config.target_tau)
        self.target_critic = self.add_target(critic, tau=config.target_tau)
        self.agent_optimiser = self.add_optimiser("agent_opt", mac)
        self.critic_optimiser = self.add_optimiser("critic_opt", critic, lr=config.critic_lr, clip=1.0)

    def relaxed(self, logits: Tensor) -> Tensor:
        """Return one-hots [P, N, A] whose gradient is that of a softmax with Gumbel noise."""
        uniform = torch.rand(logits.shape, generator=self.generator).to(logits.device)
        soft = (logits - (-uniform.clamp(min=1e-20).log()).clamp(min=1e-20).log()).softmax(-1)
        hard = F.one_hot(soft.argmax(-1), logits.shape[-1]).to(soft.dtype)
        return hard + soft - soft.detach()

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        self.t_env = t_env
        batch, steps = sample.batch, sample.batch.transitions()
        pack, unpack = batch.packing.pack, batch.packing.unpack
        state, avail_actions = pack(batch["state"]), pack(batch["avail_actions"])
        taken = F.one_hot(pack(batch["actions"]).squeeze(-1).long(), self.info.n_actions).float()
        with torch.no_grad():
            logits = mask_unavailable(self.target_mac.unroll_packed(batch).outputs, avail_actions)
            next_q = unpack(self.target_critic(state, self.relaxed(logits)))[:, 1:]
            targets = n_step_targets(
                steps.reward, steps.terminated, steps.mask, next_q, gamma=self.config.gamma, n_steps=1
            )
        td = unpack(self.critic(state, taken))[:, :-1] - targets
        critic_loss = (td.pow(2) * steps.mask).sum() / steps.mask.sum()
        critic_norm = self.step(self.critic_optimiser, critic_loss, "critic_loss")
        logits = mask_unavailable(self.mac.unroll_packed(batch).outputs, avail_actions)
        q = unpack(self.critic(state, self.relaxed(logits)))[:, :-1]
        pg_loss = -(q * steps.mask).sum() / steps.mask.sum()
        agent_norm = self.step(self.agent_optimiser, pg_loss, "pg_loss")
        self.update_targets(episode_num)
        metrics = {"critic_loss": critic_loss.detach(), "critic_grad_norm": critic_norm, "pg_loss": pg_loss.detach(),
                   "agent_grad_norm": agent_norm}  # fmt: skip
        return TrainResult(metrics=metrics, t_env=t_env)
