"""A launch on a back end that is played: what is begun, gone on with, left alone and told."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pymarl.experiments import launch as module
from pymarl.experiments.book import Book
from pymarl.experiments.launch import TRIES, Launch, Run
from pymarl.experiments.plan import Grid, Job, jobs_of
from pymarl.experiments.table import counted, duration, row
from stage_kit import Played, Stage, write_folder


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "LOOK_SECONDS", -1.0)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)


def jobs(seeds: int = 4, *updates: str) -> list[Job]:
    return jobs_of([Grid(("qmix",), ("skirmish",), ("3m",), tuple(range(1, seeds + 1)), ("t_max=1000", *updates))])[0]


def launch_of(those: list[Job]) -> tuple[Launch, Stage, list[str]]:
    stage, told = Stage(), []
    runs = [Run(job) for job in those]
    launch = Launch(runs, stage, Book(Path("results")), lambda run: told.append(f"{run.job.label[-1]} {run.state}"))
    return launch, stage, told


def finish(job: Job, process: Played, number: int) -> None:
    write_folder(job, number, "COMPLETED")
    process.code = 0


def test_as_many_as_there_is_room_for() -> None:
    those = jobs()
    launch, stage, told = launch_of(those)
    assert launch.step()
    assert launch.step()
    assert stage.seeds() == ["seed=1", "seed=2"]
    finish(those[1], stage.begun[1], 1)
    launch.step()
    assert stage.seeds() == ["seed=1", "seed=2", "seed=3"]
    for number, index in enumerate((0, 2), start=2):
        finish(those[index], stage.begun[index], number)
    launch.step()
    finish(those[3], stage.begun[3], 4)
    assert not launch.step()
    assert told == ["1 running", "2 running", "2 done", "3 running", "1 done", "3 done", "4 running", "4 done"]
    assert counted(launch.runs) == "4 done"


def test_what_is_there_is_left_alone() -> None:
    """Also if another folder of the same run came later and is not complete."""
    those = jobs(3)
    write_folder(those[0], 1, "COMPLETED")
    write_folder(those[0], 2, "INTERRUPTED", "2026-01-02T00:00:00")
    write_folder(those[2], 3, "FAILED")
    launch, stage, told = launch_of(those)
    launch.step()
    assert told == ["1 done", "2 running", "3 running"]
    assert stage.seeds() == ["seed=2", "seed=3"]


@pytest.mark.parametrize("more", ["t_max=2000", "absolute_episodes=8"])
def test_a_run_of_which_more_is_wanted_goes_on(more: str) -> None:
    write_folder(jobs(1)[0], 1, "COMPLETED")
    launch, stage, _ = launch_of(jobs(1, more))
    launch.step()
    assert stage.seeds() == ["seed=1"]


def test_who_is_killed_goes_on_and_who_fails_does_not() -> None:
    those = jobs(2)
    launch, stage, told = launch_of(those)
    launch.step()
    stage.begun[0].code = 1
    for _ in range(TRIES):
        stage.begun[-1].code = -9
        launch.step()
    assert not launch.step()
    assert stage.seeds() == ["seed=1", "seed=2", *["seed=2"] * (TRIES - 1)]
    assert [run.reason for run in launch.runs] == ["error: out of luck", f"killed by signal 9, {TRIES} times"]
    assert told[-1] == "2 failed"
    assert row(launch.runs[0])[-1] == "error: out of luck"


def test_who_still_writes_is_not_begun_again() -> None:
    """The machine of a run may be lost to us alone: it goes on once nobody holds its folder."""
    those = jobs(1)
    launch, stage, told = launch_of(those)
    launch.step()
    with held(write_folder(those[0], 1, "RUNNING")):
        stage.begun[0].code = -9
        launch.step()
        launch.step()
        assert len(stage.begun) == 1
    launch.step()
    assert len(stage.begun) == 2
    assert told == ["1 running", "1 waiting", "1 running"]


def test_a_queue_of_the_back_ends_own() -> None:
    launch, stage, told = launch_of(jobs(1))
    stage.waits = True
    launch.step()
    stage.begun[0].waits = False
    launch.step()
    assert told == ["1 queued", "1 running"]


def test_jobs_that_need_no_launcher_are_left() -> None:
    """And the next launch waits for those that run, or asks for those that are queued."""
    launch, stage, _ = launch_of(jobs(3))
    launch.step()
    stage.goes_on = "scancel 1 2"
    assert launch.stop() == "scancel 1 2"
    launch.await_stopped(lambda: False)
    assert [(run.state, run.process) for run in launch.runs] == [("running", None)] * 2 + [("waiting", None)]
    assert [process.asked for process in stage.begun] == [0, 0]


def test_who_is_given_up_ends() -> None:
    those = jobs(3)
    launch, stage, told = launch_of(those)
    launch.step()
    launch.give_up(launch.runs[0])
    launch.give_up(launch.runs[2])
    finish(those[1], stage.begun[1], 1)
    assert not launch.step()
    assert told == ["1 running", "2 running", "3 pruned", "1 pruned", "2 done"]
    assert len(stage.begun) == 2


def test_exit_code_0_is_not_enough() -> None:
    """Another run's folder may have been found, or none: a job is done when its folder says so."""
    launch, stage, told = launch_of(jobs(1))
    launch.step()
    stage.begun[0].code = 0
    assert not launch.step()
    assert told == ["1 running", "1 failed"]


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a run's folder as the run itself does."""
    with (folder / "info.jsonl").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_a_run_that_someone_else_plays_is_waited_for() -> None:
    """A launcher that was killed leaves its runs at work."""
    those = jobs(1)
    folder = write_folder(those[0], 1, "RUNNING")
    launch, stage, told = launch_of(those)
    with held(folder):
        assert launch.step()
        assert not stage.begun
        assert told == ["1 running"]
        assert row(launch.runs[0])[1:] == ("running", "50% of 1,000", "10/s", "50 s", "won 25%")
    launch.step()
    assert stage.seeds() == ["seed=1"], "it died: this launch goes on with it"
    assert told == ["1 running", "1 waiting", "1 running"]


