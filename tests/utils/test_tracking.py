"""Trackers take a run's numbers, and whatever they do the run goes on."""

from __future__ import annotations

import ast
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pymarl.utils.errors import UserError
from pymarl.utils.logging import Logger
from pymarl.utils.tracking import REGISTRY, apart
from pymarl.utils.tracking.files import Files
from pymarl.utils.tracking.tracker import Tracker, check_installed, grouped
from pymarl.utils.tracking.tracking import Tracking
from tracking_kit import Recorder, RecorderHere, numbers_of, recorded, tracked_run

SRC = Path(__file__).resolve().parents[2] / "src"
FILES = Files(kind="networks", t_env=20, last=True, files={"20/agent.th": Path("/nowhere/agent.th")})


@pytest.fixture
def logger(caplog: pytest.LogCaptureFixture) -> Logger:
    caplog.set_level(logging.INFO)
    return Logger(logging.getLogger("test"))


def play(tracker: Tracker, results: Path, logger: Logger, **changes: Any) -> None:
    """Let a tracker have a whole run: two numbers at 10 and 20, files, and the end."""
    tracking = Tracking({"recorder": tracker}, logger.console_logger, keeps=True)
    tracking.start(tracked_run(results, **changes), logger, results)
    for t in (10, 20):
        logger.log_stats({"test_return_mean": t / 2, "loss_td": t / 10}, t)
    logger.keep_files(FILES)
    tracking.finish("completed")


def test_names_have_groups() -> None:
    names = ["return_mean", "test_battle_won_mean", "steps_per_s_test", "absolute_best_return_mean"]
    assert [grouped(name) for name in names] == [
        "train/return_mean", "test/battle_won_mean", "speed/steps_per_s_test", "test/absolute_best_return_mean",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [Recorder, RecorderHere])
def test_a_tracker_is_told_all(kind: type[Recorder], tmp_path: Path, logger: Logger) -> None:
    play(kind(), tmp_path, logger)
    calls = recorded(tmp_path)
    assert calls[0]["name"] == "qmix-3m-seed1"
    assert calls[0]["apart"] is (kind is Recorder)
    assert numbers_of(calls) == {"test/return_mean": [(10, 5.0), (20, 10.0)], "train/loss_td": [(10, 1.0), (20, 2.0)]}
    assert calls[-2]["files"] == {"20/agent.th": "/nowhere/agent.th"}
    assert calls[-1] == {"call": "finish", "status": "completed"}
    if kind is Recorder:  # what it prints is not on the console
        assert "finish was called" in (tmp_path / "recorder.log").read_text()


def test_a_run_that_goes_on_brings_what_the_tracker_lacks(tmp_path: Path, logger: Logger) -> None:
    logger.log_stats({"loss_td": 0.5, "steps_per_s": 9.0}, 5)
    play(Recorder(), tmp_path, logger)  # which was not asked for before
    play(Recorder(), tmp_path, logger)  # goes on from 20, and repeats 10 and 20
    losses = numbers_of(recorded(tmp_path))["train/loss_td"]
    assert losses == [(5, 0.5), (10, 1.0), (20, 2.0), (10, 1.0), (20, 2.0)]


FAULTS = [
    ("start", "raise", "is off from now on: ConnectionError: no way to http://me:***@there"),
    ("log", "raise", "is off from now on: ConnectionError: no way to http://me:***@there"),
    ("keep", "raise", "has not taken the networks of t_env=20 (ConnectionError: no way to http://me:***@there)"),
    ("finish", "raise", "is off from now on: ConnectionError: no way to http://me:***@there"),
    ("start", "die", "is off from now on: its process has ended"),
    ("log", "die", "is off from now on: its process has ended"),
    ("start", "hang", "was stopped before it had sent all"),
    ("finish", "hang", "was stopped before it had sent all"),
]


