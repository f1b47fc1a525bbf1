"""HAPPO: agents with weights of their own are updated one after another, each weighted by those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pymarl.components.buffers.buffer import Sample
from pymarl.learners.advantage_learner import AdvantageLearner
from pymarl.learners.train_result import TrainResult
from pymarl.modules.agents.ns_agent import NSAgent
from pymarl.utils.config import PositiveFloat, PositiveInt


class HAPPOLearner(AdvantageLearner):
    agent = NSAgent

    @dataclass(frozen=True, kw_only=True)
    class Config(AdvantageLearner.Config):
        epochs: PositiveInt
        eps_clip: PositiveFloat

    def add_agent_optimisers(self) -> None:
        agents: Any = self.mac.agent
        self.of_agent = [self.add_optimiser(f"agent_opt_{k}", agent) for k, agent in enumerate(agents.agents)]

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        self.t_env = t_env
        batch = sample.batch
        targets = self.targets(batch)
        mask = batch.transitions().mask
        factor = torch.ones_like(mask)
        norms = []
        for agent in torch.randperm(self.info.n_agents, generator=self.generator).tolist():
            old, advantages = targets.log_probs[..., agent : agent + 1], targets.advantages[..., agent : agent + 1]
            for _ in range(self.config.epochs):
                ratio = (self.policy(batch, (agent,)).log_probs - old).exp()
                clipped = ratio.clamp(1 - self.config.eps_clip, 1 + self.config.eps_clip)
                loss = -(factor * torch.minimum(ratio * advantages, clipped * advantages) * mask).sum() / mask.sum()
                norms.append(self.step(self.of_agent[agent], loss, "pg_loss"))
            with torch.no_grad():
                factor = factor * (self.policy(batch, (agent,)).log_probs - old).exp()
        wide = mask.expand_as(targets.returns)
        critic_loss = (
            (self.state_values(batch, self.critic)[:, :-1] - targets.returns).pow(2) * wide
        ).sum() / wide.sum()
        self.step(self.critic_optimiser, critic_loss, "critic_loss")
        metrics = {"critic_loss": critic_loss.detach(), "agent_grad_norm": torch.stack(norms).mean()}
        return TrainResult(metrics=metrics, gradient_steps=len(norms), t_env=t_env)
