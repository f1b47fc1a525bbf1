"""What ray costs: a round trip, a version of the weights, an episode on its way to the buffer; and what it gains.

    python benchmarks/ray_rollout.py --map 3m --num-envs 32 --workers 2
    python benchmarks/ray_rollout.py --map 3m --num-envs 32 --workers 2 --address HOST:PORT

`parallel` and `ray` roll out in turns, round by round, a network acting on one torch thread (epsilon stays 1); ratio is
that of ray over parallel in one round. Of ray's rounds: join and insert are the driver's seconds per episode in
putting batches together and into the replay buffer, driver CPU all its CPU time per episode, ray's own threads among
it. Memory is counted up to each batch's longest episode.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pymarl.components.buffers.buffer import Clock
from pymarl.run.config import RunConfig
from pymarl.run.parts import Parts, build_parts, build_runner
from pymarl.runners import remote_runner
from pymarl.runners.collector import Order
from pymarl.runners.ray_runner import Actor, RayRunner, _fetched
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge
from pymarl.utils.logging import console_logger
from pymarl.utils.ray_cluster import worker_environment
from rollout import Watch


class Echo(Actor):
    """An actor that takes weights and plays nothing."""

    def take(self, order: Order) -> None:
        """Fetch what an order brings."""
        _fetched(order)


def build(runner: str, options: argparse.Namespace) -> Parts:
    """Return the parts of a run, warmed up."""
    updates = {
        "env_args": {"map_name": options.map}, "runner": runner, "batch_size_run": options.num_envs, "seed": 1,
        "epsilon_start": 1.0, "epsilon_finish": 1.0, "use_cuda": False, "ray_workers": options.workers,
        "ray_address": options.address, "buffer_size": 1000,
    }  # fmt: skip
    layers = merge("qmix", "skirmish", updates)
    run, log = build_config(RunConfig, layers.values, layers.origin), console_logger()
    log.disabled = True
    parts = build_parts(layers.values, run, build_runner(layers.values, run, log), log)
    parts.runner.run()
    return parts


def median_ms(call: Callable[[], Any], repeats: int) -> float:
    """Return the median duration of a call."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return 1e3 * statistics.median(seconds)


def round_trips(parts: Parts) -> None:
    """Print how long calls of an actor take, and what they cost the driver."""
    assert isinstance(parts.runner, RayRunner)
    ray, runner = parts.runner._cluster.ray, parts.runner
    weights = {key: tensor.numpy().copy() for key, tensor in parts.mac.state_dict().items()}
    environment = {"env_vars": worker_environment()}
    echo = ray.remote(num_cpus=0, runtime_env=environment)(Echo).remote(None, ".")  # beside the workers: no CPU core
    order = Order(0, None, 0, False, None)
    ray.get(echo.take.remote(order))
    cpu = time.process_time()
    empty = median_ms(lambda: ray.get(echo.take.remote(order)), 500)
    cpu = time.process_time() - cpu
    full = median_ms(lambda: ray.get(echo.take.remote(order._replace(weights=runner.ship(weights)))), 200)
    put = median_ms(lambda: runner.ship(weights), 200)
    ray.kill(echo)
    size = sum(array.nbytes for array in weights.values())
    print(f"round trip: {empty:.2f} ms (driver CPU {2 * cpu:.2f} ms); with weights of {size / 1e3:.0f} kB, put anew: "
          f"{full:.2f} ms, of which put {put:.2f} ms")  # fmt: skip


def roll_out(parts: Parts, seconds: float) -> tuple[float, int, float, float]:
    """Roll out for about `seconds` into the buffer; return env steps/s, episodes, bytes of data and CPU seconds."""
    first, episodes, size, cpu, begin = parts.runner.t_env, 0, 0.0, time.process_time(), time.perf_counter()
    while time.perf_counter() - begin < seconds:
        with torch.no_grad():
            for parameter in parts.mac.parameters():
                parameter.add_(0.0)  # a new version for each batch, as after an update
        batch = parts.runner.run()
        share = (int(batch.lengths.max()) + 1) / batch.max_seq_length
        size += share * sum(tensor.nbytes for tensor in batch.data.values())
        parts.buffer.insert_episode_batch(batch)
        episodes += len(parts.runner.episodes)
    wall = time.perf_counter() - begin
    return (parts.runner.t_env - first) / wall, episodes, size, time.process_time() - cpu


def compare(plain: Parts, ray: Parts, options: argparse.Namespace) -> None:
    """Print speeds in turns, and what an episode costs the driver."""
    join, insert = Watch(), Watch()
    remote_runner.join = join.over(remote_runner.join)
    ray.buffer.insert_episode_batch = insert.over(ray.buffer.insert_episode_batch)  # type: ignore[method-assign]
    rounds, episodes, size, cpu, steps = [], 0, 0.0, 0.0, ray.runner.t_env
    for _ in range(options.rounds):
        ours = roll_out(plain, options.seconds)[0]
        theirs, played, filled, used = roll_out(ray, options.seconds)
        rounds.append((ours, theirs, theirs / ours))
        episodes, size, cpu = episodes + played, size + filled, cpu + used
    for name, values in zip(("parallel", "ray", "ratio"), zip(*rounds, strict=True), strict=True):
        print(f"{name:9} median {statistics.median(values):12,.2f}   {min(values):12,.2f} to {max(values):,.2f}")
    print(f"an episode: {(ray.runner.t_env - steps) / episodes:.1f} env steps, {size / episodes / 1e3:.1f} kB; driver: "
          f"join {1e6 * join.seconds / episodes:.0f} us, insert {1e6 * insert.seconds / episodes:.0f} us, "
          f"CPU {1e6 * cpu / episodes:.0f} us")  # fmt: skip


def learning(parts: Parts) -> None:
    """Print how long an update takes beside that."""

    def update() -> None:
        for sample in parts.buffer.samples(Clock(parts.runner.t_env, 1000)):
            parts.learner.train(sample, parts.runner.t_env, 1000)

    update()
    print(f"an update: {median_ms(update, 20):.1f} ms, on {torch.get_num_threads()} thread(s)")


def main(argv: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--map", default="3m")
    parser.add_argument("--num-envs", type=int, default=32, help="of all workers together")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--address", help="of a cluster; started here if not given")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}; "
          f"{options.map}, {options.num_envs} envs, {options.workers} workers")  # fmt: skip
    plain, ray = build("parallel", options), build("ray", options)
    try:
        round_trips(ray)
        compare(plain, ray, options)
        learning(ray)
    finally:
        ray.runner.close_env()
        plain.runner.close_env()


if __name__ == "__main__":
    main(sys.argv[1:])
