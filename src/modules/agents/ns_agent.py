"""Agents that do not share parameters: each has a network of its own, and all are computed as one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from pymarl.modules.agents.agent import Agent, AgentSpec, Unrolled
from pymarl.modules.agents.ff_agent import FFAgent
from pymarl.modules.agents.n_rnn_agent import NRNNAgent
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.plain import is_untouched, stamp_of
from pymarl.modules.layers.stacked import stack, stackable_weights


class NSAgent(Agent):
    """One `shared` network per agent, under EPyMARL's names: agents.0.fc1.weight, ...

    Rows are of whole teams, or of the agents that `Inputs.agents` names. An optimiser may hold the parameters of one of
    `agents` alone.

    Attributes:
        shared: the class of each network.
        stacked: compute all networks as one, with stacked weights, wherever they consist of torch's own layers; only
            for a `shared` whose forward hands [R, ...] to each layer, one row per agent. Otherwise, one after another.
    """

    shared: ClassVar[type[Agent]]
    stacked: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Another `shared` must say anew that it may be stacked."""
        super().__init_subclass__(**kwargs)
        if "shared" in cls.__dict__ and "stacked" not in cls.__dict__:
            cls.stacked = False

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.agents = nn.ModuleList(self.shared(config, spec) for _ in range(spec.n_agents))
        self._acting: _Acting | None = None

    def init_hidden(self, rows: int) -> Tensor:
        """Return [rows, H] of whole teams.

        Raises:
            ValueError: `rows` is not a multiple of N.
        """
        return self._init_hidden(rows, self._chosen(None))

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step; see Agent.forward."""
        agents = self._chosen(inputs.agents)
        if self._stackable(agents) is not None:
            return stack(agents)(inputs, hidden)
        n = len(agents)
        names = inputs.agents or range(n)
        steps = [
            agent(dataclasses.replace(inputs.rows(slice(i, None, n)), agents=(names[i],)), hidden[i::n])
            for i, agent in enumerate(agents)
        ]
        out, after = (torch.stack(each, dim=1).flatten(0, 1) for each in zip(*steps, strict=True))  # [R, A], [R, H]
        return out, after

    def act(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Take one step without gradient; see Agent.act. Stacked weights are kept until one changes."""
        agents = self._chosen(inputs.agents)
        weights = self._stackable(agents) if is_untouched(self) else None
        if weights is None:
            return super().act(inputs, hidden)
        with torch.no_grad():
            stamp = stamp_of(weights)
            if self._acting is None or self._acting.stamp != stamp:
                self._acting = _Acting(stack(agents), weights, stamp)
            return self._acting.network.act(inputs, hidden)

    def unroll(
        self, inputs: Inputs, counts: Sequence[int], hidden: Tensor | None = None, *, states: bool = False
    ) -> Unrolled:
        """Run over whole packed sequences; see Agent.unroll. Each slot holds rows of whole teams."""
        agents = self._chosen(inputs.agents)
        if hidden is None:
            hidden = self._init_hidden(counts[0], agents)
        if is_untouched(self) and self._stackable(agents) is not None:
            return stack(agents).unroll(inputs, counts, hidden, states=states)
        return super().unroll(inputs, counts, hidden, states=states)

    def _chosen(self, agents: tuple[int, ...] | None) -> list[Agent]:
        """Return the networks of these agents, or of all."""
        chosen = self.agents if agents is None else [self.agents[agent] for agent in agents]
        return [cast(Agent, agent) for agent in chosen]

    def _stackable(self, agents: list[Agent]) -> list[Tensor] | None:
        """Return the weights of networks that can be computed as one; None if they cannot."""
        return stackable_weights(agents) if self.stacked else None

    def _init_hidden(self, rows: int, agents: list[Agent]) -> Tensor:
        self._acting = None  # weights may have changed
        if rows % len(agents):
            raise ValueError(f"expected a multiple of {len(agents)} rows, one for each agent, got {rows}")
        return torch.stack([agent.init_hidden(rows // len(agents)) for agent in agents], dim=1).flatten(0, 1)


class _Acting(NamedTuple):
    """A stacked network, the weights that it was made of, and their stamp."""

    network: Agent
    weights: list[Tensor]
    stamp: list[int]


class RNNNSAgent(NSAgent):
    """RNNAgent with parameters of each agent's own."""

    shared, stacked = RNNAgent, True
    Config = RNNAgent.Config


class NRNNNSAgent(NSAgent):
    """NRNNAgent with parameters of each agent's own."""

    shared, stacked = NRNNAgent, True
    Config = NRNNAgent.Config


class FFNSAgent(NSAgent):
    """FFAgent with parameters of each agent's own."""

    shared, stacked = FFAgent, True
    Config = FFAgent.Config
