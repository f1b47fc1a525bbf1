"""What only DOP does: a mixer whose weights are its derivatives, tree backups of today's policy, slot by slot."""

from __future__ import annotations

import math

import pytest
import torch

from learner_kit import SMALL
from off_policy_kit import mixed_batch, small_learner, steps_of
from pymarl.components.buffers.buffer import Sample
from pymarl.learners.slots import slots_of
from pymarl.modules.mixers.mixer import MixerInputs

N, A, S = SMALL.n_agents, SMALL.n_actions, SMALL.state_shape
GREEDY = {"epsilon_start": 0.3, "epsilon_finish": 0.3}


def mixer_inputs(seed: int) -> MixerInputs:
    g = torch.Generator().manual_seed(seed)
    q, state = 5 * torch.randn(50, N, generator=g), torch.randn(50, S, generator=g)
    return MixerInputs(q.requires_grad_(), None, torch.zeros(50, N, dtype=torch.int64), state)


def test_the_weights_are_what_each_value_counts_and_sum_up_to_one() -> None:
    mixer, inputs = small_learner("dop").mixer, mixer_inputs(0)
    k = mixer.k(inputs.state)
    assert (k > 0).all()
    torch.testing.assert_close(k.sum(-1), torch.ones(50))
    value = mixer(inputs).value
    (derivative,) = torch.autograd.grad(value.sum(), inputs.q)
    torch.testing.assert_close(derivative, k)
    torch.testing.assert_close(value, (k * inputs.q).sum(-1, keepdim=True))
    w1, w2 = (layer(inputs.state).abs().tolist() for layer in (mixer.hyper_w_1, mixer.hyper_w_final))
    for row in range(50):
        products = [sum(w1[row][i * 4 + e] * w2[row][e] for e in range(4)) for i in range(N)]
        assert k[row].tolist() == pytest.approx([each / sum(products) for each in products], rel=1e-5)


def test_of_the_non_linear_mixer_they_are_neither_nor_is_its_mean_that_of_the_means() -> None:
    """Which is why the linear one is the default: PyMARL2's advantages are not those of its team value."""
    mixer, inputs = small_learner("dop", dop_nonlinear=True).mixer, mixer_inputs(0)
    value = mixer(inputs).value
    (derivative,) = torch.autograd.grad(value.sum(), inputs.q)
    share = derivative / derivative.sum(-1, keepdim=True)
    assert (share - mixer.k(inputs.state)).abs().max() > 0.02
    opposite = inputs._replace(q=-inputs.q)
    middle = mixer(inputs._replace(q=0 * inputs.q)).value
    assert ((value + mixer(opposite).value) / 2 > middle).all()  # convex; the linear one's is the middle


def test_replayed_targets_are_tree_backups_of_the_policy_that_would_act_today() -> None:
    """Each step by hand; epsilon counts once, and what was stored while playing not at all."""
    learner, batch = small_learner("dop", tb_steps=3, tb_lambda=0.8, **GREEDY), mixed_batch()
    learner.t_env = 1000
    got = learner.off_targets(batch)
    with torch.no_grad():
        outputs, q = learner.mac.unroll(batch), batch.packing.unpack(learner.q_values(batch, learner.target_critic))
        avail = batch["avail_actions"].float()
        share = outputs * avail
        pi = 0.7 * share / share.sum(-1, keepdim=True) + 0.3 * avail / avail.sum(-1, keepdim=True)
        actions = batch["actions"].long()
        k = learner.target_mixer.k(batch["state"].flatten(0, 1)).view(4, 9, N)
        taken = (k * q.gather(-1, actions).squeeze(-1)).sum(-1)  # [B, T]
        expected = (k * (pi * q).sum(-1)).sum(-1)
        prob = pi.gather(-1, actions).squeeze(-1).prod(-1)
    steps, checked = batch.transitions(), 0
    for row, length in enumerate(batch.lengths.tolist()):
        for t in range(length):
            target = taken[row, t].item()
            for j in range(min(3, length - t)):
                end = steps.terminated[row, t + j, 0].item()
                delta = steps.reward[row, t + j, 0] + 0.99 * (1 - end) * expected[row, t + j + 1] - taken[row, t + j]
                trace = math.prod(prob[row, t + 1 : t + j + 1].tolist())
                target += (0.99 * 0.8) ** j * trace * delta.item()
            assert got[row, t, 0].item() == pytest.approx(target, rel=1e-4, abs=1e-5)
            checked += 1
    assert checked == 17


