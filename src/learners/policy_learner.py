"""Learners of policies: log-probabilities of what was played, entropies, and which agents count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from pymarl.components.buffers.buffer import Uses
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import own_numbers, packed_inputs
from pymarl.components.masking import mask_unavailable, some_available
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.specs import EnvInfo
from pymarl.learners.bootstrap_learner import BootstrapLearner
from pymarl.learners.values import acting_mask
from pymarl.modules.critics.critic import Critic
from pymarl.utils.config import NonNegativeFloat, PositiveInt, Probability


class Policy(NamedTuple):
    """What the policy says of a batch, with gradient.

    Attributes:
        log_probs: [B, T-1, n], of the actions taken, 0 in padding.
        entropy: [B, T-1, n], in nats, 0 in padding.
        log_pi: [P, n, A], of all actions in all filled slots, packed; -inf where an action is not available.
    """

    log_probs: Tensor
    entropy: Tensor
    log_pi: Tensor


class PolicyLearner(BootstrapLearner):
    """Base of learners of policies; it takes what every Learner does. A subclass brings a critic and writes `train`."""

    trains_on: ClassVar[tuple[Uses, ...]] = ("rollout",)
    reads = frozenset({"logits", "probs"})
    stores: ClassVar[tuple[str, ...]] = ("acted_at",)

    @dataclass(frozen=True, kw_only=True)
    class Config(BootstrapLearner.Config):
        """Keys of every learner of policies; see config/default.yaml."""

        entropy_coef: NonNegativeFloat
        final_entropy_coef: NonNegativeFloat | None
        entropy_end_ratio: Probability
        adaptive_entropy: bool
        active_masks: bool
        t_max: PositiveInt

    def __init__(self, config: Any, mac: BasicMAC, info: EnvInfo, generator: torch.Generator) -> None:
        super().__init__(config, mac, info, generator)
        self.add_agent_optimisers()

    def add_agent_optimisers(self) -> None:
        """Add what trains the agents: one optimiser of all of them."""
        self.agent_optimiser = self.add_optimiser("agent_opt", self.mac)

    def log_pi(self, batch: EpisodeBatch, agents: tuple[int, ...] | None = None) -> Tensor:
        """Return the log-probabilities [P, n, A] of all actions, of some agents or all; see `policy`."""
        outputs = self.mac.unroll_packed(batch, agents=agents).outputs
        return self.log_policy(outputs, self._own(batch.packed("avail_actions"), agents), self.acted_at(batch))

    def policy(self, batch: EpisodeBatch, agents: tuple[int, ...] | None = None) -> Policy:
        """Return log-probabilities of the actions taken and entropies, with gradient, of some agents or all.

        They are those of the behaviour policy: of what the selector makes of the outputs, with the epsilon that acted.
        """
        return self.policy_of(batch, self.log_pi(batch, agents), agents)

    def policy_of(self, batch: EpisodeBatch, log_pi: Tensor, agents: tuple[int, ...] | None = None) -> Policy:
        """Return the same of log-probabilities [P, n, A] of all actions."""
        taken = log_pi.gather(-1, self._own(batch.packed("actions").long(), agents)).squeeze(-1)
        probs = log_pi.exp()
        entropy = -(probs * log_pi.masked_fill(probs == 0, 0.0)).sum(-1)
        mask = batch.transitions().mask
        unpack = batch.packing.unpack
        # The action of an episode's last slot has no meaning, and may be an unavailable one.
        log_probs = unpack(taken)[:, :-1].masked_fill(mask == 0, 0.0)
        return Policy(log_probs, unpack(entropy)[:, :-1] * mask, log_pi)

    def acted_at(self, batch: EpisodeBatch) -> int | Tensor:
        """Return the t_env at which each slot was acted in, [P, 1, 1]; today where that makes no difference."""
        if "acted_at" not in batch.data:
            return self.t_env
        rows = batch.packing.index // batch.max_seq_length
        return batch.data["acted_at"].index_select(0, rows).unsqueeze(-1)

    def log_policy(self, outputs: Tensor, avail_actions: Tensor, t_env: int | Tensor) -> Tensor:
        """Return log-probabilities [..., A] of the behaviour policy at `t_env`, -inf where an action is not available.

        A slot behind the last step may offer nothing: there all actions are as good as available.
        """
        avail_actions = some_available(avail_actions)
        if self.mac.outputs(self.mac.config) == "logits":
            return mask_unavailable(outputs, avail_actions).log_softmax(-1)
        probs = self.mac.action_selector.distribution(outputs, avail_actions, t_env)
        return mask_unavailable(probs.clamp(min=1e-10).log(), avail_actions)

    def acting(self, batch: EpisodeBatch, agents: tuple[int, ...] | None = None) -> Tensor:
        """Return [B, T-1, n] in {0, 1}: the transitions in which an agent counts for the policy.

        That is all of them, but with active_masks those alone in which it has a choice of two actions at least (Yu et
        al. 2022 leave out the dead in this way).
        """
        return acting_mask(batch, self._own(batch.packed("avail_actions"), agents), self.config.active_masks)

    def state_values(self, batch: EpisodeBatch, critic: Critic) -> Tensor:
        """Return a critic's values [B, T, N] of the states in all slots, in its units, 0 in padding."""
        n = self.info.n_agents
        inputs = packed_inputs(batch, critic.sees, self.info, self.device)
        return batch.packing.unpack(critic.unroll(inputs, [count * n for count in batch.packing.counts]).view(-1, n))

    def _own(self, packed: Tensor, agents: tuple[int, ...] | None) -> Tensor:
        """Return [P, n, ...] of some agents, of [P, N, ...]."""
        return packed if agents is None else packed.index_select(1, own_numbers(self.info, agents, packed.device))

    @property
    def entropy_weight(self) -> float:
        """The weight of the entropy now: entropy_coef, falling to final_entropy_coef over entropy_end_ratio * t_max."""
        c = self.config
        if c.final_entropy_coef is None:
            return float(c.entropy_coef)
        over = c.entropy_end_ratio * c.t_max
        passed = min(1.0, self.t_env / over) if over else 1.0
        return float(c.entropy_coef + (c.final_entropy_coef - c.entropy_coef) * passed)

    def entropy_bonus(self, entropy: Tensor, mask: Tensor) -> Tensor:
        """Return what is to be taken from an actor's loss, 0-d: the weighted mean of `entropy` over `mask`, alike in
        shape. With adaptive_entropy it is divided by its own value, so that the gradient's size does not depend on how
        large the entropy is (Zhou et al. 2020, arXiv:2007.02529).
        """
        mean = masked_mean(entropy, mask)
        if self.config.adaptive_entropy:
            mean = mean / mean.detach().clamp(min=1e-8)
        return self.entropy_weight * mean


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean [] of x, finite everywhere, over a mask of its shape in {0, 1}; 0 where the mask is empty."""
    return (x * mask).sum() / mask.sum().clamp(min=1)


def value_means(td_error: Tensor, q_taken: Tensor, targets: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Return means over the mask of what a critic learned, under PyMARL's names; all are of one shape, finite."""
    means = {"td_error_abs": td_error.abs(), "q_taken_mean": q_taken, "target_mean": targets}
    return {name: masked_mean(value.detach(), mask) for name, value in means.items()}


def counterfactual(q: Tensor, probs: Tensor) -> Tensor:
    """Return [..., A], what each action is worth beyond the mean of `q` [..., A] under `probs` [..., A]."""
    return q - (probs * q).sum(-1, keepdim=True)


def standardised(values: Tensor, mask: Tensor) -> Tensor:
    """Return values [B, T, N] less their mean, over their deviation, of those in mask [B, T, N or 1]; 0 elsewhere.

    In float64, and with 1e-5 (Yu et al. 2022): the mean of equal float32 numbers is a little beside them, and over a
    deviation of that size they would be 1 or -1, and not 0.
    """
    wide, given = mask.expand_as(values), values.double()
    centred = given - masked_mean(given, wide)
    deviation = masked_mean(centred.pow(2), wide).sqrt()
    return (centred / (deviation + 1e-5) * wide).to(values.dtype)
