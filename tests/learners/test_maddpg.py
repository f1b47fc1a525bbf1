"""What only MADDPG does: a gradient through drawn one-hots, joint actions, and what the target policies choose."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from learner_kit import SMALL
from off_policy_kit import mixed_batch, small_learner, steps_of
from pymarl.learners import action_values
from pymarl.learners.action_values import gumbel_one_hots

BOTH = pytest.mark.parametrize("others", ["taken", "sampled"])
N, A = SMALL.n_agents, SMALL.n_actions


def noise_of(rows: int) -> torch.Tensor:
    exponential = torch.empty(rows, N, A, dtype=torch.float64).exponential_(generator=torch.Generator().manual_seed(9))
    return -exponential.log()


def in_double(learner: Any, batch: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let a learner and a batch compute in double precision, with one and the same noise."""
    for key in ("obs", "state", "reward"):
        batch.data[key] = batch.data[key].double()
    monkeypatch.setattr(action_values, "gumbel_noise", lambda shape, _: noise_of(shape[0]))
    monkeypatch.setattr(action_values.F, "one_hot", lambda x, n: (x[..., None] == torch.arange(n)).double())
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    return learner.double()


@BOTH
@pytest.mark.parametrize("alg", ["epymarl/maddpg", "epymarl/maddpg_ns"])
def test_the_gradient_is_that_of_finite_differences(alg: str, others: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An action's value is measured where the one-hots are; they move as their softmax does (straight-through)."""
    batch = mixed_batch()
    learner = in_double(small_learner(alg, reg=0.02, others_actions=others, lr=1e-12), batch, monkeypatch)
    packing, avail = batch.packing, batch.packed("avail_actions")
    mask = packing.pack(torch.cat([batch.transitions().mask, torch.zeros(4, 1, 1)], 1))  # [P, 1]
    agent = learner.mac.agent
    bias = agent.fc2.bias if alg == "epymarl/maddpg" else agent.agents[1].fc3.bias

    def soft_and_logits() -> tuple[torch.Tensor, torch.Tensor]:
        logits = learner.mac.unroll_packed(batch).outputs.detach()
        return (logits.masked_fill(~avail, -torch.inf) + noise_of(len(logits))).softmax(-1), logits

    soft, _ = soft_and_logits()
    drawn = torch.nn.functional.one_hot(soft.argmax(-1), A).double()
    taken = torch.nn.functional.one_hot(batch.packed("actions").squeeze(-1).long(), A)
    rest = taken.double() if others == "taken" else drawn
    slopes, h = torch.zeros_like(drawn), 1e-5  # dQ_i / da_i, of the critic's input alone
    for action in range(A):
        ends = []
        for step in (h, -h):
            joint = rest.unsqueeze(1).repeat(1, N, 1, 1)  # [P, N, N, A]
            for i in range(N):
                joint[:, i, i] = drawn[:, i]
                joint[:, i, i, action] += step
            ends.append(learner.values(batch, learner.critic, joint.flatten(2).flatten(0, 1)).detach())
        slopes[..., action] = (ends[0] - ends[1]) / (2 * h)

    def surrogate() -> float:
        now, logits = soft_and_logits()
        counted = avail * mask.unsqueeze(-1)
        held = (logits.square() * counted).sum() / counted.sum()
        return (-((slopes * now).sum(-1) * mask).sum() / (mask.sum() * N) + 0.02 * held).item()

    expected = torch.zeros_like(bias)
    for k in range(len(bias)):
        values = []
        for step in (h, -h):
            with torch.no_grad():
                bias[k] += step
                values.append(surrogate())
                bias[k] -= step
        expected[k] = (values[0] - values[1]) / (2 * h)
    steps = steps_of(learner)
    learner.train_actor(batch)
    ((_, gradients),) = steps
    found = next(g for n, g in gradients.items() if learner.get_parameter(f"mac.{n}") is bias)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
    assert expected.abs().min() > 1e-6


@BOTH
def test_the_others_actions_are_those_taken_or_drawn_and_carry_no_gradient(others: str) -> None:
    learner, batch = small_learner("epymarl/maddpg", others_actions=others), mixed_batch()
    logits = learner.mac.unroll_packed(batch).outputs.detach().requires_grad_()
    joint = learner.joint_actions(batch, logits).view(-1, N, N, A)  # of row (p, i) agent j's action
    taken = torch.nn.functional.one_hot(batch.packed("actions").squeeze(-1).long(), A).float()
    drawn = torch.stack([joint[:, i, i] for i in range(N)], 1).detach()
    assert (drawn.sum(-1) == 1).all()
    assert (drawn * batch.packed("avail_actions")).sum(-1).eq(1).all(), "what is drawn is available"
    for i in range(N):
        for j in range(N):
            if i != j:
                assert torch.equal(joint[:, i, j], taken[:, j] if others == "taken" else drawn[:, j])
                (gradient,) = torch.autograd.grad(joint[:, i, j, 0].sum(), logits, retain_graph=True, allow_unused=True)
                assert gradient is None or not gradient.any()
    (gradient,) = torch.autograd.grad(joint[:, 0, 0, 0].sum(), logits)
    assert gradient[:, 0].any()
    assert not gradient[:, 1:].any()


def test_drawn_one_hots_have_the_probabilities_of_the_softmax() -> None:
    logits = torch.tensor([1.0, 0.0, -torch.inf, -1.0])
    drawn = gumbel_one_hots(logits.expand(20000, 4), torch.Generator().manual_seed(0))
    assert drawn.mean(0).tolist() == pytest.approx(logits.softmax(-1).tolist(), abs=0.01)
    assert set(drawn.flatten().tolist()) == {0.0, 1.0}


def test_targets_are_of_what_the_target_policies_find_best_from_the_first_slot_on() -> None:
    """Step by step, as they would act; EPyMARL's do not see the first slot, and take all of equally good actions."""
    learner, batch = small_learner("epymarl/maddpg", agent="rnn", standardise_rewards=False), mixed_batch()
    with torch.no_grad():
        for module in learner.target_mac.agent.modules():
            if isinstance(module, torch.nn.Linear) and module.out_features == A:
                module.weight[3], module.bias[3] = module.weight[1], module.bias[1]  # ties
    mac, targets = learner.target_mac, torch.zeros(4, 8, N)
    mac.init_hidden(4)
    ends, ties = batch.transitions().terminated, 0
    with torch.no_grad():
        for t in range(9):
            outputs = mac.forward(batch, t).masked_fill(~batch["avail_actions"][:, t], -torch.inf)
            ties += int(((outputs == outputs.amax(-1, keepdim=True)) & outputs.isfinite()).sum(-1).gt(1).sum())
            joint = torch.nn.functional.one_hot(outputs.argmax(-1), A).float().flatten(1)  # [B, N * A]
            for i in range(N):
                number = torch.nn.functional.one_hot(torch.tensor([i] * 4), N).float()
                x = torch.cat([batch["state"][:, t], number, joint], 1)
                critic = learner.target_critic
                q = critic.fc3(critic.fc2(critic.fc1(x).relu()).relu()).squeeze(-1)
                if t:
                    targets[:, t - 1, i] = batch["reward"][:, t - 1, 0] + 0.99 * (1 - ends[:, t - 1, 0]) * q
    assert ties > 5
    mask = batch.transitions().mask
    taken = batch.packing.unpack(learner.values(batch, learner.critic)).detach()[:, :-1]
    expected = ((taken - targets).square() * mask).sum() / (mask.sum() * N)
    assert learner.train_critic(batch)["critic_loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_each_agent_learns_from_its_own_reward() -> None:
    own = mixed_batch()
    own.data["reward"] = own.data["reward"].repeat(1, 1, N) * torch.tensor([1.0, 0.0, -1.0])
    learner, shared = (small_learner("epymarl/maddpg_ns", standardise_rewards=False) for _ in range(2))
    losses = [each.train_critic(batch)["critic_loss"] for each, batch in ((learner, own), (shared, mixed_batch()))]
    assert losses[0] != losses[1]
    first = [f"critic.critics.{i}.fc3.bias" for i in range(N)]
    gradients = [{n: p.grad for n, p in each.named_parameters()} for each in (learner, shared)]
    same = [torch.equal(gradients[0][name], gradients[1][name]) for name in first]
    assert same == [True, False, False]
