"""PPO for agents that are updated one after another, each with regard to what those before it have become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.advantage_learner import Targets
from pymarl.learners.ppo_learner import PPOLearner
from pymarl.modules.agents.ns_agent import NSAgent
from pymarl.modules.critics.critic import Critic
from pymarl.utils.errors import UserError


class HAPPOLearner(PPOLearner):
    """HAPPO (Kuba et al. 2022, arXiv:2109.11251). Agents have weights of their own and are updated in random order;
    each agent's advantages are multiplied by the factor, the product of the ratios pi_new(a) / pi_old(a) of those
    updated before it, so that the team's policy as a whole improves.

    Raises:
        UserError: share_optimiser, of agents that take steps of their own.
    """

    agent = NSAgent
    unsaved = ()

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic
    ) -> None:
        if config.share_optimiser:
            raise UserError("share_optimiser=True, but happo_learner's agents take steps of their own; write False")
        super().__init__(config, mac, info, generator, critic=critic)

    def add_agent_optimisers(self) -> None:
        """Add an optimiser for each agent."""
        agents: Any = self.mac.agent
        self.of_agent = [self.add_optimiser(f"agent_opt_{k}", agent) for k, agent in enumerate(agents.agents)]

    def updates(self, batch: EpisodeBatch, targets: Targets) -> Iterator[dict[str, Tensor]]:
        """Update the agents one after another, and the critic beside the first; see AdvantageLearner.updates."""
        factor = torch.ones_like(targets.advantages[..., :1])  # [B, T-1, 1]
        order = torch.randperm(self.info.n_agents, generator=self.generator).tolist()
        for agent in order:
            own = targets.agent(agent)
            own = own._replace(advantages=own.advantages * factor)
            for rows in self.parts(batch.batch_size):
                loss, metrics = self.actor_loss(*self.part(batch, own, rows), (agent,))
                norm = self.step(self.of_agent[agent], loss, "pg_loss")
                of_critic = self.critic_step(*self.part(batch, targets, rows)) if agent == order[0] else {}
                yield {"pg_loss": loss.detach(), "agent_grad_norm": norm, **metrics, **of_critic}
            factor = factor * self.ratio(batch, own, agent)

    def critic_step(self, batch: EpisodeBatch, targets: Targets) -> dict[str, Tensor]:
        """Make a step of the critic; return what is to be logged, name -> 0-d."""
        loss, metrics = self.critic_loss(batch, targets)
        norm = self.step(self.critic_optimiser, self.config.critic_coef * loss, "critic_loss")
        return {"critic_loss": loss.detach(), "critic_grad_norm": norm, **metrics}

    @torch.no_grad()
    def ratio(self, batch: EpisodeBatch, own: Targets, agent: int) -> Tensor:
        """Return pi_new(a) / pi_old(a) [B, T-1, 1] of an agent, 1 in padding; `own` are its targets."""
        return (self.policy(batch, (agent,)).log_probs - own.log_probs).exp()
