"""What EPyMARL's keys do in value learners, by hand: standardising, when targets follow, rewards of each agent."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from test_q_learner import INFO, TARGET, Q, known_batch, known_learner
from torch import Tensor

from learner_kit import SMALL, flat_config, make_batch, make_learner, spoil_padding, train
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.components.running_stats import TotalStats
from pymarl.utils.errors import UserError


def taken(stats: TotalStats, *batches: list[float]) -> tuple[float, float]:
    """Return mean and variance after these batches."""
    for batch in batches:
        stats.update(torch.tensor(batch), torch.ones(len(batch)))
    return stats.mean.item(), stats.std.item() ** 2


def test_statistics_by_hand() -> None:
    """Mean 3 and unbiased variance 14/3 of four numbers; the 1e-4 of a number with mean 0 and variance 1 hardly counts.

    Then 7 and 9, whose mean is 8 and variance 2: the deviations of both from what they have in common are weighed in.
    """
    numbers = [1.0, 2.0, 3.0, 6.0]
    count = 4 + 1e-4
    mean, variance = 4 * 3 / count, (1e-4 + 4 * 14 / 3 + 3**2 * 1e-4 * 4 / count) / count
    assert taken(TotalStats(), numbers) == pytest.approx((mean, variance), rel=1e-12)
    total, delta = count + 2, 8 - mean
    both = (mean + delta * 2 / total, (variance * count + 2 * 2 + delta**2 * count * 2 / total) / total)
    assert taken(TotalStats(), numbers, [7.0, 9.0]) == pytest.approx(both, rel=1e-12)


def test_statistics_of_one_number_and_of_constants_stay_finite() -> None:
    stats = TotalStats()
    mean, variance = taken(stats, [5.0])
    assert mean == pytest.approx(5, rel=1e-3)
    assert 0 < variance < 0.01, "one number has no variance; Bessel's correction would make NaN of it"
    taken(stats, *[[5.0] * 1000] * 50)
    for number in (5.0, 5.0 + 1e-7):
        assert abs(stats.normalise(torch.tensor(number)).item()) < 0.1
    assert taken(stats, []) == taken(stats), "nothing changes where nothing counts"


def test_statistics_see_neither_padding_nor_nan() -> None:
    stats, expected = TotalStats((2,)), TotalStats((2,))
    values = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1.0, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]])
    expected.update(values[mask > 0], torch.ones(7))
    values[mask == 0] = math.nan
    stats.update(values, mask)
    torch.testing.assert_close(stats.mean, expected.mean)
    torch.testing.assert_close(stats.std, expected.std)
    torch.testing.assert_close(stats.denormalise(stats.normalise(values[mask > 0])), values[mask > 0])
    assert stats.count == pytest.approx(7 + 1e-4)


def standardised(numbers: Any) -> list[float]:
    """Return numbers as the first update of statistics makes them."""
    stats, tensor = TotalStats(), torch.tensor(numbers)
    stats.update(tensor, torch.ones(len(numbers)))
    return [float(number) for number in stats.normalise(tensor)]


def test_standardised_rewards_by_hand() -> None:
    """Rewards 1 and 2 of the batch have mean 1.5 and deviation sqrt(1/2): they become about -0.707 and 0.707."""
    learner = known_learner(Q, TARGET, learner="q_learner", mixer="vdn", standardise_rewards=True)
    metrics = train(learner, known_batch(terminated=True), 0, 0).read()
    first, last = standardised([1.0, 2.0])
    assert (first, last) == pytest.approx((-math.sqrt(0.5), math.sqrt(0.5)), abs=1e-3)
    errors = [3 - (first + 0.5 * 8), 6 - last]
    assert metrics["loss_td"] == pytest.approx(0.5 * (errors[0] ** 2 + errors[1] ** 2) / 2)
    assert learner.reward_stats.count == pytest.approx(2 + 1e-4)


def test_standardised_returns_by_hand() -> None:
    """The first targets, 1 + 0.5 * 8 and 2, are standardised; in the next update the target network's 8 is in those
    units, and means 8 deviations above their mean."""
    learner = known_learner(Q, TARGET, learner="q_learner", mixer="vdn", standardise_returns=True)
    first = train(learner, known_batch(terminated=True), 0, 0).read()
    targets = standardised([5.0, 2.0])
    assert first["target_mean"] == pytest.approx(sum(targets) / 4, abs=1e-6)
    assert first["loss_td"] == pytest.approx(0.5 * ((3 - targets[0]) ** 2 + (6 - targets[1]) ** 2) / 2)
    mean, deviation = learner.return_stats.mean.item(), learner.return_stats.std.item()
    assert (mean, deviation) == pytest.approx((3.5, math.sqrt(4.5)), rel=1e-3)
    train(learner, known_batch(terminated=True), 0, 0)
    stats = TotalStats((1,))
    for raw in ([5.0, 2.0], [1 + 0.5 * (8 * deviation + mean), 2.0]):
        stats.update(torch.tensor(raw)[:, None], torch.ones(2))
    torch.testing.assert_close(learner.return_stats.mean, stats.mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(learner.return_stats.std, stats.std, rtol=1e-6, atol=0)


@pytest.mark.parametrize("mixer", [None, "vdn"])
@pytest.mark.parametrize("name", ["q_learner", "nq_learner"])
def test_padding_reaches_no_statistics(name: str, mixer: str | None) -> None:
    """Was in EPyMARL: the values of unavailable actions in padding, -9999999, made of all targets the same number."""
    seen = []
    for batch in (make_batch([5, 1, 8, 3]), spoil_padding(make_batch([5, 1, 8, 3], slots=15))):
        flat = flat_config(learner=name, mixer=mixer, standardise_rewards=True, standardise_returns=True)
        learner = make_learner(flat)
        results = [train(learner, batch, 0, 0).read() for _ in range(2)]
        seen.append([*results, learner.reward_stats.mean.tolist(), learner.return_stats.std.tolist()])
    assert seen[1][:2] == [pytest.approx(result, rel=1e-5, abs=1e-6) for result in seen[0][:2]]
    assert seen[1][2:] == [pytest.approx(numbers, rel=1e-6) for numbers in seen[0][2:]]
    assert len(seen[0][3]) == (SMALL.n_agents if mixer is None else 1)


def test_statistics_are_saved_in_files_of_their_own(tmp_path: Any) -> None:
    flat = flat_config(learner="q_learner", standardise_rewards=True, standardise_returns=True)
    writer, reader = make_learner(flat), make_learner(flat, seed=1)
    train(writer, make_batch([5, 1]), 0, 0)
    writer.save_models(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"agent.th", "opt.th", "reward_stats.th", "return_stats.th"}
    reader.load_models(tmp_path)
    assert reader.reward_stats.normalise(torch.ones(1)) == writer.reward_stats.normalise(torch.ones(1))
    assert reader.return_stats.count == 12 / 2 + 1e-4


def test_epymarls_folders_train_on_without_statistics(tmp_path: Any) -> None:
    """EPyMARL does not save them; the optimiser's averages are of the networks and stay."""
    flat = flat_config(learner="q_learner", standardise_rewards=True, standardise_returns=True)
    writer, reader = make_learner(flat), make_learner(flat, seed=1)
    train(writer, make_batch([5, 1]), 0, 0)
    writer.save_models(tmp_path)
    for name in ("reward_stats.th", "return_stats.th"):
        (tmp_path / name).unlink()
    assert reader.load_models(tmp_path) == ["reward_stats.th", "return_stats.th"]
    assert torch.equal(weights(reader.mac), weights(writer.mac))
    assert reader.optimiser.state_dict()["state"]
    assert reader.reward_stats.count == 1e-4


