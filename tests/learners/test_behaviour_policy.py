"""The policy in the loss is the one that acted: with the epsilon of each row's own collect, not with today's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from learner_kit import SMALL, flat_config, make_batch, make_learner
from pymarl.components.buffers.buffer import Clock
from pymarl.components.epsilon_schedules import DecayThenFlatSchedule
from pymarl.learners import REGISTRY as LEARNERS
from pymarl.run.config import Classes, RunConfig
from pymarl.run.parts import Parts, build_local_runner, build_parts, build_runner
from pymarl.utils.config import build_config

QUIET = logging.getLogger("test_behaviour_policy")
KEYS = {"epsilon_start": 0.9, "epsilon_finish": 0.1, "epsilon_anneal_time": 60}
SMALL_NETWORKS = {"rnn_hidden_dim": 8, "critic_hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6}
Make = Callable[..., Parts]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Return what builds a run's parts, whose runner keeps the probabilities with which it chose, too."""
    made: list[Parts] = []

    def build(alg: str, *, ahead: bool = False, **keys: Any) -> Parts:
        flat = flat_config(alg, env="fake_envs:RandomWalk", env_args={}, seed=3, use_cuda=False)
        flat |= {"runner": "parallel", "env_workers": 1, "batch_size_run": 3, "batch_size": 9}
        flat |= SMALL_NETWORKS | KEYS | keys
        learner = LEARNERS[flat["learner"]]
        monkeypatch.setattr(learner, "stores", (*learner.stores, "probs"))
        config = build_config(RunConfig, flat | {"async_collect": ahead}, {})
        torch.manual_seed(1)
        runner = build_runner(flat, config, QUIET) if ahead else build_local_runner(flat, {}, QUIET)
        made.append(build_parts(flat, config, runner, QUIET))
        return made[-1]

    yield build
    for parts in made:
        parts.runner.close_env()


def collected(parts: Parts, collects: int) -> Any:
    """Return a sample of some collects, and the epsilons that acted in them."""
    epsilons = []
    for _ in range(collects):
        parts.buffer.insert_episode_batch(parts.runner.run())
        parts.runner.run_ahead()
        epsilons.append(parts.mac.action_selector.epsilon)
    (sample,) = parts.buffer.samples(Clock(t_env=parts.runner.t_env, episodes=9))
    return sample, epsilons


CASES = {
    "episode": ("coma", {"runner": "episode", "batch_size_run": 1, "env_workers": None, "batch_size": 3}),
    "parallel": ("ippo", {}),
    "pieces": ("coma", {"rollout_steps": 4, "batch_size": 9}),
    "elsewhere": ("vmix", {"ahead": True}),
    "on_off": ("dop", {"off_batch_size": 4, "off_buffer_size": 20}),
    "resumed": ("epymarl/ia2c", {"action_selector": "multinomial", "batch_size_run": 3}),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_what_was_chosen_from(case: str, make: Make) -> None:
    """Three collects in a sample, each with an epsilon of its own, played here or in another process."""
    alg, keys = CASES[case]
    parts = make(alg, **keys)
    if case == "resumed":
        parts.buffer.insert_episode_batch(parts.runner.run())
        first, parts = parts, make(alg, **keys)
        parts.mac.load_state_dict(first.mac.state_dict())
        parts.buffer.load_state_dict(first.buffer.state_dict())
        parts.runner.load_state_dict(first.runner.state_dict())
        parts.mac.action_selector.load_state_dict(first.mac.action_selector.state_dict())
    sample, epsilons = collected(parts, 2 if case == "resumed" else 3)
    assert len(set(epsilons)) >= 2, "epsilon has fallen from collect to collect"
    batch, learner = sample.batch, parts.learner
    learner.t_env = parts.runner.t_env
    with torch.no_grad():
        found = batch.packing.unpack(learner.policy(batch).log_pi.exp())[:, :-1]
    mask = batch.transitions().mask.squeeze(-1) > 0
    torch.testing.assert_close(found[mask], batch["probs"][:, :-1][mask], rtol=1e-4, atol=1e-6)
    assert found.shape[0] >= 3 * parts.runner.batch_size


def test_what_does_not_change_with_time_is_not_kept(make: Make) -> None:
    assert "acted_at" in make("coma").runner.run().data
    for alg, keys in (("ippo", {"epsilon_start": 0.0, "epsilon_finish": 0.0}), ("mappo", {"rollout_steps": None}),
                      ("coma", {"epsilon_start": 0.3, "epsilon_finish": 0.3})):  # fmt: skip
        assert "acted_at" not in make(alg, **keys).runner.run().data
    flat = flat_config("qmix", **SMALL_NETWORKS)
    assert make_learner(flat, SMALL).mac.stores == ()
    assert Classes.of(flat).learner.stores == ()


def test_replayed_episodes_are_judged_by_the_policy_of_today() -> None:
    """DOP's tree backup: whoever acted, whenever."""
    learner = make_learner(flat_config("dop", **SMALL_NETWORKS, **KEYS))
    batch = make_batch([5, 2], SMALL)
    learner.t_env = 60
    plain = learner.off_targets(batch)
    batch.data["acted_at"] = torch.zeros(2, 1, dtype=torch.int64)
    assert torch.equal(learner.off_targets(batch), plain)
    learner.t_env = 0
    assert not torch.equal(learner.off_targets(batch), plain)


@pytest.mark.parametrize("decay", ["linear", "exp"])
def test_a_schedule_says_the_same_of_many_steps(decay: Any) -> None:
    schedule, steps = DecayThenFlatSchedule(0.9, 0.05, 100, decay=decay), [0, 1, 50, 99, 100, 10**9]
    found = schedule.of_rows(torch.tensor(steps)).tolist()
    assert found == pytest.approx([schedule.eval(step) for step in steps], rel=1e-12)
