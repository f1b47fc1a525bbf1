"""A search as launch.py plays it: its lock, the file it writes, and what it says."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from launch_kit import WORDS, run_launch, start_launch, wait_for
from pymarl import launch, main
from pymarl.experiments import launch as module
from pymarl.experiments import play
from pymarl.experiments import search as searching
from pymarl.experiments.plan import Grid, Job
from pymarl.experiments.search import Space
from pymarl.experiments.space import parameters_of
from pymarl.main import prepare
from pymarl.run.command import parse_command
from pymarl.utils.config import plain
from pymarl.utils.errors import UserError
from run_kit import called_from, read, run_folders
from stage_kit import Played, Stage, write_folder

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="optuna is not installed: pip install -r requirements-dev.txt"
)
SPACE = Space(
    Grid(("qmix",), ("skirmish",), ("3m",), (1,), ("t_max=1000", "test_interval=500")),
    parameters_of(["lr=loguniform:1e-5,1e-1"]), "test_return_mean", minimise=False, prune=True,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "LOOK_SECONDS", -1.0)
    monkeypatch.setattr(play, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(searching, "FOLLOW_SECONDS", -1.0)


class AtOnce(Stage):
    """Plays a run the moment it is begun: its return is its lr."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        super().__init__(1)
        self.before = before

    def start(self, words: Sequence[str], name: str) -> Played:
        self.before()
        job = Job(tuple(words), plain(prepare(parse_command(words)).values), name)
        numbers: dict[str, Any] = {"test_return_mean": [job.config["lr"]], "test_return_mean_T": [1000]}
        write_folder(job, len(self.begun) + 1, "COMPLETED", info=numbers)
        process = super().start(words, name)
        process.code = 0
        return process


def test_the_best_is_said_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    stage = AtOnce()
    assert play.play_search(SPACE, 3, lambda logs: stage, here=True, dry=False) == 0
    lines = capsys.readouterr().out.splitlines()
    values = [float(word.removeprefix("lr=")) for words in stage.begun for word in words.words if word[:3] == "lr="]
    best = max(range(3), key=lambda number: values[number])
    assert f"3 of 3 trials: 3 complete; best test_return_mean {values[best]:.4g} (trial {best})" in lines
    (path,) = Path("results/search").glob("*.yaml")
    call = called_from(Path.cwd(), "main.py")
    assert lines[-1] == f"{path}: {call} --config={path} --env-config=skirmish with env_args.map_name=3m"
    assert main.main([*lines[-1].split()[3:], "lr=0.5", "--print-config"]) == 0
    assert f"lr: {values[best]!r}  # found in loguniform(1e-05,0.1); there 0.001" in path.read_text()
    assert play.play_search(SPACE, 3, lambda logs: stage, here=True, dry=False) == 0
    assert len(stage.begun) == 3


def test_two_at_one_study_are_too_many() -> None:
    def second() -> None:
        with pytest.raises(UserError, match=r"\.db: another launch is at this search; wait for it, or stop it"):
            play.play_search(SPACE, 1, lambda logs: AtOnce(), here=True, dry=False)

    stage = AtOnce(second)
    assert play.play_search(SPACE, 1, lambda logs: stage, here=True, dry=False) == 0
    assert len(stage.begun) == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--configs=qmix,vdn", "--env-configs=skirmish"), "error: --search: expected one algorithm on one map"),
        (("--configs=qmix", "--env-configs=skirmish", "--trials=0"), "error: --trials=0: expected 1 or more"),
        (("--configs=qmix", "--env-configs=skirmish", "--backend=rey"), "did you mean 'ray'?"),
        (("--configs=qmix", "--env-configs=skirmish", "--slurm", "a=b"), "error: --slurm a=b: write --backend=slurm"),
        (("--configs=qmix", "--env-configs=skirmish", "--backend=ray", "--ray", "x"), "--ray x: expected KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_line(words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([*words, "--search", "lr=uniform:1,2"]) == 1
    (said,) = [each for each in capsys.readouterr().err.splitlines() if not each.startswith("note: ")]
    assert line in said
    assert not list(Path("results").glob("sacred/*"))


@pytest.mark.nightly
def test_a_search_that_is_stopped_goes_on(tmp_path: Path) -> None:
    """A trial's run goes on from its checkpoint."""
    words = ("--configs=qmix", "--env-configs=one_step_matrix_game", "--search", "lr=loguniform:1e-4,1e-2",
             "--trials=2", "--at-once=1", "with", *WORDS, "t_max=2000")  # fmt: skip
    process = start_launch(tmp_path, *words)
    wait_for(tmp_path, "results/models/*/*/run.pt")
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 130, out + err
    assert "1 of 2 trials: 1 running" in out
    code, out, err = run_launch(tmp_path, *words)
    assert code == 0, out + err
    assert "trial 0 goes on: lr=" in out
    first, second, _ = run_folders(tmp_path)
    assert read(second, "config.json")["resume"] != ""
    assert [read(folder, "run.json")["status"] for folder in (first, second)] == ["INTERRUPTED", "COMPLETED"]
