"""VMIX: a monotone mix of the agents' values, whose error is everybody's advantage."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_policies_by_critics import ONE, ends, make, mixed_batch, update

from learner_kit import gradients


def of_values(learner: Any, batch: Any, values: torch.Tensor) -> torch.Tensor:
    """Return the team's values [P, A] of agents' values [P, N]."""
    learner.mac.agent.values = lambda states: states
    return learner.value(batch, values)


@pytest.mark.parametrize("mixer", ["qmix", "nmix", "vdn"])
def test_the_teams_value_rises_with_every_agents(mixer: str) -> None:
    """In every state of a batch, whatever the weights, at the derivative and far off."""
    batch, checked = mixed_batch(), 0
    for seed in range(5):
        learner = make("vmix", mixer=mixer)
        torch.manual_seed(seed)
        for parameter in learner.mixer.parameters():
            torch.nn.init.normal_(parameter)
        values = (5 * torch.randn(sum(batch.packing.counts), 3)).requires_grad_()
        team = of_values(learner, batch, values)
        (slope,) = torch.autograd.grad(team.sum(), values)
        assert team.shape == (len(values), 1)
        assert (slope >= 0).all()
        assert (slope > 0).float().mean() > 0.5
        for agent in range(3):
            raised = values.detach() + 20 * torch.eye(3)[agent]
            assert (of_values(learner, batch, raised) >= team - 1e-4).all()
            checked += len(values)
    assert checked == 5 * 3 * sum(batch.packing.counts)


def test_vdac_sum_is_the_sum_and_without_a_mixer_each_agent_has_its_own() -> None:
    batch, values = mixed_batch(), torch.randn(sum(mixed_batch().packing.counts), 3)
    torch.testing.assert_close(of_values(make("vmix", mixer="vdn"), batch, values), values.sum(-1, keepdim=True))
    assert of_values(make("vmix", mixer=None), batch, values) is values


def test_losses_by_hand() -> None:
    """One agent without a mixer that holds slot t to be worth 10 (t + 1): TD(lambda) at ends and limits, and its error.

    Its policy is even, so that a step's log-probability is log 1/2, and its entropy log 2.
    """
    learner = make("vmix", ONE, mixer=None, gamma=0.5, td_lambda=0.25, epsilon_start=1.0, epsilon_finish=1.0)
    batch = ends([1.0, 2.0, 3.0, 4.0])
    slot = 10.0 * torch.arange(1.0, 6.0)[None, :, None].expand(4, 5, 1)
    learner.mac.agent.values = lambda states: batch.packing.pack(slot.contiguous()) + 0 * states.sum()

    def chain(last: float, count: int) -> list[float]:
        targets = [last]
        for t in range(count - 2, -1, -1):
            targets.insert(0, (t + 1) + 0.5 * (0.75 * 10 * (t + 2) + 0.25 * targets[0]))
        return targets

    targets = [*chain(29.0, 4), *chain(4.0, 4), *chain(17.0, 2), *chain(3.0, 3)]
    values = [10.0, 20.0, 30.0, 40.0] * 2 + [10.0, 20.0] + [10.0, 20.0, 30.0]
    errors = [target - value for target, value in zip(targets, values, strict=True)]
    metrics = update(learner, batch)
    assert metrics["critic_loss"] == pytest.approx(sum(e * e for e in errors) / 13, rel=1e-5)
    assert metrics["advantage_mean"] == pytest.approx(sum(errors) / 13, rel=1e-5)
    assert metrics["pg_loss"] == pytest.approx(0.6931472 * sum(errors) / 13, rel=1e-5)
    assert metrics["entropy"] == pytest.approx(0.6931472)
    assert metrics["target_mean"] == pytest.approx(sum(targets) / 13, rel=1e-5)


def test_advantages_are_common_with_a_mixer_and_no_gradient_flows_through_them() -> None:
    """With the value's loss left out the value head and the mixer stay as they are; the trunk and the policy learn."""
    learner = make("vmix", vf_coef=0.0)
    update(learner, mixed_batch())
    still = {name for name, gradient in gradients(learner).items() if not gradient.any()}
    assert {name for name in gradients(learner) if name.startswith(("mixer.", "agent.fc3"))} <= still
    assert not {name for name in still if name.startswith("agent.") and "fc3" not in name}


def test_one_optimiser_trains_policy_values_and_mixer() -> None:
    learner = make("vmix")
    assert set(learner.files()) == {"agent.th", "mixer.th", "opt.th"}
    assert list(learner.mac.agent.state_dict())[-4:] == ["fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias"]
    update(learner, mixed_batch())
    assert all(gradient.any() for gradient in gradients(learner).values())
