"""Team values of a batch and the loss on them: the part that value-based learners share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.masking import greedy_actions, mask_unavailable
from pymarl.modules.mixers.mixer import BaseMixer, Mixed, MixerInputs


class Rows(NamedTuple):
    """A batch without its padding: one row is one filled slot of one episode (see Packing).

    Attributes:
        q: [P, N, A], the trained network's Q-values, with gradient.
        target_q: [P, N, A], the target network's.
        avail_actions: [P, N, A] bool.
        actions: [P, N] int64; of no meaning in an episode's last slot.
        state: [P, S].
        states: [P, N, H], the trained network's hidden states, with gradient; None unless the mixer needs them.
        target_states: [P, N, H], the target network's.
    """

    q: Tensor
    target_q: Tensor
    avail_actions: Tensor
    actions: Tensor
    state: Tensor
    states: Tensor | None = None
    target_states: Tensor | None = None

    def greedy(self, q: Tensor) -> Tensor:
        """Return [P, N] int64, the available action of largest `q` [P, N, A]."""
        return greedy_actions(q.detach(), self.avail_actions)


class Loss(NamedTuple):
    """A loss and what is worth knowing of it; A is 1 for a team value, N for independent agents.

    Attributes:
        value: 0-d, with gradient.
        td_error: [B, T-1, A], 0 in padding, without gradient.
        q_taken: [B, T-1, A], without gradient.
        targets: [B, T-1, A].
        mask: [B, T-1, A] in {0, 1}.
        metrics: what else is to be logged, name -> 0-d without gradient.
    """

    value: Tensor
    td_error: Tensor
    q_taken: Tensor
    targets: Tensor
    mask: Tensor
    metrics: Mapping[str, Tensor] = {}


def value_metrics(loss: Loss, grad_norm: Tensor, n_agents: int) -> dict[str, Tensor]:
    """Return what value learners log of an update, name -> 0-d: the loss, the norm of its gradient, the mean |TD error|
    per transition, the means of values taken and of targets (per transition and agent, as PyMARL), and what else the
    loss names.
    """
    with torch.no_grad():
        count = loss.mask.sum()
        return {
            "loss_td": loss.value.detach(),
            "grad_norm": grad_norm,
            "td_error_abs": loss.td_error.abs().sum() / count,
            "q_taken_mean": (loss.q_taken * loss.mask).sum() / (count * n_agents),
            "target_mean": (loss.targets * loss.mask).sum() / (count * n_agents),
            **loss.metrics,
        }


def team_value(
    mixer: BaseMixer | None, q: Tensor, actions: Tensor, avail_actions: Tensor, state: Tensor,
    states: Tensor | None = None,
) -> Mixed:  # fmt: skip
    """Return the mixed value [P, 1] of `actions`; without a mixer each agent's, [P, N].

    Args:
        mixer: None for independent agents.
        q: [P, N, A], Q-values of all actions.
        actions: [P, N] int64, to be mixed.
        avail_actions: [P, N, A] bool.
        state: [P, S].
        states: [P, N, H] hidden states that belong to `q`, for a mixer that needs them.
    """
    picked = q.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    if mixer is None:
        return Mixed(picked)
    q_max = None
    if mixer.needs_q_max:
        q_max = mask_unavailable(q, avail_actions).amax(-1)
        q_max = torch.where(q_max.isinf(), picked, q_max)  # a slot behind the last step may offer nothing
    mixed: Mixed = mixer(MixerInputs(picked, q_max, actions, state, states))
    return mixed


def at_steps(batch: EpisodeBatch, packed: Tensor) -> Tensor:
    """Return [B, T-1, A]: what a packed [P, A] says of the state before each step, 0 in padding."""
    return batch.packing.unpack(packed)[:, :-1]


def after_steps(batch: EpisodeBatch, packed: Tensor) -> Tensor:
    """Return [B, T-1, A]: what a packed [P, A] says of the state after each step, 0 in padding."""
    return batch.packing.unpack(packed)[:, 1:]


def packed_steps(batch: EpisodeBatch, steps: Tensor) -> Tensor:
    """Return packed [P, A] of what [B, T-1, A] says of each step, 0 in last slots: `at_steps` the other way round."""
    return batch.packing.pack(F.pad(steps, (0, 0, 0, 1)))


def bootstrapped(make: Callable[..., Tensor], batch: EpisodeBatch, values: Tensor, **how: float) -> Tensor:
    """Return targets [B, T-1, A] that `make`, of components.returns, makes of rewards and of what states are worth.

    Args:
        make: td_lambda_targets or n_step_targets.
        batch: the episodes.
        values: packed [P, A], of the state (or of state and action) in each slot.
        how: what else `make` takes.
    """
    steps, next_value = batch.transitions(), after_steps(batch, values.detach())
    return make(steps.reward.expand_as(next_value), steps.terminated, steps.mask, next_value, **how)


def td_loss(
    batch: EpisodeBatch, mixed: Mixed, targets: Tensor, mask: Tensor, weights: Tensor | None,
    shares: Tensor | None = None, *, scale: float = 0.5,
) -> Loss:  # fmt: skip
    """Return the scaled squared TD error plus the mixer's penalty, both averaged over the transitions.

    Args:
        batch: whose rows are mixed.
        mixed: values of the actions taken, packed [P, A], with gradient; metrics are averaged as the penalty is.
        targets: [B, T-1, A], without.
        mask: [B, T-1, 1] in {0, 1}.
        weights: [B] importance weights that multiply each episode's share of both, or None.
        shares: [B, T-1, A] that multiply each transition's (weighted QMIX), or None.
        scale: what the square is multiplied by; PyMARL2's plain learners halve it.
    """
    q_taken = at_steps(batch, mixed.value)
    wide = mask.expand_as(q_taken)
    td_error = (q_taken - targets) * wide
    squares = scale * td_error.pow(2)
    if shares is not None:
        squares = squares * shares
    metrics = {name: mean_over_steps(at_steps(batch, each), mask, None) for name, each in mixed.metrics.items()}
    value = mean_over_steps(squares, wide, weights)
    loss = Loss(value, td_error.detach(), q_taken.detach(), targets, wide, metrics)
    if mixed.penalty is None:
        return loss
    penalty = mean_over_steps(at_steps(batch, mixed.penalty), mask, weights)
    return loss._replace(value=loss.value + penalty, metrics={**metrics, "mixer_penalty": penalty.detach()})


def acting_mask(batch: EpisodeBatch, avail_actions: Tensor, active_masks: bool) -> Tensor:
    """Return [B, T-1, n] in {0, 1}: the transitions in which agents count for the policy, of avail_actions [P, n, A].

    That is all of them, or with active_masks those in which an agent has two actions at least to choose from.
    """
    mask = batch.transitions().mask
    if not active_masks:
        return mask.expand(-1, -1, avail_actions.shape[1])
    return at_steps(batch, (avail_actions.sum(-1) > 1).to(mask.dtype)) * mask


def mean_over_steps(x: Tensor, mask: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean [] of x [B, T-1, A] over the transitions and A, each episode's share multiplied by its weight.

    Args:
        x: finite in the padding, too.
        mask: [B, T-1, 1] or as wide as x, in {0, 1}.
        weights: [B] importance weights, or None.
    """
    wide = mask.expand_as(x)
    if weights is not None:
        x = x * weights.to(x, non_blocking=True)[:, None, None]
    return (x * wide).sum() / wide.sum()
