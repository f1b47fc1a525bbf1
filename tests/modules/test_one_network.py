"""forward, act and unroll of an agent are one network, whatever its layers are replaced by; unroll of pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrizations

from agent_kit import (
    COUNTS,
    HIDDEN,
    N_ACTIONS,
    N_AGENTS,
    OBS,
    check_one_network,
    close,
    make,
    make_inputs,
    with_features,
)
from pymarl.modules.agents import REGISTRY
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.modules.layers.gru import GRUNetwork


class TripleLinear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return 3 * super().forward(input)


class NegativeCell(nn.GRUCell):
    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return -super().forward(input, hx)


def own_forward(layer: nn.Module) -> nn.Module:
    plain = layer.forward
    layer.forward = lambda *args: 2 * plain(*args)
    return layer


def forward_hook(layer: nn.Module) -> nn.Module:
    layer.register_forward_hook(lambda _module, _args, out: out + 1)
    return layer


def pre_hook(layer: nn.Module) -> nn.Module:
    layer.register_forward_pre_hook(lambda _module, args: tuple(2 * arg for arg in args))
    return layer


def subclass(layer: nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        if isinstance(layer, nn.GRUCell):
            return NegativeCell(layer.input_size, layer.hidden_size)
        assert isinstance(layer, nn.Linear)
        return TripleLinear(layer.in_features, layer.out_features)


def without_bias(layer: nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        if isinstance(layer, nn.GRUCell):
            return nn.GRUCell(layer.input_size, layer.hidden_size, bias=False)
        assert isinstance(layer, nn.Linear)
        return nn.Linear(layer.in_features, layer.out_features, bias=False)


def parametrized(layer: nn.Module) -> nn.Module:
    name = "weight_hh" if isinstance(layer, nn.GRUCell) else "weight"
    parametrizations.weight_norm(layer, name)
    magnitude = layer.parametrizations[name].original0  # type: ignore[union-attr, index]
    with torch.no_grad():
        magnitude.mul_(2)
    return layer


CHANGES = [own_forward, forward_hook, pre_hook, subclass, without_bias, parametrized]
PLACES = [("rnn", "fc1"), ("rnn", "rnn"), ("rnn", "fc2"), ("n_rnn", "fc2"), ("ff", "fc1"), ("ff", "fc2"),
          ("att_rnn", "fc1"), ("noisy_rnn", "rnn"), ("conv_agent", "fc1")]  # fmt: skip


@pytest.mark.parametrize(("name", "layer"), PLACES)
@pytest.mark.parametrize("change", CHANGES)
def test_replaced_layers(name: str, layer: str, change: Callable[[nn.Module], nn.Module]) -> None:
    agent, plain = make(REGISTRY[name]), make(REGISTRY[name])
    inputs = make_inputs()
    agent.act(inputs.rows(slice(0, 9)), agent.init_hidden(9))  # what is kept of the old layers must go
    setattr(agent, layer, change(getattr(agent, layer)))
    assert not torch.allclose(agent.unroll(inputs, COUNTS).outputs, plain.unroll(inputs, COUNTS).outputs)
    check_one_network(agent)


@pytest.mark.parametrize("name", REGISTRY)
def test_hooks_of_the_agent_and_of_all_modules(name: str) -> None:
    agent = make(REGISTRY[name])
    check_one_network(agent)
    agent.register_forward_hook(lambda _module, _args, out: (out[0] + 1, out[1]))
    check_one_network(agent)
    agent = make(REGISTRY[name])
    handle = register_module_forward_hook(lambda module, _args, out: out + 1 if isinstance(module, nn.Linear) else None)
    try:
        check_one_network(agent)
    finally:
        handle.remove()


class Narrow(RNNAgent):
    """fc1 narrower than the state."""

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.fc1 = nn.Linear(spec.input_shape, 5)
        self.rnn = nn.GRUCell(5, config.rnn_hidden_dim)


class LearnedStart(RNNAgent):
    """Starts from a state that is trained."""

    def __init__(self, config: Any, spec: AgentSpec) -> None:
        super().__init__(config, spec)
        self.start = nn.Parameter(torch.linspace(-1, 1, config.rnn_hidden_dim))

    def init_hidden(self, rows: int) -> Tensor:
        return self.start.expand(rows, -1)


class OwnHead(RNNAgent):
    """Nothing but the head is its own."""

    def network(self) -> GRUNetwork:
        return super().network()._replace(fc2=nn.Sequential(self.fc2, nn.Tanh()))


@pytest.mark.parametrize("cls", [Narrow, LearnedStart, OwnHead])
def test_users_subclasses(cls: type[RNNAgent]) -> None:
    check_one_network(make(cls))


def test_act_follows_one_hots_of_any_number() -> None:
    """Each of them may change from step to step."""
    spec = AgentSpec(input_shape=OBS + 3 + 2 + 4, n_actions=N_ACTIONS, n_agents=N_AGENTS)
    agent = RNNAgent(RNNAgent.Config(rnn_hidden_dim=HIDDEN), spec)
    generator, hidden = torch.Generator().manual_seed(0), torch.zeros(6, HIDDEN)
    for _ in range(3):
        one_hots = tuple(OneHot(torch.randint(-1, width, (6,), generator=generator), width) for width in (3, 2, 4))
        inputs = Inputs(features=torch.randn(6, OBS, generator=generator), one_hots=one_hots)
        expected = agent(inputs, hidden)
        close(agent.act(inputs, hidden), tuple(tensor.detach() for tensor in expected))
    close(agent.unroll(inputs, [6], hidden).outputs, expected[0])


@pytest.mark.parametrize("name", REGISTRY)
def test_unroll_of_pieces_is_the_unroll_of_the_whole(name: str) -> None:
    """Outputs, states, and gradients through the states that are carried on."""
    agent, inputs = make(REGISTRY[name]), make_inputs()
    whole = inputs.features.clone().requires_grad_()
    expected = agent.unroll(with_features(inputs, whole), COUNTS, states=True)
    expected.outputs[18:].square().sum().backward()

    parts = inputs.features.clone().requires_grad_()
    cut = with_features(inputs, parts)
    first = agent.unroll(cut.rows(slice(0, 18)), [9, 9], states=True)
    assert first.states is not None
    carried = first.states[9:][:6]  # those of slot 1 that go on
    second = agent.unroll(cut.rows(slice(18, None)), [6, 3], carried, states=True)
    close(torch.cat([first.outputs, second.outputs]), expected.outputs)
    close(torch.cat([first.states, second.states]), expected.states)  # type: ignore[list-item]
    agent.unroll(cut.rows(slice(18, None)), [6, 3], carried).outputs.square().sum().backward()
    close(parts.grad, whole.grad)
    assert parts.grad is not None
    assert parts.grad[:18].any() == (name.removesuffix("_ns") != "ff")  # an agent without memory carries nothing


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("rows", [6, 12])
def test_states_of_another_number_of_rows_are_refused(name: str, rows: int) -> None:
    agent, inputs = make(REGISTRY[name]), make_inputs()
    with pytest.raises(ValueError, match=rf"expected hidden states of 9 rows, those of slot 0, got \[{rows},"):
        agent.unroll(inputs, COUNTS, agent.init_hidden(rows))


@pytest.mark.parametrize("name", REGISTRY)
def test_an_encoder_before_an_agent_learns(name: str) -> None:
    """The encoder's gradient through unroll is that through forward."""
    agent, inputs = make(REGISTRY[name]), make_inputs()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = nn.Linear(OBS, OBS)
    agent.requires_grad_(False)
    grads = []
    for unroll in (Agent.unroll, type(agent).unroll):
        out = unroll(agent, with_features(inputs, encoder(inputs.features)), COUNTS).outputs
        grads.append(torch.autograd.grad(out.square().sum(), encoder.weight)[0])
    assert grads[0].any()
    close(grads[1], grads[0])
