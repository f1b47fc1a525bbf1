"""The best joint actions of the others: against a loop over all of them, sampled, and in a coordination graph."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
import torch

from learner_kit import SMALL, build_part, flat_config, make_batch
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.modules.critics import REGISTRY, pac
from pymarl.modules.inputs import OneHot

CPU = torch.device("cpu")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def critic_of(name: str, **keys: Any) -> Any:
    torch.manual_seed(1)
    return build_part(REGISTRY[name], flat_config(rnn_hidden_dim=8, critic=name, **keys), SMALL)


def seen(batch: EpisodeBatch) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.packed("actions").squeeze(-1).long(), batch.packed("avail_actions")


def q_of(critic: Any, batch: EpisodeBatch, joint: torch.Tensor) -> torch.Tensor:
    """Return [P, N], what the critic says of each agent's action in a joint action [P, N] after what was played."""
    n = SMALL.n_agents
    inputs = packed_inputs(batch, critic.sees, SMALL, CPU)
    hots = [joint[:, other, None].repeat(1, n) for other in range(n)]
    for agent, hot in enumerate(hots):
        hot[:, agent] = -1
    others = [OneHot(hot.flatten(), SMALL.n_actions) for hot in hots]
    values = critic(dataclasses.replace(inputs, one_hots=(*others, *inputs.one_hots[n:]))).view(*joint.shape, -1)
    return values.gather(-1, joint.unsqueeze(-1)).squeeze(-1)


def brute_force(critic: Any, batch: EpisodeBatch) -> torch.Tensor:
    """Return [P, N] by one forward for each joint action of all agents."""
    taken, avail = seen(batch)
    n, best = SMALL.n_agents, torch.full(taken.shape, -float("inf"))
    for others in itertools.product(range(SMALL.n_actions), repeat=n):
        joint = torch.tensor(others).expand(len(taken), n)
        possible = avail.gather(-1, joint.unsqueeze(-1)).squeeze(-1)
        for agent in range(n):
            own = joint.clone()
            own[:, agent] = taken[:, agent]
            fits = torch.stack([possible[:, other] for other in range(n) if other != agent], 1).all(1)
            q = q_of(critic, batch, own)[:, agent].masked_fill(~fits, -float("inf"))
            best[:, agent] = torch.maximum(best[:, agent], q)
    return best


@pytest.mark.parametrize("keys", [{"obs_last_action": False}, {"obs_individual_obs": True, "obs_last_action": True}])
@pytest.mark.parametrize("name", ["pac_critic", "pac_critic_ns"])
def test_the_maximum_is_that_over_all_available_joint_actions(
    name: str, keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pac, "CHUNK", 3 * 25 * 8)  # three slots at once
    batch = make_batch([3, 1])
    critic = critic_of(name, **keys)
    inputs, (taken, avail) = packed_inputs(batch, critic.sees, SMALL, CPU), seen(batch)
    with torch.no_grad():
        best, everything = (critic.best(inputs, taken, each, generator()) for each in (avail, torch.ones_like(avail)))
        torch.testing.assert_close(best, brute_force(critic, batch))
    assert (everything >= best).all()
    assert (everything > best).any(), "unavailable joint actions would have counted"


@pytest.mark.parametrize("name", ["pac_critic", "pac_critic_ns"])
def test_sampled_joint_actions_are_available_ones_and_the_one_taken(name: str) -> None:
    batch = make_batch([5, 2, 4])
    few, one, exact = (critic_of(name, max_joint_actions=count) for count in (6, 1, 25))
    inputs, (taken, avail) = packed_inputs(batch, few.sees, SMALL, CPU), seen(batch)
    with torch.no_grad():
        values = [critic.best(inputs, taken, avail, generator()) for critic in (one, few, exact)]
        torch.testing.assert_close(values[0], q_of(one, batch, taken))  # the one taken alone
    assert (values[0] <= values[1] + 1e-6).all()
    assert (values[1] <= values[2] + 1e-6).all()
    assert (values[0] < values[1]).any()
    assert (values[1] < values[2]).any()
    drawn = pac._drawn(taken, avail, 200, generator())  # [P, N, 200]
    chosen = torch.zeros_like(avail).scatter_(-1, drawn[..., 1:], torch.ones((), dtype=torch.bool).expand_as(drawn))
    assert torch.equal(chosen, avail), "each available action is drawn, and no other"
    assert torch.equal(drawn[..., 0], taken)


@pytest.mark.parametrize(
    "keys",
    [{}, {"cg_edges": "star", "cg_payoff_rank": 2}, {"cg_edges": 2, "cg_utilities_hidden_dim": 4,
     "cg_payoffs_hidden_dim": (4, 3)}, {"cg_edges": "vdn"}],
)  # fmt: skip
def test_a_graphs_messages_find_what_looking_at_all_finds(keys: dict[str, Any]) -> None:
    """With three agents, one of them held fixed, no cycle is left."""
    batch = make_batch([5, 2, 4])
    looks, passes = (critic_of("pac_dcg_critic_ns", max_joint_actions=count, **keys) for count in (25, 24))
    passes.load_state_dict(looks.state_dict())
    inputs, (taken, avail) = packed_inputs(batch, looks.sees, SMALL, CPU, agents=(0,)), seen(batch)
    taken = torch.where(avail.gather(-1, taken.unsqueeze(-1)).squeeze(-1), taken, avail.byte().argmax(-1))
    graph = looks(inputs, batch.packing.counts)
    assert graph.utilities.shape == (len(taken), 3, 5)
    best = [critic.best(graph, taken, avail) for critic in (looks, passes)]
    torch.testing.assert_close(best[0], best[1])
    assert (best[0] >= graph.value(taken)[:, None] - 1e-6).all()


def test_a_payoff_does_not_depend_on_the_direction_of_its_edge() -> None:
    """Weights that tell the ends apart make the same payoff for the same pair."""
    one, other = (critic_of("pac_dcg_critic_ns", cg_edges=(edge,)) for edge in ((0, 2), (2, 0)))
    h = torch.randn(2, 7, 8, generator=generator())
    forward, backward = one._payoff(one.payoffs[0], h[0], h[1]), one._payoff(one.payoffs[0], h[1], h[0])
    torch.testing.assert_close(forward, backward.transpose(-1, -2))
    assert torch.equal(one.edges, other.edges)