@pytest.mark.parametrize(("call", "fault", "said"), FAULTS, ids=lambda value: value.split()[0])
def test_whatever_fails_is_one_warning(
    call: str,
    fault: str,
    said: str,
    tmp_path: Path,
    logger: Logger,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if fault == "hang":
        monkeypatch.setattr("pymarl.utils.tracking.tracking.FINISH_SECONDS", 1)
    started = time.monotonic()
    play(Recorder(fault={call: fault}), tmp_path, logger)
    assert time.monotonic() - started < 30
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == [f"recorder {said} (see {tmp_path / 'recorder.log'})"]
    assert logger.info["loss_td"] == [1.0, 2.0]
    if call == "keep":  # the numbers are not lost for it
        assert recorded(tmp_path)[-1]["call"] == "finish"


@pytest.mark.parametrize("call", ["start", "log", "keep", "finish"])
def test_so_it_is_in_the_runs_own_process(
    call: str, tmp_path: Path, logger: Logger, caplog: pytest.LogCaptureFixture
) -> None:
    play(RecorderHere(fault={call: "raise"}), tmp_path, logger)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert warnings[0].startswith("recorder is off from now on: ConnectionError: no way to ")
    assert logger.info["loss_td"] == [1.0, 2.0]


def test_nothing_waits_for_a_tracker_that_hangs(tmp_path: Path, logger: Logger) -> None:
    tracking = Tracking({"recorder": Recorder(fault={"start": "hang"})}, logger.console_logger, keeps=True)
    tracking.start(tracked_run(tmp_path), logger, None)
    started = time.monotonic()
    for t in range(20_000):
        logger.log_stat("loss_td", 0.5, t)
    assert time.monotonic() - started < 5
    children = [link._process for link in tracking._links.values()]
    for link in tracking._links.values():
        link.await_end(time.monotonic())
    assert [child.poll() for child in children] == [-signal.SIGKILL]


KILLED = """
import logging, os, signal, sys
from pathlib import Path
from tracking_kit import Recorder, tracked_run
from pymarl.utils.logging import Logger
from pymarl.utils.tracking.tracking import Tracking
logger, results = Logger(logging.getLogger()), Path(sys.argv[1])
Tracking({"recorder": Recorder()}, logging.getLogger(), keeps=True).start(tracked_run(results), logger, None)
logger.log_stat("loss_td", 0.5, 10)
while not (results / "recorded.jsonl").exists() or "log" not in (results / "recorded.jsonl").read_text():
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_is_killed_ends_there_too(tmp_path: Path) -> None:
    path = os.pathsep.join(name for name in sys.path if name)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=os.environ | {"PYTHONPATH": path}, check=False)
    deadline = time.monotonic() + 10
    while recorded(tmp_path)[-1]["call"] != "finish" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert recorded(tmp_path)[-1] == {"call": "finish", "status": "killed"}


def test_numbers_of_the_same_steps_are_one_message() -> None:
    messages: list[tuple[bytes, Any]] = [
        (apart.NUMBERS, ({"a": 1.0}, 10)), (apart.NUMBERS, ({"b": 2.0}, 10)), (apart.FILES, FILES),
        (apart.NUMBERS, ({"a": 3.0}, 10)), (apart.NUMBERS, ({"a": 4.0}, 20)),
    ]  # fmt: skip
    assert apart.gathered(messages) == [
        (apart.NUMBERS, ({"a": 1.0, "b": 2.0}, 10)), (apart.FILES, FILES), (apart.NUMBERS, ({"a": 3.0}, 10)),
        (apart.NUMBERS, ({"a": 4.0}, 20)),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_a_missing_package_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymarl.utils.tracking.tracker.find_spec", lambda module: None)
    with pytest.raises(UserError, match=rf"^use_{name}=True needs the Python module '{name}'.*`pip install {name}`"):
        check_installed(name, REGISTRY[name])


def test_a_folder_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wandb_of_a_test").mkdir()  # as W&B makes one where it runs
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(REGISTRY["wandb"], "modules", ("wandb_of_a_test",))
    with pytest.raises(UserError, match="not installed"):
        check_installed("wandb", REGISTRY["wandb"])


def test_no_package_is_imported_before_it_is_asked_for() -> None:
    """All imports of them stand in functions that only their tracker calls."""
    packages, found = {"wandb", "mlflow", "trackio", "tensorboard", "tensorboard_logger"}, {}
    for path in sorted(SRC.rglob("*.py")):
        if not any(package in path.read_text() for package in packages):
            continue
        tree = ast.parse(path.read_text())
        names: dict[bool, set[str]] = {True: set(), False: set()}
        late = {id(node) for top in ast.walk(tree) if isinstance(top, ast.FunctionDef) for node in ast.walk(top)}
        for node in ast.walk(tree):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names[id(node) in late] |= {module.removeprefix("torch.utils.").split(".")[0] for module in modules}
        assert not names[False] & packages, path
        if names[True] & packages:
            found[path.name] = names[True] & packages
    assert found == {
        "wandb.py": {"wandb"}, "mlflow.py": {"mlflow"}, "trackio.py": {"trackio"},
        "tensorboard.py": {"tensorboard", "tensorboard_logger"},
    }  # fmt: skip
