"""Losses and gradients of DOP and RIIT equal PyMARL2's, MADDPG's EPyMARL's: recorded numbers always, live on request.

They were measured by running those (tests/fixtures/make_offpolicy_numbers.py). With the environment variables
PYMARL2_DIR and EPYMARL_DIR naming checkouts the same is measured again. DOP is compared with PyMARL2's non-linear
mixer, and without epsilon where actions are unavailable; MADDPG with sampled actions of the others, where nothing ends.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from test_pymarl2_equality import FIXTURES, TOLERANCE, module_of

from learner_kit import make_learner
from pymarl.components.buffers.buffer import Sample
from pymarl.learners import action_values

with gzip.open(FIXTURES / "offpolicy_numbers.pt.gz") as file:
    CASES = torch.load(file, weights_only=True)

live = pytest.mark.skipif(
    not {"PYMARL2_DIR", "EPYMARL_DIR"} <= os.environ.keys(), reason="PYMARL2_DIR and EPYMARL_DIR name no checkouts"
)


@pytest.fixture(scope="module")
def maker() -> Any:
    """The module that measures the others."""
    return module_of("make_offpolicy_numbers")


def our_learner(name: str, case: dict[str, Any], maker: Any) -> Any:
    """Return the learner of a case with its weights, its epsilon, and the last actions that are in the batch."""
    keys = maker.CASES[name]
    epsilon = keys.get("epsilon", 0.0)
    flat = maker.ours(keys) | {"epsilon_start": epsilon, "epsilon_finish": epsilon}
    learner = make_learner(flat, maker.base.INFO)
    networks = {part: getattr(learner, part) for part in case["networks"] if "agent" not in part}
    networks["agent"] = learner.mac.agent
    if "target_agent" in case["networks"]:
        networks["target_agent"] = learner.target_mac.agent
    for part, state in case["networks"].items():
        named = {their_name(part, n, keys, maker): n for n in networks[part].state_dict()}
        networks[part].load_state_dict({named[n]: value for n, value in state.items()})
    learner.with_last_actions = lambda batch: batch
    return learner


def their_name(part: str, name: str, keys: dict[str, Any], maker: Any) -> str:
    return maker.theirs(name, keys) if "use_rnn" in keys and "agent" in part else name


def watch(learner: Any) -> list[tuple[float, dict[str, torch.Tensor]]]:
    """Return a list that will hold the loss and the gradients of each step."""
    seen: list[tuple[float, dict[str, torch.Tensor]]] = []
    step = learner.step

    def watched(optimiser: Any, loss: torch.Tensor, name: str) -> torch.Tensor:
        norm = step(optimiser, loss, name)
        mine = {id(p) for p in optimiser.params}
        named = {n: p for part in ("agent", "critic", "mixer") for n, p in parameters(learner, part).items()}
        found = {n: p.grad.clone() for n, p in named.items() if id(p) in mine and p.grad is not None}
        seen.append((loss.item(), found))
        return norm

    learner.step = watched
    return seen


def parameters(learner: Any, part: str) -> dict[str, torch.Tensor]:
    network = learner.mac.agent if part == "agent" else getattr(learner, part, None)
    return {} if network is None else {f"{part}.{name}": p for name, p in network.named_parameters()}


def packed_noise(batch: Any, maker: Any) -> torch.Tensor:
    """Return the recorded Gumbel noise as our learner draws it; the last slot, which counts nowhere, has none."""
    noise = maker.noise()
    return batch.packing.pack(torch.cat([noise, torch.zeros_like(noise[:, :1])], 1))


def check(name: str, case: dict[str, Any], maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    learner, found = our_learner(name, case, maker), maker.batches(maker.CASES[name])
    monkeypatch.setattr(action_values, "gumbel_noise", lambda shape, _: packed_noise(found["batch"], maker).view(shape))
    seen = watch(learner)
    metrics = learner.train(Sample(batch=found["batch"], replayed=found.get("replayed")), 0, 0).read()
    assert len(seen) == len(case["steps"]) >= 2
    assert [loss for loss, _ in seen] == pytest.approx(losses_of(name, case, metrics), rel=TOLERANCE, abs=1e-7)
    keys = maker.CASES[name]
    for (_, ours), expected in zip(seen, case["steps"], strict=True):
        named = {their_name(n.split(".")[0], n, keys, maker): gradient for n, gradient in ours.items()}
        assert named.keys() == expected.keys()
        for n, gradient in expected.items():
            worst = (named[n] - gradient).abs().max().item()
            assert worst <= TOLERANCE * max(gradient.abs().max().item(), 1e-4), f"{n}: {worst}"


def losses_of(name: str, case: dict[str, Any], metrics: dict[str, float]) -> list[float]:
    """Return the losses of all steps as they are there; of the entropy, which RIIT logs apart, the weight is added."""
    stats = case["stats"]
    if name.startswith("dop"):
        return [*stats[0]["critic_losses"], stats[0]["coma_loss"]]
    bonus = 0.3 if name.startswith("riit") else 0.0
    return [*(each["critic_loss"] for each in stats), stats[-1]["pg_loss"] - bonus]


@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_equal_the_recorded_ones(name: str, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check(name, CASES[name], maker, monkeypatch)


def test_the_critic_learns_slot_by_slot_as_theirs(maker: Any) -> None:
    """At a learning rate that moves: each step is made with the weights of the one before, of critic and mixer."""
    case = CASES["dop"]
    learner, found = our_learner("dop", case, maker), maker.batches(maker.CASES["dop"])
    learner.train(Sample(**found), 0, 0)
    assert learner.counters["critic_steps"] == len(case["steps"]) - 1 == max(maker.LENGTHS)
    compared = 0
    for part in ("agent", "critic", "mixer"):
        for name, parameter in parameters(learner, part).items():
            moved = (case["parameters"][name] - case["networks"][part][name.removeprefix(f"{part}.")]).abs().max()
            assert (parameter - case["parameters"][name]).abs().max() <= 1e-3 * moved, name
            compared += int(moved > 1e-3)
    assert compared > 10


@live
def test_losses_and_gradients_equal_the_checkouts(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = maker.measure(Path(os.environ["PYMARL2_DIR"]), Path(os.environ["EPYMARL_DIR"]))
    assert cases.keys() == CASES.keys()
    for name, case in cases.items():
        check(name, case, maker, monkeypatch)
