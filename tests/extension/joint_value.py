"""A joint value of the agents' hidden states that their own values are held to, as in QTRAN-base."""

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
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.utils.config import NonNegativeFloat, PositiveInt


class JointValue(nn.Module):
    """Q(s, h, a) and V(s) of the team."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        rnn_hidden_dim: PositiveInt
        mixing_embed_dim: PositiveInt

    def __init__(self, config: Config, info: EnvInfo) -> None:
        super().__init__()
        width, embed = config.rnn_hidden_dim + info.n_actions, config.mixing_embed_dim
        self.n_actions = info.n_actions
        self.encode = nn.Sequential(nn.Linear(width, embed), nn.ReLU())
        self.q = nn.Sequential(nn.Linear(embed + info.state_shape, embed), nn.ReLU(), nn.Linear(embed, 1))
        self.v = nn.Sequential(nn.Linear(info.state_shape, embed), nn.ReLU(), nn.Linear(embed, 1))

    def forward(self, states: Tensor, actions: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return [P, 1] each for hidden states [P, N, H], actions [P, N] and states [P, S]."""
        taken = F.one_hot(actions, self.n_actions).to(states.dtype)
        team = self.encode(torch.cat([states, taken], -1)).sum(1)  # [P, embed]
        return self.q(torch.cat([team, state], -1)), self.v(state)


class JointLearner(Learner):
    networks = {"mixer": NetworkKind(MIXERS, JointValue)}

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        opt_loss: NonNegativeFloat
        nopt_min_loss: NonNegativeFloat
        target_update_interval: PositiveInt

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, mixer: JointValue
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.mixer = mixer
        self.target_mac = self.add_target(mac, every=config.target_update_interval)
        self.target_mixer = self.add_target(mixer, every=config.target_update_interval)
        self.optimiser = self.add_optimiser("opt", mac, mixer)

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        self.t_env = t_env
        batch, steps = sample.batch, sample.batch.transitions()
        pack, unpack = batch.packing.pack, batch.packing.unpack
        state, actions = pack(batch["state"]), pack(batch["actions"]).squeeze(-1).long()
        run = self.mac.unroll_packed(batch, states=True)
        greedy = mask_unavailable(run.outputs.detach(), pack(batch["avail_actions"])).argmax(-1)
        joint, value = self.mixer(run.states, actions, state)
        with torch.no_grad():
            target = self.target_mac.unroll_packed(batch, states=True)
            next_value = unpack(self.target_mixer(target.states, greedy, state)[0])[:, 1:]
            targets = n_step_targets(
                steps.reward, steps.terminated, steps.mask, next_value, gamma=self.config.gamma, n_steps=1
            )
            best = self.mixer(run.states, greedy, state)[0]
        count = steps.mask.sum()

        def mean_square(packed: Tensor) -> Tensor:
            return (unpack(packed)[:, :-1].pow(2) * steps.mask).sum() / count

        td = ((unpack(joint)[:, :-1] - targets).pow(2) * steps.mask).sum() / count
        taken_sum = run.outputs.gather(-1, actions.unsqueeze(-1)).sum(1)  # [P, 1]
        best_sum = run.outputs.gather(-1, greedy.unsqueeze(-1)).sum(1)
        optimal = mean_square(best_sum - best + value)
        below = mean_square((taken_sum - joint.detach() + value).clamp(max=0))
        loss = td + self.config.opt_loss * optimal + self.config.nopt_min_loss * below
        norm = self.step(self.optimiser, loss)
        self.update_targets(episode_num)
        return TrainResult(
            metrics={"loss_td": td.detach(), "opt_loss": optimal.detach(), "grad_norm": norm}, t_env=t_env
        )
