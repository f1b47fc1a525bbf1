"""The one way to take unavailable actions out of the running, and choices among the others."""

from __future__ import annotations

import torch
from torch import Tensor

from pymarl.utils.compiled import fit_kernels, kernels


def mask_unavailable(values: Tensor, avail_actions: Tensor) -> Tensor:
    """Return `values` with -inf where an action is not available, for a max, an argmax or a softmax over actions.

    Args:
        values: [..., A] float, Q-values or logits.
        avail_actions: [..., A] bool.

    Returns:
        [..., A], a new tensor. A row without any available action is -inf throughout, so its softmax is NaN and its
        max is -inf: it shows instead of passing for a choice.
    """
    return torch.where(avail_actions, values, -float("inf"))


def some_available(avail_actions: Tensor) -> Tensor:
    """Return [..., A] bool, the available actions, and all of them in a row without any.

    A slot behind an episode's last step may offer nothing; what is said of it has to be finite all the same.
    """
    return avail_actions | ~avail_actions.any(-1, keepdim=True)


def greedy_actions(values: Tensor, avail_actions: Tensor) -> Tensor:
    """Return [...] int64, the first of the best available actions; 0 in a row without any.

    Args:
        values: [..., A] float without gradient.
        avail_actions: [..., A] bool.
    """
    if fit_kernels(values):
        return kernels.greedy(values, avail_actions)
    return mask_unavailable(values, avail_actions).argmax(dim=-1)


def epsilon_greedy_actions(values: Tensor, avail_actions: Tensor, draws: Tensor, epsilon: float) -> Tensor:
    """Return [...] int64: with probability epsilon a uniform choice of the available actions, else the greedy one.

    Args:
        values, avail_actions: as for `greedy_actions`.
        draws: [..., A + 1] uniform in [0, 1): A keys, whose highest available one is a uniform choice, and a coin.
        epsilon: in [0, 1].
    """
    if fit_kernels(values, draws):
        return kernels.epsilon_greedy(values, avail_actions, draws, epsilon)
    scores = torch.where(draws[..., -1:] < epsilon, draws[..., :-1], values)
    return mask_unavailable(scores, avail_actions).argmax(dim=-1)


def can_choose(values: Tensor, avail_actions: Tensor) -> bool:
    """Return whether every row has an available action whose value is a finite number, and none that is NaN."""
    if fit_kernels(values):
        return kernels.all_finite(values, avail_actions)
    return bool(choosable(values, avail_actions))


def choosable(values: Tensor, avail_actions: Tensor) -> Tensor:
    """Return `can_choose` as a 0-d bool that nobody has waited for."""
    return mask_unavailable(values, avail_actions).amax(dim=-1).sum().isfinite()
