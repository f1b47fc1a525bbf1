"""Small agents, their inputs, and the check that their forward, act and unroll are one network."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from learner_kit import flat_config
from pymarl.envs.specs import Block, EntityLayout
from pymarl.modules.agents.agent import Agent, AgentSpec
from pymarl.modules.inputs import Inputs, OneHot
from pymarl.utils.config import build_config

OBS, N_ACTIONS, N_AGENTS, HIDDEN = 6, 5, 3, 8
COUNTS = [9, 9, 6, 3, 0]
FLAT = flat_config(rnn_hidden_dim=HIDDEN, gain=1.0, hpn_hyper_dim=4, hpn_head_num=2, obs_agent_id=False)
LAYOUT = EntityLayout(
    obs=(Block("move", 1, 1), Block("enemies", 2, 1), Block("allies", 2, 1), Block("own", 1, 1)), state=(),
    first_target=3,
)  # fmt: skip
"""Of OBS features and N_ACTIONS actions, for agents that need one."""


def make(cls: Any, **overrides: Any) -> Agent:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        spec = AgentSpec(input_shape=OBS + N_ACTIONS, n_actions=N_ACTIONS, n_agents=N_AGENTS, entities=LAYOUT)
        return cls(build_config(cls.Config, FLAT | overrides, {}), spec)


def make_inputs(rows: int = sum(COUNTS), seed: int = 0) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(rows, OBS, generator=generator)
    return Inputs(
        features=features, one_hots=(OneHot(torch.randint(-1, N_ACTIONS, (rows,), generator=generator), N_ACTIONS),)
    )


def with_features(inputs: Inputs, features: Tensor) -> Inputs:
    return dataclasses.replace(inputs, features=features)


def close(got: Any, expected: Any) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def check_one_network(agent: Agent) -> None:
    """Compare outputs, states and the gradients of weights and features."""
    inputs, results = make_inputs(), []
    for unroll in (Agent.unroll, type(agent).unroll):
        features = inputs.features.clone().requires_grad_()
        agent.zero_grad(set_to_none=True)
        out, states = unroll(agent, with_features(inputs, features), COUNTS, states=True)
        assert states is not None
        close(unroll(agent, inputs, COUNTS).outputs, out)
        (out.square().sum() + states.square().sum()).backward()
        results.append([out, states, features.grad, *(param.grad for param in agent.parameters())])
    close(results[1], results[0])

    first = inputs.rows(slice(0, 9))
    hidden = agent.init_hidden(9)
    for _ in range(2):
        expected = agent(first, hidden)
        close(agent.act(first, hidden), tuple(tensor.detach() for tensor in expected))
        hidden = expected[1].detach()
