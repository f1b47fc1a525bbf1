"""What a whole run hands to its trackers, and that it stays the same whatever they do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pymarl import main
from pymarl.utils.tracking import REGISTRY
from pymarl.utils.tracking.tracker import grouped
from run_kit import error_line, models, numbers, read, run_folders
from tracking_kit import numbers_of, recorded

BATTLES = (
    "--config=qmix", "--env-config=skirmish", "with", "name=qmix", "seed=2", "t_max=500", "batch_size_run=4",
    "batch_size=8", "buffer_size=12", "rnn_hidden_dim=16", "env_args.map_name=3m", "test_interval=400",
    "test_nepisode=4", "log_interval=200", "runner_log_interval=200", "learner_log_interval=200",
)  # fmt: skip


@pytest.fixture
def trackers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let use_trackio, use_wandb and use_mlflow mean trackers of the kit; return the results of the run."""
    for name, kind in (("trackio", "Recorder"), ("wandb", "Greedy"), ("mlflow", "Failing")):
        monkeypatch.setitem(REGISTRY._entries, name, f"tracking_kit:{kind}")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results"


def steps_and_values(folder: Path) -> dict[str, list[Any]]:
    info = read(folder, "info.json")
    return {grouped(key): list(zip(info[f"{key}_T"], info[key], strict=True)) for key in info if f"{key}_T" in info}


def test_training_and_evaluation_are_tracked(trackers: Path, tmp_path: Path) -> None:
    assert main.main((*BATTLES, "use_trackio=True")) == 0
    (folder,) = run_folders(tmp_path)
    calls = recorded(trackers)
    assert (calls[0]["name"], calls[0]["group"]) == ("qmix-3m-seed2", "qmix-3m")
    assert calls[0]["tags"] == ["qmix", "skirmish", "3m"]
    assert calls[0]["config"].items() <= read(folder, "config.json").items()
    hparams = calls[0]["hparams"]
    assert (hparams["env_args.map_name"], hparams["lr"], hparams["t_max"]) == ("3m", calls[0]["config"]["lr"], 500)
    assert not hparams.keys() & {"qtran_arch", "local_results_path", "use_trackio"}
    tracked = numbers_of(calls)
    assert tracked == steps_and_values(folder)
    assert {name.split("/")[0] for name in tracked} == {"train", "test", "speed"}
    kept, end = calls[-2:]
    assert (kept["kind"], kept["last"], end["status"]) == ("networks", True, "completed")
    for name, path in kept["files"].items():  # laid out so that they can be evaluated
        (tmp_path / "kept" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "kept" / name)

    (trackers / "recorded.jsonl").unlink()
    words = (*BATTLES, "checkpoint_path=kept", "save_replay=True", "use_trackio=True", "use_tensorboard=True")
    assert main.main(words) == 0
    trained, (begun, *_, kept, end) = kept["t"], recorded(trackers)
    assert (begun["name"], begun["t"], end["status"]) == ("qmix-3m-seed2-evaluation", trained, "completed")
    assert numbers_of(recorded(trackers))["test/battle_won_mean"][0][0] == begun["t"]
    assert kept["kind"] == "replays"
    assert all(Path(path).is_file() for path in kept["files"].values())
    (events,) = (trackers / "tb_logs").iterdir()
    assert events.name == f"3m__qmix__seed2__evaluation-{begun['id']}"


def test_a_run_that_fails_or_goes_on(trackers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose tracker was not asked for goes on with it, and from then on under one id."""
    words = (*BATTLES, "save_model=True", "save_model_interval=200")
    assert main.main((*words, "t_max=200")) == 0
    token = models(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pymarl.run.run.Training.finish", lambda self: 1 / 0)
        assert main.main((*words, f"resume={token}", "use_trackio=True")) == 1
    first = recorded(trackers)
    assert first[-1] == {"call": "finish", "status": "failed"}
    (trackers / "recorded.jsonl").unlink()
    assert main.main((*words, "t_max=800", f"resume={token}", "use_trackio=True", "track_files=False")) == 0
    second = recorded(trackers)
    assert first[0]["id"] == second[0]["id"] == read(token, "tracking.json")["id"]
    assert not [call for call in second if call["call"] == "keep"]
    folder = run_folders(tmp_path)[-1]
    assert numbers_of(second) == steps_and_values(folder)  # it is handed all, since the recorder lacks all


def test_trackers_change_nothing(trackers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save = ("save_model=True", "save_model_interval=200")
    assert main.main((*BATTLES, *save)) == 0
    assert main.main((*BATTLES, *save, "use_mlflow=True", "use_wandb=True", "use_tensorboard=True")) == 0
    plain, tracked = run_folders(tmp_path)
    assert numbers(plain) == numbers(tracked)
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("[WARNING")]
    assert len(warnings) == 1
    assert "mlflow is off from now on: ConnectionError" in warnings[0]
    kept = [(call["t"], call["last"]) for call in recorded(trackers) if call["call"] == "keep"]
    steps = sorted({t for t, _ in kept})
    assert len(steps) > 2
    assert kept == [*((t, False) for t in steps), (steps[-1], True)]


def test_wrong_words_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pymarl.utils.tracking.tracker.find_spec", lambda module: None)
    assert "use_mlflow=True needs the Python module 'mlflow'" in error_line(
        capsys, tmp_path, *BATTLES, "use_mlflow=True"
    )
    words = (*BATTLES, "use_wandb=True", "wandb_mode=of")
    assert "wandb_mode='of': expected 'offline' or 'online'" in error_line(capsys, tmp_path, *words)
