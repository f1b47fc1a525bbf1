"""Losses and gradients of EPyMARL's q_learner, with its standardising: recorded numbers always, live on request.

The recorded numbers were measured by running EPyMARL (tests/fixtures/make_epymarl_numbers.py), on a batch without the
padding in which it is wrong. With the environment variable EPYMARL_DIR naming a checkout, the same is measured again.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from test_pymarl2_equality import FIXTURES, TOLERANCE, module_of

from learner_kit import gradients, make_batch, make_learner, train, translated

with gzip.open(FIXTURES / "epymarl_numbers.pt.gz") as file:
    CASES = torch.load(file, weights_only=True)

live = pytest.mark.skipif("EPYMARL_DIR" not in os.environ, reason="EPYMARL_DIR names no checkout of EPyMARL")


@pytest.fixture(scope="module")
def maker() -> Any:
    """The module that measures EPyMARL."""
    return module_of("make_epymarl_numbers")


def our_learner(case: dict[str, Any], maker: Any) -> Any:
    learner = make_learner(translated(case["flat"]), maker.INFO)
    networks = {"agent": learner.mac.agent, "target_agent": learner.target_mac.agent}
    if learner.mixer is not None:
        networks |= {"mixer": learner.mixer, "target_mixer": learner.target_mixer}
    assert networks.keys() == case["networks"].keys()
    for part, network in networks.items():
        ours = {(maker.theirs(n, case["flat"]) if "agent" in part else n): n for n in network.state_dict()}
        network.load_state_dict({ours[name]: value for name, value in case["networks"][part].items()})
    return learner


def check(case: dict[str, Any], maker: Any) -> None:
    """Compare two updates. EPyMARL's loss lacks our factor of a half, and so do its gradients."""
    learner = our_learner(case, maker)
    for numbers in case["updates"]:
        metrics = train(learner, make_batch(maker.LENGTHS, maker.INFO, seed=3), 0, 0).read()
        stats = numbers["stats"]
        assert 2 * metrics["loss_td"] == pytest.approx(stats["loss"], rel=TOLERANCE)
        assert 2 * metrics["grad_norm"] == pytest.approx(stats["grad_norm"], rel=TOLERANCE)
        for name in ("td_error_abs", "q_taken_mean", "target_mean"):
            assert metrics[name] == pytest.approx(stats[name], rel=TOLERANCE, abs=1e-6), name
        ours = {
            maker.theirs(name, case["flat"]) if name.startswith("agent.") else name: gradient
            for name, gradient in gradients(learner).items()
        }
        assert ours.keys() == numbers["gradients"].keys()
        for name, expected in numbers["gradients"].items():
            worst = (2 * ours[name] - expected).abs().max().item()
            assert worst <= TOLERANCE * expected.abs().max().item(), f"{name}: {worst}"


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_equal_the_recorded_ones(name: str, maker: Any) -> None:
    check(CASES[name], maker)


def test_the_record_covers_shared_and_own_weights_with_every_mixer_and_both_statistics() -> None:
    flats = [case["flat"] for case in CASES.values()]
    assert {(flat["agent"], flat["mixer"]) for flat in flats} == {
        (agent, mixer) for agent in ("rnn", "rnn_ns") for mixer in (None, "vdn", "qmix")
    }
    assert {(flat["standardise_rewards"], flat["standardise_returns"]) for flat in flats} >= {
        (True, False),
        (True, True),
    }
    for case in CASES.values():
        first, second = (numbers["stats"]["loss"] for numbers in case["updates"])
        assert (first == second) == (
            not case["flat"]["standardise_returns"] and not case["flat"]["standardise_rewards"]
        )


@live
def test_loss_and_gradients_equal_a_checkouts(maker: Any) -> None:
    cases = maker.measure(Path(os.environ["EPYMARL_DIR"]))
    assert cases.keys() == CASES.keys()
    for case in cases.values():
        check(case, maker)
