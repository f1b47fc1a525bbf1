"""Pareto-AC equals EPyMARL's numbers where those are right: recorded ones always, a live run on request.

The recorded numbers were measured by running EPyMARL (tests/fixtures/make_pac_numbers.py). With the environment
variable EPYMARL_DIR naming a checkout, the same is measured again.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from test_pymarl2_equality import FIXTURES, TOLERANCE, module_of

from learner_kit import gradients, make_learner, train, translated

with gzip.open(FIXTURES / "pac_numbers.pt.gz") as file:
    CASES = torch.load(file, weights_only=True)

live = pytest.mark.skipif("EPYMARL_DIR" not in os.environ, reason="EPYMARL_DIR names no checkout of EPyMARL")
OF_POLICY = ("pg_loss", "agent_grad_norm", "advantage_mean", "pi_max", "entropy_coef")
OF_CRITIC = ("critic_loss", "critic_grad_norm", "td_error_abs", "q_taken_mean", "target_mean")


@pytest.fixture(scope="module")
def maker() -> Any:
    """The module that measures EPyMARL."""
    return module_of("make_pac_numbers")


def our_learner(case: dict[str, Any], maker: Any) -> Any:
    learner = make_learner(translated(case["flat"]), maker.INFO)
    parts = {"agent": learner.mac.agent, "critic": learner.critic, "target_critic": learner.target_critic,
             "state_value": learner.state_value}  # fmt: skip
    for part, network in parts.items():
        own = {name.removeprefix(f"{part}."): v for name, v in case["networks"].items() if name.startswith(f"{part}.")}
        network.load_state_dict(own)
    if hasattr(learner, "target_state_value"):
        learner.target_state_value.load_state_dict(learner.state_value.state_dict())  # EPyMARL has none in effect
    return learner


def check(case: dict[str, Any], maker: Any) -> None:
    """Compare an update. With a graph EPyMARL's critic has the sum of the agents' errors, and its means are sums."""
    graph = case["flat"]["learner"] == "pac_dcg_learner"
    factor = maker.INFO.n_agents if graph else 1
    right = not graph or case["flat"]["cg_edges"] == "vdn"  # its policies need a maximum, which is wrong with edges
    learner = our_learner(case, maker)
    metrics = train(learner, maker.batch(), maker.T_ENV, 0).read()
    for name in (*OF_CRITIC, *(OF_POLICY if right else ())):
        expected = case["stats"][name] / (factor if name in OF_CRITIC else 1)
        assert metrics[name] == pytest.approx(expected, rel=TOLERANCE, abs=1e-6), name
    ours = maker.as_theirs(gradients(learner), case["flat"])
    assert ours.keys() == case["gradients"].keys()
    for name, given in case["gradients"].items():
        if right or not name.startswith("agent."):
            expected = given / (factor if name.startswith("critic.") else 1)
            worst = (ours[name] - expected).abs().max().item()
            assert worst <= TOLERANCE * max(expected.abs().max().item(), 0.01), f"{name}: {worst}"


@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_equal_the_recorded_ones(name: str, maker: Any) -> None:
    check(CASES[name], maker)


def test_the_record_covers_both_critics_and_bootstrapped_targets(maker: Any) -> None:
    flats = [case["flat"] for case in CASES.values()]
    assert {flat["learner"] for flat in flats} == {"pac_learner", "pac_dcg_learner"}
    assert {flat["q_nstep"] for flat in flats if flat["learner"] == "pac_learner"} >= {1, 2, 10}
    assert {flat["cg_edges"] for flat in flats if "cg_edges" in flat} == {"vdn", "full", "star"}
    assert max(maker.LENGTHS) > 2


@live
def test_losses_and_gradients_equal_a_checkouts(maker: Any) -> None:
    cases = maker.measure(Path(os.environ["EPYMARL_DIR"]))
    assert cases.keys() == CASES.keys()
    for case in cases.values():
        check(case, maker)
