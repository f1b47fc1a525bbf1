"""Env steps per second: the env alone, the runner with a policy, and a peer's runner in the same call.

    python benchmarks/rollout.py --env stag_hunt --num-envs 8,256
    python benchmarks/rollout.py --env stag_hunt --num-envs 8 --peer DIR      DIR: a checkout of PyMARL2
    python benchmarks/rollout.py --env gymma --maps lbforaging:Foraging-8x8-2p-3f-v3 --num-envs 8
    python benchmarks/rollout.py --env skirmish --policy random --num-envs 8,256 --maps 3m --env-args threads=2
    python benchmarks/rollout.py --env skirmish --policy random --num-envs 256 --maps 2s3z --peer-env smaclite
    python benchmarks/rollout.py --env skirmish --policy random --num-envs 512 --maps 3m --peer-env smax

Columns: env is the time inside reset and step alone, with random available actions; runner is a whole training
rollout with `--policy` acting (epsilon stays 1, so that every policy plays alike); overhead is what the runner spends
per step of the batch beside env and policy. The peer takes turns with us, round by round; ratio is ours over its: of
the runners, or with --peer-env of the envs alone. SMAClite steps one env, SMAX as many as we do; they are looked for in
this Python, or in --peer-python, which keeps what they need out of it (pip install jaxmarl, or SMAClite's checkout and
a newer Rtree).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import peer
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.run.config import Classes, RunConfig
from pymarl.run.parts import build_local_runner, build_mac, choose_device, episode_scheme
from pymarl.runners.local_runner import LocalRunner
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge
from pymarl.utils.logging import console_logger

SCENARIO_KEYS = {"gymma": "key"}  # env_args key that `--maps` sets; map_name for every other env


class Watch:
    """Adds up the seconds spent in some methods."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return the method with a watch around it."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            result = method(*args, **kwargs)
            self.seconds += time.perf_counter() - begin
            return result

        return timed


class RandomMAC:
    """Random available actions, without a network."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def init_hidden(self, batch_size: int) -> None:
        """Nothing to forget."""

    def select_actions(self, batch: EpisodeBatch, t_ep: int, t_env: int, bs: Any, test_mode: bool) -> Any:
        """Return [len(bs), N] int64."""
        avail = batch.numpy("avail_actions")[bs, t_ep]
        return torch.from_numpy((self._rng.random(avail.shape, np.float32) * avail).argmax(-1))


@dataclass
class Ours:
    """A runner of ours, with watches on its env and policy."""

    runner: LocalRunner
    env_watch: Watch
    policy_watch: Watch

    def measure(self, seconds: float) -> dict[str, float]:
        """Roll out for about `seconds`; return speeds in env steps per second and overhead in us per batch step."""
        self.env_watch.seconds = self.policy_watch.seconds = 0.0
        first, batch_steps, begin = self.runner.t_env, 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            self.runner.run()
            batch_steps += max(record.length for record in self.runner.episodes)
        wall, steps = time.perf_counter() - begin, self.runner.t_env - first
        beside = wall - self.env_watch.seconds - self.policy_watch.seconds
        return {
            "env": steps / self.env_watch.seconds,
            "runner": steps / wall,
            "policy_us": 1e6 * self.policy_watch.seconds / batch_steps,
            "overhead_us": 1e6 * beside / batch_steps,
        }


def updates_for(options: argparse.Namespace, scenario: str | None, num_envs: int) -> dict[str, Any]:
    """Return the keys that a measurement sets over the YAML files."""
    updates: dict[str, Any] = {
        "runner": options.runner,
        "batch_size_run": num_envs,
        "epsilon_start": 1.0,
        "epsilon_finish": 1.0,
        "seed": 1,
        "use_cuda": options.use_cuda,
    }
    if scenario is not None:
        updates["env_args"] = {SCENARIO_KEYS.get(options.env, "map_name"): scenario}
    return updates


@contextmanager
def ours(options: argparse.Namespace, updates: dict[str, Any]) -> Iterator[Ours]:
    """Build our runner, and close its env at the end."""
    layers = merge(options.config, options.env, updates)
    config = layers.values
    run = build_config(RunConfig, config, layers.origin)
    log = console_logger()
    runner = build_local_runner(config, layers.origin, log)
    env: Any = runner.env
    try:
        mac: Any = RandomMAC(run.seed)
        if options.policy != "random":
            mac = build_mac(config, Classes.of(config), env.info, run.seed, choose_device(run.use_cuda, log))
        runner.setup(*episode_scheme(env.info), mac)
        measured = Ours(runner, Watch(), Watch())
        env.reset, env.step = measured.env_watch.over(env.reset), measured.env_watch.over(env.step)
        mac.select_actions = measured.policy_watch.over(mac.select_actions)
        runner.run()  # compile and warm up
        yield measured
    finally:
        runner.close_env()


class Peer:
    """A peer in a process of its own; it rolls out whenever it is asked to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answer()  # ready

    def _answer(self) -> list[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("rollout "):
                return line.split()[1:]
        raise RuntimeError(f"the peer ended with code {self._process.wait()}")

    def measure(self, seconds: float) -> float:
        """Roll out for about `seconds`; return env steps per second."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        steps, wall = self._answer()
        return int(steps) / float(wall)

    def close(self) -> None:
        """End the peer's process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def start_peer(options: argparse.Namespace, updates: dict[str, Any], num_envs: int, episode_limit: int) -> Peer | None:
    """Start the peer that the options ask for."""
    folder = Path(__file__).parent
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    if options.peer:
        spec = json.dumps({"alg": options.config, "env": options.env, "updates": updates})
        return Peer(peer.start(options.peer, folder / "peer_rollout.py", spec, threads=options.threads, **pipes))
    if options.peer_env:
        spec = json.dumps(
            {
                "map": updates["env_args"]["map_name"],
                "num_envs": num_envs,
                "threads": options.threads,
                "limit": episode_limit,
            }
        )
        command = [str(options.peer_python), str(folder / "peer_env.py"), options.peer_env, spec]
        return Peer(subprocess.Popen(command, text=True, env=peer.environment(options.threads), **pipes))
    return None


def compare(options: argparse.Namespace, scenario: str | None, num_envs: int) -> dict[str, float]:
    """Return the median of each number over the rounds."""
    updates = updates_for(options, scenario, num_envs)
    own = updates | {"env_args": updates.get("env_args", {}) | options.env_args}
    rounds: list[dict[str, float]] = []
    with ours(options, own) as measured:
        other = start_peer(options, updates, num_envs, measured.runner.env.info.episode_limit)
        try:
            for _ in range(options.rounds):
                numbers = measured.measure(options.seconds)
                if other is not None:
                    numbers["peer"] = other.measure(options.seconds)
                    numbers["ratio"] = numbers["env" if options.peer_env else "runner"] / numbers["peer"]
                rounds.append(numbers)
        finally:
            if other is not None:
                other.close()
    result = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    if "ratio" in result:
        result["ratio_min"], result["ratio_max"] = min(r["ratio"] for r in rounds), max(r["ratio"] for r in rounds)
    return result


def key_values(text: str) -> dict[str, Any]:
    """Return `a=1,b=x` as a dict."""
    return {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in text.split(",") if pair)}


