"""Targets against numbers worked by hand, slow oracles written per episode, and what padding must not do."""

import itertools
from functools import partial

import pytest
import torch

from pymarl.components import returns
from pymarl.components.returns import gae, n_step_targets, q_lambda_targets, td_lambda_targets

GAMMA = 0.9
LAMBDAS = (0.0, 0.3, 1.0)


def column(*values):
    """[1, T, 1]: one episode, one agent."""
    return torch.tensor(values, dtype=torch.float64).reshape(1, -1, 1)


def random_batch(batch=6, time=9, agents=2, seed=0):
    """Episodes of every length 1 .. time, ending alternately in a terminal state and at a time limit."""
    g = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, batch, time, agents, generator=g, dtype=torch.float64)
    lengths = torch.tensor([1 + (i * (time - 1)) // (batch - 1) for i in range(batch)])
    steps = torch.arange(time)
    filled = (steps < lengths[:, None]).double().unsqueeze(-1)
    terminated = ((steps == lengths[:, None] - 1) & (torch.arange(batch) % 2 == 0)[:, None]).double().unsqueeze(-1)
    return {
        "reward": draw(),
        "terminated": terminated,
        "filled": filled,
        "value": draw(),
        "taken_value": draw(),
        "next_value": draw(),
    }, lengths.tolist()


METHODS = {
    "td_lambda": lambda x, lam=0.6: td_lambda_targets(
        x["reward"], x["terminated"], x["filled"], x["next_value"], gamma=GAMMA, td_lambda=lam
    ),
    "q_lambda": lambda x, lam=0.6: q_lambda_targets(
        x["reward"], x["terminated"], x["filled"], x["taken_value"], x["next_value"], gamma=GAMMA, td_lambda=lam
    ),
    "n_step": lambda x, n=3: n_step_targets(
        x["reward"], x["terminated"], x["filled"], x["next_value"], gamma=GAMMA, n_steps=n
    ),
    "gae": lambda x, lam=0.6: gae(
        x["reward"], x["terminated"], x["filled"], x["value"], x["next_value"], gamma=GAMMA, gae_lambda=lam
    ).advantages,
}  # fmt: skip


def test_td_lambda_by_hand():
    # gamma 0.9, lambda 0.5, rewards 1 2 3, values after the steps 10 20 30; the third step ends the MDP.
    # G2 = 3;  G1 = 2 + 0.9 * (0.5 * 20 + 0.5 * 3) = 12.35;  G0 = 1 + 0.9 * (0.5 * 10 + 0.5 * 12.35) = 11.0575
    args = (column(1, 2, 3), column(0, 0, 1), column(1, 1, 1), column(10, 20, 30))
    targets = td_lambda_targets(*args, gamma=0.9, td_lambda=0.5)
    assert targets.flatten().tolist() == pytest.approx([11.0575, 12.35, 3.0])


def test_td_lambda_by_hand_at_a_time_limit():
    # The same, but only the clock ended it: G2 = 3 + 0.9 * 30 = 30; G1 = 2 + 0.9 * (10 + 15) = 24.5;
    # G0 = 1 + 0.9 * (5 + 12.25) = 16.525. A cut at slot 3 of a longer batch must give the same numbers.
    padded = (column(1, 2, 3, 77, -9), column(0, 0, 0, 1, 0), column(1, 1, 1, 0, 0), column(10, 20, 30, 55, 66))
    targets = td_lambda_targets(*padded, gamma=0.9, td_lambda=0.5)
    assert targets.flatten().tolist() == pytest.approx([16.525, 24.5, 30.0, 0.0, 0.0])


def test_q_lambda_by_hand():
    # gamma 0.9, lambda 0.5, rewards 1 2 3, values after the steps 4 6 8, of the actions taken in them 9 3.5 5; the
    # third step ends the MDP.
    # G2 = 3;  G1 = 2 + 0.9 * (6 + 0.5 * (3 - 5)) = 6.5;  G0 = 1 + 0.9 * (4 + 0.5 * (6.5 - 3.5)) = 5.95
    args = (column(1, 2, 3), column(0, 0, 1), column(1, 1, 1), column(9, 3.5, 5), column(4, 6, 8))
    targets = q_lambda_targets(*args, gamma=0.9, td_lambda=0.5)
    assert targets.flatten().tolist() == pytest.approx([5.95, 6.5, 3.0])


def test_q_lambda_by_hand_at_a_time_limit():
    # The same, but only the clock ended it: G2 = 3 + 0.9 * 8 = 10.2;  G1 = 2 + 0.9 * (6 + 0.5 * (10.2 - 5)) = 9.74;
    # G0 = 1 + 0.9 * (4 + 0.5 * (9.74 - 3.5)) = 7.408. Nothing behind the cut corrects the last step.
    padded = (column(1, 2, 3, 77), column(0, 0, 0, 1), column(1, 1, 1, 0), column(9, 3.5, 5, 55), column(4, 6, 8, 66))
    targets = q_lambda_targets(*padded, gamma=0.9, td_lambda=0.5)
    assert targets.flatten().tolist() == pytest.approx([7.408, 9.74, 10.2, 0.0])


def fixed_point(rewards, lam):
    """Return Q of each step of a deterministic chain, [T, A], once it equals its own targets averaged over all plays.

    Args:
        rewards: [T][A], what each action earns in each step; all actions lead to the next step, the last ends it.
    """
    plays = torch.tensor(list(itertools.product(range(len(rewards[0])), repeat=len(rewards))))  # [B, T]
    table = torch.tensor(rewards, dtype=torch.float64)  # [T, A]
    steps = torch.arange(len(rewards))
    reward = table[steps, plays].unsqueeze(-1)
    terminated = (steps == len(rewards) - 1).double().expand(len(plays), -1).unsqueeze(-1)
    q = torch.zeros_like(table)
    for _ in range(10):
        next_value = torch.cat([q.amax(-1)[1:], torch.tensor([9.0])]).expand(len(plays), -1).unsqueeze(-1)
        taken = q[steps, plays].unsqueeze(-1)
        targets = q_lambda_targets(
            reward, terminated, torch.ones_like(reward), taken, next_value, gamma=GAMMA, td_lambda=lam
        )[..., 0]
        q = torch.stack([
            torch.stack([targets[plays[:, t] == a, t].mean() for a in range(table.shape[1])]) for t in steps
        ])  # fmt: skip
    return q


@pytest.mark.parametrize("lam", LAMBDAS)
def test_q_lambdas_fixed_point_in_a_bandit_is_the_rewards(lam):
    """PyMARL2's target, which adds V - Q_taken of the step itself, ends at 1, 0.5, -0.5 here."""
    torch.testing.assert_close(fixed_point([[1.0, 0.0, -2.0]], lam), torch.tensor([[1.0, 0.0, -2.0]]).double())


@pytest.mark.parametrize("lam", LAMBDAS)
def test_q_lambdas_fixed_point_is_the_best_value_under_uniform_play(lam):
    rewards = torch.tensor([[1.0, 0.0, -2.0], [0.5, 3.0, -1.0], [-4.0, 2.0, 1.0]]).double()
    best = rewards.clone()
    for t in (1, 0):
        best[t] += GAMMA * best[t + 1].max()
    torch.testing.assert_close(fixed_point(rewards.tolist(), lam), best)


def test_n_step_by_hand():
    # n = 2, gamma 0.5, rewards 1 2 4, values after 8 16 32, a time limit after the third step:
    # 1 + 0.5 * 2 + 0.25 * 16 = 6;  2 + 0.5 * 4 + 0.25 * 32 = 12;  4 + 0.5 * 32 = 20
    args = (column(1, 2, 4), column(0, 0, 0), column(1, 1, 1), column(8, 16, 32))
    assert n_step_targets(*args, gamma=0.5, n_steps=2).flatten().tolist() == pytest.approx([6.0, 12.0, 20.0])


def test_gae_by_hand():
    # gamma 0.5, lambda 0.5, rewards 1 2, V 3 4, V after 4 10, terminal: delta 1 + 2 - 3 = 0, 2 - 4 = -2
    # A1 = -2; A0 = 0 + 0.25 * -2 = -0.5; returns V + A = 2.5, 2
    result = gae(column(1, 2), column(0, 1), column(1, 1), column(3, 4), column(4, 10), gamma=0.5, gae_lambda=0.5)
    assert result.advantages.flatten().tolist() == pytest.approx([-0.5, -2.0])
    assert result.returns.flatten().tolist() == pytest.approx([2.5, 2.0])


def mixture_of_n_step(rewards, bootstraps, lam):
    """TD(lambda) as its definition: (1 - lam) * sum_n lam^(n-1) G^(n), the rest of the weight on the longest."""
    length = len(rewards)
    total, weight_left = 0.0, 1.0
    for n in range(1, length + 1):
        n_step = sum(GAMMA**k * rewards[k] for k in range(n)) + GAMMA**n * bootstraps[n - 1]
        weight = weight_left if n == length else (1 - lam) * lam ** (n - 1)
        weight_left -= weight
        total += weight * n_step
    return total


def oracle(batch, lengths, rewards, target):
    """Apply `target(rewards left, bootstrap values left)` to every suffix of every episode and agent, in floats."""
    expected = torch.zeros_like(batch["reward"])
    checked = 0
    for b, agent in itertools.product(range(len(lengths)), range(rewards.shape[-1])):
        alive = (1 - batch["terminated"][b, :, 0]) * batch["next_value"][b, :, agent]
        for t in range(lengths[b]):
            expected[b, t, agent] = target(rewards[b, t : lengths[b], agent].tolist(), alive[t : lengths[b]].tolist())
            checked += 1
    assert checked == sum(lengths) * rewards.shape[-1]
    return expected


@pytest.mark.parametrize("lam", LAMBDAS)
def test_td_lambda_equals_a_mixture_of_n_step_returns(lam):
    batch, lengths = random_batch()
    expected = oracle(batch, lengths, batch["reward"], partial(mixture_of_n_step, lam=lam))
    torch.testing.assert_close(METHODS["td_lambda"](batch, lam), expected)


@pytest.mark.parametrize("lam", LAMBDAS)
def test_q_lambda_equals_its_sum_of_td_errors(lam):
    """The paper's definition: Q_taken + sum_k (gamma lam)^k delta_k; delta = r + gamma (1 - term) V_next - Q_taken."""
    batch, lengths = random_batch()
    expected = torch.zeros_like(batch["reward"])
    checked = 0
    for b, agent in itertools.product(range(len(lengths)), range(2)):
        taken = batch["taken_value"][b, :, agent].tolist()
        alive = ((1 - batch["terminated"][b, :, 0]) * batch["next_value"][b, :, agent]).tolist()
        for t in range(lengths[b]):
            errors = [batch["reward"][b, k, agent].item() + GAMMA * alive[k] - taken[k] for k in range(t, lengths[b])]
            expected[b, t, agent] = taken[t] + sum((GAMMA * lam) ** k * error for k, error in enumerate(errors))
            checked += 1
    assert checked == sum(lengths) * 2
    torch.testing.assert_close(METHODS["q_lambda"](batch, lam), expected)


@pytest.mark.parametrize("n", [1, 2, 5, 50])
def test_n_step_equals_its_definition(n):
    def definition(rewards, bootstraps):
        steps = min(n, len(rewards))
        return sum(GAMMA**k * rewards[k] for k in range(steps)) + GAMMA**steps * bootstraps[steps - 1]

    batch, lengths = random_batch()
    torch.testing.assert_close(METHODS["n_step"](batch, n), oracle(batch, lengths, batch["reward"], definition))


@pytest.mark.parametrize("lam", LAMBDAS)
def test_gae_returns_are_td_lambda_targets(lam):
    batch, lengths = random_batch()
    # The value after a step is the value before the next one, except after an episode's last step.
    for row, length in enumerate(lengths):
        batch["next_value"][row, : length - 1] = batch["value"][row, 1:length]
    args = (batch["value"], batch["next_value"])
    result = gae(batch["reward"], batch["terminated"], batch["filled"], *args, gamma=GAMMA, gae_lambda=lam)
    torch.testing.assert_close(result.returns, METHODS["td_lambda"](batch, lam))
    torch.testing.assert_close(result.advantages, (result.returns - batch["value"]) * batch["filled"])


def test_n_step_limits_of_td_and_q_lambda():
    batch, _ = random_batch()
    torch.testing.assert_close(METHODS["td_lambda"](batch, 0.0), METHODS["n_step"](batch, 1))
    torch.testing.assert_close(METHODS["q_lambda"](batch, 0.0), METHODS["n_step"](batch, 1))
    torch.testing.assert_close(METHODS["td_lambda"](batch, 1.0), METHODS["n_step"](batch, 9))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("garbage", [1e30, float("nan"), float("inf")])
def test_padding_never_reaches_a_filled_target(method, garbage):
    batch, _ = random_batch()
    clean = METHODS[method](batch)
    padded = batch["filled"] == 0
    spoilt = {key: x if key == "filled" else x.masked_fill(padded, garbage) for key, x in batch.items()}
    assert torch.equal(METHODS[method](spoilt), clean)
    assert not clean.masked_select(padded).any()


@pytest.mark.parametrize("method", METHODS)
def test_an_episode_does_not_notice_a_longer_batch(method):
    batch, lengths = random_batch()
    together = METHODS[method](batch)
    for row, length in enumerate(lengths):
        alone = METHODS[method]({key: x[row : row + 1, :length] for key, x in batch.items()})
        assert torch.equal(together[row : row + 1, :length], alone)


@pytest.mark.parametrize("method", METHODS)
def test_no_gradient_inputs_untouched_sizes_checked(method):
    batch, _ = random_batch()
    batch["next_value"].requires_grad_()
    before = {key: x.clone() for key, x in batch.items()}
    assert not METHODS[method](batch).requires_grad
    assert all(torch.equal(batch[key], before[key]) for key in batch)
    with pytest.raises(ValueError, match="sizes differ"):
        METHODS[method]({**batch, "reward": batch["reward"][:, 1:]})


def test_a_team_reward_serves_every_agent():
    batch, _ = random_batch()
    team = {**batch, "reward": batch["reward"][..., :1]}
    each = {**batch, "reward": batch["reward"][..., :1].expand(-1, -1, 2)}
    for method in METHODS.values():
        assert torch.equal(method(team), method(each))


def test_n_steps_below_one_is_refused():
    batch, _ = random_batch()
    with pytest.raises(ValueError, match="n_steps=0"):
        METHODS["n_step"](batch, 0)


@pytest.mark.parametrize("time", [1, 2, 3, 7, 8, 9, 180])
def test_what_a_gpu_sums_in_rounds_is_the_sum_step_by_step(time):
    g = torch.Generator().manual_seed(time)
    bias = torch.randn(time, 4, 3, generator=g, dtype=torch.float64)
    decay = torch.rand(time, 4, 1, generator=g, dtype=torch.float64) * (torch.rand(time, 4, 1, generator=g) < 0.9)
    expected = bias.clone()
    for t in range(time - 2, -1, -1):
        expected[t] += decay[t] * expected[t + 1]
    torch.testing.assert_close(returns._doubling(bias, decay), expected)
    single = returns._doubling(bias.float(), decay.float())
    torch.testing.assert_close(single, expected.float(), rtol=1e-5, atol=1e-5)
