"""Advantages, critics' losses and statistics of A2C, PPO and HAPPO, by hand and by slow oracles."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from learner_kit import SMALL, flat_config, gradients, make_batch, make_learner, spoil_padding, train
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.learners import REGISTRY
from pymarl.learners.advantage_learner import AdvantageLearner, Targets
from pymarl.learners.policy_learner import standardised
from pymarl.utils.errors import UserError

LENGTHS, ENDS = [5, 1, 8, 3], [True, False, True, False]
"""The third episode truly ends in the last step that its limit allows."""
NAMES = [name for name in REGISTRY if issubclass(REGISTRY[name], AdvantageLearner)]
each_learner = pytest.mark.parametrize("name", NAMES)


def learner_of(name: str = "ppo_learner", info: Any = SMALL, seed: int = 0, **keys: Any) -> Any:
    flat = {
        "learner": name, "mac": "n_mac", "agent": "n_rnn_ns" if name == "happo_learner" else "n_rnn",
        "agent_output_type": "pi_logits", "action_selector": "gumbel", "optimizer": "adam", "rnn_hidden_dim": 8,
        "epochs": 1, "minibatches": 1, "grad_norm_clip": 1e9, "entropy_coef": 0.01,
    }  # fmt: skip
    return make_learner(flat_config(**flat | keys), info, seed)


def mixed_batch(seed: int = 0, **keys: Any) -> EpisodeBatch:
    assert SMALL.episode_limit == max(LENGTHS)
    return make_batch(LENGTHS, terminated=ENDS, seed=seed, **keys)


def rewarded(batch: EpisodeBatch, reward: Tensor) -> EpisodeBatch:
    """Return a batch with other rewards, [B, T, R]."""
    scheme = {**batch.scheme, "reward": {"vshape": (reward.shape[-1],)}}
    data = {**batch.data, "reward": reward}
    return EpisodeBatch(scheme, batch.groups, batch.batch_size, batch.max_seq_length, data=data, lengths=batch.lengths)


def slow_returns(kind: str, reward: list[float], after: list[float], ended: bool, lam: float, n: int) -> list[float]:
    """Return the returns of an episode from its rewards and the values after its steps, of the state left last, too."""
    gamma, length = 0.9, len(reward)
    after = [*after[:-1], 0.0 if ended else after[-1]]

    def n_step(t: int, n: int) -> float:
        n = min(n, length - t)
        return sum(gamma**k * reward[t + k] for k in range(n)) + gamma**n * after[t + n - 1]

    if kind == "n_step":
        return [n_step(t, n) for t in range(length)]
    weighed = []
    for t in range(length):
        rest = length - t
        head = sum((1 - lam) * lam ** (k - 1) * n_step(t, k) for k in range(1, rest))
        weighed.append(head + lam ** (rest - 1) * n_step(t, rest))
    return weighed


@pytest.mark.parametrize("name", ["ppo_learner", "actor_critic_learner"])
@pytest.mark.parametrize(
    ("kind", "lam"), [("gae", 0.0), ("gae", 0.6), ("gae", 1.0), ("n_step", 0.0), ("td_lambda", 0.7)]
)
def test_advantages_by_a_slow_oracle(name: str, kind: str, lam: float) -> None:
    """True ends add nothing, also in the last step that a limit allows; time limits add the value of the state there.

    GAE with lambda 0 is the one-step advantage, with 1 the return less the value.
    """
    learner = learner_of(name, gamma=0.9, returns=kind, gae_lambda=lam, td_lambda=lam, q_nstep=3)
    if kind != "gae":
        learner.target_critic.load_state_dict(learner_of(seed=1).critic.state_dict())
    batch = mixed_batch(slots=12)
    targets = learner.targets(spoil_padding(batch))
    with torch.no_grad():
        values, after = (learner.state_values(batch, critic) for critic in (learner.critic, learner.target_critic))
    for row, (length, ended) in enumerate(zip(LENGTHS, ENDS, strict=True)):
        reward = batch["reward"][row, :length, 0].tolist()
        for agent in range(SMALL.n_agents):
            expected = slow_returns(kind, reward, after[row, 1 : length + 1, agent].tolist(), ended, lam, 3)
            assert targets.returns[row, :length, agent].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)
            gain = torch.tensor(expected) - values[row, :length, agent]
            torch.testing.assert_close(targets.advantages[row, :length, agent], gain, rtol=1e-4, atol=1e-5)
    for tensor in targets:
        assert tensor.isfinite().all()
        assert not tensor[batch.transitions().mask.expand_as(tensor) == 0].any()


@pytest.mark.parametrize("units", ["normalise_values", "standardise_returns"])
@pytest.mark.parametrize("kind", ["gae", "n_step", "td_lambda"])
def test_advantages_are_of_values_in_the_envs_units(kind: str, units: str) -> None:
    """Whichever normaliser is on, and of both critics: their outputs are not what rewards are added to."""
    keys = {"gamma": 0.9, "gae_lambda": 0.6, "td_lambda": 0.6, "q_nstep": 3, units: True}
    learner, batch = learner_of(returns=kind, **keys), mixed_batch()
    if kind != "gae":
        learner.target_critic.load_state_dict(learner_of(seed=1).critic.state_dict())
    learner.targets(rewarded(batch, 5 + 3 * batch["reward"]))
    assert (learner.value_stats.mean > 2).all()
    assert ((learner.value_stats.std - 1).abs() > 0.2).all()
    with torch.no_grad():
        values, after = (
            learner.value_stats.denormalise(learner.state_values(batch, critic))
            for critic in (learner.critic, learner.target_critic)
        )
    targets = learner.targets(batch)
    returns = learner.value_stats.denormalise(targets.returns)
    for row, (length, ended) in enumerate(zip(LENGTHS, ENDS, strict=True)):
        reward = batch["reward"][row, :length, 0].tolist()
        for agent in range(SMALL.n_agents):
            expected = slow_returns(kind, reward, after[row, 1 : length + 1, agent].tolist(), ended, 0.6, 3)
            assert returns[row, :length, agent].tolist() == pytest.approx(expected, rel=1e-3, abs=1e-3)
            gain = torch.tensor(expected) - values[row, :length, agent]
            torch.testing.assert_close(targets.advantages[row, :length, agent], gain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["gae", "n_step", "td_lambda"])
def test_what_is_seen_after_a_true_end_changes_nothing(kind: str) -> None:
    """Was in EPyMARL and in PyMARL2's IPPO: true ends bootstrapped. A time limit must."""
    seen = []
    for spoilt in (None, *range(4)):
        batch = mixed_batch()
        if spoilt is not None:
            batch.data["state"][spoilt, LENGTHS[spoilt]] += 10.0
            batch.data["obs"][spoilt, LENGTHS[spoilt]] += 10.0
        seen.append(learner_of(returns=kind).targets(batch).returns)
    for row, ended in enumerate(ENDS):
        assert torch.equal(seen[0], seen[row + 1]) is ended


