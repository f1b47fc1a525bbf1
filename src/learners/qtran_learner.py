"""QTRAN: a joint value learns from rewards, and the agents' values are held to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.masking import greedy_actions
from pymarl.components.returns import n_step_targets
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.learner import NetworkKind
from pymarl.learners.value_learner import TDLearner
from pymarl.learners.values import Loss, after_steps, at_steps, mean_over_steps, td_loss
from pymarl.modules.mixers import REGISTRY as MIXERS
from pymarl.modules.mixers.mixer import Mixed
from pymarl.modules.mixers.qtran import JointInputs, QTranBase
from pymarl.utils.config import NonNegativeFloat
from pymarl.utils.errors import UserError


class QTRANLearner(TDLearner):
    """QTRAN-base and QTRAN-alt (Son et al. 2019, arXiv:1905.05408), one-step targets.

    Three squared errors, none halved: the TD error of the joint value Q_jt, which reads the agents' hidden states and
    trains them; opt_loss times that of sum_i max Q_i + V against Q_jt at the greedy joint action; and nopt_min_loss
    times what the mixer makes of sum_i Q_i + V against Q_jt at the one taken. The last two train the agents' values and
    V, not Q_jt. With `double_q` the trained agents choose the target's actions, else the target agents.

    Args:
        config, mac, info, generator: as for Learner.
        mixer: Q_jt and V.
    """

    config: Config
    networks = {"mixer": NetworkKind(MIXERS, QTranBase)}

    @dataclass(frozen=True, kw_only=True)
    class Config(TDLearner.Config):
        """Keys of qtran_learner; see config/default.yaml."""

        double_q: bool
        opt_loss: NonNegativeFloat
        nopt_min_loss: NonNegativeFloat

    def __init__(
        self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator, *, mixer: QTranBase
    ) -> None:
        super().__init__(config, mac, info, generator)
        given, expected = mac.agent.init_hidden(info.n_agents).shape[-1], mixer.config.rnn_hidden_dim
        if mixer.config.qtran_arch == "qtran_paper" and given != expected:
            raise UserError(
                f"qtran_arch='qtran_paper' reads hidden states of rnn_hidden_dim={expected} numbers, but this agent's "
                f"have {given}; write agent=rnn or agent=n_rnn, or qtran_arch=coma_critic"
            )
        self.mixer = mixer
        self.target_mac, self.target_mixer = self.add_target(mac), self.add_target(mixer)
        self.optimiser = self.add_optimiser("opt", mac, mixer)

    def loss(self, batch: EpisodeBatch, weights: Tensor | None) -> Loss:
        """Return the three losses of a batch as one; TD errors, and with them priorities, are Q_jt's."""
        steps = batch.transitions()
        taken = self.inputs(batch, self.mac)
        best = taken._replace(actions=greedy_actions(taken.q.detach(), taken.avail_actions))
        joint = self.mixer(taken)
        with torch.no_grad():
            best_q = self.mixer(best).q
            next_value = after_steps(batch, self.target_value(batch, best.actions))
            targets = n_step_targets(
                steps.reward, steps.terminated, steps.mask, next_value, gamma=self.config.gamma, n_steps=1
            )
        td = td_loss(batch, Mixed(joint.q), targets, steps.mask, weights, scale=1.0)
        errors = {"opt_loss": best.q_sum() - best_q + joint.v, "nopt_loss": self.mixer.nopt_error(taken, joint)}
        losses = {
            name: mean_over_steps(at_steps(batch, error).pow(2), steps.mask, weights) for name, error in errors.items()
        }
        held = self.config.opt_loss * losses["opt_loss"] + self.config.nopt_min_loss * losses["nopt_loss"]
        means = {"v_mean": joint.v, "agent_indiv_qs": taken.q_sum() / self.info.n_agents}
        metrics = {"td_loss": td.value, **losses} | {
            name: mean_over_steps(at_steps(batch, value), steps.mask, None) for name, value in means.items()
        }
        return td._replace(value=td.value + held, metrics={name: metric.detach() for name, metric in metrics.items()})

    def inputs(self, batch: EpisodeBatch, mac: BasicMAC) -> JointInputs:
        """Return what a joint value sees of a batch and a controller's agents, packed, for the actions taken."""
        run = mac.unroll_packed(batch, states=True)
        assert run.states is not None
        actions = batch.packed_actions()  # [P, N]
        return JointInputs(run.outputs, batch.packed("avail_actions"), actions, batch.packed("state"), run.states)

    def target_value(self, batch: EpisodeBatch, greedy: Tensor) -> Tensor:
        """Return [P, 1], the target networks' value of `greedy` [P, N], or of their own greedy actions."""
        seen = self.inputs(batch, self.target_mac)
        actions = greedy if self.config.double_q else greedy_actions(seen.q, seen.avail_actions)
        value: Tensor = self.target_mixer(seen._replace(actions=actions)).q
        return value
