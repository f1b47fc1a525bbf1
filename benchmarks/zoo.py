"""Train every shipped algorithm a little on envs of every kind, and resume it: for a nightly machine, not for CI.

    python benchmarks/zoo.py [--algs TEXT] [--envs matrix,stag_hunt,lbf,3m,MMM2] [--steps 2000]

Each pair of an algorithm and an env runs twice as a user's command, on one thread: to its end, and killed with -9 once
it has saved, and resumed. It fails if a run ends otherwise than completed (envs refuse actions that are not available,
and a loss that is not finite stops a run), if a number differs between the two, if a warning is printed, or if a
process is left. Prints a line for each pair; exit code 1 if one failed. `--algs TEXT` takes those whose name holds the
text.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", "src")]

from run_kit import models, numbers, read, run_folders, start_main, wait_for_checkpoint  # noqa: E402

ALGS = ROOT / "src" / "config" / "algs"
ENVS = {
    "matrix": ("--env-config=one_step_matrix_game",),
    "stag_hunt": ("--env-config=stag_hunt", "env_args.episode_limit=40"),
    "lbf": ("--env-config=gymma", "env_workers=2"),
    "3m": ("--env-config=skirmish",),
    "MMM2": ("--env-config=skirmish", "env_args.map_name=MMM2"),
}
WITH_ENTITIES = {"3m", "MMM2"}  # the others do not say whose features an observation is made of
SMALL = (
    "seed=5", "runner=parallel", "batch_size_run=4", "batch_size=8", "minibatches=2", "buffer_size=100",
    "rnn_hidden_dim=16", "epsilon_anneal_time=1500",
    "test_nepisode=4", "log_interval=500", "runner_log_interval=500", "learner_log_interval=100", "save_model=True",
)  # fmt: skip


def algorithms(text: str) -> list[str]:
    """Return the names of the shipped algorithms that hold the text."""
    names = (path.relative_to(ALGS).with_suffix("").as_posix() for path in ALGS.rglob("*.yaml"))
    return sorted(name for name in names if text in name)


def run(folder: Path, words: list[str]) -> str:
    """Run main.py in a folder; return what is wrong with how it went, "" if nothing is."""
    command = [sys.executable, str(ROOT / "src" / "main.py"), *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return f"exit code {done.returncode}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}"
    if warnings := [line for line in done.stderr.splitlines() if "Warning" in line]:
        return warnings[0]
    if left := [process.pid for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(folder)]:
        return f"processes {left} are left"
    status = read(run_folders(folder)[-1], "run.json")["status"]
    return "" if status == "COMPLETED" else f"status {status}"


def check(alg: str, env: str, steps: int) -> str:
    """Train on an env, whole and killed on the way; return what is wrong, "" if nothing is."""
    config, *own = ENVS[env]
    words = [f"--config={alg}", config, "with", *SMALL, *own, f"t_max={steps}", f"test_interval={steps // 4}"]
    if "qatten" in alg and env not in WITH_ENTITIES:
        words.append("agent_own_state_size=1")
    words.append(f"save_model_interval={steps // 3}")
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch, "whole").resolve(), Path(scratch, "killed").resolve()
        for folder in (whole, killed):
            folder.mkdir()
        if problem := run(whole, words):
            return problem
        process = start_main(killed, *words)
        wait_for_checkpoint(killed)
        process.kill()
        process.communicate()
        if problem := run(killed, [*words, f"resume={models(killed)}"]):
            return f"resumed: {problem}"
        expected, got = (json.loads(json.dumps(numbers(run_folders(folder)[-1]))) for folder in (whole, killed))
        differing = [key for key in sorted(expected.keys() | got.keys()) if expected.get(key) != got.get(key)]
        if "gradient_steps" not in expected:
            return "nothing was learned"
        return f"resumed, it differs in {', '.join(differing)}" if differing else ""


def main() -> int:
    """Check the pairs that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algs", default="", help="part of their names")
    parser.add_argument("--envs", default=",".join(ENVS), help=f"of {', '.join(ENVS)}")
    parser.add_argument("--steps", type=int, default=2000, help="env steps of a run (default: 2000)")
    options = parser.parse_args()
    if unknown := set(options.envs.split(",")) - set(ENVS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(ENVS)}")
    failed = pairs = 0
    for alg, env in itertools.product(algorithms(options.algs), options.envs.split(",")):
        if alg.startswith("hpn_") and env not in WITH_ENTITIES:
            continue  # its agents refuse it in one line
        started = time.perf_counter()
        problem = check(alg, env, options.steps)
        pairs, failed = pairs + 1, failed + bool(problem)
        print(f"{alg:28} {env:10} {problem or 'ok'} ({time.perf_counter() - started:.0f} s)", flush=True)
    print(f"{pairs - failed} of {pairs} pairs are right")
    return int(failed > 0 or not pairs)


if __name__ == "__main__":
    sys.exit(main())