def weights(module: Any) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def followed(updates: int, **keys: Any) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return the target's weights before and after each update, and the trained ones; of an episode that never ends."""
    learner = make_learner(flat_config(learner="q_learner", mixer="qmix", rnn_hidden_dim=4, lr=0.01, **keys))
    seen = []
    for seed in range(updates):
        before = torch.cat([weights(learner.target_mac), weights(learner.target_mixer)])
        train(learner, make_batch([3, 2], seed=seed), 0, 0)
        after = torch.cat([weights(learner.target_mac), weights(learner.target_mixer)])
        seen.append((before, after, torch.cat([weights(learner.mac), weights(learner.mixer)])))
    return seen


@pytest.mark.parametrize("tau", [0.01, 0.5, 1])
def test_a_target_of_at_most_1_is_a_share_of_every_update(tau: float) -> None:
    for before, after, trained in followed(3, target_update_interval_or_tau=tau):
        torch.testing.assert_close(after, (1 - tau) * before + tau * trained, rtol=1e-5, atol=1e-7)
        assert not torch.equal(before, after)
        assert torch.equal(after, trained) == (tau == 1)


def test_a_target_above_1_counts_updates_and_not_episodes() -> None:
    seen = followed(5, target_update_interval_or_tau=2)
    assert [torch.equal(after, trained) for _, after, trained in seen] == [False, True, False, True, False]
    assert [torch.equal(before, after) for before, after, _ in seen] == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"target_update_interval_or_tau": 1.5}, r"_or_tau=1.5: expected a whole number of updates.* write 2 or 0.67"),
        ({"target_update_interval": None}, "both None: targets would never follow"),
    ],
)
def test_targets_that_cannot_follow_are_one_line(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_learner(flat_config(**keys))


@pytest.mark.parametrize("name", ["q_learner", "nq_learner"])
def test_each_agent_learns_from_its_own_reward(name: str) -> None:
    """Agent 0 gets 1 and 2 as in the batch of one reward, agent 1 their tenfold negative."""
    batch = known_batch(terminated=False)
    reward = batch.data["reward"] * torch.tensor([1.0, -10.0])
    batch = EpisodeBatch(
        {**batch.scheme, "reward": {"vshape": (2,)}}, batch.groups, 1, 3, data={**batch.data, "reward": reward},
        lengths=batch.lengths,
    )  # fmt: skip
    learner = known_learner(Q, TARGET, learner=name, mixer=None, td_lambda=0.0)
    assert learner.individual_rewards
    metrics = train(learner, batch, 0, 0).read()
    # As in test_independent_agents_by_hand, agent 1's rewards apart: -10 and -20.
    errors = [1 - 2.5, 2 - (-10 + 2.5), 2 - 4.5, 4 - (-20 + 2.5)]
    assert metrics["loss_td"] == pytest.approx(0.5 * sum(error**2 for error in errors) / 4)


def test_statistics_of_individual_rewards_are_each_agents_own() -> None:
    info = dataclasses.replace(INFO, n_rewards=2)
    learner = make_learner(flat_config(learner="q_learner", standardise_rewards=True), info)
    batch = known_batch(terminated=True)
    reward = batch.data["reward"] * torch.tensor([1.0, -10.0])
    batch = batch.replaced(reward=reward)
    train(learner, batch, 0, 0)
    assert learner.reward_stats.mean.tolist() == pytest.approx([1.5, -15], rel=1e-3)
    assert torch.equal(batch.data["reward"], reward), "what is stored stays as it is"
