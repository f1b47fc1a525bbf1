"""PyMARL2's agents: attention as a slow sum, the conv agent's window at an episode's start, noisy layers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from agent_kit import N_ACTIONS, N_AGENTS, OBS, make, make_inputs
from learner_kit import flat_config
from pymarl.modules.agents import REGISTRY
from pymarl.modules.agents.agent import AgentSpec
from pymarl.modules.inputs import Inputs
from pymarl.modules.layers.noisy_linear import SIGMA, NoisyLinear
from pymarl.modules.layers.self_attention import SelfAttention
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError


def slow_attention(att: SelfAttention, rows: Tensor, embed: int) -> Tensor:
    """Return [N, heads * embed] of one team's dense rows [N, E], one number after the other."""
    keys, queries, values = (rows @ layer.weight.t() for layer in (att.tokeys, att.toqueries, att.tovalues))
    out = torch.zeros_like(values)
    for head in range(att.heads):
        own = slice(head * embed, (head + 1) * embed)
        for i in range(len(rows)):
            scores = [math.exp(float(queries[i, own] @ keys[j, own]) / math.sqrt(embed)) for j in range(len(rows))]
            for j, score in enumerate(scores):
                out[i, own] += score / sum(scores) * values[j, own]
    return out


def test_attention_is_a_softmax_over_the_team() -> None:
    agent: Any = make(REGISTRY["att_rnn"], att_heads=3, att_embed_dim=4)
    inputs = make_inputs(2 * N_AGENTS)
    with torch.no_grad():
        got = agent.att(inputs, N_AGENTS)
        expected = [slow_attention(agent.att, team, 4) for team in inputs.dense().split(N_AGENTS)]
    torch.testing.assert_close(got, torch.cat(expected))


def test_agents_attend_to_their_own_team_alone_and_to_all_of_it() -> None:
    agent = make(REGISTRY["att_rnn"])
    inputs, hidden = make_inputs(2 * N_AGENTS), agent.init_hidden(2 * N_AGENTS)
    features = inputs.features.clone()
    features[4] += 1.0  # the second team's second agent
    moved = Inputs(features=features, one_hots=inputs.one_hots)
    differs = (agent(inputs, hidden)[0] != agent(moved, hidden)[0]).any(1)
    assert differs.tolist() == [False] * 3 + [True] * 3
    assert (agent(inputs, hidden)[1] != agent(moved, hidden)[1]).any(1).tolist() == [False] * 4 + [True, False]
    with pytest.raises(ValueError, match=r"rows of agents \(0, 2\): each attends to all 3"):
        agent(Inputs(features=features[:2], one_hots=inputs.rows(slice(0, 2)).one_hots, agents=(0, 2)), hidden[:2])


def known_conv(frames: int = 4) -> Any:
    """Return a conv agent of one channel that weighs its window with powers of ten: [1, 2, 3, 4] makes 1234 + ..."""
    spec = AgentSpec(input_shape=1, n_actions=1, n_agents=1)
    cls = REGISTRY["conv_agent"]
    agent: Any = cls(build_config(cls.Config, flat_config(rnn_hidden_dim=1, frames=frames), {}), spec)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.zero_()
        agent.conv1.weight.copy_(torch.tensor([[[1000.0, 1.0]]]))  # 1000 x_older + x_younger
        agent.conv2.weight.copy_(torch.tensor([[[1.0, 0.0, 0.1]]]))
        agent.fc1.weight.fill_(1.0)
        agent.fc2.weight.fill_(1.0)
    return agent


def by_hand(*window: float) -> float:
    """What `known_conv` makes of four frames, oldest first: its first pair and a tenth of its last."""
    return 1000 * window[0] + window[1] + 0.1 * (1000 * window[2] + window[3])


STEPS = [1.0, 2.0, 3.0, 4.0, 5.0]
WINDOWS = [(0, 0, 0, 1), (0, 0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5)]


def test_the_window_begins_with_zeros_and_slides() -> None:
    agent = known_conv()
    inputs = Inputs(features=torch.tensor(STEPS)[:, None])
    out, states = agent.unroll(inputs, [1] * 5, states=True)
    torch.testing.assert_close(out[:, 0].detach(), torch.tensor([by_hand(*window) for window in WINDOWS]))
    assert states.tolist() == [list(map(float, window[1:])) for window in WINDOWS]
    hidden = agent.init_hidden(1)
    for t in range(5):
        acted, hidden = agent.act(inputs.rows(slice(t, t + 1)), hidden)
        torch.testing.assert_close(acted, out[t : t + 1].detach())