def test_pieces_do_not_see_one_another() -> None:
    """An episode cut in the middle: one-step advantages are the whole's, and longer ones end where a piece does."""
    whole, keys = make_batch([8], terminated=False), {"returns": "gae", "gae_lambda": 0.0}
    learner = learner_of(**keys)
    states = learner.mac.unroll_packed(whole, states=True).states.detach()  # [9, N, H]
    data = {key: torch.cat([tensor[:, :5], tensor[:, 4:]]) for key, tensor in whole.data.items()}
    data["start_hidden"] = torch.stack([torch.zeros_like(states[0]), states[3]])
    data["start_action"] = torch.stack([torch.full((SMALL.n_agents, 1), -1), whole.data["actions"][0, 3].long()])
    consts = {"start_hidden": states.shape[-1], "start_action": 1}
    scheme = {**whole.scheme, **{key: {"vshape": (width,), "group": "agents", "episode_const": True}
                                 for key, width in consts.items()}}  # fmt: skip
    pieces = EpisodeBatch(scheme, whole.groups, 2, 5, data=data, lengths=torch.tensor([4, 4]))
    for one, two in zip(learner.targets(whole), learner.targets(pieces), strict=True):
        torch.testing.assert_close(one[0], two.flatten(0, 1), rtol=1e-5, atol=1e-6)
    far = learner_of(**keys | {"gae_lambda": 1.0})
    before = far.targets(pieces).advantages
    pieces.data["reward"][1] += 10.0
    after = far.targets(pieces).advantages
    assert torch.equal(after[0], before[0])
    assert (after[1] - before[1]).min() > 9


