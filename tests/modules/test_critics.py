"""Critics: one per agent computes what each agent's own would."""

from __future__ import annotations

import torch

from learner_kit import SMALL
from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic
from pymarl.modules.inputs import Inputs


class Own(NSMLPCritic):
    shared = MLPCritic
    Config = MLPCritic.Config


def test_critics_of_their_own_are_those_of_each_agent() -> None:
    """Row r is agent r % N's, and nobody sees a number."""
    info = SMALL
    critic = Own(MLPCritic.Config(critic_hidden_dim=8, rnn_hidden_dim=4), info)
    assert critic.sees == ("state",)
    rows = 5 * info.n_agents
    inputs = Inputs(features=torch.randn(rows, info.state_shape))
    values = critic(inputs)
    for agent, own in enumerate(critic.critics):
        mine = own(inputs.rows(slice(agent, None, info.n_agents)))
        torch.testing.assert_close(values[agent :: info.n_agents], mine)
    values.sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in critic.parameters())


def test_its_width_is_the_agents_unless_it_has_one() -> None:
    for own, width in ((None, 4), (8, 8)):
        critic = MLPCritic(MLPCritic.Config(critic_hidden_dim=own, rnn_hidden_dim=4), SMALL)
        assert critic.fc2.weight.shape == (width, width)
