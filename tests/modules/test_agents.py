"""The agent contract, for every agent in the registry, and what only one agent promises."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import agent_kit
from pymarl.modules.agents import REGISTRY
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.agents.n_rnn_agent import NRNNAgent
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.utils.config import build_config

OBS, N_ACTIONS, N_AGENTS, HIDDEN = 6, 5, 3, 8
FLAT = {**agent_kit.FLAT, "use_layer_norm": True, "use_orthogonal": True, "gain": 0.01, "obs_agent_id": True}


def spec(input_shape: int = OBS + N_ACTIONS + N_AGENTS) -> AgentSpec:
    return AgentSpec(input_shape=input_shape, n_actions=N_ACTIONS, n_agents=N_AGENTS, entities=agent_kit.LAYOUT)


def make(cls: type[Agent], extra: dict[str, Any] | None = None) -> Agent:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = build_config(cls.Config, FLAT | (extra or {}), {})  # type: ignore[attr-defined]
        return cls(config, spec())


def make_inputs(rows: int, seed: int = 0, action: bool = True, ident: bool = True) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, OBS, generator=generator)
    one_hots = []
    if action:
        one_hots.append(OneHot(torch.randint(-1, N_ACTIONS, (rows,), generator=generator), N_ACTIONS))
    if ident:
        one_hots.append(OneHot(torch.arange(N_AGENTS).repeat(rows // N_AGENTS), N_AGENTS))
    return Inputs(features=features, one_hots=tuple(one_hots))


def grads(agent: Agent) -> list[Tensor | None]:
    return [param.grad for param in agent.parameters()]


@pytest.mark.parametrize("name", REGISTRY)
def test_contract(name: str) -> None:
    """Shapes; unroll and act equal forward; a gradient reaches every parameter; rows do not mix, or teams do not."""
    agent = make(REGISTRY[name])
    agent.resample(torch.Generator().manual_seed(0))
    counts = [9, 9, 6, 3, 0]
    inputs = make_inputs(sum(counts))
    hidden = agent.init_hidden(9)
    assert hidden.shape[0] == 9
    assert not hidden.any()
    out, after = agent(inputs.rows(slice(0, 9)), hidden)
    assert out.shape == (9, N_ACTIONS)
    assert after.shape == hidden.shape

    expected = Agent.unroll(agent, inputs, counts).outputs
    got = agent.unroll(inputs, counts).outputs
    torch.testing.assert_close(got, expected)
    expected.square().sum().backward()
    expected_grads = grads(agent)
    agent.zero_grad(set_to_none=True)
    got.square().sum().backward()
    asked = {part: part.split(".")[0] not in agent.heads for part, _ in agent.named_parameters()}
    assert [grad is not None and grad.abs().sum() > 0 for grad in grads(agent)] == list(asked.values())
    torch.testing.assert_close(grads(agent), expected_grads)

    changed = dataclasses.replace(inputs, features=inputs.features.index_fill(0, torch.tensor([0]), 9.0))
    same = (agent.unroll(changed, counts).outputs == got).all(dim=1)
    mixed = N_AGENTS if agent.mixes_agents else 1
    assert not same[:mixed].any()
    assert same[mixed:9].all()


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("action", [False, True])
@pytest.mark.parametrize("ident", [False, True])
def test_act_is_forward(name: str, action: bool, ident: bool) -> None:
    config = build_config(REGISTRY[name].Config, FLAT | {"obs_last_action": action, "obs_agent_id": ident}, {})
    agent = REGISTRY[name](config, spec(OBS + N_ACTIONS * action + N_AGENTS * ident))
    agent.resample(torch.Generator().manual_seed(0))
    hidden = acting = agent.init_hidden(6)
    for step in range(5):
        inputs = make_inputs(6, step, action, ident)
        out, hidden = agent(inputs, hidden)
        got, acting = agent.act(inputs, acting)
        assert not got.requires_grad
        torch.testing.assert_close(got, out.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(acting, hidden.detach(), rtol=1e-5, atol=1e-6)


def test_act_notices_new_weights() -> None:
    agent, other = make(RNNAgent), make(RNNAgent)
    inputs, hidden = make_inputs(6), torch.ones(6, HIDDEN)
    agent.act(inputs, hidden)
    with torch.no_grad():
        for param in other.parameters():
            param.mul_(1.5)
    agent.load_state_dict(other.state_dict())
    torch.testing.assert_close(agent.act(inputs, hidden)[0], other(inputs, hidden)[0].detach())
    agent.double()
    inputs = dataclasses.replace(inputs, features=inputs.features.double())
    torch.testing.assert_close(agent.act(inputs, hidden.double())[0].float(), other(make_inputs(6), hidden)[0].detach())


def test_a_step_keeps_no_state_of_its_own() -> None:
    """States handed out are never written to later."""
    agent = make(RNNAgent)
    inputs = make_inputs(6)
    first = agent.act(inputs, agent.init_hidden(6))
    kept = [tensor.clone() for tensor in first]
    agent.act(make_inputs(6, seed=1), first[1])
    assert all(torch.equal(a, b) for a, b in zip(first, kept, strict=True))


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("action", [False, True])
@pytest.mark.parametrize("ident", [False, True])
def test_inputs_linear_is_linear_of_dense(grad: bool, action: bool, ident: bool) -> None:
    inputs = make_inputs(12, action=action, ident=ident)
    layer = nn.Linear(OBS + N_ACTIONS * action + N_AGENTS * ident, 7)
    dense = inputs.dense()
    assert dense.shape == (12, layer.in_features)
    if action and ident:  # PyMARL's order
        row = dense[4]
        expected = torch.zeros(N_ACTIONS)
        if (last_action := inputs.one_hots[0].index[4]) >= 0:
            expected[last_action] = 1
        assert torch.equal(row[OBS : OBS + N_ACTIONS], expected)
        assert torch.equal(row[OBS + N_ACTIONS :], torch.tensor([0.0, 1.0, 0.0]))
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(inputs.linear(layer), layer(dense))
    if grad:
        (expected_grad,) = torch.autograd.grad(layer(dense).square().sum(), layer.weight)
        (got_grad,) = torch.autograd.grad(inputs.linear(layer).square().sum(), layer.weight)
        torch.testing.assert_close(got_grad, expected_grad)


def test_no_last_action_is_zeros() -> None:
    inputs = Inputs(features=torch.ones(3, OBS), one_hots=(OneHot(torch.full((3,), -1), N_ACTIONS),))
    assert not inputs.dense()[:, OBS:].any()


def test_state_dict_has_pymarl2_names() -> None:
    gru = [f"rnn.{kind}_{side}" for kind in ("weight", "bias") for side in ("ih", "hh")]
    linear = [f"{layer}.{kind}" for layer in ("fc1", "fc2", "layer_norm") for kind in ("weight", "bias")]
    assert set(make(NRNNAgent).state_dict()) == {*gru, *linear}
    assert set(make(RNNAgent).state_dict()) == {*gru, *linear[:4]}
    assert set(make(REGISTRY["ff"]).state_dict()) == {f"fc{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")}


def test_orthogonal_initialisation() -> None:
    agent = make(NRNNAgent)
    assert isinstance(agent, NRNNAgent)
    fc1, fc2 = agent.fc1.weight.detach(), agent.fc2.weight.detach()
    torch.testing.assert_close(fc1 @ fc1.t(), torch.eye(HIDDEN), atol=1e-5, rtol=0)
    torch.testing.assert_close(fc2 @ fc2.t(), 0.01**2 * torch.eye(N_ACTIONS), atol=1e-7, rtol=0)
    assert not agent.fc1.bias.any()
    assert not agent.fc2.bias.any()


def test_layer_norm_is_not_in_the_recurrence() -> None:
    with_norm, without = make(NRNNAgent), make(NRNNAgent, {"use_layer_norm": False})
    without.load_state_dict(with_norm.state_dict(), strict=False)
    inputs, hidden = make_inputs(6), torch.randn(6, HIDDEN, generator=torch.Generator().manual_seed(0))
    (out, after), (plain_out, plain_after) = with_norm(inputs, hidden), without(inputs, hidden)
    assert torch.equal(after, plain_after)
    normal = (after - after.mean(1, keepdim=True)) / (after.var(1, keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(out, with_norm.fc2(normal))
    assert not torch.equal(out, plain_out)


class CumulativeAgent(Agent):
    """A user's agent with three methods: outputs a running sum of observations, so every output is known."""

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.scale = nn.Parameter(torch.ones(()))
        self.n_actions = spec.n_actions

    def init_hidden(self, rows: int) -> Tensor:
        return self.scale.new_zeros(rows, 1)

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = hidden + inputs.features.sum(dim=1, keepdim=True)
        return self.scale * hidden.expand(-1, self.n_actions), hidden