@each_learner
@pytest.mark.parametrize("keys", [{}, {"normalise_values": True, "popart": True, "standardise_advantages": True,
                                       "standardise_rewards": True, "value_clip": 0.1, "huber_delta": 0.5},
                                  {"standardise_returns": True, "returns": "n_step", "active_masks": True},
                                  {"critic": "rnn_critic", "epochs": 2}])  # fmt: skip
def test_padding_cannot_change_an_update(name: str, keys: dict[str, Any]) -> None:
    """Was in both: advantages, statistics of rewards and of values were those of padding, too."""
    learners = [
        learner_of(name, lr=1e-6, **keys) for _ in range(2)
    ]  # Adam moves by as much where noise is all there is
    batches = [mixed_batch(), spoil_padding(mixed_batch(slots=15))]
    for _ in range(2):
        seen = [train(learner, batch, 0, 0).read() for learner, batch in zip(learners, batches, strict=True)]
    assert seen[1] == pytest.approx(seen[0], rel=1e-4, abs=1e-6)
    assert all(math.isfinite(value) for value in seen[0].values())
    for stats in ("value_stats", "reward_stats"):
        if (kept := getattr(learners[0], stats)) is not None:
            torch.testing.assert_close(kept.mean, getattr(learners[1], stats).mean, rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(kept.std, getattr(learners[1], stats).std, rtol=1e-5, atol=1e-7)


@each_learner
def test_save_load_continue_equals_never_stopping(name: str) -> None:
    keys = {"normalise_values": True, "popart": True, "returns": "td_lambda", "target_update_interval_or_tau": 0.1,
            "standardise_rewards": True, "epochs": 2, "minibatches": 2, "lr_anneal": True, "t_max": 100}  # fmt: skip
    unbroken, resumed = learner_of(name, **keys), learner_of(name, seed=9, **keys)
    for step in range(4):
        if step == 2:
            resumed.load_state_dict(copy.deepcopy(unbroken.state_dict()))
        results = [train(each, mixed_batch(seed=step), 10 * step, step).read() for each in (unbroken, resumed)]
    assert results[0] == results[1]
    for mine, theirs in zip(unbroken.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_at_ratio_1_ppos_gradient_is_a2cs() -> None:
    found = []
    for name in ("ppo_learner", "actor_critic_learner"):
        learner = learner_of(name, standardise_advantages=True)
        train(learner, mixed_batch(), 0, 0)
        found.append(gradients(learner))
    assert found[0].keys() == found[1].keys()
    for key, gradient in found[0].items():
        assert gradient.any()
        torch.testing.assert_close(gradient, found[1][key], rtol=1e-5, atol=1e-7)


def test_the_surrogate_is_bounded_by_hand() -> None:
    learner = learner_of(eps_clip=0.2)
    old = torch.zeros(1, 4, 1)
    now = torch.tensor([1.5, 1.5, 0.5, 0.5]).log().view(1, 4, 1)
    advantages = torch.tensor([2.0, -2.0, 2.0, -2.0]).view(1, 4, 1)
    gain = learner.surrogate(now, Targets(old, old, advantages, old))
    assert gain.flatten().tolist() == pytest.approx([2.4, -3.0, 1.0, -1.6])


def standard(numbers: Tensor) -> tuple[float, float]:
    return numbers.mean().item(), numbers.std(correction=0).item()


def test_advantages_are_standardised_over_those_that_act() -> None:
    """The dead, who have one available action, count for neither mean nor deviation, nor for policy or entropy."""
    batch = mixed_batch()
    dead = (slice(None), slice(2, None), 1)
    batch.data["avail_actions"][dead] = torch.arange(SMALL.n_actions) == 0
    batch.data["actions"][dead] = 0
    acting = batch.transitions().mask.expand(-1, -1, SMALL.n_agents).clone()
    acting[dead] = 0
    acting *= batch["avail_actions"][:, :-1].sum(-1) > 1
    for active, counts in ((True, acting), (False, batch.transitions().mask.expand_as(acting))):
        learner = learner_of(standardise_advantages=True, active_masks=active)
        assert learner.acting(batch).sum() == counts.sum()
        advantages = learner.targets(batch).advantages
        assert standard(advantages[counts > 0]) == pytest.approx((0, 1), abs=1e-5)
        policy = learner.policy(batch)
        assert not policy.entropy[dead].any()
        metrics = train(learner, batch, 0, 0).read()
        assert metrics["entropy"] == pytest.approx((policy.entropy * counts).sum().item() / counts.sum().item())


@pytest.mark.parametrize("value", [0.1, -3.7, 123.4, 1e5])
def test_equal_advantages_say_nothing(value: float) -> None:
    """In float32 their mean is a little off, and over a deviation of that size they would all be 1."""
    mask = (torch.arange(13) < torch.arange(7, 37)[:, None] % 13)[..., None].float()  # 30 rows
    assert standardised(torch.full((30, 13, 3), value), mask).abs().max() < 1e-6
    assert standardised(torch.full((1, 1, 1), value), torch.ones(1, 1, 1)).item() == 0


def test_advantages_are_standardised_as_by_others() -> None:
    """MAPPO's authors: over the population's deviation and 1e-5. PyMARL2's IPPO: over that of n - 1, and 1e-6."""
    values, mask = 1e3 + 0.1 * torch.randn(30, 13, 3, generator=torch.Generator().manual_seed(0)), torch.ones(30, 13, 1)
    mask[5:, 6:] = 0
    said, counted = standardised(values, mask), mask.expand_as(values) > 0
    numbers = values[counted].double()
    authors = (numbers - numbers.mean()) / (numbers.std(correction=0) + 1e-5)
    torch.testing.assert_close(said[counted].double(), authors, rtol=1e-6, atol=1e-6)
    pymarl2 = (numbers - numbers.mean()) / (numbers.std() + 1e-6)
    torch.testing.assert_close(said[counted].double(), pymarl2, rtol=1e-3, atol=1e-6)
    assert not said[~counted].any()


def test_of_the_dead_only_the_value_is_learned() -> None:
    """With active_masks the actors' gradient does not depend on a dead agent's advantages; the critic's does."""
    found = []
    for bonus in (0.0, 5.0):
        batch = mixed_batch()
        batch.data["avail_actions"][:, :, 1] = torch.arange(SMALL.n_actions) == 0
        batch.data["actions"][:, :, 1] = 0
        reward = batch.data["reward"].repeat(1, 1, SMALL.n_agents)
        reward[..., 1] += bonus
        learner = learner_of(info=dataclasses.replace(SMALL, n_rewards=SMALL.n_agents), active_masks=True)
        train(learner, rewarded(batch, reward), 0, 0)
        found.append(gradients(learner))
    assert all(torch.equal(found[0][key], found[1][key]) for key in found[0] if key.startswith("agent."))
    assert not any(torch.equal(found[0][key], found[1][key]) for key in found[0] if key.startswith("critic."))


def test_one_advantage_alone_is_no_nan() -> None:
    """Was in PyMARL2: a deviation of one number, with Bessel's correction."""
    info = dataclasses.replace(SMALL, n_agents=1)
    metrics = train(learner_of(info=info, standardise_advantages=True), make_batch([1], info), 0, 0).read()
    assert metrics["advantage_mean"] == 0


@pytest.mark.parametrize("returns", ["gae", "n_step"])
@pytest.mark.parametrize("critic", ["cv_critic", "ac_critic_ns", "rnn_critic", "cv_rnn_critic_ns"])
def test_popart_keeps_what_critics_say(critic: str, returns: str) -> None:
    """In the env's units each critic says the same before and after the statistics change; without PopArt, not."""
    for popart in (True, False):
        learner = learner_of(critic=critic, returns=returns, normalise_values=True, popart=popart)
        critics = (learner.critic, learner.target_critic)
        for seed in range(2):
            batch = mixed_batch(seed)
            batch.data["reward"] = 30 * batch.data["reward"] + 100 * (1 + seed)
            with torch.no_grad():
                before = [learner.value_stats.denormalise(learner.state_values(batch, each)) for each in critics]
            targets = learner.targets(batch)
            said = [learner.state_values(batch, each) for each in critics]
            after = [learner.value_stats.denormalise(values) for values in said]
            seen = batch["filled"].expand_as(said[0])
            for old, new in zip(before, after, strict=True):
                assert torch.allclose(old[seen], new[seen], rtol=1e-3, atol=1e-3) is popart
            if popart:
                mask = batch.transitions().mask
                torch.testing.assert_close(targets.values, said[0][:, :-1] * mask, rtol=1e-4, atol=1e-4)


def test_statistics_of_values_by_hand() -> None:
    """Every return of a one-step game is its reward: 1 and 3. Normalised they are -1 and 1, and advantages are in the
    env's units whatever the critic learns."""
    info = dataclasses.replace(SMALL, n_agents=1)
    batch = make_batch([1, 1], info)
    batch.data["reward"][:, 0, 0] = torch.tensor([1.0, 3.0])
    plain = learner_of(info=info).targets(batch)
    for key in ("normalise_values", "standardise_returns"):
        learner = learner_of(info=info, **{key: True})
        targets = learner.targets(batch)
        deviation = 1.0 if key == "normalise_values" else math.sqrt(2)  # of which the latter is unbiased
        expected = pytest.approx([-1 / deviation, 1 / deviation], abs=1e-3)
        assert targets.returns[:, 0, 0].tolist() == expected
        torch.testing.assert_close(targets.advantages, plain.advantages, rtol=1e-3, atol=2e-4)
        again = learner.targets(batch).advantages[:, 0, 0]
        said = learner.value_stats.denormalise(learner.state_values(batch, learner.critic))[:, 0, 0]
        torch.testing.assert_close(again, torch.tensor([1.0, 3.0]) - said, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, [0.5 * 1.5**2, 0.5 * 0.25**2]),
        ({"value_clip": 0.25}, [0.5 * 1.75**2, 0.5 * 0.25**2]),
        ({"huber_delta": 1.0}, [1.5 - 0.5, 0.5 * 0.25**2]),
        ({"value_clip": 0.25, "huber_delta": 1.0}, [1.75 - 0.5, 0.5 * 0.25**2]),
    ],
)
def test_critics_losses_by_hand(keys: dict[str, Any], expected: list[float]) -> None:
    """Values went from 0 to 0.5 and 0.25, returns are 2 and 0: a change beyond the clip gains nothing."""
    info = dataclasses.replace(SMALL, n_agents=1)
    learner, batch = learner_of(info=info, **keys), make_batch([1, 1], info)
    learner.state_values = lambda batch, critic: torch.tensor([[0.5, 9.0], [0.25, 9.0]])[..., None]
    nothing = torch.zeros(2, 1, 1)
    targets = Targets(nothing, nothing, nothing, torch.tensor([2.0, 0.0]).view(2, 1, 1))
    loss, metrics = learner.critic_loss(batch, targets)
    assert loss.item() == pytest.approx(sum(expected) / 2)
    assert metrics["td_error_abs"].item() == pytest.approx((1.5 + 0.25) / 2)


