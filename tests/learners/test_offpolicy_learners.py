"""What MADDPG, FMAC, RIIT and DOP have in common: padding and ends, checkpoints, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from learner_kit import make_batch, matrix_game, spoil_padding
from off_policy_kit import (
    ALGS,
    KEYS,
    flat_config,
    make_learner,
    mixed_batch,
    sample_of,
    small_learner,
    steps_of,
    trained,
)
from pymarl.components.buffers.buffer import Sample
from pymarl.utils.errors import UserError

each_alg = pytest.mark.parametrize("alg", ALGS)


def is_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def targets_of(learner: Any) -> dict[str, torch.Tensor]:
    return {f"{i}.{n}": p for i, t in enumerate(learner._targets) for n, p in t.copy.state_dict().items()}


@each_alg
def test_an_update_trains_every_network_and_no_target(alg: str) -> None:
    learner = small_learner(alg)
    idle = {f"mixer.{name}" for name in (getattr(learner, "mixer", None) and learner.mixer.idle) or ()}
    before = {name: p.detach().clone() for name, p in trained(learner).items()}
    targets = {name: p.clone() for name, p in targets_of(learner).items()}
    learner.update_targets = lambda now: None
    result = learner.train(sample_of(alg, mixed_batch(), mixed_batch(seed=1)), 0, 0)
    assert {"critic_loss", "critic_grad_norm", "pg_loss", "agent_grad_norm"} <= result.metrics.keys()
    assert all(value.shape == () and not value.requires_grad for value in result.metrics.values())
    result.read()
    moved = {name for name, p in trained(learner).items() if not torch.equal(p, before[name])}
    assert moved == before.keys() - idle
    assert is_equal(targets, targets_of(learner))
    assert all(p.requires_grad for p in trained(learner).values())


@each_alg
def test_padding_changes_nothing(alg: str) -> None:
    seen = []
    for change in (lambda b: b, spoil_padding):
        slots = None if not seen else 15
        batch, replayed = (change(mixed_batch(seed=seed, slots=slots)) for seed in (0, 1))
        learner = small_learner(alg)
        steps = steps_of(learner)
        metrics = learner.train(sample_of(alg, batch, replayed), 0, 0).read()
        seen.append((steps, metrics))
    (plain, expected), (spoilt, got) = seen
    assert got == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert len(plain) == len(spoilt) >= 2
    for (loss, gradients), (other, others) in zip(plain, spoilt, strict=True):
        assert other == pytest.approx(loss, rel=1e-5)
        for name, gradient in gradients.items():
            torch.testing.assert_close(others[name], gradient, rtol=1e-4, atol=1e-6)


@each_alg
def test_a_slot_behind_the_last_step_may_offer_nothing(alg: str) -> None:
    batch, replayed = mixed_batch(), mixed_batch(seed=1)
    for each in (batch, replayed):
        each.data["avail_actions"][torch.arange(each.batch_size), each.lengths] = False
    learner = small_learner(alg)
    learner.train(sample_of(alg, batch, replayed), 0, 0).read()
    assert all(p.isfinite().all() for p in trained(learner).values())


@each_alg
def test_rewards_of_the_last_step_count(alg: str) -> None:
    """EPyMARL's MADDPG never sees them: its critic's loss stays the same."""
    losses = []
    for more in (0.0, 100.0):
        batch = mixed_batch()
        batch.data["reward"][torch.arange(4), batch.lengths - 1] += more
        learner = small_learner(alg, standardise_rewards=False)
        losses.append(learner.train(sample_of(alg, batch), 0, 0).read()["critic_loss"])
    assert losses[1] > 100 * losses[0]


@each_alg
def test_a_time_limit_bootstraps_and_an_end_does_not(alg: str) -> None:
    """Only the state after a time limit changes the first step of the critic; one that is both is an end."""
    for terminated, counts in ((False, True), (True, False)):
        losses = []
        for shift in (0.0, 3.0):
            batch = make_batch([8, 8], terminated=terminated)
            batch.data["state"][:, 8] += shift
            batch.data["obs"][:, 8] += shift
            learner = small_learner(alg, critic_updates="batch", standardise_rewards=False)
            learner.with_last_actions = lambda b: b  # a drawn one would change with the observation
            losses.append(learner.train(sample_of(alg, batch, batch), 0, 0).read()["critic_loss"])
        assert (losses[0] != losses[1]) is counts


@each_alg
def test_the_action_after_a_time_limit_is_one_that_the_policy_would_take(alg: str) -> None:
    """None was taken there, so that what a batch holds in this place means nothing."""
    losses = []
    for action in range(5):
        batch = make_batch([8, 8], terminated=False)
        batch.data["actions"][:, 8] = action
        learner = small_learner(alg)
        losses.append(learner.train(sample_of(alg, batch, batch), 0, 0).read()["critic_loss"])
    assert len(set(losses)) == 1


@each_alg
def test_save_load_continue_equals_never_stopping(alg: str, tmp_path: Any) -> None:
    def go_on(learner: Any, first: int, last: int) -> dict[str, float]:
        metrics = {}
        for i in range(first, last):
            sample = sample_of(alg, mixed_batch(seed=i), mixed_batch(seed=50 + i))
            metrics = learner.train(sample, i, 8 * i).read()
        return metrics

    keys = {"target_update_interval": 12, "target_update_interval_or_tau": None}
    unbroken, broken = (small_learner(alg, **keys) for _ in range(2))
    expected = go_on(unbroken, 0, 6)
    go_on(broken, 0, 3)
    torch.save(broken.state_dict(), tmp_path / "state.pt")
    resumed = small_learner(alg, seed=99, **keys)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert go_on(resumed, 3, 6) == expected
    assert is_equal(trained(resumed), trained(unbroken))
    assert is_equal(targets_of(resumed), targets_of(unbroken))
    initial = small_learner(alg, **keys)
    assert not is_equal(targets_of(unbroken), targets_of(initial)), "the targets have followed"


@each_alg
def test_model_files_hold_critic_and_targets_follow(alg: str, tmp_path: Any) -> None:
    """PyMARL2 keeps no critic of RIIT, nor DOP's target; EPyMARL reads none of MADDPG."""
    writer, reader = small_learner(alg), small_learner(alg, seed=99)
    writer.train(sample_of(alg, mixed_batch(), mixed_batch(seed=1)), 0, 0)
    writer.save_models(tmp_path)
    files = {path.name for path in tmp_path.iterdir()}
    own = {"reward_stats.th"} if alg.startswith("epymarl") else {"mixer.th"}
    assert files == {"agent.th", "critic.th", "agent_opt.th", "critic_opt.th"} | own
    reader.load_models(tmp_path)
    assert is_equal(trained(reader), trained(writer))
    writer.copy_targets()
    assert is_equal(targets_of(reader), targets_of(writer))


