"""What was trained is found again: by evaluate.py, with the config beside it, and as a policy."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import pymarl
from pymarl import evaluate, main
from pymarl.library import Trained
from pymarl.run.command import parse_command, parse_updates
from pymarl.run.config import RunConfig
from pymarl.run.parts import build_local_runner, build_parts
from pymarl.run.stored import find_stored
from pymarl.utils.checkpoint import steps_in
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge, shipped_files
from run_kit import SMALL_HUNT, read, run_folders

ALGS = list(shipped_files("algs"))
UPDATES = parse_updates(parse_command(SMALL_HUNT).updates) | {"t_max": 700, "absolute_episodes": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Train from Python; the working directory stays where its results are."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("trained"))
    yield pymarl.train("qmix_predator_prey", "stag_hunt", **UPDATES)
    os.chdir(before)


def test_training_returns_its_numbers(trained: Trained) -> None:
    info = read(trained.folder, "info.json")
    assert len(trained.curves) > 20
    for name, curve in trained.curves.items():
        assert curve.value.tolist() == info[name]
        assert curve.t_env.tolist() == info[f"{name}_T"]
    assert trained.final["test_return_mean"] == info["test_return_mean"][-1]
    assert all(name.startswith("test_") for name in trained.final)
    assert trained.config["t_max"] == 700
    assert trained.models.parent.samefile("results/models")
    told = read(trained.folder, "run.json")
    assert told["command_line"].startswith("pymarl.train('qmix_predator_prey', 'stag_hunt', seed=3, t_max=700, ")
    assert told["status"] == "COMPLETED"
    assert repr(trained) == f"Trained({str(trained.folder)!r}, test_return_mean={info['test_return_mean'][-1]:.4g})"


def test_a_policy_acts_as_the_tests_of_its_training(trained: Trained, tmp_path: Path) -> None:
    """On what a test's episodes showed, with networks whose choices hang on all that they see: the same actions."""
    stored = find_stored(trained.models)
    shutil.copytree(stored.token, tmp_path / "token")
    directory, log = tmp_path / "token" / "5", logging.getLogger("test")
    runner = build_local_runner(stored.config, {}, log)
    parts = build_parts(stored.config, build_config(RunConfig, stored.config, {}), runner, log)
    generator = torch.Generator().manual_seed(1)
    for parameter in parts.mac.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    directory.mkdir()
    parts.learner.save_models(directory)
    batch = runner.run(test_mode=True)
    runner.close_env()
    policy = pymarl.load_policy(directory)
    assert re.fullmatch(r"Policy\(\w+, \d+ agents, [\d,]+ env steps\)", repr(policy))
    assert policy.t_env == 5
    policy.reset(batch.batch_size)
    lengths, seen = batch.lengths.numpy(), []
    for t in range(lengths.max()):
        on = lengths > t
        actions = policy.act(batch["obs"][:, t], np.where(on[:, None, None], batch["avail_actions"][:, t], 1))
        assert actions[on].tolist() == batch["actions"][on, t, :, 0].tolist()
        seen += actions[on].ravel().tolist()
    assert len(set(seen)) > 3
    assert len(seen) > 200


def test_evaluation_is_that_of_main(trained: Trained) -> None:
    words = ("checkpoint_path=" + str(trained.models), "evaluate=True", "test_nepisode=3")
    given = (*SMALL_HUNT, "t_max=700", "absolute_episodes=4")
    assert evaluate.main([str(trained.models), "test_nepisode=3", "-u"]) == 0
    assert main.main([*given, *words]) == 0
    whole = run_folders(Path("results"))[-1]
    assert evaluate.main([trained.models.name, "test_nepisode=3"]) == 0
    folder = run_folders(Path("results"))[-1]
    assert folder != whole
    assert read(folder, "evaluation.json") == read(whole, "evaluation.json")
    assert read(folder, "info.json")["test_return_mean_T"] == [max(steps_in(trained.models))]
    line = f"python src/evaluate.py {trained.models.name} test_nepisode=3"
    assert read(folder, "run.json")["command_line"] == line


