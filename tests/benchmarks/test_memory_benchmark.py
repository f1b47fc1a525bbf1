"""benchmarks/memory.py runs as its docs say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_an_episode_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/memory.py", "episode", "--map", "3m", "--episodes", "2"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("ours")]
    assert [row[1] for row in rows] == ["full", "random"]
    sizes = [int(row[2].replace(",", "")) for row in rows]
    assert sizes[0] > sizes[1] > 1000
    assert float(rows[0][4]) == 60.0
