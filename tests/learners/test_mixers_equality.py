"""Losses and gradients of qatten and QPLEX equal PyMARL2's, those of dmaq_qatten the ones of QPLEX's authors.

The recorded numbers were measured by running both (tests/fixtures/make_mixers_numbers.py). PYMARL2_DIR and QPLEX_DIR
name checkouts to measure again with.
"""

import gzip
import importlib.util
import os
from pathlib import Path

import pytest
import torch

from learner_kit import gradients, make_learner, scheme_of, train, translated
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.envs.specs import EnvInfo

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
with gzip.open(FIXTURES / "mixers_numbers.pt.gz") as file:
    RECORDED = torch.load(file, weights_only=True)
DIRS = {"pymarl2": "PYMARL2_DIR", "authors": "QPLEX_DIR"}
CASES = [(home, name) for home, part in RECORDED.items() for name in part["cases"]]
TOLERANCE = 1e-5  # of the largest entry of each gradient


def recorded_batch(home):
    fields, lengths = RECORDED[home]["batch"], RECORDED[home]["lengths"]
    size, slots, n_agents, n_actions = fields["avail_actions"].shape
    shapes = {f"{key}_shape": fields[key].shape[-1] for key in ("obs", "state")}
    info = EnvInfo(n_agents=n_agents, n_actions=n_actions, episode_limit=slots - 1, **shapes)
    batch = EpisodeBatch(scheme_of(info), {"agents": n_agents}, size, slots)
    for key, value in batch.data.items():
        value.copy_(fields[key])
    batch.set_lengths(torch.tensor(lengths))
    return info, batch


def assert_equal(home, case, numbers):
    """Compare our update with another code's. The authors' loss has no 0.5: it is twice ours with half the penalty."""
    scale = 2.0 if home == "authors" else 1.0
    info, batch = recorded_batch(home)
    flat = translated(case["flat"])
    learner = make_learner(flat | {"attend_reg_coef": flat["attend_reg_coef"] / scale}, info)
    parts = {"agent": learner.mac.agent, "target_agent": learner.target_mac.agent}
    for part, network in (parts | {"mixer": learner.mixer, "target_mixer": learner.target_mixer}).items():
        network.load_state_dict(case["networks"][part])
    metrics, stats = train(learner, batch, 0, 0).read(), numbers["stats"]
    for name in {"grad_norm", "q_taken_mean", "target_mean", "hit_prob"} & stats.keys():
        factor = scale if name == "grad_norm" else 1.0
        assert factor * metrics[name] == pytest.approx(stats[name], rel=TOLERANCE, abs=1e-7), name
    loss = stats["loss"] if "loss" in stats else stats["loss_td"]
    assert scale * metrics["loss_td"] == pytest.approx(loss, rel=TOLERANCE)
    ours, idle = gradients(learner), {f"mixer.{name}" for name in learner.mixer.idle}
    assert ours.keys() == numbers["gradients"].keys() - idle
    for name, expected in numbers["gradients"].items():
        if name in idle:
            assert expected.abs().max() < 1e-7, name
        else:
            worst = (scale * ours[name] - expected).abs().max().item()
            assert worst <= TOLERANCE * expected.abs().max().item(), f"{name}: {worst}"


@pytest.mark.parametrize(("home", "name"), CASES)
def test_loss_and_gradients_equal_the_recorded_ones(home, name):
    case = RECORDED[home]["cases"][name]
    assert_equal(home, case, case)


def test_the_record_covers_what_the_mixers_can_be():
    flats = [RECORDED[home]["cases"][name]["flat"] for home, name in CASES]
    assert {flat["mixer"] for flat in flats} == {"qatten", "dmaq", "dmaq_qatten"}
    assert {flat["type"] for flat in flats if flat["mixer"] == "qatten"} == {"weighted", "unweighted"}
    of_qplex = [flat for flat in flats if flat["mixer"] == "dmaq"]
    assert {flat["adv_hypernet_layers"] for flat in of_qplex} == {1, 2, 3}
    for key in ("is_minus_one", "weighted_head"):
        assert {flat[key] for flat in of_qplex} == {True, False}


@pytest.mark.parametrize("home", DIRS)
def test_loss_and_gradients_equal_a_checkouts(home):
    if DIRS[home] not in os.environ:
        pytest.skip(f"{DIRS[home]} names no checkout of {'PyMARL2' if home == 'pymarl2' else 'wjh720/QPLEX'}")
    spec = importlib.util.spec_from_file_location("make_mixers_numbers", FIXTURES / "make_mixers_numbers.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    cases = maker.PYMARL2 if home == "pymarl2" else maker.AUTHORS
    directory = Path(os.environ[DIRS[home]], "" if home == "pymarl2" else "pymarl-master")
    measured = maker.measure(directory, cases, RECORDED[home]["lengths"])
    assert measured.keys() == RECORDED[home]["cases"].keys()
    for case in measured.values():
        assert_equal(home, case, case)
