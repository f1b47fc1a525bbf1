"""Team values of a batch and the loss on them: the part that value-based learners share."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.masking import mask_unavailable
from pymarl.modules.mixers.mixer import BaseMixer, MixerInputs


class Rows(NamedTuple):
    """A batch without its padding: one row is one filled slot of one episode (see Packing).

    Attributes:
        q: [P, N, A], the trained network's Q-values, with gradient.
        target_q: [P, N, A], the target network's.
        avail_actions: [P, N, A] bool.
        actions: [P, N] int64; of no meaning in an episode's last slot.
        state: [P, S].
    """

    q: Tensor
    target_q: Tensor
    avail_actions: Tensor
    actions: Tensor
    state: Tensor

    def greedy(self, q: Tensor) -> Tensor:
        """Return [P, N] int64, the available action of largest `q` [P, N, A]."""
        return mask_unavailable(q.detach(), self.avail_actions).max(-1).indices  # faster than argmax


class Loss(NamedTuple):
    """A loss and what is worth knowing of it; A is 1 for a team value, N for independent agents.

    Attributes:
        value: 0-d, with gradient.
        td_error: [B, T-1, A], 0 in padding, without gradient.
        q_taken: [B, T-1, A], without gradient.
        targets: [B, T-1, A].
        mask: [B, T-1, A] in {0, 1}.
    """

    value: Tensor
    td_error: Tensor
    q_taken: Tensor
    targets: Tensor
    mask: Tensor


def team_value(mixer: BaseMixer | None, q: Tensor, actions: Tensor, rows: Rows) -> Tensor:
    """Return the mixed value [P, 1] of `actions` [P, N] under `q` [P, N, A]; without a mixer each agent's, [P, N]."""
    picked = q.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    if mixer is None:
        return picked
    q_max = mask_unavailable(q, rows.avail_actions).amax(-1) if mixer.needs_q_max else None
    return mixer(MixerInputs(picked, q_max, actions, rows.state))


def at_steps(batch: EpisodeBatch, packed: Tensor) -> Tensor:
    """Return [B, T-1, A]: what a packed [P, A] says of the state before each step, 0 in padding."""
    return batch.packing.unpack(packed)[:, :-1]


def after_steps(batch: EpisodeBatch, packed: Tensor) -> Tensor:
    """Return [B, T-1, A]: what a packed [P, A] says of the state after each step, 0 in padding."""
    return batch.packing.unpack(packed)[:, 1:]


def td_loss(q_taken: Tensor, targets: Tensor, mask: Tensor, weights: Tensor | None) -> Loss:
    """Return half the squared TD error, averaged over the transitions.

    Args:
        q_taken: [B, T-1, A], with gradient.
        targets: [B, T-1, A], without.
        mask: [B, T-1, 1] in {0, 1}.
        weights: [B] importance weights that multiply each episode's share, or None.
    """
    mask = mask.expand_as(q_taken)
    td_error = (q_taken - targets) * mask
    squares = 0.5 * td_error.pow(2)
    if weights is not None:
        squares = squares * weights.to(squares, non_blocking=True)[:, None, None]
    return Loss(squares.sum() / mask.sum(), td_error.detach(), q_taken.detach(), targets, mask)
