"""What only FMAC and RIIT do: all policies climb one mixed critic together, and what its targets value."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from learner_kit import SMALL
from off_policy_kit import mixed_batch, small_learner, steps_of
from pymarl.components.buffers.buffer import Sample
from pymarl.learners import fmac_learner

N, A = SMALL.n_agents, SMALL.n_actions


def test_all_policies_climb_the_team_s_value_of_their_probabilities() -> None:
    """By finite differences of the whole loss, in the bias that all logits share."""
    learner, batch = small_learner("riit", entropy_coef=0.0, lr=1e-12), mixed_batch()
    for key in ("obs", "state", "reward"):
        batch.data[key] = batch.data[key].double()
    learner.double()
    avail, mask, bias = batch.packed("avail_actions"), batch.transitions().mask, learner.mac.agent.fc2.bias

    def value() -> float:
        logits = learner.mac.unroll_packed(batch).outputs.masked_fill(~avail, -torch.inf)
        q_tot = learner.values(batch, learner.critic, learner.mixer, logits.softmax(-1))
        return -((batch.packing.unpack(q_tot)[:, :-1] * mask).sum() / mask.sum()).item()

    expected, h = torch.zeros_like(bias), 1e-5
    for k in range(A):
        ends = []
        for step in (h, -h):
            with torch.no_grad():
                bias[k] += step
                ends.append(value())
                bias[k] -= step
        expected[k] = (ends[0] - ends[1]) / (2 * h)
    steps = steps_of(learner)
    learner.train_actor(batch)
    ((loss, gradients),) = steps
    assert loss == pytest.approx(value(), rel=1e-9)
    torch.testing.assert_close(gradients["agent.fc2.bias"], expected, rtol=1e-5, atol=1e-9)
    assert set(gradients) == {f"agent.{name}" for name, _ in learner.mac.agent.named_parameters()}


def test_gumbel_actions_are_one_hots_in_the_same_place() -> None:
    learner, batch = small_learner("fmac"), mixed_batch()
    seen: list[torch.Tensor] = []
    values = learner.values

    def watched(*args: Any) -> torch.Tensor:
        seen.extend(args[3:])
        return values(*args)

    learner.values = watched
    learner.train_actor(batch)
    (actions,) = seen
    assert actions.shape == (len(batch.packed("state")), N, A)
    assert set(actions.detach().flatten().tolist()) == {0.0, 1.0}
    assert (actions * batch.packed("avail_actions")).sum(-1).eq(1).all()


@pytest.mark.parametrize("next_actions", ["taken", "greedy"])
def test_targets_value_the_next_step_s_actions_as_said(next_actions: str) -> None:
    learner, batch = small_learner("riit", next_actions=next_actions, td_lambda=0.0), mixed_batch()
    learner.with_last_actions = lambda b: b
    other = small_learner("riit", seed=7)
    learner.target_critic.load_state_dict(other.critic.state_dict())
    learner.target_mixer.load_state_dict(other.mixer.state_dict())
    if learner.target_mac is not None:
        learner.target_mac.load_state_dict(other.mac.state_dict())
    with torch.no_grad():
        if next_actions == "greedy":
            outputs = learner.target_mac.unroll(batch).masked_fill(~batch["avail_actions"], -torch.inf)
            chosen = outputs.argmax(-1)
        else:
            chosen = batch["actions"].squeeze(-1).long()
        onehot = torch.nn.functional.one_hot(chosen, A).float()  # [B, T, N, A]
        x = torch.cat([batch["obs"], torch.eye(N).expand(4, 9, N, N), onehot], -1)
        c = learner.target_critic
        q = c.fc3(c.fc2(c.fc1(x).relu()).relu()).squeeze(-1).flatten(0, 1)  # [B * T, N]
        state = batch["state"].flatten(0, 1)
        mixed = learner.target_mixer(fmac_learner.MixerInputs(q, None, chosen.flatten(0, 1), state)).value.view(4, 9, 1)
        steps = batch.transitions()
        targets = steps.reward + 0.99 * (1 - steps.terminated) * mixed[:, 1:]
        now = batch.packing.unpack(learner.values(batch, learner.critic, learner.mixer))[:, :-1]
        expected = 0.5 * ((now - targets).square() * steps.mask).sum() / steps.mask.sum()
    got = learner.train_critic(batch, td_lambda=0.0)["critic_loss"]
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)


def test_replayed_episodes_train_the_critic_alone_and_first() -> None:
    learner, batch = small_learner("riit", lr=1e-12), mixed_batch()
    learner.with_last_actions = lambda b: b
    steps, kinds = steps_of(learner), []
    learner.train(Sample(batch=batch, replayed=mixed_batch(seed=5)), 0, 0)
    kinds = [{name.split(".")[0] for name in gradients} for _, gradients in steps]
    assert kinds == [{"critic", "mixer"}, {"critic", "mixer"}, {"agent"}]
    alone = small_learner("riit", lr=1e-12)
    alone.with_last_actions = lambda b: b
    first = alone.train_critic(mixed_batch(seed=5), td_lambda=0.0)["critic_loss"]
    assert steps[0][0] == pytest.approx(first.item())


def test_without_a_mixer_each_agent_learns_from_its_own_reward() -> None:
    own = mixed_batch()
    own.data["reward"] = own.data["reward"].repeat(1, 1, N) * torch.tensor([1.0, 0.0, -1.0])
    learner = small_learner("fmac", mixer=None)
    assert learner.train(Sample(batch=own), 0, 0).read()["critic_loss"] > 0
    assert {"critic.th", "agent.th"} <= learner.files().keys()
    assert "mixer.th" not in learner.files()
