"""Parallelised Q-learning: no replay and no target networks; pieces of many envs, learned from while they are new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.masking import greedy_actions
from pymarl.components.returns import td_lambda_targets
from pymarl.controllers.basic_controller import BasicMAC, Unrolled
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import Learner, NetworkKind
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import after_steps, td_loss, team_value, value_metrics
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import BaseMixer, Mixed
from pymarl.utils.config import PositiveInt, Probability
from pymarl.utils.devices import upload


class PQNLearner(Learner):
    """PQN (Gallici et al. 2024, arXiv:2407.04811) on a team value: PQN-VDN, PQN-QMIX, or independent agents.

    Lambda returns of the greedy policy are computed once for what was collected, with the networks that have acted;
    then come `epochs` passes over it, in `minibatches` parts each. Nothing but the layer norms of its agent, many envs
    and short pieces keeps it stable, so that it wants an agent that has them (ln_rnn).

    Args:
        config, mac, info, generator: as for Learner.
        mixer: makes the team's value of the agents'; None for independent agents.
    """

    networks = {"mixer": NetworkKind(MIXERS, BaseMixer, optional=True)}
    trains_on = ("rollout",)

    @dataclass(frozen=True, kw_only=True)
    class Config(Learner.Config):
        """Keys of pqn_learner; see config/default.yaml."""

        epochs: PositiveInt
        minibatches: PositiveInt
        td_lambda: Probability
        lr_anneal: bool
        t_max: PositiveInt

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, mixer: BaseMixer | None = None
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.mixer = mixer
        self.optimiser = self.add_optimiser("opt", mac, mixer)

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make epochs x minibatches updates; see Learner.train. Metrics are those of ValueLearner, means over them."""
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        if self.config.lr_anneal:
            self.optimiser.anneal(t_env / self.config.t_max)
        batch = sample.batch
        targets = self.targets(batch)
        parts = self.minibatches(batch.batch_size, self.config.minibatches, self.config.epochs)
        updates = (self.update(batch[rows], targets[upload(rows, batch.device)]) for rows in parts)
        return TrainResult.of_updates(updates, t_env)

    @torch.no_grad()
    def targets(self, batch: EpisodeBatch) -> Tensor:
        """Return the lambda returns [B, T-1, A], in which each step goes on greedily; A as in Loss."""
        steps = batch.transitions()
        self.mac.agent.resample(self.generator)
        run = self.unroll(batch)
        best = self.value(batch, run, greedy_actions(run.outputs, batch.packed("avail_actions"))).value
        return td_lambda_targets(
            steps.reward, steps.terminated, steps.mask, after_steps(batch, best),
            gamma=self.config.gamma, td_lambda=self.config.td_lambda,
        )  # fmt: skip

    def update(self, batch: EpisodeBatch, targets: Tensor) -> dict[str, Tensor]:
        """Make a step on some pieces; return what is to be logged, name -> 0-d."""
        self.mac.agent.resample(self.generator)
        mixed = self.value(batch, self.unroll(batch), batch.packed_actions())
        loss = td_loss(batch, mixed, targets, batch.transitions().mask, None)
        grad_norm = self.step(self.optimiser, loss.value)
        return value_metrics(loss, grad_norm, self.info.n_agents)

    def unroll(self, batch: EpisodeBatch) -> Unrolled:
        """Return the Q-values of all that acted, and their hidden states if the mixer reads them."""
        return self.mac.unroll_packed(batch, states=self.mixer is not None and self.mixer.needs_states)

    def value(self, batch: EpisodeBatch, run: Unrolled, actions: Tensor) -> Mixed:
        """Return the value [P, A] of `actions` [P, N], given what the agents say of all actions."""
        return team_value(
            self.mixer, run.outputs, actions, batch.packed("avail_actions"), batch.packed("state"), run.states
        )