def test_the_policy_is_the_one_that_acts() -> None:
    """PyMARL2 mixes epsilon in twice where it acts, and once where it learns."""
    learner, batch = small_learner("dop", **GREEDY), mixed_batch()
    mac = learner.mac
    mac.stores = ("probs",)
    mac.init_hidden(4)
    said = batch.packing.unpack(learner.policy(batch).log_pi.exp())
    for t in range(9):
        _, kept = mac.select_actions(batch, t, t_env=1000, bs=[2])
        torch.testing.assert_close(kept["probs"][0], said[2, t])


def test_the_actors_loss_weighs_each_agents_advantage() -> None:
    keys = {"lr": 1e-12, "entropy_coef": 0.3, "adaptive_entropy": False, **GREEDY}
    learner, batch = small_learner("dop", **keys), mixed_batch()
    steps = steps_of(learner)
    entropy = learner.train_actor(batch)["entropy"].item()
    ((loss, _),) = steps
    with torch.no_grad():
        said, q = learner.policy(batch), learner.q_values(batch, learner.critic)
        pi, k = said.log_pi.exp(), learner.mixer.k(batch.packed("state"))
        advantage = q - (pi * q).sum(-1, keepdim=True)
        assert (pi * advantage).sum(-1).abs().max() < 1e-5, "under the policy an agent's advantages are 0 on average"
        one = advantage.gather(-1, batch.packed("actions").long()).squeeze(-1)
        weighted = batch.packing.unpack(k * one)[:, :-1]
    total = sum(
        -(weighted[row, t, i] * said.log_probs[row, t, i]).item()
        for row, length in enumerate(batch.lengths.tolist())
        for t in range(length)
        for i in range(N)
    )
    assert loss == pytest.approx(total / (17 * N) - 0.3 * entropy, rel=1e-5)
    assert entropy > 0.1


def test_transitions_slot_by_slot() -> None:
    batch = mixed_batch()
    slots = slots_of(batch)
    assert [s.stop - s.start for s in slots] == [4, 3, 3, 2, 2, 1, 1, 1]  # lengths 5, 1, 8, 3
    number = batch.packing.pack(torch.arange(4 * 9).view(4, 9))
    found = [sorted(number[s].tolist()) for s in slots]
    assert found == [[9 * row + t for row, n in enumerate([5, 1, 8, 3]) if t < n] for t in range(8)]


@pytest.mark.parametrize("kappa", [None, 0.25, 0.0, 1.0])
def test_kappa_shares_the_loss_between_the_halves(kappa: float | None) -> None:
    on, off = mixed_batch(), mixed_batch(seed=1)[:2]

    def loss_of(**keys: object) -> float:
        learner = small_learner("dop", critic_updates="batch", lr=1e-12, **keys)
        learner.with_last_actions = lambda b: b
        steps = steps_of(learner)
        learner.train(Sample(batch=on, replayed=off), 0, 0)
        return steps[0][0]

    on_only, off_only = loss_of(kappa=0.0), loss_of(kappa=1.0)
    share = 6 / 23 if kappa is None else kappa  # off has 5 + 1 transitions, on 17
    assert loss_of(kappa=kappa) == pytest.approx(share * off_only + (1 - share) * on_only, rel=1e-5)
    assert on_only != off_only


def test_slots_or_one_step_and_what_the_targets_count() -> None:
    for updates, steps in (("slots", 8), ("batch", 1)):
        learner = small_learner("dop", critic_updates=updates, target_update_interval=2 * steps)
        copied = []
        for i in range(4):
            before = learner.target_critic.fc1.weight.clone()
            learner.train(Sample(batch=mixed_batch(), replayed=mixed_batch(seed=1)), i, 1000 * i)
            copied.append(not torch.equal(before, learner.target_critic.fc1.weight))
        assert learner.counters["critic_steps"] == 4 * steps
        assert copied == [False, True, False, True]


def test_the_critic_has_its_own_learning_rate() -> None:
    learner = small_learner("dop", critic_lr=0.02, lr=0.01)
    rates = [each.torch_optimiser.param_groups[0]["lr"] for each in (learner.agent_optimiser, learner.critic_optimiser)]
    assert rates == [0.01, 0.02]