def parse(argv: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="stag_hunt", help="name of an env config")
    parser.add_argument("--maps", default="", help="comma-separated scenarios; the env config's own if not given")
    parser.add_argument("--num-envs", default="8", help="comma-separated batch sizes")
    parser.add_argument("--config", default="qmix", help="algorithm config: its agent is the policy")
    parser.add_argument("--runner", choices=("episode", "parallel"), default="parallel")
    parser.add_argument("--policy", choices=("random", "network"), default="network")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="torch threads, ours and the peer's")
    parser.add_argument("--use-cuda", action="store_true")
    parser.add_argument("--env-args", type=key_values, default={}, help="our env's options, as threads=2,KEY=VALUE")
    parser.add_argument("--peer", type=Path, help="checkout of PyMARL2 or a relative")
    parser.add_argument("--peer-env", choices=("smaclite", "smax"), help="another simulator of SMAC's battles")
    parser.add_argument("--peer-python", type=Path, default=sys.executable, help="the Python that has it installed")
    options = parser.parse_args(argv)
    if options.peer_env and (options.peer or not options.maps):
        parser.error("--peer-env: give --maps, and no --peer")
    return options


def main(argv: list[str]) -> None:
    """Measure and print a table."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__} with "
          f"{options.threads} thread(s); median of {options.rounds} rounds of {options.seconds:g} s")  # fmt: skip
    columns = ["env", "runner", "policy_us", "overhead_us"]
    columns += ["peer", "ratio", "ratio_min", "ratio_max"] if options.peer or options.peer_env else []
    print(f"{'map':32} {'envs':>5} " + " ".join(f"{column:>11}" for column in columns))
    for scenario in options.maps.split(",") if options.maps else [None]:
        for num_envs in map(int, options.num_envs.split(",")):
            result = compare(options, scenario, num_envs)
            values = " ".join(f"{result[column]:11,.{0 if result[column] >= 100 else 1}f}" for column in columns)
            print(f"{scenario or options.env:32} {num_envs:5d} {values}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