def test_a_users_agent_needs_three_methods() -> None:
    agent = CumulativeAgent(None, AgentSpec(input_shape=1, n_actions=2, n_agents=1))
    inputs = Inputs(features=torch.tensor([[1.0], [10.0], [2.0], [20.0], [3.0]]))  # two rows, two rows, one row
    out, states = agent.unroll(inputs, [2, 2, 1, 0])
    assert states is None
    assert out[:, 0].tolist() == [1.0, 10.0, 3.0, 30.0, 6.0]
    out.sum().backward()
    assert agent.scale.grad == 100.0
    assert torch.equal(agent.act(inputs.rows(slice(0, 2)), agent.init_hidden(2))[0][:, 1], torch.tensor([1.0, 10.0]))


class DoubledAgent(RNNAgent):
    """A user's agent that changes another one's forward."""

    def forward(self, inputs: Inputs, hidden: Tensor) -> tuple[Tensor, Tensor]:
        out, hidden = super().forward(inputs, hidden)
        return 2 * out, hidden


def test_a_new_forward_drops_the_inherited_unroll_and_act() -> None:
    agent, base = make(DoubledAgent), make(RNNAgent)
    inputs = make_inputs(9)
    torch.testing.assert_close(agent.unroll(inputs, [6, 3]).outputs, 2 * base.unroll(inputs, [6, 3]).outputs)
    first = inputs.rows(slice(0, 6))
    torch.testing.assert_close(
        agent.act(first, agent.init_hidden(6))[0], 2 * base.act(first, base.init_hidden(6))[0], rtol=1e-5, atol=1e-6
    )
