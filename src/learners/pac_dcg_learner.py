"""Pareto actor-critic with one value of joint actions, a coordination graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.masking import some_available
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import NetworkKind
from pymarl.learners.pac_learner import PACLearner
from pymarl.learners.policy_learner import masked_mean, value_means
from pymarl.learners.values import after_steps, at_steps
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.modules.critics.pac_dcg import DCGCriticNS
from pymarl.modules.layers.coordination_graph import CoordinationGraph


class PACDCGLearner(PACLearner):
    """Pareto-AC whose Q(s, a) is a deep coordination graph, the same for all agents (Christianos et al. 2023).

    The maximum M_i(s, a_i) over the others' available actions then takes no network for each of their joint actions,
    and with many agents messages along the graph find it. Q learns the mean of the n agents' targets; V_i learns
    n-step targets of its own, which end in its target copy: it is the value of what is played.

    Args:
        config, mac, info, generator: as for Learner.
        critic: Q.
        state_value: V_i, [R, 1].
    """

    networks = {"critic": NetworkKind(CRITICS, DCGCriticNS), "state_value": NetworkKind(CRITICS, Critic)}
    individual_rewards = False

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Any, state_value: Critic
    ) -> None:
        super().__init__(config, mac, info, generator, critic=critic, state_value=state_value)
        self.target_state_value = self.add_target(state_value)

    def add_critic_optimisers(self) -> None:
        """Add what trains the critics: an optimiser of each."""
        lr = self.config.critic_lr
        self.critic_optimiser = self.add_optimiser("critic_opt", self.critic, lr=lr)
        self.state_value_optimiser = self.add_optimiser("state_value_opt", self.state_value, lr=lr)

    def learn_values(self, batch: EpisodeBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Make a step of both critics; see PACLearner.learn_values."""
        joint, avail_actions = batch.packed_actions(), some_available(batch.packed("avail_actions"))
        graph = self.graph(batch, self.critic)
        best = at_steps(batch, self.critic.best(graph, joint, avail_actions))
        v = self.state_values(batch, self.state_value)[:, :-1]
        mask = batch.transitions().mask.expand_as(v)
        with torch.no_grad():
            target_best = self.target_critic.best(self.graph(batch, self.target_critic), joint, avail_actions)
            targets = self.returns(batch, after_steps(batch, target_best))
            value_targets = self.returns(batch, self.state_values(batch, self.target_state_value)[:, 1:])
        q = at_steps(batch, graph.value(joint).unsqueeze(-1)).expand_as(targets)
        td_error = (q - targets) * mask
        losses = {"critic_loss": masked_mean(td_error.pow(2), mask),
                  "state_value_loss": masked_mean((v - value_targets).pow(2), mask)}  # fmt: skip
        norms = {
            "critic_grad_norm": self.step(self.critic_optimiser, losses["critic_loss"], "critic_loss"),
            "state_value_grad_norm": self.step(
                self.state_value_optimiser, losses["state_value_loss"], "state_value_loss"
            ),
        }
        return self.advantages(best, q, v), {**losses, **norms, **value_means(td_error, q, targets, mask)}

    def graph(self, batch: EpisodeBatch, critic: DCGCriticNS) -> CoordinationGraph:
        """Return the values of joint actions in all filled slots."""
        inputs = packed_inputs(batch, critic.sees, self.info, self.device, agents=(0,))
        graph: CoordinationGraph = critic(inputs, batch.packing.counts)
        return graph
