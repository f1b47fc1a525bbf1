"""An update, a sample and an acting step on a GPU: what they read back, on a stand-in that notes it (device_kit)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from device_kit import THERE, Watched, told
from learner_kit import SMALL, flat_config, flat_of, make_batch, make_learner, td_learners, train
from pymarl.components.buffers import prioritized
from pymarl.components.buffers.buffer import Buffer, Clock, Sample
from pymarl.components.buffers.prioritized import PrioritizedReplayBuffer
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.learners import train_result
from pymarl.learners.advantage_learner import Targets
from pymarl.learners.ppo_learner import PPOLearner
from pymarl.learners.value_learner import ValueLearner
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError

LENGTHS = [5, 1, 8, 3]
CLOCK = Clock(0, 0)


def there(learner: str = "nq_learner", mixer: str | None = "nmix", **keys: Any) -> Any:
    """Return a learner on the stand-in."""
    flat = flat_of("mixer", mixer) | flat_of("learner", learner) | flat_config()
    small = {"rnn_hidden_dim": 8, "mixing_embed_dim": 4, "hypernet_embed": 6, "mac": "n_mac", "agent": "n_rnn"}
    return make_learner(flat | {"learner": learner, "mixer": mixer} | small | keys, device="meta")


def watched_update(learner: Any, sample: Sample | None = None) -> Watched:
    with Watched() as seen:
        sample = sample or Sample(batch=make_batch(LENGTHS), weights=torch.ones(len(LENGTHS)))
        learner.train(sample.to(learner.device), 0, 0)
    return seen


@pytest.mark.parametrize(
    ("name", "mixer", "optimizer"),  # each learner once, as mixers read nothing back; qplex_qatten does most
    [
        *((*pair, "adam") for pair in dict(td_learners()).items()),
        ("nq_learner", "qplex_qatten", "adam"),
        ("nq_learner", "nmix", "rmsprop"),
    ],
)
def test_an_update_waits_for_nothing(name: str, mixer: str | None, optimizer: str) -> None:
    """Loss and norm of the gradient are fetched, in one copy that nobody waits for before the next update."""
    for keys in ({}, {"return_priority": True, "agent": "rnn", "mac": "basic_mac"}):
        learner = there(name, mixer, optimizer=optimizer, target_update_interval=1, **keys)
        for _ in range(2):
            seen = watched_update(learner)
            assert seen.waits == []
            assert seen.fetches == [(2,)]
            assert len(seen.uploads) >= 10, "six fields, weights, the packing's two and the mask"
            learner._unseen = None


@pytest.mark.parametrize("more", [{}, {"td_lambda": 0.0}, {"q_lambda": True}])
def test_targets_wait_for_nothing(more: dict[str, Any]) -> None:
    assert watched_update(there(**more)).waits == []


class Policy(PPOLearner):
    """The least of an actor-critic method, trained on minibatches."""

    def loss(self, batch: Any, targets: Targets) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        policy = self.policy(self.with_last_actions(batch), agents=(0, 2))
        return (
            (policy.log_probs * targets.advantages[..., :2]).sum(),
            self.state_values(batch, self.critic).pow(2).sum(),
            {},
        )


def test_minibatches_wait_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read = told(monkeypatch, train_result, lambda: torch.ones(2))
    keys = {"learner": f"{__name__}:Policy", "critic": "cv_critic", "epochs": 2, "minibatches": 2, "gae_lambda": 0.9,
            "critic_lr": 0.01, "standardise_advantages": True, "normalise_values": True, "critic_hidden_dim": 8,
            "critic_inputs": ["state", "joint_last_action"], "agent_output_type": "pi_logits", "mac": "n_mac",
            "action_selector": "gumbel", "agent": "rnn", "rnn_hidden_dim": 8}  # fmt: skip
    seen = watched_update(make_learner(flat_config(**keys), device="meta"))
    assert seen.waits == []
    assert seen.fetches == [(2,)] * 8, "two epochs of two minibatches, an actor's step and a critic's in each"
    assert len(read) == 7, "the last step's is looked at later"


@contextmanager
def planted(monkeypatch: pytest.MonkeyPatch, fault: Any) -> Iterator[None]:
    """Let a learner do something on the side in each update."""
    update_targets = ValueLearner.update_targets

    def spoilt(self: Any, now: int) -> None:
        fault(self)
        update_targets(self, now)

    with monkeypatch.context() as patch:
        patch.setattr(ValueLearner, "update_targets", spoilt)
        yield


@pytest.mark.parametrize(
    "fault",
    [
        lambda learner: learner.mac.agent.fc1.weight.sum().item(),
        lambda learner: bool(learner.mac.agent.fc1.weight.sum() > 0),
        lambda learner: learner.mac.agent.fc1.weight.cpu(),
        lambda learner: learner.mac.agent.fc1.weight.tolist(),
        lambda learner: torch.zeros(3).to(learner.device),
        lambda learner: learner.mac.agent.fc1.bias[torch.arange(3)],
        lambda learner: learner.mac.agent.fc1.bias.index_fill(0, torch.arange(1, device=THERE), 0.0)[
            torch.zeros(8, dtype=torch.bool, device=THERE)
        ],
    ],
    ids=["item", "bool", "cpu", "tolist", "blocking copy", "host index", "mask index"],
)
def test_one_who_waits_is_seen(fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, seen = there(), Watched()
    with planted(monkeypatch, fault), seen:
        try:
            train(learner, make_batch(LENGTHS).to(learner.device), 0, 0)
        except NotImplementedError:  # the stand-in cannot do all that a GPU can, but has noted it
            assert seen.waits
    assert len(seen.waits) >= 1


def test_a_number_that_is_not_finite_stops_the_run_one_step_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answers = [torch.tensor([1.0, 2.0]), torch.tensor([1.0, math.nan]), torch.tensor([math.inf, 1.0])]
    read = told(monkeypatch, train_result, lambda: answers[len(read)])
    learner, batch = there(), make_batch(LENGTHS).to(THERE)
    with Watched():
        train(learner, batch, 10, 0)
        assert not read, "nobody looks at a step at once"
        train(learner, batch, 20, 0)  # looks at the first
        with pytest.raises(UserError, match=r"grad_norm=nan at t_env=20: expected a finite number"):
            train(learner, batch, 30, 0)
        learner.check_steps()  # the third step was not made
        assert len(read) == 2
        train(learner, batch, 40, 0)
        with pytest.raises(UserError, match=r"loss_td=inf at t_env=40"):
            learner.save_models(tmp_path)
    assert not list(tmp_path.iterdir())


def buffer(cls: type[ReplayBuffer], device: Any, **keys: Any) -> Any:
    flat = flat_config(batch_size=3, buffer_size=9, **keys)
    batch = make_batch(LENGTHS)
    args = (batch.scheme, batch.groups, SMALL.episode_limit + 1, batch.preprocess, np.random.default_rng(0))
    replay: Buffer = cls(build_config(cls.Config, flat, {}), *args, device=device, sample_device=THERE)
    return replay


@pytest.mark.parametrize("kept", ["cpu", "meta"])
def test_a_sample_waits_for_nothing(kept: str) -> None:
    """Of each field one copy goes over, when it is sampled or when it is inserted."""
    replay = buffer(ReplayBuffer, kept)
    with Watched() as insertion:
        replay.insert_episode_batch(make_batch(LENGTHS))
    with Watched() as seen:
        (sample,) = replay.samples(Clock(0, 4))
        batch = sample.to(THERE).batch
    assert insertion.waits + seen.waits + insertion.fetches + seen.fetches == []
    fields, slots = 6, [length + 1 for length in LENGTHS]
    taken = sum(slots[index] for index in sample.indices)
    assert len(insertion.uploads) == (fields if kept == "meta" else 0)
    assert {shape[0] for shape in insertion.uploads} <= {sum(slots)}, "padding stays"
    assert len(seen.uploads) == 1 + (fields if kept == "cpu" else 0), "the places, and what is not there yet"
    assert {shape[0] for shape in seen.uploads} == {taken}
    assert batch.device == THERE
    assert {tensor.device for tensor in batch.data.values()} == {THERE}
    assert batch.data["obs"].shape == (3, max(batch.lengths) + 1, SMALL.n_agents, SMALL.obs_shape)


def test_priorities_are_awaited_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    read = told(monkeypatch, prioritized, lambda: torch.tensor([5.0, 0.5, 2.0], dtype=torch.float64))

    def fed() -> Any:
        replay = buffer(PrioritizedReplayBuffer, "cpu", per_alpha=1.0, per_beta=0.4)
        replay.insert_episode_batch(make_batch(LENGTHS[:3]))
        with Watched() as seen:
            replay.feedback(
                Sample(batch=make_batch([1]), indices=np.array([2, 0, 1])),
                SimpleNamespace(priorities=torch.empty(3, device=THERE)),
            )
        assert (seen.waits, seen.fetches) == ([], [(3,)])
        assert replay.priorities[:3] == pytest.approx([1, 1, 1])
        return replay

    needs = [
        lambda replay: replay.insert_episode_batch(make_batch([4])),
        lambda replay: replay.sample(2, CLOCK),
        lambda replay: replay.state_dict(),
    ]
    for checked, need in enumerate(needs):
        replay = fed()
        assert len(read) == checked
        need(replay)
        need(replay)
        assert len(read) == checked + 1
        assert replay.priorities[:3] == pytest.approx([0.5, 2.0, 5.0], rel=1e-5)
        assert replay.max_priority == pytest.approx(5.0, rel=1e-5)


ACTING = [
    {},
    {"agent_output_type": "pi_logits", "mac": "basic_mac", "action_selector": "multinomial", "test_greedy": True},
    {"agent": "n_rnn_ns"},
]


@pytest.mark.parametrize("keys", ACTING)
def test_an_acting_step_waits_once(keys: dict[str, Any]) -> None:
    mac, batch = there("nq_learner", "nmix", **keys).mac, make_batch([8] * 5)
    mac.stores = ("probs",) if "action_selector" in keys else ()
    mac.init_hidden(5)
    for t, rows in enumerate([slice(None), slice(None), np.array([0, 2, 3]), [1]]):
        with Watched() as seen:
            if t == 1:
                mac.restart(np.array([4]))
            chosen = mac.select_actions(batch, t, 0, rows, test_mode=True)
        actions, kept = chosen if mac.stores else (chosen, {})
        count = len(range(5)[rows]) if isinstance(rows, slice) else len(rows)
        assert seen.waits == ["_to_copy"]
        assert len(seen.fetches) == len(kept)
        assert actions.device.type == "cpu"
        assert actions.shape == (count, SMALL.n_agents)
        assert all(probs.shape == (count, SMALL.n_agents, SMALL.n_actions) for probs in kept.values())
