"""An agent whose weights depend on no size plays, and goes on training, on another map."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from pymarl import main
from pymarl.learners.learner import Learner
from pymarl.run.check import check
from pymarl.run.foreign import take_foreign
from pymarl.utils.layers import merge
from run_kit import error_line, models, read, run_folders

SMALL = (
    "--env-config=skirmish", "with", "seed=1", "batch_size_run=4", "batch_size=4", "buffer_size=8", "rnn_hidden_dim=8",
    "hpn_hyper_dim=16", "mixing_embed_dim=4", "hypernet_embed=8", "test_nepisode=4", "log_interval=200",
    "learner_log_interval=1",
)  # fmt: skip
ON_3M, ON_8M = "env_args.map_name=3m", "env_args.map_name=8m"


ALGS = ("hpn_qmix", "hpn_vdn")
each_alg = pytest.mark.parametrize("alg", ALGS)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return {algorithm: folder of the checkpoints of a short run on 3m}."""
    folders = {}
    for alg in ALGS:
        directory = tmp_path_factory.mktemp(alg)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(directory)
            assert main.main((f"--config={alg}", *SMALL, ON_3M, "t_max=300")) == 0
        folders[alg] = models(directory)
    return folders


def files(token: Path) -> dict[str, Any]:
    """Return what the files of the newest checkpoint hold."""
    (step,) = (path for path in token.iterdir() if path.is_dir())
    return {path.name: torch.load(path, weights_only=True) for path in step.glob("*.th")}


@pytest.fixture
def token(alg: str, tokens: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an algorithm's checkpoints, from a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tokens[alg]


@each_alg
def test_it_plays_on_another_map(alg: str, token: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main((f"--config={alg}", *SMALL, ON_8M, f"checkpoint_path={token}", "evaluate=True")) == 0
    rows = read(run_folders(tmp_path)[0], "evaluation.json")
    assert len(rows) == 4
    assert all(row["length"] > 5 for row in rows)
    assert "anew" not in capsys.readouterr().out


@each_alg
def test_it_goes_on_training_on_another_map(
    alg: str, token: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The agent, and what else fits, as they were; VDN's optimiser fits, QMIX's mixer and optimiser do not."""
    words = (f"--config={alg}", *SMALL, ON_8M, f"checkpoint_path={token}", "t_max=900")
    loaded: list[dict[str, Any]] = []
    load = Learner.load_models

    def spied(learner: Learner, directory: Path, **kwargs: Any) -> list[str]:
        anew = load(learner, directory, **kwargs)
        loaded.append({name: part.state_dict() for name, part in learner.files().items()} | {"anew": anew})
        return anew

    monkeypatch.setattr(Learner, "load_models", spied)
    assert main.main(words) == 0
    before = files(token)
    for got in loaded:  # tried out, and for the run
        assert got["agent.th"].keys() == before["agent.th"].keys()
        assert got["anew"] == (["mixer.th", "opt.th"] if alg == "hpn_qmix" else [])
        assert bool(got["opt.th"]["state"]) == (alg == "hpn_vdn")
    assert len(loaded) == 2
    told = [line for line in capsys.readouterr().out.splitlines() if " anew" in line]
    if alg == "hpn_qmix":
        assert len(told) == 1
        assert "goes on from n_agents=3, n_actions=9" in told[0]
        assert "to n_agents=8, n_actions=14" in told[0]
        assert told[0].endswith("env_args.map_name=8m; mixer.th and opt.th start anew")
    else:
        assert not told
    info = read(run_folders(tmp_path)[0], "info.json")
    assert len(info["loss_td"]) > 1
    after = files(models(tmp_path))["agent.th"]
    assert {name: value.shape for name, value in after.items()} == {
        name: value.shape for name, value in before["agent.th"].items()
    }
    assert any(not torch.equal(value, before["agent.th"][name]) for name, value in after.items())


@pytest.mark.parametrize(
    ("alg", "words", "message"),
    [
        ("hpn_vdn", ("env_args.map_name=2s3z",), "agent.th does not fit this run's networks"),  # of other features
        ("hpn_qmix", (ON_8M, "obs_agent_id=True"), "this run has n_agents=8.*lacks agent_id_embedding.weight"),
        ("hpn_qmix", (ON_3M, "mixing_embed_dim=8"), "mixer.th does not fit"),  # of the same sizes all has to
        ("hpn_vdn", (ON_8M, "optimizer=rmsprop"), "another kind of optimiser"),
        ("hpn_vdn", (ON_8M, "t_max=200"), r"t_max=200: .* have been trained for \d{3} env steps.*larger one"),
    ],
)
def test_what_does_not_fit_is_one_line(
    alg: str, words: tuple[str, ...], message: str, tokens: dict[str, Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    line = error_line(capsys, tmp_path, f"--config={alg}", *SMALL, *words, f"checkpoint_path={tokens[alg]}")
    assert re.search(message, line), line


def test_a_run_is_not_resumed_on_another_map(
    tokens: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = error_line(capsys, tmp_path, "--config=hpn_vdn", *SMALL, ON_8M, f"resume={tokens['hpn_vdn']}")
    assert "resume: env_args.map_name='8m', but the run had '3m'" in line


def test_an_env_without_entities_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = error_line(capsys, tmp_path, "--config=hpn_qmix", "--env-config=stag_hunt", "with", "seed=1")
    assert "let its get_env_info() return an 'entity_layout'" in line


PYMARL3 = """
mac: "hpn_mac"
agent: "hpns_rnn"
hpn_hyper_dim: 64
hpn_hyper_activation: 'relu'
hpn_head_num: 1
learner: "nq_learner"
mixer: "qmix"
optimizer: 'adam'
obs_agent_id: True
obs_last_action: False
"""


def test_pymarl3s_names_are_taken_as_ours(tmp_path: Path) -> None:
    path = tmp_path / "hpn.yaml"
    path.write_text(PYMARL3)
    layers = merge(str(path), "skirmish", {"seed": 1})
    notes = take_foreign(layers)
    check(layers)
    assert (layers.values["mac"], layers.values["mixer"]) == ("basic_mac", "nmix")
    assert len(notes) == 2
