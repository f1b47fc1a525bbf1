"""Runs as actors of Ray: one whose machine is lost goes on elsewhere, and gives the numbers of a single run."""

from __future__ import annotations

import importlib.util
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from launch_kit import GRID, WORDS, check_numbers, run_launch, runs_of, start_launch, wait_for
from pymarl.experiments.ray import RayBackend
from pymarl.utils.errors import UserError
from run_kit import read, run_folders

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed: pip install -r requirements-dev.txt"
)
SOON = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 300, "health_check_timeout_ms": 300,
        "health_check_failure_threshold": 3}  # fmt: skip


@pytest.fixture(autouse=True)
def _open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no ray have a token: it would be written to the home folder."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def machines() -> Iterator[Any]:
    """Yield a cluster of one machine with one core, to which a test may add more: raylets here."""
    from ray import cluster_utils

    cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "_system_config": SOON}
    )
    yield cluster
    cluster.shutdown()


def lose(node: Any) -> None:
    """Kill all that runs on a machine, its raylet first."""
    (raylet,) = node.all_processes["raylet"]
    processes = psutil.Process(raylet.process.pid).children(recursive=True)
    for process in (raylet.process, *processes):
        process.kill()
    psutil.wait_procs(processes, 10)


@pytest.mark.nightly
def test_a_machine_that_is_lost_and_a_launcher_that_is_stopped(machines: Any, tmp_path: Path) -> None:
    """All that one of two machines runs is killed; its run goes on on the other one when that has room."""
    alone, launched = tmp_path / "alone", tmp_path / "launched"
    alone.mkdir()
    launched.mkdir()
    second = machines.add_node(num_cpus=1)
    words, there = (*WORDS, "t_max=4000"), ("--backend=ray", "--ray", f"address={machines.address}")
    process = start_launch(launched, *GRID, *there, "with", *words)
    while len(list(launched.glob("results/models/*/*/run.pt"))) < 2 or len(runs_of(launched)) < 2:
        time.sleep(0.1)
    lose(second)
    assert len(runs_of(launched)) == 1
    wait_for(launched, "results/sacred/*/*/3/run.json")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 130, out + err
    assert runs_of(launched) == []
    code, out, err = run_launch(launched, *GRID, *there, "with", *words)
    assert (code, out.splitlines()[-2]) == (0, "2 done"), out + err
    assert "INTERRUPTED" in {read(folder, "run.json")["status"] for folder in run_folders(launched)}
    check_numbers(alone, launched, words)


@pytest.mark.nightly
def test_a_launcher_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """Its ray ends with it, and each run saves; the next launch goes on with them."""
    words = (*WORDS, "t_max=3000")
    process = start_launch(tmp_path, *GRID, "--backend=ray", "with", *words)
    wait_for(tmp_path, "results/models/*/*/run.pt")
    runs = runs_of(tmp_path)
    process.kill()
    process.communicate()
    psutil.wait_procs(runs, 60)
    assert runs_of(tmp_path) == []
    code, out, err = run_launch(tmp_path, *GRID, "--backend=ray", "with", *words)
    assert (code, out.splitlines()[-2]) == (0, "2 done"), out + err
    alone = tmp_path / "alone"
    alone.mkdir()
    check_numbers(alone, tmp_path, words)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"adress": "x"}, r"--ray adress: expected address=HOST:PORT or gpus=NUMBER; did you mean 'address'\?"),
        ({"gpus": "all"}, "--ray gpus='all': expected a number, such as 1 or 0.25"),
        ({"address": "127.0.0.1:1"}, "ray_address='127.0.0.1:1': nothing answers there"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=line):
        RayBackend(options, None, 1, tmp_path)
