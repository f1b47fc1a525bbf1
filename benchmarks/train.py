"""Env steps per second of a whole training: collecting, learning, testing and logging together.

    python benchmarks/train.py --config=qmix_predator_prey --env-config=stag_hunt [with KEY=VALUE ...]
        [--steps 60000] [--warmup 30000] [--repeats 3] [--threads N] [--peer DIR]

Takes the words of src/main.py. With --peer, a checkout of another PyMARL-style project trains with the same words,
alternating with ours in the same call, and the ratio is printed. The clock runs between the first log line after
--warmup env steps (when the replay buffer is full enough to train) and the last one, so start-up does not count. Both
compute on the CPU, unless the words say use_cuda=True.
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

import peer

ROOT = Path(__file__).resolve().parent.parent
LOG_LINE = re.compile(r"Recent Stats \| t_env:\s+(\d+) \| Episode:\s+(\d+)")


def log_times(process: subprocess.Popen[str]) -> Iterator[tuple[float, int, int]]:
    """Yield (seconds, env steps, episodes) at each of a training's log lines.

    Raises:
        RuntimeError: it fails; with the end of its output.
    """
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if match := LOG_LINE.search(line):
            yield time.perf_counter(), int(match[1]), int(match[2])
    if process.wait():
        raise RuntimeError(f"the training exited with {process.returncode}:\n{''.join(lines[-40:])}")


def speed(process: subprocess.Popen[str], warmup: int) -> float:
    """Return env steps per second after `warmup` env steps."""
    points = [point for point in log_times(process) if point[1] >= warmup]
    if len(points) < 2:
        raise RuntimeError(f"fewer than two log lines after {warmup} env steps: raise --steps or lower log_interval")
    (first_time, first_steps, _), (last_time, last_steps, _) = points[0], points[-1]
    return (last_steps - first_steps) / (last_time - first_time)


def start_ours(words: Sequence[str], threads: int, results: str) -> subprocess.Popen[str]:
    """Start our training."""
    command = [sys.executable, "src/main.py", *words, f"local_results_path={results}"]
    environment = peer.environment(threads)
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)  # fmt: skip


def start_peer(directory: Path, words: Sequence[str], threads: int) -> subprocess.Popen[str]:
    """Start the peer's training."""
    script = directory.resolve() / "src" / "main.py"
    return peer.start(directory, script, *words, threads=threads, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def main(argv: Sequence[str]) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60_000, help="env steps of one training")
    parser.add_argument("--warmup", type=int, default=30_000, help="env steps before the clock starts")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peer", type=Path, help="checkout of another PyMARL-style project")
    options, words = parser.parse_known_args(argv)
    if "with" not in words:
        words.append("with")
    speeds: dict[str, list[float]] = {name: [] for name in (("ours", "peer") if options.peer else ("ours",))}
    for repeat in range(options.repeats):
        device = [] if any(word.startswith("use_cuda=") for word in words) else ["use_cuda=False"]
        timed = [*words, f"t_max={options.steps}", f"seed={repeat}", *device]
        with tempfile.TemporaryDirectory() as results:
            speeds["ours"].append(speed(start_ours(timed, options.threads, results), options.warmup))
        if options.peer:
            speeds["peer"].append(speed(start_peer(options.peer, timed, options.threads), options.warmup))
        print("  ".join(f"{name} {values[-1]:.0f}" for name, values in speeds.items()), flush=True)
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, torch {torch.__version__}")
    for name, values in speeds.items():
        print(f"{name}: median {statistics.median(values):.0f} env steps/s ({min(values):.0f} to {max(values):.0f})")
    if options.peer:
        ratios = [ours / theirs for ours, theirs in zip(speeds["ours"], speeds["peer"], strict=True)]
        print(f"ratio: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])
