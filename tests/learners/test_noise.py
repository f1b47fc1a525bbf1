"""When noisy agents draw: once in each update for each network, before each action in training, never in tests."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from learner_kit import flat_config, make_batch, make_learner, train
from pymarl.modules.agents.noisy_rnn_agent import NoisyRNNAgent


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """Return a list that grows by (agent, generator) with each draw."""
    seen: list[tuple[Any, Any]] = []
    resample = NoisyRNNAgent.resample

    def noted(self: NoisyRNNAgent, generator: torch.Generator) -> None:
        seen.append((self, generator))
        resample(self, generator)

    monkeypatch.setattr(NoisyRNNAgent, "resample", noted)
    return seen


def noisy_learner(**keys: Any) -> Any:
    return make_learner(flat_config("qmix_noisy", rnn_hidden_dim=8, mixing_embed_dim=4, hypernet_embed=4, **keys))


def test_an_update_draws_once_for_each_network(draws: list[tuple[Any, Any]]) -> None:
    learner = noisy_learner()
    for _ in range(2):
        draws.clear()
        train(learner, make_batch([5, 2]), 0, 0)
        assert draws == [(learner.mac.agent, learner.generator), (learner.target_mac.agent, learner.generator)]
        assert not torch.equal(learner.mac.agent.fc2.e_w, learner.target_mac.agent.fc2.e_w)


def test_acting_draws_at_each_step_of_training_alone(draws: list[tuple[Any, Any]]) -> None:
    """Was in PyMARL2: noise was off from the first test on, until nq_learner's next update, else for good."""
    learner = noisy_learner()
    mac, batch = learner.mac, make_batch([8] * 2)
    generator = mac.action_selector.generator

    def play(test_mode: bool) -> list[list[float]]:
        seen: list[list[float]] = []
        mac.init_hidden(2)
        for t in range(3):
            mac.select_actions(batch, t, 0, test_mode=test_mode)
            seen.append(mac.agent.fc2(torch.ones(8)).tolist())
        return seen

    first = play(test_mode=False)
    assert draws == [(mac.agent, generator)] * 3
    assert len({tuple(outputs) for outputs in first}) == 3
    state = generator.get_state()
    tested = play(test_mode=True)
    assert len(draws) == 3
    assert torch.equal(generator.get_state(), state)
    assert tested[0] == tested[1] == torch.nn.functional.linear(torch.ones(8), *means(mac.agent)).tolist()
    play(test_mode=False)
    assert len(draws) == 6
    assert mac.agent.training


def means(agent: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return agent.fc2.u_w, agent.fc2.u_b


def test_noise_is_in_no_file_and_in_no_state() -> None:
    learner = noisy_learner()
    assert not [name for name in learner.state_dict() if "e_w" in name or "e_b" in name]
    assert learner.mac.action_selector.epsilon == 0
