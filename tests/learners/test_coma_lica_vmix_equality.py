"""COMA, LICA and VMIX equal PyMARL2's, and COMA EPyMARL's, where those are right: recorded always, live on request.

The recorded numbers were measured by running them (tests/fixtures/make_coma_lica_vmix_numbers.py). With PYMARL2_DIR or
EPYMARL_DIR naming a checkout, the same is measured again.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from test_pymarl2_equality import FIXTURES, TOLERANCE, module_of

from learner_kit import gradients, make_learner, train

with gzip.open(FIXTURES / "coma_lica_vmix_numbers.pt.gz") as file:
    CASES = torch.load(file, weights_only=True)

OF_CRITIC = ("critic_loss", "critic_grad_norm", "td_error_abs", "q_taken_mean", "target_mean")
STATS = {"coma_loss": "coma_loss", "mix_loss": "mix_loss", "pg_loss": "pg_loss", "advantage_mean": "advantage_mean",
         "pi_max": "pi_max", "entropy": "entropy", "entropy_loss": "entropy", "agent_grad_norm": "agent_grad_norm",
         "q_t_mean": "q_taken_mean", **{name: name for name in OF_CRITIC}}  # fmt: skip
"""Theirs -> ours."""


@pytest.fixture(scope="module")
def maker() -> Any:
    """The module that measures them."""
    return module_of("make_coma_lica_vmix_numbers")


def our_learner(case: dict[str, Any], maker: Any) -> Any:
    """Return the learner of a case with its weights, which takes the batch's actions of last slots for its own."""
    learner = make_learner(maker.ours(case["flat"]), maker.INFO)
    networks = maker.networks_of(learner)
    assert networks.keys() == case["networks"].keys()
    for part, network in networks.items():
        ours = {maker.theirs(part, name, case["flat"]): name for name in network.state_dict()}
        network.load_state_dict({ours[name]: value for name, value in case["networks"][part].items()})
    learner.with_last_actions = lambda batch, probs: batch
    return learner


def theirs(stats: dict[str, float], case: dict[str, Any], agents: int) -> dict[str, float]:
    """Return statistics as ours are.

    EPyMARL's critic has the sum over agents for a mean; PyMARL2's LICA logs its loss with the entropy, whose value
    there is the coefficient; its VMIX and EPyMARL's COMA log a `coma_loss` with the entropy.
    """
    flat, stats = case["flat"], dict(stats)
    if "critic_type" in flat:
        stats |= {name: stats[name] / agents for name in OF_CRITIC}
    if "mix_loss" in stats:
        stats["mix_loss"] += flat["entropy_coef"]
    if "entropy" not in flat:
        stats.pop("coma_loss", None)
    return {STATS[name]: value for name, value in stats.items() if name in STATS}


def check(case: dict[str, Any], maker: Any) -> None:
    learner, epymarl = our_learner(case, maker), "critic_type" in case["flat"]
    for _ in range(2 if epymarl else 1):
        metrics = train(learner, maker.batch_of(case["flat"]), 0, 0).read()
    expected = theirs(case["stats"], case, maker.INFO.n_agents)
    assert len(expected) >= 6
    for name, value in expected.items():
        assert metrics[name] == pytest.approx(value, rel=TOLERANCE, abs=1e-6), name
    ours = {}
    for name, gradient in gradients(learner).items():
        part, _, key = name.partition(".")
        ours[f"{part}.{maker.theirs(part, key, case['flat'])}"] = gradient
    assert ours.keys() == case["gradients"].keys()
    for name, gradient in case["gradients"].items():
        factor = maker.INFO.n_agents if epymarl and name.startswith("critic.") else 1
        worst = (factor * ours[name] - gradient).abs().max().item()
        assert worst <= TOLERANCE * max(gradient.abs().max().item(), 0.01), f"{name}: {worst}"
    for name, value in case["critic"].items():
        got = learner.critic.state_dict()[name.removeprefix("critic.")]
        torch.testing.assert_close(got, value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_equal_the_recorded_ones(name: str, maker: Any) -> None:
    check(CASES[name], maker)


def test_the_record_has_what_tells_the_methods_apart(maker: Any) -> None:
    """As many cases as the maker says; a critic that moved from slot to slot; a target that is no copy."""
    assert CASES.keys() == maker.CASES.keys()
    case = CASES["coma"]
    assert not torch.equal(case["networks"]["critic"]["fc1.weight"], case["critic"]["critic.fc1.weight"])
    assert not torch.equal(case["networks"]["critic"]["fc1.weight"], case["networks"]["target_critic"]["fc1.weight"])
    whole = our_learner({**case, "flat": case["flat"] | {"critic_updates": "batch"}}, maker)
    at_once = train(whole, maker.batch_of(case["flat"]), 0, 0).read()
    assert at_once["coma_loss"] != pytest.approx(case["stats"]["coma_loss"], rel=1e-2)
    assert at_once["critic_loss"] != pytest.approx(case["stats"]["critic_loss"], rel=1e-3)


@pytest.mark.parametrize("variable", ["PYMARL2_DIR", "EPYMARL_DIR"])
def test_losses_and_gradients_equal_a_checkouts(variable: str, maker: Any) -> None:
    if variable not in os.environ:
        pytest.skip(f"{variable} names no checkout")
    cases = maker.PYMARL2 if variable == "PYMARL2_DIR" else maker.EPYMARL
    for case in maker.measure(Path(os.environ[variable]), cases).values():
        check(case, maker)
