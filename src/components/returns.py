"""Targets and advantages: pure functions on [batch, time, agent], computed backwards in time.

They share their treatment of an episode's end. A step whose successor is not filled is the last of its episode: its
target stops there and uses the value of the state after it (a time limit bootstraps), unless that state is terminal.
Padding is replaced before anything is computed, so that not even a NaN in it can reach a filled step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pymarl.utils.compiled import fit_kernels, kernels


class Advantages(NamedTuple):
    """What `gae` returns; both are [batch, time, agent], without gradient, 0 where filled is 0."""

    advantages: Tensor
    returns: Tensor


@torch.no_grad()
def td_lambda_targets(
    reward: Tensor, terminated: Tensor, filled: Tensor, next_value: Tensor, *, gamma: float, td_lambda: float
) -> Tensor:
    """Return TD(lambda) targets (Sutton and Barto 2018, chapter 12), computed backwards in time.

    A step's target is r + gamma * (1 - terminated) * ((1 - lam) * V_next + lam * G_next). An episode's last
    filled step uses V_next alone: a time limit still bootstraps, a terminal state does not.

    Args:
        reward: [batch, time, agent], in env units; agent is 1 for a team reward.
        terminated: [batch, time, 1] in {0, 1}; 1 only in a true terminal state, never at a time limit.
        filled: [batch, time, 1] in {0, 1}; 0 marks padding. Padded inputs never reach a filled target.
        next_value: [batch, time, agent], target-network value of the state AFTER each step.
        gamma: discount per env step, in [0, 1].
        td_lambda: 0 is one-step TD, 1 is Monte Carlo up to the last filled step.

    Returns:
        [batch, time, agent], without gradient; 0 where filled is 0.

    Raises:
        ValueError: the [batch, time] sizes differ.
    """
    _check_sizes(reward=reward, terminated=terminated, filled=filled, next_value=next_value)
    step = _steps(terminated, filled, gamma)
    carried = td_lambda * step.has_successor
    one_step = step.clean(reward) + step.discount * (1 - carried) * step.clean(next_value)
    return _accumulate(one_step, step.discount * carried)


@torch.no_grad()
def q_lambda_targets(
    reward: Tensor,
    terminated: Tensor,
    filled: Tensor,
    taken_value: Tensor,
    next_value: Tensor,
    *,
    gamma: float,
    td_lambda: float,
) -> Tensor:
    """Return Q(lambda) targets with off-policy corrections (Harutyunyan et al. 2016, arXiv:1602.04951).

    A step's target is r + gamma * (1 - terminated) * (V_next + lam * (G_next - Q_taken_next)): what the next step
    turned out to be worth is counted as a correction of the action taken there, and so carries over to the greedy one.
    An episode's last filled step has no next one and uses V_next alone.

    Args:
        reward: [batch, time, agent], in env units; agent is 1 for a team reward.
        terminated: [batch, time, 1] in {0, 1}; 1 only in a true terminal state, never at a time limit.
        filled: [batch, time, 1] in {0, 1}; 0 marks padding. Padded inputs never reach a filled target.
        taken_value: [batch, time, agent], target network's (mixed) value of the actions taken in each step.
        next_value: [batch, time, agent], target network's (mixed) maximum in the state AFTER each step.
        gamma: discount per env step, in [0, 1].
        td_lambda: 0 is one-step Q-learning; the fixed point is Q* whatever was played at least where td_lambda is below
            (1 - gamma) / (2 * gamma).

    Returns:
        [batch, time, agent], without gradient; 0 where filled is 0.

    Raises:
        ValueError: the [batch, time] sizes differ.
    """
    _check_sizes(reward=reward, terminated=terminated, filled=filled, taken_value=taken_value, next_value=next_value)
    step = _steps(terminated, filled, gamma)
    taken_next = _following(step.clean(taken_value))
    carried = td_lambda * step.has_successor
    one_step = step.clean(reward) + step.discount * (step.clean(next_value) - carried * taken_next)
    return _accumulate(one_step, step.discount * carried)


@torch.no_grad()
def n_step_targets(
    reward: Tensor, terminated: Tensor, filled: Tensor, next_value: Tensor, *, gamma: float, n_steps: int
) -> Tensor:
    """Return n-step targets: n discounted rewards, then the value of the state reached.

    A target that would look past its episode's last filled step stops there, with that step's V_next (0 if terminal).

    Args:
        reward: [batch, time, agent], in env units.
        terminated: [batch, time, 1] in {0, 1}; 1 only in a true terminal state, never at a time limit.
        filled: [batch, time, 1] in {0, 1}; 0 marks padding. Padded inputs never reach a filled target.
        next_value: [batch, time, agent], target-network value of the state AFTER each step.
        gamma: discount per env step, in [0, 1].
        n_steps: number of rewards, at least 1; 1 is one-step TD.

    Returns:
        [batch, time, agent], without gradient; 0 where filled is 0.

    Raises:
        ValueError: the [batch, time] sizes differ, or n_steps is below 1.
    """
    _check_sizes(reward=reward, terminated=terminated, filled=filled, next_value=next_value)
    if n_steps < 1:
        raise ValueError(f"n_steps={n_steps}: expected at least 1")
    step = _steps(terminated, filled, gamma)
    reward, next_value = step.clean(reward), step.clean(next_value)
    targets = reward + step.discount * next_value
    stopped = step.discount * (1 - step.has_successor) * next_value
    for _ in range(min(n_steps, reward.shape[1]) - 1):
        targets = reward + stopped + step.discount * step.has_successor * _following(targets)
    return targets


@torch.no_grad()
def gae(
    reward: Tensor,
    terminated: Tensor,
    filled: Tensor,
    value: Tensor,
    next_value: Tensor,
    *,
    gamma: float,
    gae_lambda: float,
) -> Advantages:
    """Return generalised advantage estimates (Schulman et al. 2016, arXiv:1506.02438) and the returns they imply.

    A_t = delta_t + gamma * lam * (1 - terminated) * A_next with delta = r + gamma * (1 - terminated) * V_next - V; the
    sum ends at the episode's last filled step. The returns are V + A, equal to TD(lambda) targets.

    Args:
        reward: [batch, time, agent], in env units.
        terminated: [batch, time, 1] in {0, 1}; 1 only in a true terminal state, never at a time limit.
        filled: [batch, time, 1] in {0, 1}; 0 marks padding. Padded inputs never reach a filled result.
        value: [batch, time, agent], the critic's value of the state BEFORE each step.
        next_value: [batch, time, agent], the critic's value of the state AFTER each step.
        gamma: discount per env step, in [0, 1].
        gae_lambda: 0 is the one-step advantage, 1 the Monte Carlo one.

    Returns:
        Advantages(advantages, returns), each [batch, time, agent], without gradient; 0 where filled is 0.

    Raises:
        ValueError: the [batch, time] sizes differ.
    """
    _check_sizes(reward=reward, terminated=terminated, filled=filled, value=value, next_value=next_value)
    step = _steps(terminated, filled, gamma)
    value = step.clean(value)
    delta = step.clean(reward) + step.discount * step.clean(next_value) - value
    advantages = _accumulate(delta, step.discount * gae_lambda * step.has_successor)
    return Advantages(advantages, advantages + value)


@torch.no_grad()
def tree_backup_targets(
    reward: Tensor, terminated: Tensor, filled: Tensor, taken_value: Tensor, next_value: Tensor, share: Tensor, *,
    gamma: float, tb_lambda: float, n_steps: int,
) -> Tensor:  # fmt: skip
    """Return targets of the n-step tree backup (Precup et al. 2000), as DOP has it (Wang et al. 2020).

    y_t = Q_t + sum over k < n of (gamma * lam)^k * P_{t+1} * ... * P_{t+k} * delta_{t+k} with
    delta_t = r_t + gamma * (1 - terminated) * V_{t+1} - Q_t: a step counts as far as the policy that is judged would
    have got there. The sum ends at the episode's last filled step, whose V_next counts at a time limit alone.

    Args:
        reward: [batch, time, agent], in env units; agent is 1 for a team reward.
        terminated: [batch, time, 1] in {0, 1}; 1 only in a true terminal state, never at a time limit.
        filled: [batch, time, 1] in {0, 1}; 0 marks padding. Padded inputs never reach a filled target.
        taken_value: [batch, time, agent], target network's value of the actions taken in each step.
        next_value: [batch, time, agent], target network's expectation under the policy in the state AFTER each step.
        share: [batch, time, agent] in [0, 1], P, the policy's probability of the actions taken in each step.
        gamma: discount per env step, in [0, 1].
        tb_lambda: 0 is the expected one-step target.
        n_steps: number of rewards, at least 1; 1 is that target, too.

    Returns:
        [batch, time, agent], without gradient; 0 where filled is 0.

    Raises:
        ValueError: the [batch, time] sizes differ, or n_steps is below 1.
    """
    _check_sizes(reward=reward, terminated=terminated, filled=filled, next_value=next_value, share=share)
    _check_sizes(reward=reward, taken_value=taken_value)
    if n_steps < 1:
        raise ValueError(f"n_steps={n_steps}: expected at least 1")
    step = _steps(terminated, filled, gamma)
    taken_value = step.clean(taken_value)
    delta = step.clean(reward) + step.discount * step.clean(next_value) - taken_value
    carried = step.discount * tb_lambda * _following(step.clean(share))  # 0 behind the last step
    corrections = delta
    for _ in range(min(n_steps, reward.shape[1]) - 1):
        corrections = delta + carried * _following(corrections)
    return taken_value + corrections


class _Steps(NamedTuple):
    """What the endings of episodes do to each step; all are [batch, time, 1]."""

    padded: Tensor  # bool
    discount: Tensor  # gamma * (1 - terminated), 0 in padding
    has_successor: Tensor  # 1 where the next step belongs to the episode

    def clean(self, x: Tensor) -> Tensor:
        """Return x with zeros in padding. Multiplying by the mask would let a NaN through."""
        return x.masked_fill(self.padded, 0.0)


def _steps(terminated: Tensor, filled: Tensor, gamma: float) -> _Steps:
    padded = filled == 0
    discount = (gamma * (1 - terminated)).masked_fill(padded, 0.0)
    return _Steps(padded, discount, _following(filled).to(discount.dtype))


def _following(x: Tensor) -> Tensor:
    """Return [batch, time, ...], what x says of the next step; 0 in the last one."""
    shifted = torch.zeros_like(x)
    shifted[:, :-1] = x[:, 1:]
    return shifted


def _accumulate(bias: Tensor, decay: Tensor) -> Tensor:
    """Return x with x_t = bias_t + decay_t * x_{t+1} and x = 0 after the last step, for [batch, time, agent]."""
    if bias.numel() and fit_kernels(bias, decay):
        return kernels.accumulate(bias, decay)
    bias, decay = bias.transpose(0, 1).contiguous(), decay.transpose(0, 1).contiguous()  # [T, B, A]: whole rows
    if bias.device.type != "cpu":
        return _doubling(bias, decay).transpose(0, 1)
    total = bias.clone()
    for t in range(total.shape[0] - 2, -1, -1):
        torch.addcmul(bias[t], decay[t], total[t + 1], out=total[t])
    return total.transpose(0, 1)


def _doubling(bias: Tensor, decay: Tensor) -> Tensor:
    """Return the same x, [T, B, A], in log2(T) rounds of few operations: a GPU takes as long for a row as for all.

    After each round `bias` sums twice as many steps, and `decay` is their product (Hillis and Steele 1986).
    """
    steps = 1
    while steps < bias.shape[0]:
        longer = torch.addcmul(bias[:-steps], decay[:-steps], bias[steps:])
        bias = torch.cat([longer, bias[-steps:]])
        decay = torch.cat([decay[:-steps] * decay[steps:], decay[-steps:]])
        steps *= 2
    return bias


def _check_sizes(**tensors: Tensor) -> None:
    sizes = {name: tuple(tensor.shape[:2]) for name, tensor in tensors.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"the [batch, time] sizes differ: {sizes}")
