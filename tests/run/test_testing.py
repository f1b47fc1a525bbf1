"""When tests come, what is kept of each episode, and the absolute metric of the last and the best networks."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pymarl import main
from pymarl.run.best import Best
from pymarl.run.testing import due
from pymarl.utils.checkpoint import find_checkpoint, prune, steps_in
from pymarl.utils.evaluations import EVALUATIONS, Evaluation, read_evaluations, write_evaluations
from run_kit import SMALL_HUNT, models, numbers, read, run_folders, untimed

ABSOLUTE = (*SMALL_HUNT, "save_model_interval=100000", "keep_checkpoints=1", "test_interval=250", "absolute_episodes=6")


def test_tests_come_when_a_multiple_is_crossed() -> None:
    assert due(0, 480, -1, 300) == 0, "the first collect, whatever it crosses"
    assert due(400_123, 400_600, -1, 1000) == 400_000, "of a run that begins with networks of such an age"
    assert due(480, 599, 480, 300) is None
    assert due(480, 600, 480, 300) == 600
    assert due(480, 1500, 480, 300) == 1500
    assert due(1200, 1490, 1203, 300) is None


@pytest.mark.parametrize("steps", [7, 60, 299, 301])
def test_seeds_with_other_episodes_test_at_the_same_multiples(steps: int) -> None:
    last, ats = -1, []
    for t in range(steps, 3000, steps):
        if (at := due(t - steps, t, last, 300)) is not None:
            ats.append(at)
            last = t
    every = list(range(0, ats[-1] + 1, 300))
    assert ats == (every if steps < 300 else [0, *every[2:]]), "no multiple is left out by collects shorter than it"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run with its absolute metric."""
    directory = tmp_path_factory.mktemp("ended")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        assert main.main(ABSOLUTE) == 0
    return directory


