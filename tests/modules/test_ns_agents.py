"""Agents with parameters of their own are N separate networks, computed as one."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agent_kit import check_one_network
from pymarl.modules.agents import REGISTRY, ns_agent
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.agents.ns_agent import NSAgent
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.utils.config import build_config

OBS, N_ACTIONS, N = 6, 5, 3
NAMES = [name for name in REGISTRY if name.endswith("_ns")]
assert len(NAMES) == 3
COUNTS = [12, 12, 6, 3]
SPEC = AgentSpec(input_shape=OBS + N_ACTIONS, n_actions=N_ACTIONS, n_agents=N)


def make(name: str, layer_norm: bool = True) -> NSAgent:
    flat = {"rnn_hidden_dim": 8, "use_layer_norm": layer_norm, "use_orthogonal": True, "gain": 1.0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        agent: NSAgent = REGISTRY[name](build_config(REGISTRY[name].Config, flat, {}), SPEC)
        for param in agent.parameters():  # layer norms begin as the identity
            param.data.add_(0.1 * torch.randn(param.shape))
        return agent.double()


def make_inputs(rows: int = sum(COUNTS)) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    one_hot = OneHot(torch.randint(-1, N_ACTIONS, (rows,), generator=generator), N_ACTIONS)
    return Inputs(features=torch.randn(rows, OBS, dtype=torch.float64, generator=generator), one_hots=(one_hot,))


def of_agents(inputs: Inputs, agents: tuple[int, ...]) -> Inputs:
    """Return these agents' rows of inputs of all."""
    rows = torch.arange(inputs.features.shape[0]).view(-1, N)[:, list(agents)].flatten()
    one_hots = tuple(OneHot(one_hot.index[rows], one_hot.width) for one_hot in inputs.one_hots)
    return Inputs(features=inputs.features[rows], one_hots=one_hots, agents=agents)


def columns(rows: Tensor | None, agents: tuple[int, ...]) -> Tensor:
    assert rows is not None
    return rows.detach().unflatten(0, (-1, N))[:, list(agents)].flatten(0, 1)


