"""A critic of joint actions that is a deep coordination graph, no weights shared (Böhmer et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.envs.specs import EnvInfo
from pymarl.modules.inputs import Inputs, input_shape
from pymarl.modules.layers.coordination_graph import CoordinationGraph, edges_of
from pymarl.modules.layers.gru import GRUNetwork
from pymarl.modules.layers.mlp import mlp
from pymarl.utils.config import NonNegativeInt, PositiveInt


class Encoder(nn.Module):
    """fc1, relu, GRU cell: what one agent makes of what it has seen."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.rnn = nn.GRUCell(hidden, hidden)

    def unroll(self, inputs: Inputs, counts: Sequence[int]) -> Tensor:
        """Return [P, H], the states of whole packed sequences; see Agent.unroll."""
        start = self.fc1.weight.new_zeros(counts[0], self.rnn.hidden_size)
        return GRUNetwork(self.fc1, self.rnn).unroll_states(inputs, counts, start)


class DCGCriticNS(nn.Module):
    """Q(s, a) = mean_i f_i(h_i, a_i) + mean_ij f_ij(h_i, h_j, a_i, a_j) over the edges ij (arXiv:1910.00091).

    Each agent has a recurrent encoder of the state, which begins each row of a batch anew, also where that is a piece
    of an episode; utilities and payoffs are small networks over its states. A payoff is the mean over both directions
    of its edge.

    Args:
        config: the class's Config.
        info: of the env.

    Raises:
        UserError: edges that these agents cannot have.
    """

    sees = ("state",)

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Keys of a coordination graph; see config/default.yaml."""

        critic_hidden_dim: PositiveInt | None
        rnn_hidden_dim: PositiveInt
        max_joint_actions: PositiveInt
        cg_edges: Literal["vdn", "line", "cycle", "star", "full"] | NonNegativeInt | tuple[tuple[int, int], ...]
        cg_utilities_hidden_dim: PositiveInt | tuple[PositiveInt, ...] | None
        cg_payoffs_hidden_dim: PositiveInt | tuple[PositiveInt, ...] | None
        cg_payoff_rank: NonNegativeInt | None
        msg_iterations: NonNegativeInt
        msg_normalized: bool
        msg_anytime: bool

    def __init__(self, config: Any, info: EnvInfo) -> None:
        super().__init__()
        self.config, self.info = config, info
        hidden = config.critic_hidden_dim or config.rnn_hidden_dim
        n, a = info.n_agents, info.n_actions
        self.edges: Tensor  # in the state: random ones belong to the weights
        self.register_buffer("edges", torch.tensor(edges_of(config.cg_edges, n)).reshape(-1, 2))
        self.encoders = nn.ModuleList(Encoder(input_shape(self.sees, info), hidden) for _ in range(n))
        self.utilities = nn.ModuleList(mlp(hidden, *_widths(config.cg_utilities_hidden_dim), a) for _ in range(n))
        out = 2 * config.cg_payoff_rank * a if config.cg_payoff_rank else a * a
        self.payoffs = nn.ModuleList(mlp(2 * hidden, *_widths(config.cg_payoffs_hidden_dim), out) for _ in self.edges)

    def forward(self, inputs: Inputs, counts: Sequence[int]) -> CoordinationGraph:
        """Return the values of P slots.

        Args:
            inputs: P rows, of the team's slots in the order of a batch's packing.
            counts: slots of each time, as for Agent.unroll.
        """
        states = [cast(Encoder, encoder).unroll(inputs, counts) for encoder in self.encoders]  # N of [P, H]
        utilities = torch.stack([net(h) for net, h in zip(self.utilities, states, strict=True)], dim=1)
        p, n, a = utilities.shape
        pairs = zip(self.payoffs, self.edges.tolist(), strict=True)
        of_edges = [self._payoff(net, states[i], states[j]) for net, (i, j) in pairs]
        payoffs = torch.stack(of_edges, dim=1) if of_edges else utilities.new_zeros(p, 0, a, a)
        return CoordinationGraph(utilities / n, payoffs / max(1, len(of_edges)), self.edges)

    def _payoff(self, net: nn.Module, h_i: Tensor, h_j: Tensor) -> Tensor:
        """Return [P, A, A], by a_i and a_j."""
        a, rank = self.info.n_actions, self.config.cg_payoff_rank
        both = net(torch.stack([torch.cat([h_i, h_j], dim=1), torch.cat([h_j, h_i], dim=1)]))  # [2, P, ...]
        if rank:
            factors = both.unflatten(-1, (rank, 2, a))  # [2, P, rank, 2, A]
            both = torch.einsum("dpra,dprb->dpab", factors[..., 0, :], factors[..., 1, :])
        else:
            both = both.unflatten(-1, (a, a))
        payoff: Tensor = (both[0] + both[1].transpose(-1, -2)) / 2
        return payoff

    @torch.no_grad()
    def best(self, graph: CoordinationGraph, joint: Tensor, avail_actions: Tensor) -> Tensor:
        """Return [P, N], for each agent the value of its action beside the best available ones of the others.

        With at most max_joint_actions joint actions of the others that is exact. Otherwise it is what message passing
        finds with the agent's action held fixed, or the value of `joint` where that is more.

        Args:
            graph: of P slots.
            joint: [P, N] int64, the actions taken.
            avail_actions: [P, N, A] bool, at least one per agent.
        """
        c, n, a = self.config, self.info.n_agents, self.info.n_actions
        if a ** (n - 1) <= c.max_joint_actions:
            return graph.masked(avail_actions).best_of_all(joint)
        taken, values = F.one_hot(joint, a).bool(), []
        for agent in range(n):
            held = avail_actions.clone()
            held[:, agent] = taken[:, agent]
            found = graph.masked(held).max_sum(c.msg_iterations, normalized=c.msg_normalized, anytime=c.msg_anytime)
            values.append(graph.value(found))
        return torch.maximum(torch.stack(values, dim=1), graph.value(joint).unsqueeze(1))


def _widths(hidden: int | tuple[int, ...] | None) -> tuple[int, ...]:
    return () if hidden is None else (hidden,) if isinstance(hidden, int) else hidden