@pytest.fixture
def copied(ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of `ended`, and be in it."""
    shutil.copytree(ended, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def test_every_episode_of_every_test_is_kept(ended: Path) -> None:
    (folder,) = run_folders(ended)
    tests, info = read_evaluations(folder), read(folder, "info.json")
    trained = [test for test in tests if test.of == "training"]
    assert [test.at for test in trained] == [0, 250, 500, 750, 1000, 1250]
    assert [test.t_env for test in trained] == info["test_return_mean_T"]
    assert [np.mean(test.episodes["return"]) for test in trained] == pytest.approx(info["test_return_mean"])
    assert [np.mean(test.episodes["length"]) for test in trained] == info["test_ep_length_mean"]
    assert len({seed for test in trained for seed in test.episodes["seed"]}) == 6 * 6
    assert [test.seconds for test in tests] == sorted(test.seconds for test in tests)
    assert all(set(test.episodes) == {"return", "length", "seed"} for test in tests), "no battles here"


def test_the_last_and_the_best_play_more(ended: Path) -> None:
    (folder,) = run_folders(ended)
    *_, last, best = read_evaluations(folder)
    info = read(folder, "info.json")
    (step,) = steps_in(models(ended))
    assert (last.of, last.t_env, last.at) == ("last", step, step // 250 * 250)
    assert best.of == "best"
    assert best.t_env in info["test_return_mean_T"]
    assert last.episodes["seed"] == best.episodes["seed"]
    assert len(set(last.episodes["seed"])) == 6
    for test in (last, best):
        assert info[f"absolute_{test.of}_return_mean"] == [pytest.approx(np.mean(test.episodes["return"]))]
        assert info[f"absolute_{test.of}_return_mean_T"] == [test.t_env]


@pytest.mark.parametrize("which", ["last", "best"])
def test_an_evaluation_of_the_networks_repeats_it(copied: Path, which: str) -> None:
    (folder,) = run_folders(copied)
    (test,) = (test for test in read_evaluations(folder) if test.of == which)
    path = models(copied) / "best" if which == "best" else models(copied)
    assert main.main((*ABSOLUTE, f"checkpoint_path={path}", "evaluate=True", "test_nepisode=6")) == 0
    evaluated = run_folders(copied)[-1]
    rows = read(evaluated, "evaluation.json")
    assert [row["seed"] for row in rows] == test.episodes["seed"]
    assert [row["return"] for row in rows] == test.episodes["return"]
    assert read(evaluated, "info.json")["test_return_mean_T"] == [test.t_env]


def test_a_resume_repeats_nothing_that_is_recorded(copied: Path) -> None:
    """Killed between the two: what the last networks came to is taken as it is recorded, not played again."""
    (folder,) = run_folders(copied)
    token, before = models(copied), read_evaluations(folder)
    last, best = read_evaluations(token)
    told = Evaluation(last.at, last.t_env, "last", last.seconds, {**last.episodes, "return": [7.0] * 6})
    write_evaluations(token / EVALUATIONS, [told])
    assert main.main((*ABSOLUTE, f"resume={token}")) == 0
    after = read_evaluations(run_folders(copied)[-1])
    assert after[:-2] == before[:-2]
    assert after[-2] == told
    assert after[-1].episodes == best.episodes
    assert [test.of for test in read_evaluations(token)] == ["last", "best"]
    assert read(run_folders(copied)[-1], "info.json")["absolute_last_return_mean"] == [7.0]
    assert main.main((*ABSOLUTE, "resume=auto")) == 0
    assert len(run_folders(copied)) == 2, "there was nothing to do"
    assert main.main((*ABSOLUTE, "resume=auto", "absolute_episodes=4")) == 0
    assert [len(test.episodes["return"]) for test in read_evaluations(token)] == [6, 6, 4, 4]


def test_it_leaves_no_trace_in_a_training_that_goes_on(
    ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main((*ABSOLUTE, "t_max=500")) == 0
    token = models(tmp_path)
    shutil.rmtree(token / "best")  # as if it had been of a time after the checkpoint
    assert main.main((*ABSOLUTE, f"resume={token}")) == 0
    whole, resumed = run_folders(ended)[0], run_folders(tmp_path)[-1]
    assert numbers(resumed) == numbers(whole)
    assert untimed(resumed) == untimed(whole)
    ours, theirs = (torch.load(folder / "best" / "agent.th") for folder in (token, models(ended)))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_checkpoint_of_before_goes_on(copied: Path) -> None:
    token = models(copied)
    step = find_checkpoint(str(token), 0)
    state = torch.load(step / "run.pt", weights_only=True)
    del state["tests"]
    torch.save(state, step / "run.pt")
    (step / "manifest.json").unlink()
    shutil.rmtree(token / "best")
    (token / EVALUATIONS).unlink()
    assert main.main((*ABSOLUTE, f"resume={token}", "t_max=1700")) == 0
    folder = run_folders(copied)[-1]
    assert [test.at for test in read_evaluations(folder)][:2] == [1500, 1750]
    assert read(folder, "info.json")["test_return_mean_T"][0] < 250, "what had been logged is there"


class Networks:
    """Stands in for a learner."""

    def save_models(self, folder: Path) -> None:
        (folder / "agent.th").write_bytes(self.data)

    data = b""


def test_the_best_networks_are_kept(tmp_path: Path) -> None:
    class Info:
        def sizes(self) -> dict[str, int]:
            return {"n_agents": 2}

    learner: Any = Networks()
    info: Any = Info()
    best, log = Best(learner, info, tmp_path), logging.getLogger("test")
    offered = [
        ([3.0], None), ([float("nan")], None), ([9.0], None), ([5.0], [0]), ([1.0], [1]), ([8.0], [0]), ([2.0], [1]),
        ([2.0], [1]),
    ]  # fmt: skip
    kept = []
    for t, (ret, won) in enumerate(offered):
        learner.data = f"networks of {t}".encode()
        episodes = {"return": ret, "length": [1]} | ({} if won is None else {"won": won})
        best.offer(Evaluation(t * 10, t * 10 + 1, "training", 1.0, episodes), log)
        kept.append((best.folder / "agent.th").read_text())
    assert kept == [f"networks of {t}" for t in (0, 0, 2, 2, 4, 4, 6, 6)]
    assert json.loads((tmp_path / "best" / "about.json").read_text()) == {"t_env": 61, "at": 60, "env": {"n_agents": 2}}
    (tmp_path / "10").mkdir()
    prune(tmp_path, 1)
    assert steps_in(tmp_path) == [10]
    state = best.state_dict()
    learner.data = b"later ones"
    best.offer(Evaluation(90, 91, "training", 1.0, {"return": [99.0], "length": [1], "won": [1]}), log)
    assert best.t_env == 91
    best.load_state_dict(state)
    best.put_back()
    assert (best.t_env, best.at, (tmp_path / "best" / "agent.th").read_text()) == (61, 60, "networks of 6")
    best.load_state_dict({})
    best.put_back()
    assert not (tmp_path / "best").exists()