def close(got: Any, expected: Any) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_equals_separate_shared_networks(name: str, layer_norm: bool) -> None:
    agent, inputs = make(name, layer_norm), make_inputs()
    out, states = agent.unroll(inputs, COUNTS, states=True)
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    (out * weight).sum().backward()
    top = inputs.rows(slice(0, COUNTS[0]))
    acted, hidden = agent.act(top, agent.init_hidden(COUNTS[0]))
    for i, network in enumerate(copy.deepcopy(agent).agents):
        assert type(network) is REGISTRY[name.removesuffix("_ns")]
        network.zero_grad()
        mine = dataclasses.replace(of_agents(inputs, (i,)), agents=None)
        alone = network.unroll(mine, [count // N for count in COUNTS], states=True)
        close(columns(out, (i,)), alone.outputs.detach())
        close(columns(states, (i,)), alone.states.detach())
        (alone.outputs * columns(weight, (i,))).sum().backward()
        for got, expected in zip(agent.agents[i].parameters(), network.parameters(), strict=True):
            assert expected.grad is not None
            assert expected.grad.any()
            close(got.grad, expected.grad)
        close(columns(acted, (i,)), alone.outputs[: COUNTS[0] // N].detach())
        close(columns(hidden, (i,)), alone.states[: COUNTS[0] // N].detach())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("agents", [(1,), (2, 0), (0, 1, 2)])
def test_a_subset_is_the_columns_of_the_whole(name: str, agents: tuple[int, ...]) -> None:
    agent, inputs = make(name), make_inputs()
    whole, part = agent.unroll(inputs, COUNTS, states=True), of_agents(inputs, agents)
    counts = [count // N * len(agents) for count in COUNTS]
    got = agent.unroll(part, counts, states=True)
    close(got.outputs.detach(), columns(whole.outputs, agents))
    assert got.states is not None
    assert whole.states is not None
    close(got.states.detach(), columns(whole.states, agents))
    top = part.rows(slice(0, counts[0]))
    hidden = torch.zeros(counts[0], whole.states.shape[1], dtype=torch.float64)
    close(agent.act(top, hidden)[0], columns(whole.outputs[: COUNTS[0]], agents))
    close(agent(top, hidden)[0].detach(), columns(whole.outputs[: COUNTS[0]], agents))
    got.outputs.sum().backward()
    touched = [i for i in range(N) if any(param.grad is not None for param in agent.agents[i].parameters())]
    assert touched == sorted(agents)


@pytest.mark.parametrize("name", NAMES)
def test_an_optimiser_steps_one_agent_alone(name: str) -> None:
    agent, inputs = make(name), make_inputs()
    before, out = copy.deepcopy(agent), agent.unroll(inputs, COUNTS).outputs
    optimiser = torch.optim.Adam(agent.agents[1].parameters(), lr=0.01)
    out.square().sum().backward()
    optimiser.step()
    for i in range(N):
        pairs = zip(agent.agents[i].parameters(), before.agents[i].parameters(), strict=True)
        assert all(torch.equal(new, old) == (i != 1) for new, old in pairs)
    changed = (agent.unroll(inputs, COUNTS).outputs != out).any(dim=1).view(-1, N)
    assert changed[:, 1].all()
    assert not changed[:, [0, 2]].any()


@pytest.mark.parametrize("name", NAMES)
def test_one_call_computes_all_agents(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the way one after another gives the same."""
    agent, inputs = make(name), make_inputs()
    calls = []
    forward = agent.shared.forward
    monkeypatch.setattr(agent.shared, "forward", lambda self, *args: (calls.append(1), forward(self, *args))[1])
    top, hidden = inputs.rows(slice(0, 12)), agent.init_hidden(12)
    agent(top, hidden)
    acted = agent.act(top, hidden)
    assert len(calls) == 2
    unrolled = agent.unroll(inputs, COUNTS, states=True)
    assert len(calls) <= 2 + len(COUNTS)
    monkeypatch.setattr(ns_agent, "stackable_weights", lambda _agents: None)
    close(agent.act(top, hidden), acted)
    close(agent.unroll(inputs, COUNTS, states=True), unrolled)
    subset = of_agents(inputs, (2, 0))
    close(agent.unroll(subset, [8, 8, 4, 2]).outputs.detach(), columns(unrolled.outputs, (2, 0)))


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_has_epymarls_names(name: str) -> None:
    agent = make(name)
    shared = set(agent.agents[0].state_dict())
    assert "fc1.weight" in shared
    assert set(agent.state_dict()) == {f"agents.{i}.{key}" for i in range(N) for key in shared}


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layer", [Doubled(OBS + N_ACTIONS, 8), nn.Linear(OBS + N_ACTIONS, 8, bias=False)])
@pytest.mark.parametrize("agents", [(1,), (0, 1, 2)])
def test_replaced_layers(name: str, layer: nn.Module, agents: tuple[int, ...]) -> None:
    agent = make(name).float()
    for i in agents:
        agent.agents[i].fc1 = copy.deepcopy(layer)
    check_one_network(agent)
    inputs = make_inputs(6)
    inputs = dataclasses.replace(inputs, features=inputs.features.float())
    network = agent.agents[1]
    alone = network(dataclasses.replace(of_agents(inputs, (1,)), agents=None), network.init_hidden(2))  # type: ignore[operator]
    out = agent(inputs, agent.init_hidden(6))[0]
    torch.testing.assert_close(columns(out, (1,)), alone[0].detach(), rtol=1e-5, atol=1e-6)


def test_an_agent_of_another_width() -> None:
    agent = make("ff_ns").float()
    agent.agents[2].fc1, agent.agents[2].fc2 = nn.Linear(OBS + N_ACTIONS, 4), nn.Linear(4, 8)
    check_one_network(agent)


@pytest.mark.parametrize("name", ["rnn", *NAMES])
def test_act_notices_new_weights_and_layers_within_an_episode(name: str) -> None:
    flat = {"rnn_hidden_dim": 8, "use_layer_norm": True, "use_orthogonal": False, "gain": 1.0}
    agent = REGISTRY[name](build_config(REGISTRY[name].Config, flat, {}), SPEC).double()
    network = agent if name == "rnn" else agent.agents[1]
    inputs = make_inputs(6)
    hidden = agent.init_hidden(6)
    old = agent.act(inputs, hidden)
    with torch.no_grad():
        network.fc1.weight.mul_(2)
    changed = agent.act(inputs, hidden)
    assert not torch.equal(changed[0], old[0])
    close(changed, tuple(tensor.detach() for tensor in agent(inputs, hidden)))
    network.fc1 = nn.Linear(OBS + N_ACTIONS, 8).double()
    close(agent.act(inputs, hidden), tuple(tensor.detach() for tensor in agent(inputs, hidden)))


class Own(NSAgent):
    """Of a user's own network: the state is the sum of features, scaled by the agent's number."""

    class Number(Agent):
        def __init__(self, config: Any, spec: AgentSpec) -> None:
            super().__init__(config, spec)
            self.scale = nn.Parameter(torch.ones(()))

        def init_hidden(self, rows: int) -> Tensor:
            return self.scale.new_zeros(rows, 1)

        def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
            hidden = hidden + self.scale * inputs.features.sum(dim=1, keepdim=True)
            return hidden, hidden

    shared = Number


def test_a_users_own_network_is_computed_one_after_another() -> None:
    agent = Own(None, AgentSpec(input_shape=1, n_actions=1, n_agents=2))
    agent.agents[1].scale.data.fill_(10)  # type: ignore[union-attr, operator]
    inputs = Inputs(features=torch.tensor([[1.0], [1.0], [2.0], [2.0], [3.0], [3.0]]))
    assert agent.unroll(inputs, [4, 2]).outputs.flatten().tolist() == [1, 10, 2, 20, 4, 40]
    assert agent.act(inputs, agent.init_hidden(6))[0].flatten().tolist() == [1, 10, 2, 20, 3, 30]
    part = Inputs(features=torch.tensor([[1.0], [2.0], [3.0]]), agents=(1,))
    assert agent.unroll(part, [2, 1]).outputs.flatten().tolist() == [10, 20, 40]


class Named(NSAgent):
    """Of networks that say whose rows they see."""

    class Name(Own.Number):
        def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
            assert inputs.agents is not None
            return torch.full_like(inputs.features, sum(inputs.agents)), hidden

    shared = Name


def test_networks_one_after_another_know_whose_rows_they_see() -> None:
    agent = Named(None, AgentSpec(input_shape=1, n_actions=1, n_agents=3))
    assert agent(Inputs(features=torch.zeros(6, 1)), agent.init_hidden(6))[0].flatten().tolist() == [0, 1, 2] * 2
    part = Inputs(features=torch.zeros(4, 1), agents=(2, 0))
    assert agent.unroll(part, [4]).outputs.flatten().tolist() == [2, 0, 2, 0]


class Pairs(RNNAgent):
    """Hands fc1 two rows of each agent's, which a stack would take for rows of two agents."""

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        rows = inputs.dense()
        x = self.fc1(torch.stack([rows, -rows], dim=1).flatten(0, 1)).unflatten(0, (-1, 2)).relu().sum(1)
        hidden = self.rnn(x, hidden)
        return self.fc2(hidden), hidden


def test_another_shared_class_says_anew_that_it_may_be_stacked() -> None:
    class PairsNS(REGISTRY["rnn_ns"]):  # type: ignore[misc]
        shared = Pairs

    agent = PairsNS(RNNAgent.Config(rnn_hidden_dim=8), SPEC).double()
    inputs = make_inputs(6)
    mine = dataclasses.replace(of_agents(inputs, (1,)), agents=None)
    expected = agent.agents[1](mine, agent.agents[1].init_hidden(2))
    close(columns(agent(inputs, agent.init_hidden(6))[0], (1,)), expected[0].detach())


def test_half_a_team_has_no_states() -> None:
    with pytest.raises(ValueError, match="expected a multiple of 3 rows, one for each agent, got 4"):
        make("rnn_ns").init_hidden(4)
