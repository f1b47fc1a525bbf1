"""Calls launch.py the way a user does, with runs of a few seconds, and compares them with single runs of main.py."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from run_kit import SRC, numbers, read, run_folders, run_main

WORDS = ("batch_size=8", "rnn_hidden_dim=8", "test_interval=200", "log_interval=200", "runner_log_interval=200",
         "learner_log_interval=200", "save_model_interval=200")  # fmt: skip
GRID = ("--configs=qmix", "--env-configs=one_step_matrix_game", "--seeds=2", "--at-once=2")


def start_launch(directory: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SRC / "launch.py"), *words], cwd=directory,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def run_launch(directory: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    process = start_launch(directory, *words, **environment)
    out, err = process.communicate(timeout=280)
    return process.returncode, out, err


def runs_of(directory: Path) -> list[psutil.Process]:
    """Return the runs of main.py in a folder."""
    found = psutil.process_iter(["cwd", "cmdline"])
    return [
        each for each in found
        if each.info["cwd"] == str(directory) and str(SRC / "main.py") in (each.info["cmdline"] or [])
    ]  # fmt: skip


def wait_for(directory: Path, pattern: str) -> None:
    deadline = time.monotonic() + 200
    while not list(directory.glob(pattern)):
        assert time.monotonic() < deadline, pattern
        time.sleep(0.05)


def check_numbers(alone: Path, launched: Path, words: tuple[str, ...], seeds: tuple[int, ...] = (1, 2)) -> None:
    """Play the seeds of GRID as single runs of main.py in one folder; those in the other one have the same numbers."""
    for seed in seeds:
        config = ("--config=qmix", "--env-config=one_step_matrix_game", "with", *words, f"seed={seed}")
        assert run_main(alone, *config, "save_model=True")[0] == 0
        whole = run_folders(alone)[-1]
        done = [folder for folder in run_folders(launched) if read(folder, "config.json")["seed"] == seed
                and read(folder, "run.json")["status"] == "COMPLETED"]  # fmt: skip
        assert len(numbers(whole)["test_return_mean"]) > 5
        assert numbers(done[-1]) == numbers(whole)
