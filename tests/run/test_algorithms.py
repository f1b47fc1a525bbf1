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
from pymarl.utils.layers import Layers, merge, shipped_files
from pymarl.utils.logging import WALL_CLOCK_KEYS, Logger

ALGS = list(shipped_files("algs"))
SMALL: dict[str, Any] = {
    "seed": 1, "runner": "parallel", "batch_size_run": 4, "batch_size": 4, "buffer_size": 8, "rnn_hidden_dim": 8,
    "mixing_embed_dim": 4, "hypernet_embed": 8, "adv_hypernet_embed": 4, "agent_own_state_size": 2,
    "central_rnn_hidden_dim": 8, "central_mixing_embed_dim": 8, "critic_hidden_dim": 8, "save_model": False,
    "off_batch_size": 4, "off_buffer_size": 8, "minibatches": 2, "test_nepisode": 2,
}  # fmt: skip
HUNT = {"world_shape": [4, 4], "n_agents": 3, "n_stags": 2, "episode_limit": 10}


def merged(alg: str, **updates: Any) -> Layers:
    """Return the layers of a small run, in an env with entities where the agent needs them."""
    named = merge(alg, "stag_hunt", {})
    take_foreign(named)
    if Classes.of(named.values).agent.needs_entities:
        return merge(alg, "skirmish", SMALL | updates)
    return merge(alg, "stag_hunt", SMALL | {"env_args": HUNT} | updates)


def build(alg: str, **updates: Any) -> tuple[Parts, RunConfig]:
    layers = merged(alg, **updates)
    take_foreign(layers)
    check(layers)
    config = build_config(RunConfig, layers.values, layers.origin)
    log = logging.getLogger("test")
    return build_parts(layers.values, config, build_local_runner(layers.values, {}, log), log), config


# One algorithm of each learner, and of each agent: the others differ in mixers, which play no part in how a run goes.
VALUES = {alg: merged(alg).values for alg in reversed(ALGS)}
KINDS = sorted({values[part]: alg for part in ("learner", "agent") for alg, values in VALUES.items()}.values())
LEARNERS = sorted({values["learner"]: alg for alg, values in VALUES.items()}.values())


def train(alg: str, folder: Path, **updates: Any) -> Training:
    """Return a training after six iterations, in which the networks have moved."""
    parts, config = build(alg, **updates)
    training = Training(parts, config, Logger(logging.getLogger("test")), folder)
    before = [p.detach().clone() for p in parts.learner.parameters()]
    for _ in range(6):
        training.iterate()
    assert any(not torch.equal(old, new) for old, new in zip(before, parts.learner.parameters(), strict=True))
    return training


def test_no_two_algorithms_share_a_folder_of_results() -> None:
    """But PyMARL2's two that it calls the same, which are for different envs."""
    names = {alg: merge(alg, None, {}).values["name"] for alg in ALGS if alg != "qmix_predator_prey"}
    assert len(set(names.values())) == len(names)
    assert all(name == alg.replace("/", "_") for alg, name in names.items() if "/" in alg)


VARIANTS = {
    "per": {"use_per": True},
    "per_return": {"use_per": True, "return_priority": True},
    "four_updates": {"updates_per_collect": 4},
    "episode_runner": {"runner": "episode", "batch_size_run": 1},
}


@pytest.mark.parametrize(
    ("alg", "keys"),
    [*(pytest.param(alg, {}, id=alg) for alg in ALGS),
     *(pytest.param(alg, keys, id=f"{alg}-{name}") for alg in LEARNERS for name, keys in VARIANTS.items())],
)  # fmt: skip
def test_it_trains(alg: str, keys: dict[str, Any], tmp_path: Path) -> None:
    learner = Classes.of(merged(alg).values).learner
    if "use_per" in keys and not learner.gives_priorities:
        pytest.skip("this learner gives no priorities")
    training = train(alg, tmp_path, **keys)
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


ONE_ENV = pytest.param({"runner": "episode", "batch_size_run": 1}, marks=pytest.mark.nightly)


@pytest.mark.parametrize("runner", [{}, ONE_ENV])
@pytest.mark.parametrize("alg", KINDS)
def test_it_trains_on_pieces(alg: str, runner: dict[str, Any], tmp_path: Path) -> None:
    parts, config = build(alg, rollout_steps=7, **runner)
    training = Training(parts, config, Logger(logging.getLogger("test")), tmp_path)
    for _ in range(8):
        training.iterate()
    assert parts.runner.t_env == 8 * 7 * config.batch_size_run
    assert training.gradient_steps > 0
    assert all(math.isfinite(value) for values in training.logger.info.values() for value in values)
    parts.runner.close_env()


@pytest.mark.parametrize("alg", [alg if alg in KINDS else pytest.param(alg, marks=pytest.mark.nightly) for alg in ALGS])
def test_it_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(alg: str, tmp_path: Path) -> None:
    """All that a method keeps is in the checkpoint: what comes after it is the same, bit for bit."""
    trainings = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        parts, config = build(alg, save_model=True, learner_log_interval=1, runner_log_interval=1, test_interval=60)
        trainings.append(Training(parts, config, Logger(logging.getLogger("test")), tmp_path / str(seed)))
    unbroken, resumed = trainings
    for _ in range(3):
        unbroken.iterate()
    unbroken.save()
    saved = tmp_path / "1" / str(unbroken.saved_t)
    for _ in range(4):
        unbroken.iterate()
    resumed.load(saved)
    for _ in range(4):
        resumed.iterate()
    assert resumed.gradient_steps == unbroken.gradient_steps > 0
    expected, got = (
        {key: values for key, values in training.logger.info.items() if key.removesuffix("_T") not in WALL_CLOCK_KEYS}
        for training in trainings
    )
    assert got == expected
    losses = [key for key in expected if "loss" in key and not key.endswith("_T")]
    assert losses
    assert all(len(expected[key]) > 3 for key in losses)
    for mine, theirs in zip(unbroken.parts.learner.parameters(), resumed.parts.learner.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for training in trainings:
        training.parts.runner.close_env()


def test_accumulated_episodes_skip_updates_alone(tmp_path: Path) -> None:
    parts, config = build("qmix", accumulated_episodes=12)
    training = Training(parts, config, Logger(logging.getLogger("test")), tmp_path)
    for _ in range(6):
        training.iterate()
    assert (training.episode, training.gradient_steps) == (24, 2)
