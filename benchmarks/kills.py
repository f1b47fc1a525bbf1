"""Kill trainings with -9 at random moments, resume them, and compare with one that was never stopped.

    python benchmarks/kills.py --kills 20 --jobs stag_hunt,3m,per,q_lambda,episode,lbf

Each kill is a run of its own: it is killed at a moment drawn uniformly from the time that the whole run takes (in the
midst of a save, too), resumed with `resume=TOKEN`, or started again where it had saved nothing yet, and played to its
end. Then info.json must equal that of the run which was never stopped, but for speeds and memory; the token must hold
whole checkpoints and its own files alone; and no process may be left. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pymarl.utils.checkpoint import steps_in
from run_kit import SMALL_HUNT, numbers, run_folders, start_main

SAVES = (
    "seed=3", "batch_size=8", "buffer_size=16", "rnn_hidden_dim=16", "test_nepisode=4", "save_model=True",
    "keep_checkpoints=2",
)  # fmt: skip
QMIX = ("--config=qmix", "--env-config=skirmish", "with", *SAVES)
OFTEN = ("test_interval=400", "log_interval=300", "runner_log_interval=300", "learner_log_interval=300")
JOBS: dict[str, tuple[str, ...]] = {
    "stag_hunt": (*SMALL_HUNT, "t_max=6000", "keep_checkpoints=2"),
    "3m": (*QMIX, *OFTEN, "t_max=5000", "save_model_interval=500"),
    "per": (*QMIX, *OFTEN, "t_max=5000", "save_model_interval=500", "use_per=True"),
    "q_lambda": (*QMIX, *OFTEN, "t_max=5000", "save_model_interval=500", "q_lambda=True"),
    "episode": (*QMIX, *OFTEN, "t_max=3000", "save_model_interval=300", "runner=episode", "batch_size_run=1"),
    "lbf": (
        "--config=qmix_lbf", "--env-config=gymma", "with", *SAVES, *OFTEN, "t_max=4000", "save_model_interval=400",
        "runner=parallel", "batch_size_run=4", "env_workers=2",
    ),
}  # fmt: skip
"""What is trained, a few seconds each."""
TOKEN_FILES = {"config.json", "runs.json"}
CHECKPOINT_FILES = {"agent.th", "mixer.th", "opt.th", "run.pt", "buffer.pt", "manifest.json"}


def run_until(directory: Path, words: Sequence[str], seconds: float | None) -> tuple[int | None, str]:
    """Run main.py to its end, or kill it after so many seconds; return its exit code (None: killed) and stderr."""
    process = start_main(directory, *words)
    family = []
    if seconds is not None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.communicate()
            _, left = psutil.wait_procs(family, timeout=20)
            return None, "".join(f"process {child.pid} is left\n" for child in left)
    _, err = process.communicate()
    return process.returncode, err


def resumable(directory: Path) -> Path | None:
    """Return the token of a killed run, None if it has saved no checkpoint yet."""
    tokens = [path for path in (directory / "results" / "models").glob("*") if path.is_dir() and steps_in(path)]
    return max(tokens, key=lambda path: path.stat().st_mtime) if tokens else None


def litter(token: Path) -> list[str]:
    """Return what does not belong into a token after a run has ended well."""
    found = []
    for path in token.iterdir():
        if path.is_dir() and path.name.isdecimal():
            found += [f"{path.name}/{part.name}" for part in path.iterdir() if part.name not in CHECKPOINT_FILES]
        elif path.name not in TOKEN_FILES:
            found.append(path.name)
    return found


def differing(directory: Path, reference: Path) -> list[str]:
    """Return the keys of info.json that differ from the run that was never stopped."""
    ours, theirs = numbers(run_folders(directory)[-1]), numbers(run_folders(reference)[-1])
    return sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))


def kill_once(directory: Path, reference: Path, words: Sequence[str], seconds: float) -> tuple[str, list[str]]:
    """Kill a run after so many seconds and go on with it; return how it went on, and what is wrong."""
    code, err = run_until(directory, words, seconds)
    if code is not None:
        return "ended before", [] if code == 0 else [err]
    wrong = err.splitlines()
    token = resumable(directory)
    if token is None:
        shutil.rmtree(directory / "results", ignore_errors=True)
    code, err = run_until(directory, [*words, *([f"resume={token}"] if token else [])], None)
    if code != 0:
        return "failed", [*wrong, f"exit code {code}: {err[-800:]}"]
    token = resumable(directory)
    assert token is not None
    wrong += [f"left in the token: {name}" for name in litter(token)]
    wrong += [f"differs: {key}" for key in differing(directory, reference)]
    return f"went on from {token.name}" if len(run_folders(directory)) > 1 else "started again", wrong


def soak(job: str, kills: int, seed: int, scratch: Path) -> list[str]:
    """Kill a job so many times; return what went wrong."""
    words, rng = JOBS[job], random.Random(seed)  # moments of kills, nothing of an experiment
    for directory in (scratch / job / "warm-up", reference := scratch / job / "reference"):  # compiles; is timed
        directory.mkdir(parents=True)
        began = time.monotonic()
        code, err = run_until(directory, words, None)
        seconds = time.monotonic() - began
        if code != 0:
            return [f"{job}: exit code {code}: {err}"]
    faults = [f"{job}: two runs differ in {key}" for key in differing(reference, scratch / job / "warm-up")]
    print(f"{job}: the whole run takes {seconds:.1f} s", flush=True)
    for number in range(kills):
        directory = scratch / job / str(number)
        directory.mkdir()
        moment = rng.uniform(0.25, 1.0) * seconds  # before a quarter Python is still importing
        how, wrong = kill_once(directory, reference, words, moment)
        print(f"{job}: killed after {moment:.2f} s, {how}{': ' + '; '.join(wrong) if wrong else ''}", flush=True)
        faults += [f"{job}, killed after {moment:.2f} s: {fault}" for fault in wrong]
        shutil.rmtree(directory)
    return faults


def main() -> int:
    """Run the soak; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each job")
    parser.add_argument("--jobs", default=",".join(JOBS), help=f"of {', '.join(JOBS)}")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    options = parser.parse_args()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for job in options.jobs.split(","):
            faults += soak(job, options.kills, options.seed, Path(scratch))
    print("nothing wrong" if not faults else "\n".join(["WRONG", *faults]))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
