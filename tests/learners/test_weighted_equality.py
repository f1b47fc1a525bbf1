"""Weighted QMIX and QTRAN equal PyMARL2's numbers where those are right: recorded ones always, a live run on request.

The recorded numbers were measured by running PyMARL2 (tests/fixtures/make_weighted_numbers.py). With the environment
variable PYMARL2_DIR naming a checkout, the same is measured again.
"""

import gzip
import importlib.util
import os
from pathlib import Path

import pytest
import torch

from learner_kit import gradients, make_learner, scheme_of, train, translated
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.multiagentenv import EnvInfo

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
with gzip.open(FIXTURES / "weighted_numbers.pt.gz") as file:
    RECORDED = torch.load(file, weights_only=True)
CASES = RECORDED["cases"]
AS_IT_IS = "qtran_as_pymarl2_is"
RIGHT = [name for name in CASES if name != AS_IT_IS]
TOLERANCE = 1e-5  # of the largest entry of each gradient, or of 0.01 where a sum has cancelled out
# Theirs -> ours; what else PyMARL2 logs, w_to_use and v_mean among it, is averaged over padding or is no such mean.
STATS = {
    "loss": "loss_td", "qmix_loss": "qmix_loss", "td_loss": "td_loss", "opt_loss": "opt_loss",
    "nopt_loss": "nopt_loss", "grad_norm": "grad_norm", "td_error_abs": "td_error_abs",
    "q_taken_mean": "q_taken_mean", "target_mean": "target_mean", "agent_indiv_qs": "agent_indiv_qs",
}  # fmt: skip
FLAT = CASES["cw"]["batch"]
INFO = EnvInfo(
    n_agents=FLAT["obs"].shape[2], n_actions=FLAT["avail_actions"].shape[3], obs_shape=FLAT["obs"].shape[3],
    state_shape=FLAT["state"].shape[2], episode_limit=FLAT["obs"].shape[1] - 1,
)  # fmt: skip


@pytest.fixture(scope="module")
def maker():
    """The module that measures PyMARL2."""
    spec = importlib.util.spec_from_file_location("make_weighted_numbers", FIXTURES / "make_weighted_numbers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def our_learner(case, **more):
    """Return the learner of a case with its weights; PyMARL2 halves the central loss, so that half of it is ours."""
    flat = translated(case["flat"] | more)
    if flat["learner"] == "wqmix_learner":
        flat["central_loss"] /= 2
    learner = make_learner(flat, INFO)
    networks = {"agent": learner.mac.agent} | {key: getattr(learner, key) for key in learner.networks}
    if flat["learner"] == "qtran_learner":
        networks |= {"target_agent": learner.target_mac.agent, "target_mixer": learner.target_mixer}
    else:
        central = {f"target_{key}": getattr(learner, f"target_{key}") for key in ("central_agent", "central_mixer")}
        networks |= central
        assert not hasattr(learner, "target_mac"), "nothing reads a target of the agents"
    for name, network in networks.items():
        network.load_state_dict(case["networks"][name])
    return learner


def batch_of(case):
    fields = case["batch"]
    batch = EpisodeBatch(scheme_of(INFO), {"agents": INFO.n_agents}, *fields["reward"].shape[:2])
    for key, value in batch.data.items():
        value.copy_(fields[key])
    batch.set_lengths(torch.tensor(RECORDED["lengths"]))
    return batch


def assert_equal_to(case):
    learner = our_learner(case)
    metrics = train(learner, batch_of(case), 0, 0).read()
    compared = [name for name in STATS if name in case["stats"]]
    assert len(compared) >= 6  # of what is logged
    for name in compared:
        assert metrics[STATS[name]] == pytest.approx(case["stats"][name], rel=TOLERANCE, abs=1e-7), name
    if "central_loss" in metrics:
        assert metrics["central_loss"] == pytest.approx(2 * case["stats"]["central_loss"], rel=TOLERANCE)
    ours = {name: gradient for name, gradient in gradients(learner).items() if gradient is not None}
    assert ours.keys() == case["gradients"].keys()
    for name, expected in case["gradients"].items():
        worst = (ours[name] - expected).abs().max().item()
        assert worst <= TOLERANCE * max(expected.abs().max().item(), 0.01), f"{name}: {worst}"


@pytest.mark.parametrize("name", RIGHT)
def test_loss_and_gradients_equal_the_recorded_ones(name):
    assert_equal_to(CASES[name])


def test_the_record_has_what_tells_the_methods_apart():
    """Greedy joint actions, steps of either weight, and a loss of QTRAN's off the optimum."""
    case = CASES["cw"]
    learner, batch = our_learner(case), batch_of(case)
    q = learner.mac.unroll(batch).masked_fill(~batch["avail_actions"], -1e9)
    hits = (q.argmax(-1, keepdim=True) == batch["actions"]).all(2)[:, :-1] & (batch.transitions().mask > 0)
    assert 5 <= hits.sum() <= sum(RECORDED["lengths"]) - 5
    for name in ("cw", "ow"):
        assert 0.1 < train(our_learner(CASES[name]), batch_of(case), 0, 0).read()["w_to_use"] < 1
    assert CASES["qtran"]["stats"]["nopt_loss"] > 0.1


def test_pymarl2s_qtran_sees_other_agents_hidden_states():
    """On the same weights and batch: its loss as it is, and with each agent's own states."""
    as_it_is, right = (CASES[name]["stats"]["td_loss"] for name in (AS_IT_IS, "qtran"))
    assert abs(as_it_is / right - 1) > 1e-4
    assert train(our_learner(CASES[AS_IT_IS]), batch_of(CASES[AS_IT_IS]), 0, 0).read()["td_loss"] == pytest.approx(
        right
    )


@pytest.mark.skipif("PYMARL2_DIR" not in os.environ, reason="PYMARL2_DIR names no checkout of PyMARL2")
def test_loss_and_gradients_equal_a_checkouts(maker):
    cases = maker.measure(Path(os.environ["PYMARL2_DIR"]))
    assert cases.keys() == CASES.keys()
    for name in RIGHT:
        assert_equal_to(cases[name])
