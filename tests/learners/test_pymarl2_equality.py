"""Losses, gradients, priorities and model files equal PyMARL2's: recorded numbers always, a live run on request.

The recorded numbers were measured by running PyMARL2 (tests/fixtures/make_pymarl2_numbers.py). With the environment
variable PYMARL2_DIR naming a checkout, the same is measured again and files are exchanged in both directions.
"""

import gzip
import importlib
import os
from pathlib import Path

import pytest
import torch

from learner_kit import SMALL, gradients, make_learner, scheme_of, train, translated
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.learners.values import at_steps

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
with gzip.open(FIXTURES / "pymarl2_numbers.pt.gz") as file:
    RECORDED = torch.load(file, weights_only=True)
CASES = RECORDED["cases"]
TOLERANCE = 1e-5  # of the largest entry of each gradient

live = pytest.mark.skipif("PYMARL2_DIR" not in os.environ, reason="PYMARL2_DIR names no checkout of PyMARL2")


def module_of(name):
    """Return a script of tests/fixtures as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FIXTURES))  # where such scripts find one another
        return importlib.import_module(name)


@pytest.fixture(scope="module")
def maker():
    """The module that measures PyMARL2."""
    return module_of("make_pymarl2_numbers")


def info():
    fields = RECORDED["batch"]
    n_agents, n_actions = fields["avail_actions"].shape[2:]
    return type(SMALL)(
        n_agents=n_agents,
        n_actions=n_actions,
        obs_shape=fields["obs"].shape[-1],
        state_shape=fields["state"].shape[-1],
        episode_limit=fields["obs"].shape[1] - 1,
    )


def recorded_batch():
    fields = RECORDED["batch"]
    size, slots = fields["reward"].shape[:2]
    batch = EpisodeBatch(scheme_of(info()), {"agents": info().n_agents}, size, slots)
    for key, value in batch.data.items():
        value.copy_(fields[key])
    batch.set_lengths(torch.tensor(RECORDED["lengths"]))
    assert torch.equal(batch["filled"], fields["filled"])
    assert len(set(RECORDED["lengths"])) > 2, "episodes of unequal length"
    return batch


def add_own_corrections(learner):
    """Let a learner's Q(lambda) targets be PyMARL2's: each also has V - Q_taken of its own step in it.

    That is all that differs from the paper's, which ours are.
    """
    ours = learner.targets

    def theirs(batch, steps, rows):
        value, taken = (learner.target_value(rows, actions) for actions in (rows.greedy(rows.q), rows.actions))
        return ours(batch, steps, rows) + at_steps(batch, value - taken) * steps.mask

    learner.targets = theirs


def our_learner(case):
    learner = make_learner(translated(case["flat"]), info())
    if case["flat"]["q_lambda"]:
        add_own_corrections(learner)
    networks = {"agent": learner.mac.agent, "target_agent": learner.target_mac.agent}
    if learner.mixer is not None:
        networks |= {"mixer": learner.mixer, "target_mixer": learner.target_mixer}
    assert networks.keys() == case["networks"].keys()
    for name, network in networks.items():
        network.load_state_dict(case["networks"][name])
    return learner


def assert_equal_to(case, numbers):
    """Compare our update on the recorded batch with PyMARL2's numbers for it."""
    learner, batch = our_learner(case), recorded_batch()
    result = train(learner, batch, 0, 0, case["weights"])
    metrics = result.read()
    for name in ("loss_td", "grad_norm", "q_taken_mean", "target_mean"):
        assert metrics[name] == pytest.approx(numbers["stats"][name], rel=TOLERANCE, abs=1e-7), name
    ours = gradients(learner)
    assert ours.keys() == numbers["gradients"].keys()
    for name, expected in numbers["gradients"].items():
        worst = (ours[name] - expected).abs().max().item()
        assert worst <= TOLERANCE * expected.abs().max().item(), f"{name}: {worst}"
    if numbers["priorities"] is not None:
        torch.testing.assert_close(result.priorities, numbers["priorities"].float(), rtol=TOLERANCE, atol=1e-6)
    elif case["flat"]["learner"] == "q_learner" and case["flat"]["mixer"] is not None:
        # The older learner logs the true mean |td|, which ours must equal; the newer one logs half its square.
        assert metrics["td_error_abs"] == pytest.approx(numbers["stats"]["td_error_abs"], rel=TOLERANCE)


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_equal_the_recorded_ones(name):
    assert_equal_to(CASES[name], CASES[name])


