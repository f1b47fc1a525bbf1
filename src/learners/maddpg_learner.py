"""MADDPG: each agent climbs its own critic of what all agents do, through actions drawn by a Gumbel-softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.masking import greedy_actions, mask_unavailable, some_available
from pymarl.components.returns import n_step_targets
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
from pymarl.learners.bootstrap_learner import BootstrapLearner
from pymarl.learners.learner import NetworkKind
from pymarl.learners.policy_learner import masked_mean
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import acting_mask, at_steps, bootstrapped, td_loss
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.modules.mixers.mixer import Mixed
from pymarl.utils.config import NonNegativeFloat, PositiveFloat
from pymarl.utils.devices import upload


class MADDPGLearner(BootstrapLearner):
    """MADDPG for discrete actions (Lowe et al. 2017, arXiv:1706.02275; Papoudakis et al. 2021, arXiv:2006.07869).

    Critics learn one-step targets of what the target policies find best in the next state. Agent i's policy climbs
    Q_i(s, a) by its own action, a one-hot drawn by a straight-through Gumbel-softmax; those of the others are what was
    played (`taken`, as in the paper) or drawn from their policies of today (`sampled`, EPyMARL). Logits of available
    actions are held small by reg times their mean square.

    Assumes: the state and all agents' actions in training; agents act on their own observations.

    Args:
        config, mac, info, generator: as for Learner.
        critic: of joint actions, [R, 1].
    """

    config: Config
    networks = {"critic": NetworkKind(CRITICS, Critic)}
    reads = frozenset({"logits"})
    individual_rewards = True

    @dataclass(frozen=True, kw_only=True)
    class Config(BootstrapLearner.Config):
        """Keys of maddpg_learner; see config/default.yaml."""

        critic_lr: PositiveFloat | None
        reg: NonNegativeFloat
        others_actions: Literal["taken", "sampled"]
        active_masks: bool

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, critic: Critic
    ) -> None:
        super().__init__(config, mac, info, generator)
        check_sees(critic, "joint_actions", "maddpg_learner", "maddpg_critic or maddpg_critic_ns")
        self.critic = critic
        self.target_mac, self.target_critic = self.add_target(mac), self.add_target(critic)
        self.agent_optimiser = self.add_optimiser("agent_opt", mac)
        self.critic_optimiser = self.add_optimiser("critic_opt", critic, lr=config.critic_lr)

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make one step of the critics, then one of the policies; see Learner.train."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        batch = self.standardised(sample.batch)
        metrics = self.train_critic(batch) | self.train_actor(batch)
        self.update_targets(episode_num)
        return TrainResult(metrics=metrics, t_env=t_env)

    def train_critic(self, batch: EpisodeBatch) -> dict[str, Tensor]:
        """Make a step of the critics; return what is to be logged, name -> 0-d."""
        with torch.no_grad():
            best = greedy_actions(self.target_mac.unroll_packed(batch).outputs, batch.packed("avail_actions"))
            joint = one_hots(best, self.info.n_actions).flatten(1)  # [P, N * A]
            joint = joint.repeat_interleave(self.info.n_agents, dim=0)  # [P * N, N * A]
            next_value = self.values(batch, self.target_critic, joint)
            targets = bootstrapped(n_step_targets, batch, next_value, gamma=self.config.gamma, n_steps=1)
        mask = batch.transitions().mask
        loss = td_loss(batch, Mixed(self.values(batch, self.critic)), targets, mask, None, scale=1.0)
        return critic_metrics(loss, self.step(self.critic_optimiser, loss.value, "critic_loss"))

    def train_actor(self, batch: EpisodeBatch) -> dict[str, Tensor]:
        """Make a step of the policies; return what is to be logged, name -> 0-d."""
        mask, avail_actions = batch.transitions().mask, batch.packed("avail_actions")
        logits = self.mac.unroll_packed(batch).outputs  # [P, N, A]
        with frozen(self.critic):
            q = self.values(batch, self.critic, self.joint_actions(batch, logits))
        pg_loss = -masked_mean(at_steps(batch, q), acting_mask(batch, avail_actions, self.config.active_masks))
        squares = at_steps(batch, logits.masked_fill(~avail_actions, 0.0).pow(2).flatten(1))
        counted = at_steps(batch, avail_actions.float().flatten(1)) * mask  # [B, T-1, N * A]
        held = (squares * counted).sum() / counted.sum()
        grad_norm = self.step(self.agent_optimiser, pg_loss + self.config.reg * held, "pg_loss")
        return {"pg_loss": pg_loss.detach(), "agent_grad_norm": grad_norm, "logits_square_mean": held.detach()}

    def values(self, batch: EpisodeBatch, critic: Critic, joint: Tensor | None = None) -> Tensor:
        """Return a critic's values [P, N] of joint actions [P * N, N * A], by default of those taken."""
        inputs = packed_inputs(batch, critic.sees, self.info, self.device)
        values: Tensor = critic(inputs if joint is None else with_actions(inputs, joint))
        return values.view(-1, self.info.n_agents)

    def joint_actions(self, batch: EpisodeBatch, logits: Tensor) -> Tensor:
        """Return [P * N, N * A]: of each row its own agent's action, which carries the gradient, among the others'."""
        free = some_available(batch.packed("avail_actions"))
        own = gumbel_one_hots(mask_unavailable(logits, free), self.generator)  # [P, N, A]
        if self.config.others_actions == "taken":
            others = one_hots(batch.packed_actions(), self.info.n_actions)
        else:
            others = own.detach()
        same = upload(torch.eye(self.info.n_agents, dtype=torch.bool), own.device).unsqueeze(-1)  # [N, N, 1]
        return torch.where(same, own.unsqueeze(1), others.unsqueeze(1)).flatten(2).flatten(0, 1)
