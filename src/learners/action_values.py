"""Critics that are given actions: those taken, or what relaxes a policy's so that the critic's gradient reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.learners.values import Loss, value_metrics
from pymarl.modules.critics.critic import Critic
from pymarl.modules.inputs import INPUTS_OF_STATES, Inputs
from pymarl.utils.devices import upload
from pymarl.utils.errors import UserError


def check_sees(critic: Critic, part: str, learner: str, fitting: str) -> None:
    """Raise UserError unless a critic's input ends with `part`, "actions" or "joint_actions"; `fitting` names some."""
    if critic.sees[-1:] != (part,):
        raise UserError(
            f"critic of {', '.join(critic.sees)}: learner={learner!r} trains policies by a critic whose input ends "
            f"with {part}; write critic={fitting}"
        )


def check_of_states(critic: Critic, key: str) -> None:
    """Raise UserError unless a critic gives a row one value that depends on no action of now; `key` names it."""
    if critic.outputs() != 1 or not set(INPUTS_OF_STATES).issuperset(critic.sees):
        raise UserError(
            f"{key} of {', '.join(critic.sees)} gives {critic.outputs()} values a row: wanted is one value of a state, "
            f"whatever is done in it; write {key}=cv_critic, ac_critic or rnn_critic"
        )


def with_actions(inputs: Inputs, actions: Tensor) -> Inputs:
    """Return a critic's inputs of R rows, with `actions` [R, X] as their last columns instead of those taken."""
    features = inputs.dense()[:, : -actions.shape[1]]
    return Inputs(features=torch.cat([features, actions], dim=1), agents=inputs.agents)


def one_hots(actions: Tensor, n_actions: int) -> Tensor:
    """Return [..., A] float of actions [...] int64."""
    return F.one_hot(actions, n_actions).float()


def gumbel_one_hots(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return one-hots of actions drawn from a softmax, whose gradient is that of what they are the largest entry of.

    That is a softmax of logits with Gumbel noise at temperature 1 (Jang et al. 2017, arXiv:1611.01144): the
    straight-through Gumbel-softmax.

    Args:
        logits: [..., A], -inf for an action that is not available, which is never drawn.
        generator: source of the noise, on the CPU.
    """
    noise = upload(gumbel_noise(logits.shape, generator), logits.device)
    soft = (logits + noise).softmax(-1)
    hard = one_hots(soft.argmax(-1), logits.shape[-1])
    return hard + (soft - soft.detach())


def gumbel_noise(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Return Gumbel(0, 1) numbers, finite ones, on the CPU."""
    return -torch.empty(shape).exponential_(generator=generator).clamp(min=1e-20).log()


@contextmanager
def frozen(*modules: nn.Module | None) -> Iterator[None]:
    """Let no gradient be computed of these networks' parameters, but through them."""
    parameters = [p for module in modules if module is not None for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def critic_metrics(loss: Loss, grad_norm: Tensor) -> dict[str, Tensor]:
    """Return what is logged of a critic's update, name -> 0-d; means are per transition, and agent where each has a
    value.
    """
    logged = value_metrics(loss, grad_norm, 1)
    return {"critic_loss": logged.pop("loss_td"), "critic_grad_norm": logged.pop("grad_norm"), **logged}