def test_one_optimiser_of_actor_and_critic() -> None:
    """Its norm is of both, the critic's gradient times critic_coef."""
    own, shared = (learner_of(share_optimiser=share, critic_coef=0.5) for share in (False, True))
    apart, together = (train(each, mixed_batch(), 0, 0).read() for each in (own, shared))
    squares = apart["agent_grad_norm"] ** 2 + apart["critic_grad_norm"] ** 2
    assert together["grad_norm"] ** 2 == pytest.approx(squares, rel=1e-5)
    assert "agent_grad_norm" not in together
    assert shared.files().keys() == {"agent.th", "critic.th", "agent_opt.th"}
    for key, gradient in gradients(own).items():
        torch.testing.assert_close(gradient, gradients(shared)[key], rtol=1e-5, atol=1e-8)


def test_learning_rates_fall_to_nothing() -> None:
    learner = learner_of(lr=0.01, critic_lr=0.1, lr_anneal=True, t_max=100)
    for t_env, left in ((0, 1.0), (25, 0.75), (100, 0.0), (130, 0.0)):
        train(learner, mixed_batch(), t_env, 0)
        rates = [each.torch_optimiser.param_groups[0]["lr"] for each in (learner.agent_optimiser,
                                                                        learner.critic_optimiser)]  # fmt: skip
        assert rates == pytest.approx([0.01 * left, 0.1 * left])