def test_every_name_of_it_is_found(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, steps = trained.models, steps_in(trained.models)
    for path in (token, Path("results/models") / token.name, token.name, trained.folder):
        assert find_stored(path).networks().samefile(token / str(steps[-1]))
        assert find_stored(path).networks(steps[0] + 1).samefile(token / str(steps[0]))
        assert find_stored(path).networks("best").samefile(token / "best")
    for path in (token / str(steps[0]), f"{token.name}/{steps[0]}"):
        assert find_stored(path).networks().samefile(token / str(steps[0]))
    listed = ", ".join(map(str, steps))
    with pytest.raises(pymarl.UserError, match=f"has no checkpoint '999'; it has: {listed}"):
        find_stored(f"{token.name}/999")
    assert pymarl.load_policy(token / "best").t_env == read(token / "best", "about.json")["t_env"]
    shutil.copytree("results", tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved" / "replays", ignore_errors=True)
    monkeypatch.setattr("pymarl.run.stored.token_of", lambda record: Path("/gone") / token.name)
    moved = tmp_path / "moved" / trained.folder.relative_to(Path("results").absolute())
    assert find_stored(moved).token == tmp_path / "moved" / "models" / token.name


@pytest.mark.parametrize("algs", [ALGS[::11], pytest.param(ALGS, marks=pytest.mark.nightly)], ids=len)
def test_a_stored_config_is_complete(algs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What main would merge is what evaluate.py reads back, keys of the evaluation aside."""
    monkeypatch.setattr("pymarl.run.stored.Stored.networks", lambda self, which="last": self.token)
    free = {*evaluate.OF_TRAINING, "checkpoint_path", "evaluate"}
    for alg in algs:
        values = main.checked(merge(alg, "skirmish", {"seed": 1})).values
        (tmp_path / alg.replace("/", "_")).mkdir()
        (tmp_path / alg.replace("/", "_") / "config.json").write_text(json.dumps(values))
        again = evaluate.layers_of(str(tmp_path / alg.replace("/", "_")), ()).values
        assert {key: values[key] for key in again if key not in free} == {
            key: value for key, value in again.items() if key not in free
        }
        assert len(again) > 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope"], "no folder 'nope'; expected results/models/<token>"),
        (["seed=1"], "no folder 'seed=1'; expected results/models/<token>"),
        (["TOKEN", "sav_replay=True"], "unknown key 'sav_replay'; did you mean 'save_replay'?"),
        (["TOKEN", "env_args.episode_limt=3"], "unknown key 'env_args.episode_limt'; did you mean 'env_args."),
        (["results"], "'results': no config.json there, which says what was trained; expected results/models/<token>."),
        (["TOKEN", "agent=nope"], "unknown agent 'nope'"),
    ],
)
def test_wrong_words(words: list[str], said: str, trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main([trained.models.name if word == "TOKEN" else word for word in words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {said}")


def test_wrong_calls(trained: Trained) -> None:
    policy = trained.policy
    n, obs, actions = policy.info.n_agents, policy.info.obs_shape, policy.info.n_actions
    with pytest.raises(pymarl.UserError, match=r"call reset\(n_envs\) first"):
        trained.load_policy().act(np.zeros((n, obs)))
    policy.reset()
    assert policy.act(np.zeros((n, obs))).shape == (n,)
    assert policy.act(np.zeros((1, n, obs))).shape == (1, n)
    with pytest.raises(pymarl.UserError, match=rf"obs has the shape \(2, {n}, {obs}\), expected \(1, {n}, {obs}\)"):
        policy.act(np.zeros((2, n, obs)))
    with pytest.raises(pymarl.UserError, match="no action is available"):
        policy.act(np.zeros((n, obs)), np.zeros((n, actions)))
    with pytest.raises(pymarl.UserError, match=r"reset\(n_envs=0\)"):
        policy.reset(0)
    with pytest.raises(pymarl.UserError, match="checkpoint='first': expected 'last', 'best' or a number"):
        trained.load_policy("first")
    with pytest.raises(pymarl.UserError, match="device='gpu'"):
        trained.load_policy(device="gpu")
    with pytest.raises(pymarl.UserError, match="unknown key 't_mx'; did you mean 't_max'"):
        pymarl.train("qmix", "stag_hunt", t_mx=3)
    with pytest.raises(pymarl.UserError, match="evaluate=True trains nothing"):
        pymarl.train("qmix", "stag_hunt", evaluate=True, checkpoint_path=str(trained.models))
