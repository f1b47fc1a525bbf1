"""Attention of the state to the agents' own parts of it: what Qatten's mixers share."""

from __future__ import annotations

import math
from typing import Literal, cast

import torch
from torch import Tensor, nn

from pymarl.envs.specs import EnvInfo
from pymarl.utils.config import PositiveInt
from pymarl.utils.errors import UserError

OwnStateSize = Literal[True] | PositiveInt
"""Type of `agent_own_state_size`: True has the env say it."""


def own_state_size(given: bool | int, info: EnvInfo) -> int:
    """Return U, how many places each agent takes of the state, which has to begin with all agents, one after another.

    Raises:
        UserError: True in an env that does not say so of its state, or a number that cannot be right.
    """
    layout = info.entity_layout
    first = layout.state[0] if layout is not None and layout.state else None
    told = first.width if first is not None and first.name == "allies" and first.count == info.n_agents else None
    if given is True:
        if told is None:
            raise UserError(
                "agent_own_state_size=True: this env does not say that its state begins with the features of all "
                "agents, one agent after another; if it does, write agent_own_state_size=<features of one agent>, "
                "else choose another mixer"
            )
        return told
    if told is not None and given != told:
        raise UserError(
            f"agent_own_state_size={given}: an agent has {told} features in this env's state; "
            f"write agent_own_state_size={told}, or True"
        )
    if given * info.n_agents > info.state_shape:
        raise UserError(
            f"agent_own_state_size={given}: {info.n_agents} agents have {given * info.n_agents} features then, but "
            f"state_shape={info.state_shape}; write at most {info.state_shape // info.n_agents}"
        )
    return int(given)


def own_features(state: Tensor, n_agents: int, size: int) -> Tensor:
    """Return [P, N, U], the agents' own parts of state [P, S]."""
    return state[:, : n_agents * size].unflatten(-1, (n_agents, size))


def attend(query: Tensor, keys: nn.ModuleList, features: Tensor) -> tuple[Tensor, Tensor]:
    """Return each head's softmax over the agents [P, K, N], and the products [P, K, N] of queries and keys behind it.

    A key's bias raises the products of all agents alike, which the softmax undoes: it is left out. The query goes
    through the keys' weight, not the features: there is one of it for N agents.

    Args:
        query: [P, K, E].
        keys: K linear layers U -> E.
        features: [P, N, U].
    """
    weight = torch.stack([cast(nn.Linear, key).weight for key in keys])  # [K, E, U]
    asked = torch.bmm(query.transpose(0, 1), weight).transpose(0, 1)  # [P, K, U]
    logits = (asked.unsqueeze(2) * features.unsqueeze(1)).sum(dim=-1)  # [P, K, N]
    return (logits / math.sqrt(query.shape[-1])).softmax(dim=-1), logits
