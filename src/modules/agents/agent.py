"""The agent contract: what a controller feeds it and what a learner asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class AgentInputs:
    """The inputs of R agents (rows), with one-hot parts kept as indices.

    Attributes:
        obs: [R, O] float.
        last_action: [R] int64 in [0, n_actions), -1 before the first action; None if agents do not see it.
        agent_id: [R] int64 in [0, n_agents); None if agents do not see it.
        n_actions: A, length of the last action's one-hot.
        n_agents: N, length of the agent id's one-hot.
    """

    obs: Tensor
    last_action: Tensor | None
    agent_id: Tensor | None
    n_actions: int
    n_agents: int

    @property
    def hot_width(self) -> int:
        """Length of the one-hot part of a dense row."""
        return self.n_actions * (self.last_action is not None) + self.n_agents * (self.agent_id is not None)

    def dense(self) -> Tensor:
        """Return [R, E]: obs | one-hot last action (zeros for -1) | one-hot agent id."""
        return torch.cat([self.obs, self.one_hots()], dim=1)

    def one_hots(self) -> Tensor:
        """Return [R, E - O], the one-hot part of a dense row."""
        parts = [self.obs.new_empty(self.obs.shape[0], 0)]
        if self.last_action is not None:
            classes = torch.arange(self.n_actions, device=self.obs.device)
            parts.append((self.last_action[:, None] == classes).to(self.obs.dtype))
        if self.agent_id is not None:
            classes = torch.arange(self.n_agents, device=self.obs.device)
            parts.append((self.agent_id[:, None] == classes).to(self.obs.dtype))
        return torch.cat(parts, dim=1)

    def linear(self, layer: nn.Linear) -> Tensor:
        """Return [R, H] == layer(self.dense()), without ever building dense rows.

        With gradients the one-hot part is a product, whose backward is a product too and so repeats bit for bit (a
        scatter-add would not on a GPU); without, it is a look-up of the weight's columns.
        """
        width = self.obs.shape[1]
        result = F.linear(self.obs, layer.weight[:, :width], layer.bias)
        if not self.hot_width:
            return result
        if torch.is_grad_enabled() and layer.weight.requires_grad:
            return result.addmm_(self.one_hots(), layer.weight[:, width:].t())
        if self.last_action is not None:
            columns = F.pad(layer.weight[:, width : width + self.n_actions].t(), (0, 0, 1, 0))  # [1 + A, H]
            result += columns.index_select(0, self.last_action + 1)
            width += self.n_actions
        if self.agent_id is not None:
            result += layer.weight[:, width:].t().index_select(0, self.agent_id)
        return result

    def rows(self, rows: slice) -> AgentInputs:
        """Return the inputs of these rows, as views."""
        return AgentInputs(
            obs=self.obs[rows],
            last_action=None if self.last_action is None else self.last_action[rows],
            agent_id=None if self.agent_id is None else self.agent_id[rows],
            n_actions=self.n_actions,
            n_agents=self.n_agents,
        )


class Agent(nn.Module):
    """A network that all agents share. A new one writes `__init__`, `init_hidden` and `forward`.

    Args:
        config: an instance of the class's own `Config`.
        input_shape: E, length of a dense input row.
        n_actions: A, number of outputs per agent.
    """

    def __init__(self, config: Any, input_shape: int, n_actions: int) -> None:
        super().__init__()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Give a class with a `forward` of its own the general `unroll` and `act`, unless it brings them too.

        Inherited ones were written for another `forward` and would train or play a different network.
        """
        super().__init_subclass__(**kwargs)
        if "forward" in cls.__dict__:
            for name in ("unroll", "act"):
                if name not in cls.__dict__:
                    setattr(cls, name, getattr(Agent, name))

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, H], the state before the first step, on the network's device. H may be 0."""
        raise NotImplementedError

    def forward(self, inputs: AgentInputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step.

        Args:
            inputs: of R rows.
            hidden: [R, H], the state after the step before.

        Returns:
            [R, A] outputs (q values or logits) and [R, H], the state after this step.
        """
        raise NotImplementedError

    def act(self, inputs: AgentInputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step without gradient: `forward`, for which a class may have a faster way."""
        with torch.no_grad():
            out, hidden = self(inputs, hidden)
            return out, hidden

    def unroll(self, inputs: AgentInputs, counts: Sequence[int]) -> Tensor:
        """Run over whole episodes from the initial state. This one loops over `forward`; a fast one may replace it.

        Args:
            inputs: of all time slots, packed: slot 0's rows, slot 1's rows, ... Slot t holds the first counts[t] of
                slot t-1's rows, those whose episodes have not ended.
            counts: rows in each slot, non-increasing; they sum to R.

        Returns:
            [R, A] outputs in the order of the inputs.
        """
        hidden = self.init_hidden(counts[0])
        outputs, start = [], 0
        for count in counts:
            if not count:
                break
            out, hidden = self(inputs.rows(slice(start, start + count)), hidden[:count])
            outputs.append(out)
            start += count
        return torch.cat(outputs)
