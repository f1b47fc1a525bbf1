"""PQN: Q-learning with neither target network nor replay, on pieces of episodes, epochs of minibatches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pymarl.components.buffers.buffer import Sample
from pymarl.components.returns import td_lambda_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import Learner, NetworkKind
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import after_steps, at_steps, greedy_actions, team_value
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import BaseMixer
from pymarl.utils.config import PositiveInt, Probability


class PQNLearner(Learner):
    networks = {"mixer": NetworkKind(MIXERS, BaseMixer, optional=True)}
    trains_on = ("rollout",)

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        epochs: PositiveInt
        minibatches: PositiveInt
        td_lambda: Probability

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, mixer: BaseMixer | None
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.mixer = mixer
        self.optimiser = self.add_optimiser("opt", mac, mixer)

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        self.t_env = t_env
        losses = []
        for _ in range(self.config.epochs):
            for rows in self.minibatches(sample.batch.batch_size, self.config.minibatches):
                batch = sample.batch[rows]
                steps, pack = batch.transitions(), batch.packing.pack
                q, avail_actions, state = (
                    self.mac.unroll_packed(batch).outputs,
                    pack(batch["avail_actions"]),
                    pack(batch["state"]),
                )
                taken = team_value(self.mixer, q, pack(batch["actions"]).squeeze(-1).long(), avail_actions, state).value
                with torch.no_grad():
                    best = team_value(self.mixer, q, greedy_actions(q, avail_actions), avail_actions, state).value
                    targets = td_lambda_targets(
                        steps.reward, steps.terminated, steps.mask, after_steps(batch, best),
                        gamma=self.config.gamma, td_lambda=self.config.td_lambda,
                    )  # fmt: skip
                td = (at_steps(batch, taken) - targets) * steps.mask
                loss = 0.5 * td.pow(2).sum() / steps.mask.sum()
                self.step(self.optimiser, loss)
                losses.append(loss.detach())
        return TrainResult(metrics={"loss_td": torch.stack(losses).mean()}, gradient_steps=len(losses), t_env=t_env)
