"""COMA: the counterfactual advantage, the critic's steps and when its target follows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_policies_by_critics import LENGTHS, make, mixed_batch, update
from torch import Tensor

from learner_kit import make_batch
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.inputs import packed_inputs
from pymarl.learners.policy_learner import counterfactual


def critic_of(learner: Any, batch: EpisodeBatch) -> Tensor:
    """Return what the critic says of all slots, [B, T, N, A]."""
    inputs = packed_inputs(batch, learner.critic.sees, learner.info, learner.device)
    q: Tensor = batch.packing.unpack(learner.critic(inputs).view(-1, 3, 5))
    return q


def test_the_advantage_sums_to_zero_under_the_policy_that_acted() -> None:
    """Epsilon and unavailable actions included; it does not under the policy without epsilon."""
    learner, batch = make("coma", epsilon_start=0.5, epsilon_finish=0.5), mixed_batch()
    policy, q = learner.policy(batch), torch.randn(sum(batch.packing.counts), 3, 5)
    mean = (policy.log_pi.exp() * counterfactual(q, policy.log_pi.exp())).sum(-1)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-6, rtol=0)
    outputs = learner.mac.unroll_packed(batch).outputs
    assert ((outputs * counterfactual(q, policy.log_pi.exp())).sum(-1).abs() > 1e-3).float().mean() > 0.5


def test_the_loss_by_hand_with_exploration() -> None:
    """Its baseline is the mean under the policy that acted: half of it is a random choice here."""
    learner, batch = make("coma", epsilon_start=0.5, epsilon_finish=0.5), mixed_batch()
    q, avail = torch.randn(sum(batch.packing.counts), 3, 5), batch.packed("avail_actions").float()
    pi = 0.5 * learner.mac.unroll_packed(batch).outputs + 0.5 * avail / avail.sum(-1, keepdim=True)
    actions = batch.packed_actions().unsqueeze(-1)
    advantage = (q.gather(-1, actions) - (pi * q).sum(-1, keepdim=True)).squeeze(-1)
    gained = batch.packing.unpack(advantage.detach() * pi.gather(-1, actions).squeeze(-1).log())  # [B, T, N]
    total = sum(gained[row, :length].sum() for row, length in enumerate(LENGTHS))
    loss = learner.actor_loss(batch, learner.policy(batch), q)[0]
    torch.testing.assert_close(loss, -total / (3 * sum(LENGTHS)), rtol=1e-4, atol=1e-6)


def test_what_holds_for_all_of_an_agents_actions_credits_none() -> None:
    """The loss is blind to anything that is added to all actions of an agent in a state."""
    learner, batch = make("coma"), mixed_batch()
    policy, q = learner.policy(batch), torch.randn(sum(batch.packing.counts), 3, 5)
    loss = learner.actor_loss(batch, policy, q)[0]
    raised = learner.actor_loss(batch, policy, q + 10 * torch.randn(len(q), 3, 1))[0]
    torch.testing.assert_close(raised, loss, atol=1e-4, rtol=1e-4)
    assert not torch.isclose(learner.actor_loss(batch, policy, q + torch.randn_like(q))[0], loss, rtol=1e-3)


def test_an_agents_critic_sees_what_others_do_and_not_what_it_does() -> None:
    """Another action of agent 1's changes what is said of agents 0 and 2 alone."""
    for method in ("coma", "epymarl/coma_ns"):
        learner, said = make(method), []
        for action in (0, 1):
            batch = mixed_batch()
            batch.data["actions"][0, 4, 1] = action  # the last action of the first episode: nobody's last action yet
            said.append(critic_of(learner, batch)[0, 4])
        assert torch.equal(said[0][1], said[1][1])
        assert not torch.isclose(said[0][0], said[1][0]).any()
        assert not torch.isclose(said[0][2], said[1][2]).any()


def test_the_critic_steps_through_the_slots_backwards() -> None:
    """A step for each slot with a transition; each judges with what later slots have taught."""
    learner, batch = make("coma"), mixed_batch()
    before = critic_of(learner, batch).detach()
    said, metrics = learner.train_critic(batch)
    assert learner.counters["critic_steps"] == max(LENGTHS) == 8
    off = (batch.packing.unpack(said) - before).abs().amax((2, 3))  # [B, T]
    assert off[2, 7] < 1e-6, "the last slot's first"
    assert (off[2, :7] > 1e-5).all()
    assert metrics["critic_loss"] > 0
    whole = make("coma", critic_updates="batch")
    torch.testing.assert_close(batch.packing.unpack(whole.train_critic(batch)[0]), before)
    assert whole.counters["critic_steps"] == 1


@pytest.mark.parametrize(("keys", "copies"), [
    ({"target_update_interval": 20}, [False, False, True, False, False, True]),
    ({"target_update_interval": None, "target_update_interval_or_tau": 2}, [False, True] * 3),
    ({"target_update_interval": 3, "critic_updates": "batch"}, [False, False, True] * 2),
])  # fmt: skip
def test_the_target_follows_by_the_critics_steps_or_by_updates(keys: dict[str, object], copies: list[bool]) -> None:
    """Eight critic's steps in an update."""
    learner, seen = make("coma", **keys), []
    for seed in range(6):
        before = learner.target_critic.fc1.weight.clone()
        update(learner, make_batch(LENGTHS, seed=seed))
        seen.append(not torch.equal(before, learner.target_critic.fc1.weight))
    assert seen == copies


def test_the_values_bootstrapped_from_are_of_an_action_of_the_policy() -> None:
    """The last slot's action is drawn anew; where the policy has made up its mind it is that one."""
    learner, batch = make("coma", epsilon_start=0.0, epsilon_finish=0.0), mixed_batch()
    probs = torch.zeros(sum(batch.packing.counts), 3, 5)
    probs[..., 3] = 1.0
    given = learner.with_last_actions(batch, probs).data["actions"]
    rows = torch.arange(len(LENGTHS))
    assert (given[rows, batch.lengths] == 3).all()
    given[rows, batch.lengths] = batch.data["actions"][rows, batch.lengths]
    assert torch.equal(given, batch.data["actions"])