@pytest.mark.parametrize("mixer", ["vdn", "qmix"])
def test_q_lambda_is_another_target_than_pymarl2s(mixer):
    case = CASES[f"nq_{mixer}_q_lambda"]
    learner = our_learner(case)
    del learner.targets  # the class's own again
    loss = train(learner, recorded_batch(), 0, 0).read()["loss_td"]
    assert abs(loss / case["stats"]["loss_td"] - 1) > 0.01


def test_the_record_covers_both_learners_and_all_their_mixers():
    flats = [case["flat"] for case in CASES.values()]
    assert {(flat["learner"], flat["mixer"]) for flat in flats} == {
        *(("q_learner", mixer) for mixer in (None, "vdn", "qmix")),
        *(("nq_learner", mixer) for mixer in ("vdn", "qmix")),
    }
    assert {flat["td_lambda"] for flat in flats} == {0.0, 0.6, 1.0}


def assert_parameters_equal(learner, expected):
    networks = {"agent": learner.mac.agent, "mixer": learner.mixer}
    ours = {f"{part}.{name}": p.detach() for part, net in networks.items() for name, p in net.named_parameters()}
    assert ours.keys() == expected.keys()
    for name, parameter in expected.items():
        torch.testing.assert_close(ours[name], parameter, rtol=1e-4, atol=1e-6, msg=name)


def test_recorded_model_files_load_and_training_goes_on_as_pymarl2s(tmp_path):
    """Weights and Adam's averages: the update after loading moves every parameter as PyMARL2's own does."""
    record = RECORDED["files"]
    for name, content in record["files"].items():
        (tmp_path / name).write_bytes(content)
    learner = make_learner(translated(record["flat"]), info())
    learner.load_models(tmp_path)
    train(learner, recorded_batch(), 0, 0)
    assert_parameters_equal(learner, record["parameters"])


def test_our_files_have_the_layout_of_pymarl2s(tmp_path):
    record = RECORDED["files"]
    learner = make_learner(translated(record["flat"]), info())
    train(learner, recorded_batch(), 0, 0)
    learner.save_models(tmp_path)
    for name, content in record["files"].items():
        (tmp_path / f"peer_{name}").write_bytes(content)
        ours, theirs = (torch.load(tmp_path / f, weights_only=True) for f in (name, f"peer_{name}"))
        if name == "opt.th":
            assert ours["param_groups"][0]["params"] == theirs["param_groups"][0]["params"]
            ours, theirs = ({i: s["exp_avg"] for i, s in x["state"].items()} for x in (ours, theirs))
        assert {key: value.shape for key, value in ours.items()} == {key: x.shape for key, x in theirs.items()}


@live
def test_loss_and_gradients_equal_a_checkouts(maker):
    cases = maker.measure(Path(os.environ["PYMARL2_DIR"]))
    assert cases.keys() == CASES.keys()
    for case in cases.values():
        assert_equal_to(case, case)


@live
def test_model_files_go_both_ways(maker, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    flat = RECORDED["files"]["flat"]
    learner = make_learner(translated(flat), info())
    train(learner, recorded_batch(), 0, 0)
    learner.save_models(ours)
    reads_ours = maker.make_spec(flat, load_dir=str(ours), save_dir=str(theirs))
    reads_theirs = maker.make_spec(flat, load_dir=str(theirs))
    second, third = maker.run_peer(Path(os.environ["PYMARL2_DIR"]), [reads_ours, reads_theirs])
    learner.copy_targets()
    train(learner, recorded_batch(), 0, 0)
    assert_parameters_equal(learner, second["parameters"])
    reader = make_learner(translated(flat), info(), seed=5)
    reader.load_models(theirs)
    train(reader, recorded_batch(), 0, 0)
    assert_parameters_equal(reader, third["parameters"])