def test_each_agent_has_advantages_of_its_own_rewards() -> None:
    info = dataclasses.replace(SMALL, n_rewards=SMALL.n_agents)
    scale = torch.tensor([1.0, -10.0, 3.0])
    batch = rewarded(mixed_batch(), mixed_batch().data["reward"] * scale)
    learner = learner_of(info=info, gae_lambda=0.0, gamma=0.0)
    targets, mask = learner.targets(batch), batch.transitions().mask
    torch.testing.assert_close(targets.returns, mixed_batch().data["reward"][:, :-1] * scale * mask)


def test_target_critics_follow_and_gae_needs_none() -> None:
    assert learner_of()._targets == []
    learner = learner_of(returns="n_step", target_update_interval_or_tau=0.25)
    before = [p.clone() for p in learner.target_critic.parameters()]
    train(learner, mixed_batch(), 0, 0)
    for old, new, trained in zip(before, learner.target_critic.parameters(), learner.critic.parameters(), strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * trained)


def test_happo_of_one_agent_is_ppo() -> None:
    info = dataclasses.replace(SMALL, n_agents=1)
    batch = make_batch(LENGTHS, info, terminated=ENDS)
    keys = {"epochs": 3, "standardise_advantages": True, "normalise_values": True, "agent": "n_rnn_ns"}
    pair = [learner_of(name, info, **keys) for name in ("ppo_learner", "happo_learner")]
    for _ in range(2):
        seen = [train(learner, batch, 0, 0).read() for learner in pair]
    assert seen[1] == pytest.approx(seen[0], rel=1e-5, abs=1e-7)
    for one, other in zip(pair[0].parameters(), pair[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_happos_factor_is_the_product_of_the_ratios_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each agent's advantages, over those that GAE gives, are what the agents updated before it have become."""
    learner, batch = learner_of("happo_learner", epochs=3, lr=0.02), mixed_batch()
    given: list[tuple[int, Tensor]] = []
    actor_loss = type(learner).actor_loss

    def watched(self: Any, batch: EpisodeBatch, targets: Targets, agents: tuple[int, ...]) -> Any:
        given.append((agents[0], targets.advantages))
        return actor_loss(self, batch, targets, agents)

    monkeypatch.setattr(type(learner), "actor_loss", watched)
    plain, old = learner.targets(batch).advantages, learner.policy(batch).log_probs.detach()
    train(learner, batch, 0, 0)
    new = learner.policy(batch).log_probs.detach()
    order = [agent for agent, _ in given[::3]]
    assert sorted(order) == [0, 1, 2]
    steps = {int(moments["step"]) for each in (*learner.of_agent, learner.critic_optimiser)
             for moments in each.torch_optimiser.state.values()}  # fmt: skip
    assert steps == {3}, "the critic's are as many as each agent's"
    factor = torch.ones_like(old[..., 0])
    for agent, advantages in given[::3]:
        torch.testing.assert_close(advantages[..., 0], factor * plain[..., agent], rtol=1e-4, atol=1e-6)
        factor = factor * (new - old)[..., agent].exp()
    assert ((factor - 1).abs() > 0.05).any(), "the agents have changed"
    seen = set()
    for seed in range(6):
        learner.generator.manual_seed(seed)
        given.clear()
        train(learner, batch, 0, 0)
        seen.add(tuple(agent for agent, _ in given[::3]))
    assert len(seen) > 2, "in random order"


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("ppo_learner", {"normalise_values": True, "standardise_returns": True}, "two ways .*; keep one"),
        ("ppo_learner", {"eps_clip": 1.5}, "eps_clip=1.5: expected"),
        ("ppo_learner", {"popart": True}, "write normalise_values=True, too"),
        ("ppo_learner", {"share_optimiser": True, "critic_lr": 0.1}, "trains the critic with lr=0.0005, too; write"),
        ("happo_learner", {"share_optimiser": True}, "happo_learner's agents take steps of their own; write False"),
        ("ppo_learner", {"critic_inputs": ["state", "actions"]}, "'actions' is nothing that a value of states can see"),
        ("ppo_learner", {"critic_inputs": []}, r"critic_inputs=\[\]: a critic sees something; write None, or some of"),
        ("actor_critic_learner", {"returns": "n_step", "target_update_interval": None}, "targets would never follow"),
    ],
)
def test_keys_that_contradict_are_one_line(name: str, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        learner_of(name, **keys)
    assert "\n" not in str(error.value)
