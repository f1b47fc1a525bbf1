"""Value-based learning: a loss of TD errors with priorities, and what most have of mixed Q-values and targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Sample
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.bootstrap_learner import BootstrapLearner
from pymarl.learners.learner import NetworkKind
from pymarl.learners.optimisers import Optimiser
from pymarl.learners.train_result import TrainResult
from pymarl.learners.values import Loss, Rows, team_value, value_metrics
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import BaseMixer, Mixed, MixerInputs


class TDLearner(BootstrapLearner):
    """Base of learners that make one step a sample down a TD error of the team's value, on all that `optimiser` trains.

    A subclass writes `loss`, adds its targets and sets `optimiser`.
    """

    gives_priorities = True
    optimiser: Optimiser

    @dataclass(frozen=True, kw_only=True)
    class Config(BootstrapLearner.Config):
        """Keys of every value-based learner; see config/default.yaml."""

        return_priority: bool

    def __init__(self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator) -> None:
        super().__init__(config, mac, info, generator)
        self.return_range: Tensor
        self.register_buffer("return_range", torch.tensor([float("inf"), -float("inf")]))

    def loss(self, batch: EpisodeBatch, weights: Tensor | None) -> Loss:
        """Return the loss of a batch; `weights` [B] are importance weights of its episodes, None for equal ones."""
        raise NotImplementedError

    def train(self, sample: Sample, t_env: int, episode_num: int) -> TrainResult:  # type: ignore[override]
        """Make one update; see Learner.train. Then the targets follow, where it is time to.

        Returns:
            loss_td, grad_norm, td_error_abs (mean |TD error| per transition), q_taken_mean and target_mean (per
            transition and agent, as PyMARL), and what else the loss names.
        """
        self.t_env, self.episode_num = t_env, episode_num
        self.mac.train()
        for mac in (part for part in self.children() if isinstance(part, BasicMAC)):
            mac.agent.resample(self.generator)
        loss = self.loss(self.standardised(sample.batch), sample.weights)
        grad_norm = self.step(self.optimiser, loss.value)
        self.update_targets(episode_num)
        metrics = value_metrics(loss, grad_norm, self.info.n_agents)
        with torch.no_grad():
            return TrainResult(metrics=metrics, priorities=self._priorities(sample.batch, loss), t_env=t_env)

    def _priorities(self, batch: EpisodeBatch, loss: Loss) -> Tensor:
        """Return PyMARL2's priorities [B]: sum |td| / sqrt(length), or the return scaled by the range seen so far."""
        if self.config.return_priority:
            steps = batch.transitions()
            returns = steps.reward.masked_fill(steps.mask == 0, 0.0).sum((1, 2))  # [B]
            low, high = returns.min(), returns.max()
            self.return_range = torch.stack(
                [torch.minimum(self.return_range[0], low), torch.maximum(self.return_range[1], high)]
            )
            return (returns - self.return_range[0]) / (self.return_range[1] - self.return_range[0] + 1e-5)
        per_agent = loss.td_error.abs().sum(1) / loss.mask.sum(1).sqrt()  # [B, A]
        return per_agent.mean(-1)


class ValueLearner(TDLearner):
    """Base of learners that descend a TD error of mixed Q-values. A subclass writes `loss`.

    Beside what every Learner takes:

    Args:
        mixer: makes the team's value of the agents'; None for independent agents.
    """

    networks = {"mixer": NetworkKind(MIXERS, BaseMixer, optional=True)}

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, mixer: BaseMixer | None = None
    ) -> None:
        super().__init__(config, mac, info, generator)
        self.mixer = mixer
        self.target_mac = self.add_target(mac)
        self.target_mixer = None if mixer is None else self.add_target(mixer)
        self.optimiser = self.add_optimiser("opt", mac, mixer)

    def rows(self, batch: EpisodeBatch) -> Rows:
        """Return a batch's rows with the Q-values of both networks, and their hidden states if the mixer reads them."""
        states = self.mixer is not None and self.mixer.needs_states
        online = self.mac.unroll_packed(batch, states=states)
        with torch.no_grad():
            target = self.target_mac.unroll_packed(batch, states=states)
        actions = batch.packed_actions()  # [P, N]
        return Rows(
            online.outputs, target.outputs, batch.packed("avail_actions"), actions, batch.packed("state"),
            online.states, target.states,
        )  # fmt: skip

    def value(self, rows: Rows) -> Mixed:
        """Return the trained networks' team value of the actions taken, packed [P, A]."""
        return team_value(self.mixer, rows.q, rows.actions, rows.avail_actions, rows.state, rows.states)

    def mix(self, mixer: BaseMixer, q: Tensor, state: Tensor, actions: Tensor) -> Tensor:
        """Return the team's value [B, T, 1] in PyMARL's layout, for learners that keep it.

        Args:
            mixer: one of the two; it may look at no more than this.
            q: [B, T, N] of `actions`.
            state: [B, T, S].
            actions: [B, T, N, 1].
        """
        rows = MixerInputs(q.flatten(0, 1), None, actions.flatten(0, 1).squeeze(-1), state.flatten(0, 1))  # [B*T, ...]
        mixed: Mixed = mixer(rows)
        return mixed.value.unflatten(0, q.shape[:2])

    def target_value(self, rows: Rows, actions: Tensor) -> Tensor:
        """Return the target networks' team value [P, A] of `actions` [P, N]."""
        states = rows.target_states
        return team_value(self.target_mixer, rows.target_q, actions, rows.avail_actions, rows.state, states).value
