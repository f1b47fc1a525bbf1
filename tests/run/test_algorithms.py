"""Every shipped algorithm trains: finite numbers, networks that move, nothing but available actions."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.run.check import check
from pymarl.run.config import Classes, RunConfig
from pymarl.run.foreign import take_foreign
from pymarl.run.parts import Parts, build_local_runner, build_parts
from pymarl.run.training import Training
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge, shipped_files
from pymarl.utils.logging import Logger

ALGS = list(shipped_files("algs"))
SMALL: dict[str, Any] = {
    "seed": 1, "runner": "parallel", "batch_size_run": 4, "batch_size": 4, "buffer_size": 8, "rnn_hidden_dim": 8,
    "mixing_embed_dim": 4, "hypernet_embed": 8, "save_model": False, "test_nepisode": 2, "env": "stag_hunt",
    "env_args": {"world_shape": [4, 4], "n_agents": 3, "n_stags": 2, "episode_limit": 10},
}  # fmt: skip


def build(alg: str, **updates: Any) -> tuple[Parts, RunConfig]:
    layers = merge(alg, "stag_hunt", SMALL | updates)
    take_foreign(layers)
    check(layers)
    config = build_config(RunConfig, layers.values, layers.origin)
    log = logging.getLogger("test")
    return build_parts(layers.values, config, build_local_runner(layers.values, {}, log), log), config


def train(alg: str, folder: Path, **updates: Any) -> Training:
    """Return a training after six iterations, in which the networks have moved."""
    parts, config = build(alg, **updates)
    training = Training(parts, config, Logger(logging.getLogger("test")), folder)
    before = [p.detach().clone() for p in parts.learner.parameters()]
    for _ in range(6):
        training.iterate()
    assert any(not torch.equal(old, new) for old, new in zip(before, parts.learner.parameters(), strict=True))
    return training


VARIANTS = {
    "plain": {},
    "per": {"use_per": True},
    "per_return": {"use_per": True, "return_priority": True},
    "four_updates": {"updates_per_collect": 4},
    "episode_runner": {"runner": "episode", "batch_size_run": 1},
}


def first_of_their_parts() -> list[str]:
    """Return the algorithms that bring a learner with a mixer, or an agent, that none before them has."""
    seen: set[Any] = set()
    firsts = []
    for alg in ALGS:
        layers = merge(alg, "stag_hunt", SMALL)
        take_foreign(layers)
        parts = {(layers.values["learner"], layers.values["mixer"]), layers.values["agent"]}
        if parts - seen:
            firsts.append(alg)
        seen |= parts
    return firsts


FIRSTS = first_of_their_parts()


def test_firsts_have_every_part_of_the_others() -> None:
    assert {"epymarl/iql_ns", "qmix", "qmix_att", "vdn"} <= set(FIRSTS) < set(ALGS)


@pytest.mark.parametrize(
    ("alg", "variant"), [(alg, variant) for alg in ALGS for variant in VARIANTS if variant == "plain" or alg in FIRSTS]
)
def test_it_trains(alg: str, variant: str, tmp_path: Path) -> None:
    learner = Classes.of(merge(alg, "stag_hunt", SMALL).values).learner
    if "use_per" in VARIANTS[variant] and not learner.gives_priorities:
        pytest.skip("this learner gives no priorities")
    training = train(alg, tmp_path, **VARIANTS[variant])
    parts, info = training.parts, training.logger.info
    assert training.gradient_steps > 0
    learned = [key for key in info if ("loss" in key or "grad_norm" in key) and not key.endswith("_T")]
    assert len(learned) >= 2
    assert all(math.isfinite(value) for key in learned for value in info[key])
    assert all(math.isfinite(value) for values in info.values() for value in values)
    stored = parts.buffer.episodes if isinstance(parts.buffer, ReplayBuffer) else parts.buffer.cut(parts.runner.run())
    for episode in stored:  # [L+1, N, A] and [L+1, N, 1]; the last slot has no action
        chosen = episode["avail_actions"][:-1].gather(-1, episode["actions"][:-1].long())
        assert chosen.all()


@pytest.mark.parametrize("runner", [{}, {"runner": "episode", "batch_size_run": 1}])
@pytest.mark.parametrize("alg", FIRSTS)
def test_it_trains_on_pieces(alg: str, runner: dict[str, Any], tmp_path: Path) -> None:
    parts, config = build(alg, rollout_steps=7, **runner)
    training = Training(parts, config, Logger(logging.getLogger("test")), tmp_path)
    for _ in range(8):
        training.iterate()
    assert parts.runner.t_env == 8 * 7 * config.batch_size_run
    assert training.gradient_steps > 0
    assert all(math.isfinite(value) for values in training.logger.info.values() for value in values)
    parts.runner.close_env()


@pytest.mark.parametrize("alg", FIRSTS)
def test_it_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(alg: str, tmp_path: Path) -> None:
    """In the midst of episodes, with tests on the way."""

    def begin() -> Training:
        torch.manual_seed(1)
        parts, config = build(alg, rollout_steps=7, test_interval=20, target_update_interval_or_tau=0.5)
        return Training(parts, config, Logger(logging.getLogger("test")), tmp_path)

    def go(training: Training) -> dict[str, Any]:
        for _ in range(3):
            training.iterate()
        return training.parts.learner.state_dict()

    whole = begin()
    go(whole)
    whole.save()
    expected = go(whole)
    resumed = begin()
    resumed.load(next(path for path in tmp_path.iterdir() if path.name.isdigit()))
    got = go(resumed)
    assert whole.gradient_steps == resumed.gradient_steps >= 5
    assert got.keys() == expected.keys()
    for name in expected.keys() - {"_extra_state"}:
        assert torch.equal(got[name], expected[name]), name
    assert got["_extra_state"]["counters"] == expected["_extra_state"]["counters"]
    assert whole.logger.info["test_return_mean"] == resumed.logger.info["test_return_mean"]


def test_accumulated_episodes_skip_updates_alone(tmp_path: Path) -> None:
    parts, config = build("qmix", accumulated_episodes=12)
    training = Training(parts, config, Logger(logging.getLogger("test")), tmp_path)
    for _ in range(6):
        training.iterate()
    assert (training.episode, training.gradient_steps) == (24, 2)
