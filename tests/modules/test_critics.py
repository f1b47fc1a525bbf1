"""Critics: one per agent computes what each agent's own would."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from learner_kit import SMALL, build_part, flat_config, make_batch
from pymarl.components.inputs import packed_inputs
from pymarl.modules.critics import REGISTRY as CRITICS
from pymarl.modules.critics.critic import Critic
from pymarl.modules.critics.mlp import MLPCritic, NSMLPCritic
from pymarl.modules.inputs import INPUTS_OF_STATES, Inputs


def made(name: str, **keys: Any) -> Any:
    """Return a registered critic."""
    torch.manual_seed(0)
    return build_part(CRITICS[name], flat_config(rnn_hidden_dim=8, **keys), SMALL)


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


@pytest.mark.parametrize("name", ["fmac", "dop"])
def test_critics_of_actions_of_their_own_are_those_of_each_agent(name: str) -> None:
    critic, batch, n = made(f"{name}_ns"), make_batch([4, 1, 6], SMALL), SMALL.n_agents
    inputs = packed_inputs(batch, critic.sees, SMALL, torch.device("cpu"))
    assert critic.sees == tuple(part for part in made(name).sees if part != "agent_id")
    values = critic(inputs)
    for agent, own in enumerate(critic.critics):
        rows = torch.arange(agent, len(values), n)
        torch.testing.assert_close(values[agent::n], own(Inputs(features=inputs.dense()[rows])))
    values.pow(2).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in critic.parameters())


def test_its_width_is_the_agents_unless_it_has_one() -> None:
    for own, width in ((None, 4), (8, 8)):
        critic = MLPCritic(MLPCritic.Config(critic_hidden_dim=own, rnn_hidden_dim=4), SMALL)
        assert critic.fc2.weight.shape == (width, width)


STATES = [name for name in CRITICS if (critic := made(name)).sees and isinstance(critic, Critic)
          and critic.outputs() == 1 and set(critic.sees) <= set(INPUTS_OF_STATES)]  # fmt: skip
"""Critics of states alone, whatever a learner does with them."""


@pytest.mark.parametrize("name", STATES)
def test_a_critic_of_states_values_packed_rows_and_learns_everywhere(name: str) -> None:
    critic, batch = made(name), make_batch([4, 1, 6], SMALL)
    n = SMALL.n_agents
    counts = [count * n for count in batch.packing.counts]
    values = critic.unroll(packed_inputs(batch, critic.sees, SMALL, torch.device("cpu")), counts)
    assert values.shape == (sum(counts), 1)
    values.pow(2).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in critic.parameters())
    assert len(critic.heads()) == (n if name.endswith("_ns") else 1)
    assert ("agent_id" in critic.sees) is not name.endswith("_ns")


@pytest.mark.parametrize("name", STATES)
def test_recurrent_critics_alone_remember(name: str) -> None:
    """What the first slot shows changes later values of a recurrent critic, and of no other."""
    critic = made(name, obs_last_action=False)
    values = []
    for change in (0.0, 1.0):
        batch = make_batch([4, 1, 6], SMALL)
        batch.data["obs"][:, 0] += change
        batch.data["state"][:, 0] += change
        counts = [count * SMALL.n_agents for count in batch.packing.counts]
        values.append(critic.unroll(packed_inputs(batch, critic.sees, SMALL, torch.device("cpu")), counts))
    later = torch.equal(*(each[counts[0] :] for each in values))
    assert later is ("rnn" not in name)
    assert not torch.equal(values[0][: counts[0]], values[1][: counts[0]])


def test_what_a_central_critic_sees() -> None:
    """The widths of EPyMARL's: state, joint observations, joint last actions, number; or whatever is listed."""
    n, a, o, s = SMALL.n_agents, SMALL.n_actions, SMALL.obs_shape, SMALL.state_shape
    for more, width in (({}, s + n), ({"obs_individual_obs": True}, s + n * o + n),
                        ({"obs_individual_obs": True, "obs_last_action": True}, s + n * o + n * a + n),
                        ({"critic_inputs": ["obs", "agent_id"], "obs_last_action": True}, o + n)):  # fmt: skip
        keys = {"obs_last_action": False, **more}
        assert made("cv_critic", **keys).fc1.weight.shape[1] == width
        assert made("cv_rnn_critic", **keys).net.fc1.weight.shape[1] == width
        assert made("cv_critic_ns", **keys).critics[0].fc1.weight.shape[1] == width - n


def test_rescaled_outputs_mean_the_same() -> None:
    """PopArt by hand: 2 y + 1 before, 5 y' - 3 after."""
    critic, rows = made("cv_critic"), Inputs(features=torch.randn(7, made("cv_critic").input_shape))
    before = 2 * critic(rows) + 1
    critic.rescale(*(torch.tensor(number) for number in (1.0, 2.0, -3.0, 5.0)))
    torch.testing.assert_close(5 * critic(rows) - 3, before)
