"""A method of EPyMARL beside ours of the same name, on the same settings: final returns and wall clock of both.

    python benchmarks/epymarl.py --peer DIR --python VENV/bin/python [--algs qmix,ia2c] [--envs lbf,spread]
        [--seeds 3] [--steps 1000000] [with KEY=VALUE ...]

DIR is a checkout of EPyMARL, VENV an environment with what it needs: torch, sacred, gymnasium, lbforaging and
pettingzoo==1.24.3 with pygame (the last version in which MPE is where EPyMARL looks for it). It runs in a copy, so that
its results do not go into the checkout. Envs are LBF 8x8-2p-3f of 50 steps, and MPE simple_spread of 25. EPyMARL's
files of algorithms train there and src/config/algs/epymarl here, both with the words behind `with`, on one thread of
the CPU, one after the other.

A run's return is the mean over its last three of ten tests of 100 episodes. Printed are the mean over seeds, its 95%
interval (Student's t), and the wall clock of a whole run, start-up included, as median and range.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import peer

ROOT = Path(__file__).resolve().parent.parent
LBF = {"key": "lbforaging:Foraging-8x8-2p-3f-v3", "time_limit": 50}
ENVS: dict[str, dict[str, Any]] = {
    "lbf": {"ours": ("gymma", LBF), "theirs": LBF},
    "spread": {
        "ours": ("pettingzoo", {"key": "mpe2:simple_spread_v3", "time_limit": 25}),
        # EPyMARL drops the rewards of a step in which PettingZoo's own clock stops: so that must not come first.
        "theirs": {"key": "pz-mpe-simple-spread-v3", "time_limit": 25, "max_cycles": 26},
    },
}
QUANTILES = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Student's t at 97.5% with 1, 2, ... degrees of freedom."""


def interval(values: Sequence[float]) -> str:
    """Return "mean +- half of the 95% interval" of a few seeds' values."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:8.2f} (one seed)"
    quantile = QUANTILES[min(len(values) - 1, len(QUANTILES)) - 1]
    return f"{mean:8.2f} +- {quantile * statistics.stdev(values) / len(values) ** 0.5:.2f}"


def final_return(results: Path) -> float:
    """Return the mean over the last three tests of the one run whose folder is under `results`."""
    (path,) = results.rglob("info.json")
    tests = json.loads(path.read_text())["test_return_mean"]
    last = [each["value"] if isinstance(each, dict) else each for each in tests[-3:]]  # NumPy's, as sacred writes them
    return statistics.mean(last)


def run(start: Callable[[Path], subprocess.Popen[str]]) -> tuple[float, float]:
    """Return final return and seconds of a training, which writes its results into the folder that it is given.

    Raises:
        RuntimeError: it fails; with the end of its output.
    """
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        process = start(Path(folder))
        out, _ = process.communicate()
        seconds = time.perf_counter() - began
        if process.returncode:
            raise RuntimeError(f"the training exited with {process.returncode}:\n{out[-3000:]}")
        return final_return(Path(folder)), seconds


def start_ours(words: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start our training."""
    command = [sys.executable, str(ROOT / "src" / "main.py"), *words, f"local_results_path={folder}"]
    return subprocess.Popen(command, cwd=folder, env=peer.environment(1), text=True, **_PIPED)


def start_theirs(directory: Path, python: Path, env: str, words: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start EPyMARL's, from a copy of its sources, beside which it writes its results.

    The env's file is put into the copy: its sacred takes no keys of envs on the command line but those it knows.
    """
    shutil.copytree(directory / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    env_args = {"pretrained_wrapper": None, **ENVS[env]["theirs"]}
    (folder / "src" / "config" / "envs" / f"{env}.yaml").write_text(json.dumps({"env": "gymma", "env_args": env_args}))
    script = folder / "src" / "main.py"
    return peer.start(folder, script, *words, threads=1, python=python, cwd=folder, **_PIPED)


_PIPED: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}


def words_of(alg: str, env: str, side: str, seed: int, steps: int, more: Sequence[str]) -> list[str]:
    """Return the command line of a run, without where results go."""
    config, env_args = ENVS[env]["ours"] if side == "ours" else (env, {})
    keys = [f"env_args.{key}={value}" for key, value in env_args.items()]
    name = f"epymarl/{alg}" if side == "ours" else alg
    common = [f"seed={seed}", f"t_max={steps}", f"test_interval={steps // 10}", "test_nepisode=100", "use_cuda=False"]
    common += [f"{key}={steps // 10}" for key in ("log_interval", "runner_log_interval", "learner_log_interval")]
    return [f"--config={name}", f"--env-config={config}", "with", *keys, *common, *more]


def compare(options: argparse.Namespace, alg: str, env: str, more: Sequence[str]) -> None:
    """Print a line for either side."""
    returns: dict[str, list[float]] = {"ours": [], "theirs": []}
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}
    python = Path(os.path.abspath(options.python))  # not resolved: a link's place says whose environment it is
    for seed in range(options.seeds):
        for side in returns:
            words = words_of(alg, env, side, seed, options.steps, more)
            if side == "ours":
                start = partial(start_ours, words)
            else:
                start = partial(start_theirs, options.peer.resolve(), python, env, words)
            reached, took = run(start)
            returns[side].append(reached)
            seconds[side].append(took)
    for side in returns:
        took = f"{statistics.median(seconds[side]):.0f} s ({min(seconds[side]):.0f} to {max(seconds[side]):.0f})"
        print(f"{env:7} {alg:10} {side:7} return {interval(returns[side])}, wall clock {took}", flush=True)


def main() -> None:
    """Compare what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="a checkout of EPyMARL")
    parser.add_argument("--python", type=Path, required=True, help="the interpreter of an environment for it")
    parser.add_argument("--algs", default="qmix", help="names of EPyMARL's files of algorithms")
    parser.add_argument("--envs", default=",".join(ENVS), help=f"of {', '.join(ENVS)}")
    parser.add_argument("--seeds", type=int, default=3, help="0, 1, ... (default: 3)")
    parser.add_argument("--steps", type=int, default=1_000_000, help="env steps of a run (default: 1000000)")
    options, more = parser.parse_known_args()
    if more and more.pop(0) != "with":
        parser.error("unknown words; keys of all runs come behind `with`")
    if unknown := set(options.envs.split(",")) - set(ENVS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(ENVS)}")
    print(f"{options.steps} env steps, {options.seeds} seeds, one thread", flush=True)
    for env in options.envs.split(","):
        for alg in options.algs.split(","):
            compare(options, alg, env, more)


if __name__ == "__main__":
    main()
