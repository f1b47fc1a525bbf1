"""What our side costs per env step of StarCraft II: runner, worker process and checks, without smac and the game.

    python benchmarks/sc2_overhead.py --maps 3m,MMM2 --num-envs 1,8

The game is the stand-in of tests/sc2_standin, or with --installed the one that env sc2 finds. The actions are random.
All envs share one worker process, so that the seconds which the package smac takes add up to the time it takes from
the run. Columns, in us per env step: smac: its Python, the protocol and the game; runner: what the runner spends beside
env and policy; worker: pipes, shared memory, checks of what the env returned; ours: the two together; cpu: the CPU time
in ours, which other processes on the machine do not disturb (waking up takes the clock's time, but none of this).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pymarl.run.parts import build_local_runner, episode_scheme
from pymarl.runners.local_runner import LocalRunner
from pymarl.utils.layers import merge
from pymarl.utils.logging import console_logger
from rollout import RandomMAC, Watch
from sc2_standin.install import make_sc2path

COLUMNS = ("smac", "runner", "worker", "ours", "cpu")


def make_runner(map_name: str, num_envs: int) -> LocalRunner:
    """Return a parallel runner over the timed env, in one worker process."""
    updates = {
        "env": "sc2_timed:TimedSC2Env", "env_args": {"map_name": map_name}, "runner": "parallel", "env_workers": 1,
        "batch_size_run": num_envs, "seed": 1,
    }  # fmt: skip
    layers = merge("qmix", "sc2", updates)
    return build_local_runner(layers.values, layers.origin, console_logger())


def measure(runner: LocalRunner, watches: tuple[Watch, Watch], seconds: float) -> dict[str, float]:
    """Roll out for about `seconds`; return us per env step."""
    env, policy = watches
    env.seconds = policy.seconds = 0.0
    before, first, begin, cpu = in_worker(runner), runner.t_env, time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < seconds:
        runner.run()
    wall, cpu, steps = time.perf_counter() - begin, time.process_time() - cpu, runner.t_env - first
    worker = {key: value - before[key] for key, value in in_worker(runner).items()}
    package = worker["package_seconds"]
    parts = {"smac": package, "runner": wall - env.seconds - policy.seconds, "worker": env.seconds - package}
    parts["ours"] = parts["runner"] + parts["worker"]
    parts["cpu"] = cpu - policy.seconds + worker["cpu_seconds"] - worker["package_cpu_seconds"]
    return {name: 1e6 * part / steps for name, part in parts.items()}


def in_worker(runner: LocalRunner) -> dict[str, float]:
    """Return the seconds of the worker and, over all envs, of the package in it."""
    stats = runner.env.get_stats()
    package = {key: sum(of_env[key] for of_env in stats) for key in ("package_seconds", "package_cpu_seconds")}
    return {**package, "cpu_seconds": stats[0]["cpu_seconds"]}


def compare(map_name: str, num_envs: int, rounds: int, seconds: float) -> list[dict[str, float]]:
    """Return the numbers of each round."""
    runner = make_runner(map_name, num_envs)
    try:
        mac: Any = RandomMAC(1)
        runner.setup(*episode_scheme(runner.env.info), mac)
        watches = Watch(), Watch()
        env: Any = runner.env
        env.reset, env.step = watches[0].over(env.reset), watches[0].over(env.step)
        mac.select_actions = watches[1].over(mac.select_actions)
        runner.run()  # start the games
        return [measure(runner, watches, seconds) for _ in range(rounds)]
    finally:
        runner.close_env()


def main(argv: list[str]) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="3m,MMM2", help="comma-separated maps of SMAC")
    parser.add_argument("--num-envs", default="1,8", help="comma-separated batch sizes")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--installed", action="store_true", help="play the installed game, not the stand-in")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; us per env step, median (least) of "
          f"{options.rounds} rounds of {options.seconds:g} s")  # fmt: skip
    print(f"{'map':16} {'envs':>5} " + " ".join(f"{column:>16}" for column in COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        if not options.installed:
            os.environ["SC2PATH"] = str(make_sc2path(Path(folder)))
        for map_name in options.maps.split(","):
            for num_envs in map(int, options.num_envs.split(",")):
                results = compare(map_name, num_envs, options.rounds, options.seconds)
                print(f"{map_name:16} {num_envs:5d} " + " ".join(shown(results, c) for c in COLUMNS), flush=True)


def shown(results: list[dict[str, float]], column: str) -> str:
    """Return the median of a column and its least value."""
    values = [result[column] for result in results]
    return f"{statistics.median(values):8,.0f} ({min(values):,.0f})".rjust(16)


if __name__ == "__main__":
    main(sys.argv[1:])
