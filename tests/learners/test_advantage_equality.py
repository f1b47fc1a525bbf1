"""A2C and PPO equal EPyMARL's and PyMARL2's numbers where those are right: recorded ones always, live ones on request.

The recorded numbers were measured by running both (tests/fixtures/make_advantage_numbers.py), on a batch without true
ends and padding, in which both are wrong. With the environment variables PYMARL2_DIR and EPYMARL_DIR naming checkouts,
the same is measured again.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from test_pymarl2_equality import FIXTURES, TOLERANCE, module_of
from torch import Tensor

from learner_kit import gradients, make_learner, translated
from pymarl.learners import advantage_learner
from pymarl.learners.policy_learner import masked_mean

with gzip.open(FIXTURES / "advantage_numbers.pt.gz") as file:
    CASES = torch.load(file, weights_only=True)
STATS = {"agent_grad_norm", "td_error_abs", "q_taken_mean", "target_mean", "pg_loss", "grad_norm"}
"""What we log under their names; PyMARL2's target_mean is in normalised units, as ours."""


@pytest.fixture(scope="module")
def maker() -> Any:
    """The module that measures the other projects."""
    return module_of("make_advantage_numbers")


def weights_of(case: dict[str, Any], part: str, network: Any, maker: Any) -> dict[str, Tensor]:
    """Return what a recorded network's parameters are called in ours."""
    ours = {maker.names_there(part, name, case["flat"]): name for name in network.state_dict()}
    return {ours[name]: value for name, value in case["networks"][part].items()}


def our_learner(case: dict[str, Any], maker: Any, info: Any) -> Any:
    learner = make_learner(translated(case["flat"]), info)
    networks = {"critic": learner.critic}
    if learner.target_critic is not learner.critic:
        networks["target_critic"] = learner.target_critic
    for part, network in networks.items():
        network.load_state_dict(weights_of(case, part, network, maker))
    return learner


def bessels(values: Tensor, mask: Tensor) -> Tensor:
    """Return standardised values as PyMARL2 has them: over a deviation of n - 1 numbers, and 1e-6."""
    wide = mask.expand_as(values)
    mean = masked_mean(values, wide)
    return (values - mean) / (values[wide > 0].std() + 1e-6) * wide


def check(case: dict[str, Any], maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare two updates, the second of which sees statistics that the first has left; weights hardly move."""
    monkeypatch.setattr(advantage_learner, "standardised", bessels)
    info = maker.info_of(case["flat"])
    learner, batch = our_learner(case, maker, info), maker.batch_of(case["flat"])
    agent, updates = learner.mac.agent, iter(case["updates"])
    if "save_probs" in case["flat"]:  # what PyMARL2 makes of values before its first statistics is another thing
        stats, norm = learner.value_stats, next(updates)["norm"]
        for buffer, number in zip((stats.mean_sum, stats.square_sum, stats.weight), norm, strict=True):
            buffer.fill_(number)
    acted = "old_agent" if "eps_clip" in case["flat"] else "agent"
    for numbers in updates:
        agent.load_state_dict(weights_of(case, acted, agent, maker))
        rewarded = learner.standardised(batch)
        targets = learner.targets(rewarded)
        agent.load_state_dict(weights_of(case, "agent", agent, maker))
        for _ in range(case["flat"].get("epochs", case["flat"].get("mini_epochs", 1))):
            metrics = {name: value.item() for name, value in learner.update(rewarded, targets).items()}
        compare(case, maker, metrics, gradients(learner), numbers)
        if "save_probs" not in case["flat"]:
            acted = "agent"  # EPyMARL's old policy becomes a copy of the new one


def compare(case: dict[str, Any], maker: Any, metrics: Any, ours: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Compare what is logged of an update and all gradients."""
    stats = dict(numbers["stats"])
    peer_half = "save_probs" in case["flat"]
    names = STATS & stats.keys()
    assert len(names) >= 2
    for name in names:
        assert metrics[name] == pytest.approx(stats[name], rel=TOLERANCE, abs=1e-6), name
    assert metrics["critic_loss"] * (1 if peer_half else 2) == pytest.approx(stats["critic_loss"], rel=TOLERANCE)
    if peer_half:
        assert metrics["entropy"] == pytest.approx(stats["entropy_loss"], rel=TOLERANCE)
    mine = {f"{part}.{maker.names_there(part, name, case['flat'])}": gradient
            for part, name, gradient in ((*key.split(".", 1), value) for key, value in ours.items())}  # fmt: skip
    assert mine.keys() == numbers["gradients"].keys()
    for name, expected in numbers["gradients"].items():
        worst = (mine[name] - expected).abs().max().item()
        assert worst <= TOLERANCE * max(expected.abs().max().item(), 1e-3), f"{name}: {worst}"


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_equal_the_recorded_ones(name: str, maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check(CASES[name], maker, monkeypatch)


def test_the_record_has_what_tells_the_methods_apart(maker: Any) -> None:
    """Critics of each kind, rewards of each agent, ratios on both sides of the clip."""
    assert {case["flat"].get("critic_type") for case in CASES.values()} == {
        None, "ac_critic", "ac_critic_ns", "cv_critic", "cv_critic_ns"
    }  # fmt: skip
    assert {case["flat"].get("common_reward") for case in CASES.values()} == {None, True, False}
    for name in ("mappo", "ippo_ns", "ippo"):
        case = CASES[name]
        learner, batch = our_learner(case, maker, maker.info_of(case["flat"])), maker.batch_of(case["flat"])
        seen = []
        for part in ("old_agent", "agent"):
            agent = learner.mac.agent
            agent.load_state_dict(weights_of(case, part, agent, maker))
            seen.append(learner.policy(batch).log_probs.detach())
        clipped = ((seen[1] - seen[0]).exp() - 1).abs() > learner.config.eps_clip
        assert 0.1 < clipped.float().mean() < 0.95, name


@pytest.mark.parametrize(("variable", "number"), [("PYMARL2_DIR", 0), ("EPYMARL_DIR", 1)])
def test_loss_and_gradients_equal_a_checkouts(
    variable: str, number: int, maker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable not in os.environ:
        pytest.skip(f"{variable} names no checkout")
    directories: list[Path | None] = [None, None]
    directories[number] = Path(os.environ[variable])
    cases = maker.measure(*directories)
    assert cases.keys() <= CASES.keys()
    for case in cases.values():
        check(case, maker, monkeypatch)
