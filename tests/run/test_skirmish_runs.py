"""Battles through main.py: exact resume, replays of both runners, the commands that show them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pymarl.envs.skirmish.replay.replay import read_replay
from pymarl.tools import curve, replay
from run_kit import called_from, kill_and_resume, models, numbers, read, run_folders, run_main

BATTLES = (
    "--config=qmix", "--env-config=skirmish", "with", "seed=2", "t_max=4000", "batch_size_run=4", "batch_size=8",
    "buffer_size=40", "rnn_hidden_dim=16", "test_interval=1000", "test_nepisode=6", "log_interval=500",
    "runner_log_interval=500", "learner_log_interval=500", "save_model=True", "save_model_interval=1000",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that was never stopped."""
    directory = tmp_path_factory.mktemp("battles")
    code, _, err = run_main(directory, *BATTLES)
    assert code == 0, err
    return directory


@pytest.mark.nightly
def test_resume_on_3m_equals_never_stopping(whole: Path, tmp_path: Path) -> None:
    kill_and_resume(tmp_path, BATTLES, 4000)
    assert numbers(run_folders(tmp_path)[-1]) == numbers(run_folders(whole)[0])


@pytest.mark.parametrize("runner", ["parallel", "episode"])
def test_either_runner_saves_a_replay_per_episode(whole: Path, tmp_path: Path, runner: str) -> None:
    rows = {"parallel": 4, "episode": 1}[runner]
    words = (*BATTLES, f"checkpoint_path={models(whole)}", "save_replay=True", f"runner={runner}",
             f"batch_size_run={rows}")  # fmt: skip
    code, out, err = run_main(tmp_path, *words)
    assert code == 0, err
    folder = run_folders(tmp_path)[-1]
    episodes = {f"{row['seed']:x}": row for row in read(folder, "evaluation.json")}
    paths = sorted((tmp_path / "results" / "replays").iterdir())
    assert len(paths) == len(episodes) == 6
    assert out.count("Replay: ") == 1
    assert f"; watch: {called_from(tmp_path, 'tools/replay.py')}" in out
    assert " and 5 more beside it" in out
    for path in paths:
        played = read_replay(path)
        row = episodes.pop(played.meta["seed"])
        assert len(played.steps["reward"]) == row["length"]
        assert played.steps["reward"].sum() == pytest.approx(row["return"], rel=1e-5)
        assert (played.meta["result"] == "won") == bool(row["win"])
        chosen = np.where(played.steps["avail"], played.steps["values"], -np.inf).argmax(-1)
        assert (chosen == played.steps["actions"]).all()  # greedy episodes: the values are those it acted on
        assert str(path) in read(folder, "run.json")["artifacts"]
        assert not (folder / path.name).exists(), "it is stored once"


def test_commands_show_what_a_run_left(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = run_folders(whole)[0]
    assert curve.main([str(run), str(run), "--out", str(tmp_path / "plots" / "curve.png")]) == 0
    assert (tmp_path / "plots" / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert curve.main([str(run), "--metric", "test_retrun_mean", "--out", str(tmp_path / "no.png")]) == 1
    assert "did you mean 'test_return_mean'" in capsys.readouterr().err
    assert curve.main([str(tmp_path)]) == 1
    assert "info.json: no such file" in capsys.readouterr().err
    assert replay.main([str(tmp_path / "no.npz")]) == 1
    assert not (tmp_path / "no.png").exists()