@each_alg
def test_what_is_not_finite_stops_the_run(alg: str) -> None:
    learner, batch = small_learner(alg), mixed_batch()
    batch.data["reward"][2, 3] = float("nan")
    with pytest.raises(UserError, match="critic_loss=nan at t_env=77"):
        learner.train(sample_of(alg, batch), 77, 0)


@pytest.mark.parametrize(
    ("alg", "keys", "line"),
    [
        (
            "epymarl/maddpg",
            {"critic": "cv_critic"},
            "critic of state, agent_id: learner='maddpg_learner'.*write critic=maddpg_critic",
        ),
        ("riit", {"critic": "dop"}, "critic of state, obs, agent_id: learner='fmac_learner'.*write critic=fmac"),
        ("riit", {"mixer": "qplex"}, "mixer of QPLEXMixer reads.*write mixer=qmix, nmix or vdn"),
    ],
)
def test_networks_that_do_not_go_with_a_learner(alg: str, keys: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        small_learner(alg, **keys)


@each_alg
def test_it_learns_the_best_joint_action(alg: str) -> None:
    """Of a game whose actions add up, in which the second action is the better one for either agent."""
    info, batch = matrix_game([[0.0, 1.0], [1.0, 2.0]])
    keys = KEYS | {"lr": 0.02, "critic_lr": 0.02, "target_update_interval": 1, "target_update_interval_or_tau": None}
    keys |= {"epsilon_start": 0.1, "epsilon_finish": 0.1, "standardise_rewards": False, "adaptive_entropy": False}
    learner = make_learner(flat_config(alg, **keys), info)
    for i in range(60):
        learner.train(Sample(batch=batch, replayed=batch if alg in ("riit", "dop") else None), i, i)
    outputs = learner.mac.unroll_packed(batch).outputs[0]
    assert outputs.argmax(-1).tolist() == [1, 1]
    assert outputs.softmax(-1)[:, 1].min() > (0.6 if learner.mac.outputs(learner.mac.config) == "probs" else 0.8)