def test_a_window_is_of_its_own_sequence_and_goes_on_where_a_piece_began() -> None:
    """Two sequences, of three slots and of one, that begin with frames of their own."""
    agent = known_conv()
    hidden = torch.tensor([[7.0, 8.0, 9.0], [0.0, 0.0, 6.0]])
    inputs = Inputs(features=torch.tensor([[1.0], [10.0], [2.0], [3.0]]))
    out = agent.unroll(inputs, [2, 1, 1, 0], hidden).outputs[:, 0]
    expected = [by_hand(7, 8, 9, 1), by_hand(0, 0, 6, 10), by_hand(8, 9, 1, 2), by_hand(9, 1, 2, 3)]
    torch.testing.assert_close(out.detach(), torch.tensor(expected))


def test_too_few_frames_are_one_line() -> None:
    with pytest.raises(UserError, match="frames=3: expected int >= 4"):
        known_conv(frames=3)
    assert known_conv(frames=6).fc1.in_features == 3


def test_noise_is_drawn_once_and_off_in_evaluation() -> None:
    agent: Any = make(REGISTRY["noisy_rnn"])
    inputs, hidden = make_inputs(9), agent.init_hidden(9)

    def outputs() -> Tensor:
        out: Tensor = agent.act(inputs, hidden)[0]
        return out

    means = outputs()
    agent.resample(torch.Generator().manual_seed(1))
    noisy = outputs()
    assert (noisy != means).all()
    assert torch.equal(outputs(), noisy), "nothing is drawn on the way"
    agent.eval()
    assert torch.equal(outputs(), means)
    agent.resample(torch.Generator().manual_seed(2))
    assert torch.equal(outputs(), means)
    agent.train()
    assert not torch.equal(outputs(), noisy)
    layer, states = agent.fc2, agent(inputs, hidden)[1]
    weight, bias = layer.u_w + SIGMA * layer.e_w, layer.u_b + SIGMA * layer.e_b
    torch.testing.assert_close(outputs(), (states @ weight.t() + bias).detach())


@pytest.mark.parametrize("width", [20, 64])
def test_noisy_layers_begin_as_in_their_paper(width: int) -> None:
    """Uniform in +-sqrt(3/width), weights and biases alike; deviations of 0.017."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = NoisyLinear(width, 2000)
    bound = math.sqrt(3 / width)
    for mean in (layer.u_w.detach(), layer.u_b.detach()):
        assert 0.99 * bound < mean.max() <= bound
        assert -bound <= mean.min() < -0.99 * bound
        assert abs(mean.mean()) < 0.05 * bound
        assert mean.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)
    deviations = torch.cat([layer.s_w.flatten(), layer.s_b]).detach()
    torch.testing.assert_close(deviations, torch.full_like(deviations, 0.017))


def test_state_dicts_have_pymarl2s_names_and_order() -> None:
    gru = [f"rnn.{kind}_{side}" for kind in ("weight", "bias") for side in ("ih", "hh")]
    first = ["fc1.weight", "fc1.bias", *gru]
    assert list(make(REGISTRY["att_rnn"]).state_dict()) == [
        *first, "att.tokeys.weight", "att.toqueries.weight", "att.tovalues.weight", "fc2.weight", "fc2.bias",
        "fc3.0.weight", "fc3.0.bias", "fc3.2.weight", "fc3.2.bias",
    ]  # fmt: skip
    noisy = [f"fc2.{name}" for name in ("u_w", "s_w", "u_b", "s_b")]
    assert list(make(REGISTRY["noisy_rnn"]).state_dict()) == [*first, *noisy]
    with_norm = make(REGISTRY["noisy_rnn"], use_layer_norm=True)
    assert list(with_norm.state_dict()) == [*first, *noisy, "layer_norm.weight", "layer_norm.bias"]
    layers = ("conv1", "conv2", "fc1", "fc2")
    assert list(make(REGISTRY["conv_agent"]).state_dict()) == [
        f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")
    ]
    assert make(REGISTRY["conv_agent"]).init_hidden(4).shape == (4, 3 * (OBS + N_ACTIONS))
