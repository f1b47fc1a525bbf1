"""Train small runs of every kind at fixed seeds and tell whether two versions give the same numbers, bit for bit.

    python benchmarks/same_numbers.py record before.json --root OTHER_CHECKOUT
    python benchmarks/same_numbers.py compare before.json

Records info.json of each job but for speeds and memory: QMIX, VDN, IQL, PyMARL's q_learner, Q(lambda) and prioritised
replay, on four envs (LBF in worker processes), with both runners, 6,000 env steps each. `--jobs TEXT` takes those whose
name holds the text. On one machine, one thread. Exit code 1 if a number differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from run_kit import numbers, run_folders

ROOT = Path(__file__).resolve().parents[1]

ALGORITHMS = {
    "qmix": ("--config=qmix", ()),
    "vdn": ("--config=vdn", ()),
    "iql": ("--config=iql", ()),
    "q_learner": ("--config=qmix", ("learner=q_learner", "mixer=qmix", "mac=basic_mac", "agent=rnn")),
    "q_lambda": ("--config=qmix", ("q_lambda=True",)),
    "per": ("--config=qmix", ("use_per=True",)),
}
ENVS = {
    "matrix": ("--env-config=one_step_matrix_game", ()),
    "stag_hunt": ("--env-config=stag_hunt", ("env_args.episode_limit=40",)),
    "3m": ("--env-config=skirmish", ()),
    "lbf": ("--env-config=gymma", ()),
}
RUNNERS = {
    "parallel": ("runner=parallel", "batch_size_run=4", "env_workers=None"),
    "episode": ("runner=episode", "batch_size_run=1"),
}
SMALL = (
    "t_max=6000", "seed=5", "batch_size=16", "buffer_size=150", "rnn_hidden_dim=32", "hypernet_embed=32",
    "test_interval=1500", "test_nepisode=8", "log_interval=1000", "runner_log_interval=500", "learner_log_interval=500",
    "epsilon_anneal_time=3000", "updates_per_collect=1",
)  # fmt: skip


def jobs(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield name and command words of each job whose name holds the text."""
    for (alg, (config, keys)), (env, (env_config, env_keys)), (runner, how) in itertools.product(
        ALGORITHMS.items(), ENVS.items(), RUNNERS.items()
    ):
        name = f"{alg} {env} {runner}"
        every = ["accumulated_episodes=8"] if env == "matrix" else []  # its episodes are one step long
        if text in name:
            yield name, [config, env_config, "with", *SMALL, *keys, *env_keys, *how, *every]


def train(root: Path, words: list[str]) -> dict[str, Any]:
    """Return the numbers of a run of the checkout at `root`."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, str(root / "src" / "main.py"), *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}: {done.stderr[-800:]}")
        return numbers(run_folders(Path(scratch))[-1])


def main() -> int:
    """Record or compare; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to run")
    parser.add_argument("--jobs", default="", help="part of their names")
    options = parser.parse_args()
    known: dict[str, Any] = json.loads(options.file.read_text()) if options.what == "compare" else {}
    differing = 0
    for name, words in jobs(options.jobs):
        got = json.loads(json.dumps(train(options.root, words)))
        if options.what == "record":
            known[name] = got
            options.file.write_text(json.dumps(known))
            print(f"{name}: {sum(map(len, got.values()))} numbers", flush=True)
            continue
        keys = [key for key in sorted(got.keys() | known[name].keys()) if got.get(key) != known[name].get(key)]
        differing += bool(keys)
        print(f"{name}: {'equal' if not keys else 'DIFFERS in ' + ', '.join(keys)}", flush=True)
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
