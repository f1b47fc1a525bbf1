"""Central networks: what they compute, one number at a time, and PyMARL2's parameter names."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pymarl.envs.specs import EnvInfo
from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.agents.rnn_agent import RNNAgent
from pymarl.modules.central import AGENTS, MIXERS
from pymarl.modules.central.central_mixer import CentralMixer
from pymarl.modules.inputs import Inputs
from pymarl.utils.config import config_keys

P, N, A, S, E, K, HYPER = 7, 3, 5, 6, 4, 2, 8
INFO = EnvInfo(n_agents=N, n_actions=A, obs_shape=3, state_shape=S, episode_limit=6)
VALUES = {"central_mixing_embed_dim": E, "hypernet_embed": HYPER}


def make(name: str, embed: int) -> CentralMixer:
    torch.manual_seed(0)
    cls = MIXERS[name]
    keys = VALUES | {"central_action_embed": embed}
    mixer: CentralMixer = cls(cls.Config(**{key: keys[key] for key in config_keys(cls)}), INFO).double()
    return mixer


def inputs(embed: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.randn(P, N, embed, generator=g).double(), torch.randn(P, S, generator=g).double()


def layers(network: Any, x: list[float]) -> list[float]:
    """Return what linear layers with a relu between them make of numbers, in plain Python."""
    linears = list(network)[::2]
    for layer in linears:
        rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        x = [sum(w * value for w, value in zip(weights, x, strict=True)) + bias for weights, bias in rows]
        x = x if layer is linears[-1] else [max(value, 0.0) for value in x]
    return x


def slow_ff(mixer: Any, values: list[list[float]], state: list[float]) -> float:
    return layers(mixer.net, [*state, *(value for own in values for value in own)])[0] + layers(mixer.V, state)[0]


def slow_atten(mixer: Any, values: list[list[float]], state: list[float]) -> float:
    logits, embed = layers(mixer.atten_layer, state), len(values[0])
    read = []
    for k in range(embed):
        for head in range(E):
            weights = [math.exp(logits[agent * E + head]) for agent in range(N)]
            read.append(sum(w * values[agent][k] for agent, w in enumerate(weights)) / sum(weights))
    return layers(mixer.net, read)[0] + layers(mixer.V, state)[0]


@pytest.mark.parametrize("embed", [1, K])
@pytest.mark.parametrize(("name", "slow"), [("ff", slow_ff), ("atten", slow_atten)])
def test_a_mixer_equals_its_layers_one_by_one(name: str, slow: Any, embed: int) -> None:
    mixer, (values, state) = make(name, embed), inputs(embed)
    with torch.no_grad():
        out = mixer(values, state)
    assert out.shape == (P, 1)
    expected = [slow(mixer, values[row].tolist(), state[row].tolist()) for row in range(P)]
    assert out.flatten().tolist() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", MIXERS)
def test_every_parameter_of_a_mixer_has_a_gradient(name: str) -> None:
    mixer, (values, state) = make(name, K), inputs(K)
    values.requires_grad_()
    mixer(values, state).square().sum().backward()
    assert values.grad is not None
    assert (values.grad.abs().sum((0, 2)) > 0).all(), "each agent counts"
    for parameter, value in mixer.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.abs().sum() > 0, parameter


def test_heads_read_means_of_the_agents() -> None:
    """What all agents say alike, each head of atten reads, whatever the state."""
    mixer, (_, state) = make("atten", 1), inputs(1)
    seen: list[Tensor] = []
    mixer.get_submodule("net").register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    mixer(torch.full((P, N, 1), 3.0).double(), state)
    torch.testing.assert_close(seen[0], torch.full((P, E), 3.0).double())


def test_parameter_names_are_pymarl2s() -> None:
    def names(*parts: str) -> list[str]:
        return [f"{part}.{kind}" for part in parts for kind in ("weight", "bias")]

    assert [name for name, _ in make("ff", 1).named_parameters()] == names(
        "net.0", "net.2", "net.4", "net.6", "V.0", "V.2"
    )
    atten = names("atten_layer.0", "atten_layer.2", "net.0", "net.2", "net.4", "V.0", "V.2")
    assert [name for name, _ in make("atten", 1).named_parameters()] == atten
    agent = AGENTS["central_rnn"]
    spec = AgentSpec(input_shape=4, n_actions=A, n_agents=N)
    central = agent(agent.Config(central_rnn_hidden_dim=9, central_action_embed=K), spec)
    plain = RNNAgent(RNNAgent.Config(rnn_hidden_dim=9), AgentSpec(input_shape=4, n_actions=A * K, n_agents=N))
    shapes = [{name: value.shape for name, value in network.state_dict().items()} for network in (central, plain)]
    assert shapes[0] == shapes[1]
    out, hidden = central(Inputs(features=torch.randn(6, 4)), central.init_hidden(6))
    assert (out.shape, hidden.shape) == ((6, A * K), (6, 9)), "central_rnn_hidden_dim is its width"
