"""benchmarks/gpu.sh in its small form, which needs no GPU: it runs to its end, and a failing step stops no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.sh"


def run(out: Path, python: str, **environment: str) -> tuple[int, str]:
    own = {"DEVICE": "cpu", "PYTHON": python, "OUT": str(out), "THREADS": "1", "PYMARL2": ""}
    done = subprocess.run(
        ["bash", str(SCRIPT)],
        env=os.environ | own | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (out / "summary.txt").read_text() in done.stdout
    return done.returncode, (out / "summary.txt").read_text()


@pytest.mark.nightly
def test_every_step_runs(tmp_path: Path) -> None:
    code, summary = run(tmp_path / "out", sys.executable)
    assert code == 0, summary
    assert "PYMARL2 is not set: updates are measured without PyMARL2's" in summary
    for line in ("3m          random  ours 0.", "policy_us", "ours: median"):
        assert line in summary
    steps = summary.partition("--- steps\n")[2].splitlines()
    assert [line.split()[0] for line in steps] == ["updates", "samples", "acting", "training"]
    assert all(line.endswith(" ok") for line in steps)


def test_a_step_that_fails_is_told_and_the_others_run(tmp_path: Path) -> None:
    code, summary = run(tmp_path, "false", PYMARL2=str(tmp_path))
    assert code == 4
    assert summary.count("failed with 1") == 4
    assert f"PYMARL2={tmp_path} has no src folder" in summary
