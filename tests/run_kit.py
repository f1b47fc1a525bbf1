"""Runs main.py the way a user does, on jobs of a few seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pymarl import main
from pymarl.utils.checkpoint import steps_in
from pymarl.utils.evaluations import read_evaluations
from pymarl.utils.logging import WALL_CLOCK_KEYS

SRC = Path(__file__).resolve().parent.parent / "src"

# A stag hunt small enough for a second of training, in which every part of the loop has its turn.
SMALL_HUNT = (
    "--config=qmix_predator_prey", "--env-config=stag_hunt", "with", "seed=3", "t_max=1200", "batch_size_run=4",
    "batch_size=8", "buffer_size=12", "rnn_hidden_dim=16", "env_args.world_shape=[5,5]", "env_args.n_agents=4",
    "env_args.n_stags=2", "env_args.episode_limit=30", "test_interval=300", "test_nepisode=6", "log_interval=300",
    "runner_log_interval=200", "learner_log_interval=200", "target_update_interval=20", "epsilon_anneal_time=800",
    "save_model=True", "save_model_interval=400",
)  # fmt: skip


def called_from(folder: Path, script: str) -> str:
    """Return how a script below src/ is called from a folder."""
    return f"python {os.path.relpath(SRC / script, folder)}"


def start_main(directory: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """Start `python src/main.py WORDS` in a folder; with SIGHUP heard, although nohup may have started the tests."""
    return subprocess.Popen(
        [sys.executable, str(SRC / "main.py"), *words],
        cwd=directory,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL) and None,
    )


def run_main(directory: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """Run it to its end: exit code, stdout, stderr."""
    process = start_main(directory, *words, **environment)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def run_folders(directory: Path) -> list[Path]:
    """Return the run folders that sacred made, oldest first."""
    return sorted((path.parent for path in directory.rglob("run.json")), key=lambda path: path.stat().st_mtime)


def read(folder: Path, name: str) -> Any:
    """Return a JSON file of a run folder."""
    return json.loads((folder / name).read_text())


def numbers(folder: Path) -> dict[str, Any]:
    """Return info.json without what depends on the machine's speed."""
    clock = WALL_CLOCK_KEYS | {f"{key}_T" for key in WALL_CLOCK_KEYS}
    return {key: value for key, value in read(folder, "info.json").items() if key not in clock}


def untimed(folder: Path) -> list[dict[str, Any]]:
    """Return the tests of a run folder without what depends on the machine's speed."""
    tests = read_evaluations(folder)
    return [{key: value for key, value in vars(test).items() if key != "seconds"} for test in tests]


def models(directory: Path) -> Path:
    """Return the one folder of checkpoints."""
    (folder,) = (directory / "results" / "models").iterdir()
    return folder


def wait_for_checkpoint(directory: Path, seconds: float = 60) -> None:
    """Wait until the run has written its first checkpoint folder."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if any(path.name.isdigit() for path in (directory / "results").glob("models/*/*")):
            return
        time.sleep(0.02)
    raise AssertionError("no checkpoint was written")


def kill_and_resume(directory: Path, words: tuple[str, ...], t_max: int) -> Path:
    """Start a run, kill -9 it after its first checkpoint, resume it; return the folder of its checkpoints."""
    process = start_main(directory, *words)
    wait_for_checkpoint(directory)
    process.kill()
    process.communicate()
    token = models(directory)
    assert max(steps_in(token)) < t_max, "the run was over before it was killed"
    code, _, err = run_main(directory, *words, f"resume={token}")
    assert code == 0, err
    return token


def own_module(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """Let `name` be a module of the user's in a folder, for this test alone: the next test imports its own."""
    (directory / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(directory))
    monkeypatch.setitem(sys.modules, name, main)  # so that the end of the test takes away what it imports
    del sys.modules[name]


def error_line(capsys: pytest.CaptureFixture[str], directory: Path, *words: str) -> str:
    """Run main in this process; return its one line of error."""
    assert main.main(words) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert not (directory / "results").exists()
    assert children_with("pymarl.envs.worker") == []
    return lines[0]


def children_with(text: str) -> list[str]:
    """Return the command lines of this process's descendants that hold a text; one that has ended is none of them."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # zombies included
            found.append(" ".join(child.cmdline()))
    return [line for line in found if text in line]
