"""Train for long with tests and saves often, and fit what memory, file descriptors and threads do.

    python benchmarks/leaks.py --minutes 60 --config=qmix --env-config=one_step_matrix_game with batch_size_run=32

Prints a line per sample and, at the end, the slope of each over the second half of the time, by least squares.
What is logged is kept, so memory grows with it: the size of info.json and info.jsonl is printed beside it. Exit code 1
if the run ends early, or if descriptors or threads grow.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from run_kit import SRC

OFTEN = (
    "t_max=2000000000", "test_interval=2000", "test_nepisode=32", "log_interval=2000", "runner_log_interval=2000",
    "learner_log_interval=2000", "save_model=True", "save_model_interval=4000", "keep_checkpoints=2", "seed=1",
)  # fmt: skip
NAMES = ("memory MiB", "descriptors", "threads")


def sample(process: psutil.Process) -> tuple[float, int, int]:
    """Return resident memory in MiB, open descriptors and threads of a process."""
    return process.memory_info().rss / 2**20, process.num_fds(), process.num_threads()


def watch(
    run: subprocess.Popen[bytes], directory: Path, minutes: float, every: float
) -> tuple[list[float], np.ndarray]:
    """Sample a run for so long; return the hours and [samples, 3]."""
    process, began = psutil.Process(run.pid), time.monotonic()
    hours, rows = [], []
    while time.monotonic() - began < 60 * minutes and run.poll() is None:
        time.sleep(every)
        try:
            rows.append(sample(process))
        except psutil.NoSuchProcess:
            break
        hours.append((time.monotonic() - began) / 3600)
        size = sum(path.stat().st_size for path in directory.rglob("info.json*")) / 2**20
        print(f"{60 * hours[-1]:.1f} min: {rows[-1][0]:.1f} MiB, {rows[-1][1]} descriptors, {rows[-1][2]} threads; "
              f"info.json and info.jsonl {size:.1f} MiB", flush=True)  # fmt: skip
    return hours, np.array(rows)


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=20, help="seconds between samples")
    options, words = parser.parse_known_args()
    words = words if "with" in words else [*words, "with"]
    with tempfile.TemporaryDirectory() as scratch:
        with Path(scratch, "out.txt").open("w") as log:
            command = [sys.executable, str(SRC / "main.py"), *words, *OFTEN]
            run = subprocess.Popen(command, cwd=scratch, stdout=log, stderr=log)
            hours, rows = watch(run, Path(scratch), options.minutes, options.every)
            early = run.poll() is not None
            run.terminate()
            run.wait(timeout=120)
        print(*Path(scratch, "out.txt").read_text().splitlines()[-15:], sep="\n")
    half = len(hours) // 2
    slopes = [float(np.polyfit(hours[half:], rows[half:, k], 1)[0]) for k in range(3)]
    for name, slope, first, last in zip(NAMES, slopes, rows[half], rows[-1], strict=True):
        print(f"{name}: {first:.1f} at half time, {last:.1f} at the end, slope {slope:+.2f} an hour")
    return int(early or rows[half:, 1:].max(0).tolist() > rows[:half, 1:].max(0).tolist())


if __name__ == "__main__":
    sys.exit(main())
