"""Runs as jobs of Slurm: what sbatch is told, which jobs are found again, and what becomes of those cut off."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

import slurm_stand_in as slurm
from launch_kit import GRID, WORDS, check_numbers, run_launch, runs_of, start_launch, wait_for
from pymarl.experiments.slurm import SlurmBackend, minutes
from pymarl.utils.errors import UserError
from run_kit import read, run_folders

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("submitit") is None,
    reason="submitit is not installed: pip install -r requirements-dev.txt",
)
SLURM = ("--backend=slurm", "--slurm", "time=1:00:00")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a stand-in for Slurm that this process finds."""
    folder = tmp_path / "slurm"
    for key, value in slurm.install(folder).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    monkeypatch.chdir(tmp_path)
    importlib.import_module("submitit").SlurmJob.watcher.clear()  # it knows job 1 of the test before
    return folder


def wait_until(condition: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("given", "expected"), [(60, 60), ("90", 90), ("90:30", 90.5), ("4:00:00", 240), ("2-12", 3600), ("1-0:30", 1470)]
)
def test_times(given: Any, expected: float) -> None:
    assert minutes(given) == expected


@pytest.mark.parametrize("given", ["", "0", 0, "x", "4h", -1, "1:2:3:4", "1:5"])
def test_no_times(given: Any) -> None:
    with pytest.raises(UserError, match=r"--slurm time=.*: expected minutes \(240\), H:MM:SS"):
        minutes(given)


def test_what_sbatch_is_told_and_which_job_is_found_again(cluster: Path) -> None:
    (cluster / "full").touch()
    before = os.environ.get("PYTHONPATH")
    options = {"partition": "gpu", "time": "4:00:00", "mem": "8G", "gpus_per_node": 1, "reservation": "ours"}
    backend = SlurmBackend(options, 2, 3, Path("results/launch"))
    job = backend.start(["--config=nope"], "some_run")
    text = (cluster / "1.sh").read_text()
    for line in ("partition=gpu", "time=240", "mem=8G", "gpus-per-node=1", "reservation=ours", "cpus-per-task=3",
                 "job-name=some_run", "signal=USR2@90"):  # fmt: skip
        assert f"#SBATCH --{line}\n" in text, line
    assert (job.queued(), job.ended()) == (True, False)
    assert backend.has_room([job])
    assert not backend.has_room([job, job])
    assert backend.leave([job]) == "scancel 1"
    assert os.environ.get("PYTHONPATH") == before  # which is the jobs' affair
    assert Path("results/launch/slurm").stat().st_mode & 0o77 == 0  # the words may have passwords in them
    again = SlurmBackend(options, 2, 3, Path("results/launch")).start(["--config=nope"], "some_run")
    assert again.job.job_id == "1"
    again.stop()
    wait_until(again.ended)
    assert (again.cut_off(), again.last_line()) == ("", "Slurm job 1 was cancelled")
    assert backend.start(["--config=nope"], "some_run").job.job_id == "2", "job 1 is over"
    slurm.scancel(cluster, "2")


def test_a_run_that_fails_says_why(cluster: Path) -> None:
    job = SlurmBackend({"time": 60}, None, 1, Path("results/launch")).start(["--config=nope"], "some_run")
    wait_until(job.ended)
    assert job.cut_off() == ""
    assert job.last_line().startswith("error: no config 'nope'")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "how long may a job take"),
        ({"time": "x"}, "--slurm time=x: expected minutes"),
        ({"cluster": "ray"}, "--slurm cluster='ray': expected slurm, or local"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        SlurmBackend(options, None, 1, Path("launch"))


def test_without_slurm_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"--backend=slurm: .*srun.*; --slurm cluster=local tries it without Slurm"):
        SlurmBackend({"time": 60}, None, 1, tmp_path).start(["--config=qmix"], "some_run")


@pytest.mark.nightly
def test_jobs_go_on_without_the_launcher_and_when_their_time_is_up(tmp_path: Path) -> None:
    """The launcher is stopped while one job works and one waits; both are found again; the first is preempted."""
    alone, launched = tmp_path / "alone", tmp_path / "launched"
    alone.mkdir()
    launched.mkdir()
    environment = slurm.install(tmp_path / "slurm")
    words = (*WORDS, "t_max=3000")
    first = start_launch(launched, *GRID, "--at-once=1", *SLURM, "with", *words, **environment)
    wait_for(launched, "results/models/*/*/run.pt")
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=200)
    assert (first.returncode, "To end them: scancel 1\n" in out) == (130, True), out + err
    (run,) = runs_of(launched)
    slurm.send(tmp_path / "slurm", 1, signal.SIGUSR2)  # which is deadly to who does not know it
    wait_until(lambda: not psutil.pid_exists(run.pid))
    code, out, err = run_launch(launched, *GRID, *SLURM, "with", *words, **environment)
    assert (code, out.splitlines()[-2]) == (0, "2 done"), out + err
    assert len(list((tmp_path / "slurm").glob("*.sh"))) == 2, "job 1 went on, nobody submitted it anew"
    statuses = [read(folder, "run.json")["status"] for folder in run_folders(launched)]
    assert sorted(statuses) == ["COMPLETED", "COMPLETED", "INTERRUPTED"]
    check_numbers(alone, launched, words)


@pytest.mark.nightly
def test_submitits_stand_in_for_slurm(tmp_path: Path) -> None:
    """A run is killed; its job says so, and another one goes on with it."""
    alone, launched = tmp_path / "alone", tmp_path / "launched"
    alone.mkdir()
    launched.mkdir()
    words = (*WORDS, "t_max=2000")
    process = start_launch(launched, *GRID, "--backend=slurm", "--slurm", "cluster=local", "with", *words)
    wait_for(launched, "results/models/*/*/run.pt")
    runs_of(launched)[0].send_signal(signal.SIGKILL)
    out, err = process.communicate(timeout=280)
    assert (process.returncode, out.splitlines()[-2]) == (0, "2 done"), out + err
    check_numbers(alone, launched, words)
