"""Values of joint actions as sums over agents and over pairs of agents, and their maxima (Guestrin et al. 2002)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pymarl.utils.errors import UserError
from pymarl.utils.values import shown

TOPOLOGIES = ("vdn", "line", "cycle", "star", "full")
CHUNK = 2**22
"""Joint actions that are valued at once."""


def edges_of(topology: str | int | tuple[tuple[int, int], ...], n: int) -> list[tuple[int, int]]:
    """Return the edges of a graph of `n` agents, the smaller number first.

    Args:
        topology: one of TOPOLOGIES ("vdn" has no edge, "star" is around agent 0), a number of edges to be drawn with
            torch's own generator, or the edges.

    Raises:
        UserError: an unknown name, more edges than there are pairs, or an edge that joins no two agents, or is there
            twice.
    """
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if isinstance(topology, int):
        if topology > len(pairs):
            raise UserError(f"cg_edges={topology}: {n} agents have {len(pairs)} pairs; write cg_edges=full for all")
        return [pairs[k] for k in torch.randperm(len(pairs))[:topology].tolist()]
    if isinstance(topology, str):
        line = [(i, j) for i, j in pairs if j == i + 1]
        ring = [(0, n - 1)] if n > 2 else []
        star = [(i, j) for i, j in pairs if i == 0]
        return dict(zip(TOPOLOGIES, ([], line, line + ring, star, pairs), strict=True))[topology]
    edges = [(min(edge), max(edge)) for edge in topology]
    for given, edge in zip(topology, edges, strict=True):
        if edge not in pairs or edges.count(edge) > 1:
            raise UserError(
                f"cg_edges: {shown(list(given))} joins no two of the agents 0 to {n - 1}, or joins them once more"
            )
    return edges


class CoordinationGraph(NamedTuple):
    """Values of R joint actions: Q(a) = sum_i f_i(a_i) + sum_ij f_ij(a_i, a_j) over the edges ij.

    Attributes:
        utilities: [R, N, A], f_i.
        payoffs: [R, E, A, A], f_ij by a_i and a_j.
        edges: [E, 2] int64, i and j.
    """

    utilities: Tensor
    payoffs: Tensor
    edges: Tensor

    def rows(self, rows: slice) -> CoordinationGraph:
        """Return those of some rows."""
        return CoordinationGraph(self.utilities[rows], self.payoffs[rows], self.edges)

    def value(self, actions: Tensor) -> Tensor:
        """Return [R], Q of `actions` [R, N]."""
        of_agents = self.utilities.gather(-1, actions.unsqueeze(-1)).sum((1, 2))
        if not len(self.edges):
            return of_agents
        first, second = (actions[:, end, None, None] for end in self.edges.t())  # [R, E, 1, 1]
        of_first = self.payoffs.gather(2, first.expand(-1, -1, 1, self.payoffs.shape[-1]))  # [R, E, 1, A]
        return of_agents + of_first.gather(3, second).sum((1, 2, 3))

    def masked(self, avail_actions: Tensor) -> CoordinationGraph:
        """Return the same with -inf for joint actions in which one is not available, [R, N, A] bool."""
        return self._replace(utilities=self.utilities.masked_fill(~avail_actions, -float("inf")))

    def best_of_all(self, actions: Tensor) -> Tensor:
        """Return [R, N], for each agent the largest Q in which it takes its action of `actions` [R, N]: of all there
        are, A ** N of them.
        """
        r, n, a = self.utilities.shape
        size = max(1, CHUNK // a**n)
        values = []
        for start in range(0, r, size):
            graph, taken = self.rows(slice(start, start + size)), actions[start : start + size]
            q = graph._of_all()  # [R, A, ..., A]
            best = [q.amax([1 + other for other in range(n) if other != agent]) if n > 1 else q for agent in range(n)]
            values.append(torch.stack(best, dim=1).gather(-1, taken.unsqueeze(-1)).squeeze(-1))
        return torch.cat(values)

    def _of_all(self) -> Tensor:
        """Return [R, A, ..., A], Q by the actions of agents 0, 1, ..."""
        r, n, a = self.utilities.shape

        def along(agents: list[int], factor: Tensor) -> Tensor:
            return factor.reshape(r, *(a if agent in agents else 1 for agent in range(n)))

        q = along([0], self.utilities[:, 0]).expand(r, *[a] * n)
        for agent in range(1, n):
            q = q + along([agent], self.utilities[:, agent])
        for edge, pair in enumerate(self.edges.tolist()):
            q = q + along(pair, self.payoffs[:, edge])
        return q

    def max_sum(self, iterations: int, *, normalized: bool, anytime: bool) -> Tensor:
        """Return [R, N] int64, the joint action that messages along the edges find best; of equal ones the first.

        On a tree it is the best of all after as many iterations as its longest path has edges, also where a cycle
        passes an agent with a single action that is not -inf. On other graphs it need not be (Kok and Vlassis 2006).

        Args:
            iterations: rounds of messages in both directions of each edge.
            normalized: messages have the mean 0, so that they stay small on cycles.
            anytime: return the best joint action of all rounds, not the last's.
        """
        i, j = self.edges.t()
        agents = torch.arange(self.utilities.shape[1], device=i.device)
        starts, ends = ((agents[:, None] == end).to(self.utilities.dtype) for end in (i, j))  # [N, E]
        to_i = to_j = self.utilities.new_zeros(1, len(i), self.utilities.shape[2])  # [R, E, A]
        total = self.utilities
        best = total.argmax(-1)
        best_value = self.value(best)
        for _ in range(iterations if len(i) else 0):
            without_i, without_j = total[:, i] - to_i, total[:, j] - to_j
            to_j = (without_i.unsqueeze(3) + self.payoffs).amax(2)
            to_i = (without_j.unsqueeze(2) + self.payoffs).amax(3)
            if normalized:
                to_j, to_i = (message - message.mean(-1, keepdim=True) for message in (to_j, to_i))
            total = self.utilities + starts @ to_i + ends @ to_j
            actions = total.argmax(-1)
            value = self.value(actions)
            better = value > best_value if anytime else torch.ones_like(value, dtype=torch.bool)
            best, best_value = torch.where(better[:, None], actions, best), torch.where(better, value, best_value)
        return best