def test_a_run_without_a_folder_that_someone_else_has_begun_is_waited_for() -> None:
    """It counts as no try, and takes nobody's place."""
    those = jobs(2)
    launch, stage, told = launch_of(those)
    stage.elsewhere = True
    for _ in range(TRIES + 1):
        assert launch.step()
    assert [(run.state, run.tries) for run in launch.runs] == [("waiting", 0)] * 2
    write_folder(those[0], 1, "COMPLETED")
    stage.elsewhere = False
    assert launch.step()
    assert stage.seeds() == ["seed=2"]
    assert told == ["1 done", "2 running"]


def test_stop_saves_what_runs_and_begins_nothing() -> None:
    those = jobs()
    launch, stage, _ = launch_of(those)
    launch.step()
    stage.begun[1].on_stop = lambda: finish(those[1], stage.begun[1], 1)
    launch.stop()
    stage.begun[1].code = 0
    launch.await_stopped(lambda: True)
    assert [run.state for run in launch.runs] == ["stopped", "done", "waiting", "waiting"]
    assert len(stage.begun) == 2
    assert counted(launch.runs) == "1 done, 1 stopped, 2 waiting"


def test_without_patience_they_are_killed() -> None:
    launch, stage, _ = launch_of(jobs(1))
    launch.step()
    stage.begun[0].on_stop = lambda: None
    patience = iter([True, False])
    launch.stop()
    launch.await_stopped(lambda: next(patience))
    assert stage.begun[0].code == -9
    assert [run.state for run in launch.runs] == ["stopped"]


def test_folders_that_say_nothing_are_passed_over() -> None:
    job = jobs(1)[0]
    for number, name in enumerate(("config.json", "run.json"), start=1):
        (write_folder(job, number, "COMPLETED") / name).write_text("{")
    (Path("results/sacred/3m/qmix/_sources")).mkdir()
    assert Book(Path("results")).look_up([job]) == {}


@pytest.mark.parametrize(("seconds", "text"), [(9, "9 s"), (90, "2 min"), (3600, "1 h 00 min"), (7500, "2 h 05 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
