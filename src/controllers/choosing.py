"""What is left to do once actions are chosen: bringing them to the host, and saying who has no choice."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pymarl.utils.errors import UserError


class Told(NamedTuple):
    """What acting says, on the host; `sure` is what `can_choose` would say."""

    actions: Tensor
    kept: dict[str, Tensor]
    sure: bool


def told(actions: Tensor, kept: dict[str, Tensor], sure: Tensor) -> Told:
    """Return a GPU's tensors on the host; it is waited for once."""
    under_way = {key: tensor.to("cpu", non_blocking=True) for key, tensor in kept.items()}
    numbers = torch.cat([actions.flatten(), sure.long().view(1)]).cpu()
    return Told(numbers[:-1].view(actions.shape), under_way, bool(numbers[-1]))


def check_choice(outputs: Tensor, avail_actions: Tensor, t_ep: int, envs: int, bs: Any) -> None:
    """Stop the run if a row has no available action or a NaN output, as `can_choose` has doubted.

    Args:
        outputs, avail_actions: [len(bs), N, A], of the rows that run.
        t_ep: their slot.
        envs: how many rows there are, running or not.
        bs: which of them run.

    Raises:
        UserError: naming env, agent and step.
    """
    stuck = ~avail_actions.any(dim=-1)
    broken = stuck | outputs.isnan().any(dim=-1)  # infinite values may also have cancelled out
    if not broken.any():
        return
    row, agent = broken.nonzero().tolist()[0]
    where = f"env {torch.arange(envs)[bs][row].item()}, agent {agent}, step {t_ep}"
    if stuck[row, agent]:
        raise UserError(
            f"{where}: no action is available; expected at least one per agent, so mend the env's "
            f"get_avail_actions (an agent that can do nothing still needs a no-op)"
        )
    raise UserError(
        f"{where}: the agent's output is NaN; look for NaN or huge observations in the env, or lower lr "
        f"or grad_norm_clip"
    )
