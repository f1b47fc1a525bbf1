"""Weighted QMIX: a monotonic value whose loss counts little where it overestimates, beside a value without bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.components.masking import greedy_actions
from pymarl.components.returns import td_lambda_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import NetworkKind
from pymarl.learners.value_learner import TDLearner
from pymarl.learners.values import Loss, after_steps, at_steps, mean_over_steps, td_loss, team_value
from pymarl.modules.agents.agent import Agent
from pymarl.modules.central import AGENTS as CENTRAL_AGENTS
from pymarl.modules.central import MIXERS as CENTRAL_MIXERS
from pymarl.modules.central.central_mixer import CentralMixer
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import BaseMixer, Mixed
from pymarl.utils.config import PositiveFloat, Probability


class WQMIXLearner(TDLearner):
    """CW-QMIX and OW-QMIX (Rashid et al. 2020, arXiv:2006.10800).

    Central networks learn a joint value Q_c of any shape. Its target copy judges the joint action u* that the agents
    find greedy, and the TD(lambda) targets y of that train Q_c and the mixed value Q_tot alike. Q_tot's squared error
    has the weight 1, or w where little is lost by being wrong: OW where Q_tot already is at least y, CW where the team
    took another joint action than u* and y does not exceed Q_c(u*). Neither loss is halved, as in the authors' code;
    they share no parameter.

    Args:
        config, mac, info, generator: as for Learner.
        mixer: of Q_tot.
        central_agent: a second network of the agents; its inputs are the controller's, and it begins each row of a
            batch anew, also where that is a piece of an episode.
        central_mixer: makes Q_c of what the central agents say of the actions.
    """

    config: Config
    networks = {
        "mixer": NetworkKind(MIXERS, BaseMixer),
        "central_agent": NetworkKind(CENTRAL_AGENTS, Agent),
        "central_mixer": NetworkKind(CENTRAL_MIXERS, CentralMixer),
    }
    unsaved = ("central_agent", "central_mixer")

    @dataclass(frozen=True, kw_only=True)
    class Config(TDLearner.Config):
        """Keys of wqmix_learner; see config/default.yaml."""

        td_lambda: Probability
        w: Probability
        hysteretic_qmix: bool
        qmix_loss: PositiveFloat
        central_loss: PositiveFloat

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, mixer: BaseMixer,
        central_agent: Agent, central_mixer: CentralMixer,
    ) -> None:  # fmt: skip
        super().__init__(config, mac, info, generator)
        self.mixer, self.central_agent, self.central_mixer = mixer, central_agent, central_mixer
        self.target_central_agent = self.add_target(central_agent)
        self.target_central_mixer = self.add_target(central_mixer)
        self.optimiser = self.add_optimiser("opt", mac, mixer, central_agent, central_mixer)

    def loss(self, batch: EpisodeBatch, weights: Tensor | None) -> Loss:
        """Return both losses of a batch; TD errors, and with them priorities, are Q_tot's."""
        run = self.mac.unroll_packed(batch, states=self.mixer.needs_states)
        avail_actions, state = batch.packed("avail_actions"), batch.packed("state")
        taken = batch.packed_actions()  # [P, N]
        greedy = greedy_actions(run.outputs.detach(), avail_actions)
        steps = batch.transitions()
        with torch.no_grad():
            best = self.central_value(self.target_central_agent, self.target_central_mixer, batch, greedy)
            targets = td_lambda_targets(
                steps.reward, steps.terminated, steps.mask, after_steps(batch, best),
                gamma=self.config.gamma, td_lambda=self.config.td_lambda,
            )  # fmt: skip
        mixed = team_value(self.mixer, run.outputs, taken, avail_actions, state, run.states)
        shares = self.shares(batch, mixed.value.detach(), targets, (taken == greedy).all(-1, keepdim=True), best)
        qmix = td_loss(batch, mixed, targets, steps.mask, weights, shares, scale=1.0)
        central_value = self.central_value(self.central_agent, self.central_mixer, batch, taken)
        central = td_loss(batch, Mixed(central_value), targets, steps.mask, weights, scale=1.0).value
        metrics = {"qmix_loss": qmix.value.detach(), "central_loss": central.detach(),
                   "w_to_use": mean_over_steps(shares, steps.mask, None)}  # fmt: skip
        value = self.config.qmix_loss * qmix.value + self.config.central_loss * central
        return qmix._replace(value=value, metrics={**qmix.metrics, **metrics})

    def shares(self, batch: EpisodeBatch, q_tot: Tensor, targets: Tensor, is_greedy: Tensor, best: Tensor) -> Tensor:
        """Return the weight of each step's loss, [B, T-1, 1].

        Args:
            batch: the episodes.
            q_tot: [P, 1], of the actions taken, without gradient.
            targets: [B, T-1, 1].
            is_greedy: [P, 1] bool, whether all agents took the action that they find best.
            best: [P, 1], the target central networks' value of the greedy actions.
        """
        if self.config.hysteretic_qmix:
            counts = at_steps(batch, q_tot) < targets
        else:
            counts = at_steps(batch, is_greedy) | (targets > at_steps(batch, best))
        return torch.where(counts, 1.0, self.config.w)

    def central_value(self, agent: Agent, mixer: CentralMixer, batch: EpisodeBatch, actions: Tensor) -> Tensor:
        """Return the joint value [P, 1] that central networks give to `actions` [P, N]."""
        n = self.info.n_agents
        inputs = packed_inputs(batch, self.mac.names, self.info, self.device)
        run = agent.unroll(inputs, [count * n for count in batch.packing.counts])
        values = run.outputs.view(len(actions), n, self.info.n_actions, -1)  # [P, N, A, K]
        picked = values.gather(2, actions[..., None, None].expand(-1, -1, 1, values.shape[-1])).squeeze(2)
        return mixer(picked, batch.packed("state"))
