"""Memory of a stored episode, and of a whole training at its peak; with --peer also PyMARL2's. Linux only.

    python benchmarks/memory.py episode --map MMM2 --peer DIR
    python benchmarks/memory.py run --episodes 5000 --peer DIR
        --config=qmix --env-config=skirmish with env_args.map_name=MMM2 test_interval=100000000 log_interval=2000

episode: bytes of the tensors that a replay buffer keeps of an episode, beside what the process grows by (RSS) when it
takes so many; at the map's limit, and as random actions play.
run: takes the words of src/main.py and stops at the first log line after so many episodes. The peak is that of the PSS
(own pages, and the share of those that other processes have too) of the run and all its workers together, sampled
every second, and of the RSS of the main process as the kernel counts it (VmHWM), which no sample can miss.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import psutil
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import peer
from pymarl.components.buffers.buffer import Buffer, slots_of
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.run.config import RunConfig
from pymarl.run.parts import build_local_runner, build_parts, episode_scheme
from pymarl.runners.runner import Runner
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge
from pymarl.utils.logging import console_logger
from pymarl.utils.memory import keep_freed_memory
from train import log_times, start_ours, start_peer

GIB = 2**30


@dataclass
class Usage:
    """Bytes of PSS: of all processes of a run, and of its workers alone."""

    total: int = 0
    workers: int = 0


def usage(process: psutil.Process) -> Usage:
    """Return what a run takes now."""
    sizes = [0, 0]
    for place, part in enumerate((process, *process.children(recursive=True))):
        with suppress(psutil.NoSuchProcess):
            sizes[place > 0] += part.memory_full_info().pss
    return Usage(sum(sizes), sizes[1])


@contextmanager
def sampled(process: psutil.Process, every: float) -> Iterator[Usage]:
    """Yield the largest usage so far, which a thread keeps."""
    largest, stop = Usage(), threading.Event()

    def sample() -> None:
        while not stop.wait(every):
            with suppress(psutil.NoSuchProcess):
                now = usage(process)
                if now.total > largest.total:
                    largest.total, largest.workers = now.total, now.workers

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield largest
    finally:
        stop.set()
        thread.join()


def most_resident(pid: int) -> int:
    """Return the most bytes that a process has had in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def kill(process: psutil.Process) -> None:
    """End a run and its workers where they stand."""
    with suppress(psutil.NoSuchProcess):
        for part in (*process.children(recursive=True), process):
            with suppress(psutil.NoSuchProcess):
                part.kill()


def follow(name: str, run: Popen[str], episodes: int) -> str:
    """Print what a run takes at every tenth of its episodes; end it after the last and return a row of the table."""
    process, mark = psutil.Process(run.pid), 0
    try:
        with sampled(process, 1.0) as largest:
            for _, steps, count in log_times(run):
                if count >= mark:
                    print(f"{name}: {count} episodes of {steps / max(count, 1):.1f} steps, "
                          f"{usage(process).total / GIB:.3f} GiB", flush=True)  # fmt: skip
                    mark += max(episodes // 10, 1)
                if count >= episodes:
                    resident = most_resident(run.pid)
                    break
            else:
                raise RuntimeError(f"{name}: it ended before {episodes} episodes; raise t_max")
    finally:
        kill(process)
        run.wait()
    return (f"{name}: peak {largest.total / GIB:.3f} GiB, of which workers {largest.workers / GIB:.3f}; "
            f"the main process alone {resident / GIB:.3f}; {count} episodes of {steps / count:.1f} steps")  # fmt: skip


def measure_run(options: argparse.Namespace, words: Sequence[str]) -> None:
    """Let ours and the peer's training run, one after the other, and print their peaks."""
    words = [*words, *(() if "with" in words else ("with",)), "t_max=2000000000", "seed=1", "use_cuda=False"]
    rows = []
    with tempfile.TemporaryDirectory() as results:
        rows.append(follow("ours", start_ours(words, options.threads, results), options.episodes))
    if options.peer:
        rows.append(follow("peer", start_peer(options.peer, words, options.threads), options.episodes))
    print(*rows, sep="\n")


def keys(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `episode` sets over the YAML files: random actions, and a buffer of so many episodes."""
    return {
        "env_args": {"map_name": options.map},
        "buffer_size": options.episodes,
        "batch_size": 1,
        "epsilon_start": 1.0,
        "epsilon_finish": 1.0,
        "seed": 1,
        "use_cuda": False,
    }


def full_length(runner: Runner) -> EpisodeBatch:
    """Return episodes that last to the limit."""
    scheme, groups, _ = episode_scheme(runner.get_env_info())
    batch = EpisodeBatch(scheme, groups, runner.batch_size, runner.longest)
    batch.set_lengths(torch.full((runner.batch_size,), runner.longest - 1))
    return batch


def fill(buffer: Buffer, play: Callable[[], EpisodeBatch]) -> tuple[float, float, float]:
    """Fill a buffer; return per episode the bytes of its tensors, those the process grows by, and the env steps."""
    assert isinstance(buffer, ReplayBuffer), "qmix's"
    resident = psutil.Process().memory_info().rss
    while len(buffer.episodes) < buffer.buffer_size:
        buffer.insert_episode_batch(play())
    grew, count = psutil.Process().memory_info().rss - resident, buffer.buffer_size
    storages = {
        storage.data_ptr(): storage.nbytes()
        for episode in buffer.episodes
        for storage in (tensor.untyped_storage() for tensor in episode.values())
    }
    steps = sum(slots_of(episode) - 1 for episode in buffer.episodes)
    return sum(storages.values()) / count, grew / count, steps / count


def measure_episode(options: argparse.Namespace) -> None:
    """Print what an episode takes in our buffer, and in the peer's."""
    layers, log = merge("qmix", "skirmish", keys(options)), console_logger()
    log.disabled = True
    config = build_config(RunConfig, layers.values, layers.origin)
    row = "{:5} {:7} {:12,.0f} {:12,.0f} {:8.1f}".format
    print(f"{'':5} {'lengths':7} {'bytes':>12} {'grows by':>12} {'steps':>8}")
    keep_freed_memory()  # as run.run does
    runner = build_local_runner(layers.values, layers.origin, log)
    buffers = [build_parts(layers.values, config, runner, log).buffer for _ in range(2)]  # both kept to the end
    try:
        whole = full_length(runner)
        print(row("ours", "full", *fill(buffers[0], lambda: whole)), flush=True)
        runner.run()  # so that what playing takes is not counted
        print(row("ours", "random", *fill(buffers[1], runner.run)), flush=True)
    finally:
        runner.close_env()
    if options.peer:
        spec = json.dumps({"alg": "qmix", "env": "skirmish", "updates": keys(options)})
        answer = peer.run(options.peer, Path(__file__).with_name("peer_memory.py"), spec, threads=options.threads)
        numbers = next(line for line in answer.splitlines() if line.startswith("episode ")).split()[1:]
        print(row("peer", "random", *map(float, numbers)), flush=True)


def main(argv: Sequence[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("episode", "run"))
    parser.add_argument("--map", default="MMM2", help="episode: map of skirmish")
    parser.add_argument("--episodes", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", type=Path, help="checkout of PyMARL2 or a relative")
    options, words = parser.parse_known_args(argv)
    if options.what == "episode":
        if words:
            parser.error(f"episode takes no words: {' '.join(words)}")
        torch.set_num_threads(options.threads)
        measure_episode(options)
    else:
        measure_run(options, words)


if __name__ == "__main__":
    main(sys.argv[1:])
