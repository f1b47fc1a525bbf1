"""Coordination graphs: values by hand, maxima against all joint actions, and which edges there may be."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from pymarl.modules.layers import coordination_graph
from pymarl.modules.layers.coordination_graph import CoordinationGraph, edges_of
from pymarl.utils.errors import UserError

SUM = {"normalized": True, "anytime": True}
TREES: dict[str, Any] = {
    "none": (3, "vdn"), "pair": (2, "full"), "line": (4, "line"), "star": (4, "star"),
    "fork": (5, ((2, 0), (2, 1), (2, 3), (3, 4))), "forest": (4, ((0, 2), (1, 3))),
}  # fmt: skip
CYCLES: dict[str, Any] = {"triangle": (3, "full"), "square": (4, "cycle"), "hexagon": (6, "cycle")}


def random_graph(n: int, topology: Any, rows: int = 20, actions: int = 3, seed: int = 0) -> CoordinationGraph:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.tensor(edges_of(topology, n)).reshape(-1, 2)
    utilities = torch.randn(rows, n, actions, generator=generator)
    return CoordinationGraph(utilities, 3 * torch.randn(rows, len(edges), actions, actions, generator=generator), edges)


def random_avail(graph: CoordinationGraph, seed: int = 1) -> torch.Tensor:
    r, n, a = graph.utilities.shape
    generator = torch.Generator().manual_seed(seed)
    avail = torch.rand(r, n, a, generator=generator) < 0.6
    avail[..., 0] |= ~avail.any(-1)
    return avail


def by_hand(graph: CoordinationGraph, row: int, joint: tuple[int, ...]) -> float:
    """Return Q of one joint action, term by term."""
    total = sum(float(graph.utilities[row, agent, action]) for agent, action in enumerate(joint))
    for edge, (i, j) in enumerate(graph.edges.tolist()):
        total += float(graph.payoffs[row, edge, joint[i], joint[j]])
    return total


def brute_force(graph: CoordinationGraph, row: int, avail: torch.Tensor) -> tuple[float, tuple[int, ...]]:
    """Return the largest Q of a row, and where it is."""
    choices = [torch.nonzero(avail[row, agent]).flatten().tolist() for agent in range(avail.shape[1])]
    return max((by_hand(graph, row, joint), joint) for joint in itertools.product(*choices))


@pytest.mark.parametrize(("n", "topology"), [*TREES.values(), *CYCLES.values()], ids=[*TREES, *CYCLES])
def test_values_are_the_sums_of_their_terms(n: int, topology: Any) -> None:
    graph = random_graph(n, topology)
    actions = torch.randint(3, (20, n), generator=torch.Generator().manual_seed(2))
    expected = [by_hand(graph, row, tuple(joint)) for row, joint in enumerate(actions.tolist())]
    assert graph.value(actions).tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("anytime", [True, False])
@pytest.mark.parametrize(("n", "topology"), TREES.values(), ids=TREES)
def test_max_sum_is_exact_on_trees(n: int, topology: Any, anytime: bool) -> None:
    graph = random_graph(n, topology)
    avail = random_avail(graph)
    found = graph.masked(avail).max_sum(8, normalized=True, anytime=anytime)
    for row, joint in enumerate(found.tolist()):
        assert tuple(joint) == brute_force(graph, row, avail)[1]


@pytest.mark.parametrize(("n", "topology"), CYCLES.values(), ids=CYCLES)
def test_max_sum_is_exact_on_cycles_through_an_agent_that_has_no_choice(n: int, topology: Any) -> None:
    graph = random_graph(n, topology)
    avail = random_avail(graph)
    for agent in range(n):
        held = avail.clone()
        held[:, agent] = False
        held[torch.arange(20), agent, avail[:, agent].byte().argmax(-1)] = True
        found = graph.masked(held).max_sum(8, **SUM)
        for row, joint in enumerate(found.tolist()):
            assert tuple(joint) == brute_force(graph, row, held)[1]


def test_with_anytime_more_rounds_are_never_worse_and_none_takes_the_utilities_alone() -> None:
    graph = random_graph(5, "full")
    values = torch.stack([graph.value(graph.max_sum(rounds, **SUM)) for rounds in range(6)])
    assert (values.diff(dim=0) >= 0).all()
    assert values[-1].sum() > values[0].sum()
    assert torch.equal(graph.max_sum(0, **SUM), graph.utilities.argmax(-1))


@pytest.mark.parametrize(("n", "topology"), [(1, "full"), *TREES.values(), (4, "full")])
def test_the_best_of_all_beside_each_own_action(n: int, topology: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordination_graph, "CHUNK", 7 * 3**n)  # more parts than one
    graph = random_graph(n, topology)
    avail = random_avail(graph)
    taken = avail.byte().argmax(-1)
    best = graph.masked(avail).best_of_all(taken)
    assert best.shape == (20, n)
    for row, agent in itertools.product(range(20), range(n)):
        held = avail.clone()
        held[row, agent] = torch.arange(3) == taken[row, agent]
        assert best[row, agent].item() == pytest.approx(brute_force(graph, row, held)[0], abs=1e-5)


def test_edges() -> None:
    assert edges_of("vdn", 3) == []
    assert edges_of("line", 4) == [(0, 1), (1, 2), (2, 3)]
    assert edges_of("cycle", 4) == [(0, 1), (1, 2), (2, 3), (0, 3)]
    assert edges_of("cycle", 2) == [(0, 1)]
    assert edges_of("star", 4) == [(0, 1), (0, 2), (0, 3)]
    assert edges_of("full", 4) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert edges_of("full", 1) == []
    assert edges_of(((2, 0), (1, 2)), 3) == [(0, 2), (1, 2)]
    drawn = edges_of(4, 5)
    assert len(set(drawn)) == 4
    assert set(drawn) <= set(edges_of("full", 5))


@pytest.mark.parametrize(
    ("topology", "says"),
    [
        (4, "cg_edges=4: 3 agents have 3 pairs; write cg_edges=full"),
        (((0, 1), (0, 3)), "cg_edges: \\[0, 3\\] joins no two of the agents 0 to 2"),
        (((1, 1),), "cg_edges: \\[1, 1\\] joins no two"),
        (((0, 1), (1, 0)), "cg_edges: \\[0, 1\\] joins no two .* or joins them once more"),
    ],
)
def test_edges_that_cannot_be(topology: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        edges_of(topology, 3)
