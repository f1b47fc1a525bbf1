"""Train for long with tests and saves often, and fit what memory, file descriptors and threads do.

    python benchmarks/leaks.py --minutes 60 --config=qmix --env-config=one_step_matrix_game with batch_size_run=32
    python benchmarks/leaks.py --minutes 60 --updates 100000 --config=qmix --env-config=skirmish
        with updates_per_collect=50 batch_size=8 buffer_size=1000

Prints a line per sample and, at the end, the slope of each over the second half of the time, by least squares, an hour
and for 10,000 updates of the learner. What is logged is kept, so memory grows with it: the size of info.json and
info.jsonl is printed and fitted as well. Exit code 1 if the run ends early (with --updates: before it has made them),
or if descriptors or threads grow.
"""

from __future__ import annotations

import argparse
import re
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
NAMES = ("memory MiB", "info.json and info.jsonl MiB", "descriptors", "threads")
UPDATES = re.compile(rb"gradient_steps: +(\d+)")
LOG, LOG_TAIL = "out.txt", 20_000


def sample(process: psutil.Process, directory: Path) -> tuple[float, float, int, int]:
    """Return resident memory in MiB, the size of what was logged in MiB, open descriptors and threads of a process."""
    logged = sum(path.stat().st_size for path in directory.rglob("info.json*"))
    return process.memory_info().rss / 2**20, logged / 2**20, process.num_fds(), process.num_threads()


def updates(directory: Path) -> int:
    """Return how many updates the run has made at its last line of the log."""
    with (directory / LOG).open("rb") as log:
        log.seek(max(log.seek(0, 2) - LOG_TAIL, 0))
        return int(max(UPDATES.findall(log.read()), key=int, default=0))


def watch(run: subprocess.Popen[bytes], directory: Path, options: argparse.Namespace) -> np.ndarray:
    """Sample a run until its time or its updates are over; return [samples, 6]: hours, updates and `NAMES`."""
    process, began = psutil.Process(run.pid), time.monotonic()
    rows: list[tuple[float, ...]] = []
    while time.monotonic() - began < 60 * options.minutes and run.poll() is None:
        time.sleep(options.every)
        try:
            found = sample(process, directory)
        except psutil.NoSuchProcess:
            break
        rows.append(((time.monotonic() - began) / 3600, updates(directory), *found))
        print(f"{60 * rows[-1][0]:.1f} min, {rows[-1][1]} updates: {found[0]:.1f} MiB, {found[2]} descriptors, "
              f"{found[3]} threads; info.json and info.jsonl {found[1]:.1f} MiB", flush=True)  # fmt: skip
        if options.updates is not None and rows[-1][1] >= options.updates:
            break
    return np.array(rows)


def report(rows: np.ndarray) -> None:
    """Print what each of `NAMES` does over the second half."""
    late = rows[len(rows) // 2 :]
    for name, column in zip(NAMES, late[:, 2:].T, strict=True):
        hourly = np.polyfit(late[:, 0], column, 1)[0]
        per_update = np.polyfit(late[:, 1], column, 1)[0] if np.ptp(late[:, 1]) else np.nan
        print(f"{name}: {column[0]:.1f} at half time, {column[-1]:.1f} at the end, slope {hourly:+.2f} an hour, "
              f"{1e4 * per_update:+.3f} for 10,000 updates")  # fmt: skip


def main() -> int:
    """Run it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="at most")
    parser.add_argument("--updates", type=int, help="stop after so many updates of the learner")
    parser.add_argument("--every", type=float, default=20, help="seconds between samples")
    options, words = parser.parse_known_args()
    words = words if "with" in words else [*words, "with"]
    with tempfile.TemporaryDirectory() as scratch:
        with Path(scratch, LOG).open("w") as log:
            command = [sys.executable, str(SRC / "main.py"), *words, *OFTEN]
            run = subprocess.Popen(command, cwd=scratch, stdout=log, stderr=log)
            rows = watch(run, Path(scratch), options)
            early = run.poll() is not None or (options.updates or 0) > rows[-1][1]
            run.terminate()
            run.wait(timeout=120)
        print(*Path(scratch, LOG).read_text().splitlines()[-15:], sep="\n")
    report(rows)
    half = len(rows) // 2
    return int(early or bool((rows[half:, 4:].max(0) > rows[:half, 4:].max(0)).any()))


if __name__ == "__main__":
    sys.exit(main())
