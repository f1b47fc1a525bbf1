"""Milliseconds to insert what was collected into the replay buffer, and to have a sample where the learner computes.

    python benchmarks/sampling.py --maps 3m,2s3z,MMM2 --lengths full,random
    python benchmarks/sampling.py --maps 3m,2s3z,MMM2 --device cuda

With --device cuda once with the episodes in main memory (buffer_cpu_only=True) and once with them on the GPU. A time
runs until the GPU has finished.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

import learner as bench
from learner_kit import flat_config, make_batch
from pymarl.components.buffers.buffer import Clock
from pymarl.components.buffers.replay import ReplayBuffer
from pymarl.components.episode_batch import EpisodeBatch
from pymarl.utils.config import build_config
from pymarl.utils.memory import keep_freed_memory


def filled(kept: str, device: str, batch: EpisodeBatch, size: int) -> ReplayBuffer:
    """Return a buffer with a batch's episodes twice, that draws `size` of them."""
    config = build_config(ReplayBuffer.Config, flat_config(batch_size=size, buffer_size=2 * batch.batch_size), {})
    args = (batch.scheme, batch.groups, batch.max_seq_length, batch.preprocess, np.random.default_rng(0))
    buffer = ReplayBuffer(config, *args, device=kept, sample_device=device)
    for _ in range(2):
        buffer.insert_episode_batch(batch)
    return buffer


def milliseconds(work: Callable[[], object], repeats: int, settle: Callable[[], object]) -> str:
    """Return "median (least - most)" of some calls, after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        settle()
        begin = time.perf_counter()
        work()
        settle()
        taken.append(1e3 * (time.perf_counter() - begin))
    return f"{statistics.median(taken):8.2f} ({min(taken):.2f} - {max(taken):.2f})"


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each map, kind of lengths and place of the buffer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="3m,2s3z,MMM2", help=f"of {', '.join(bench.MAPS)}")
    parser.add_argument("--lengths", default="full,random", help="full, random or both")
    parser.add_argument("--batch", type=int, default=128, help="episodes in one sample")
    parser.add_argument("--collected", type=int, default=8, help="episodes in one insert")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the learner computes")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    settle: Callable[[], object] = torch.cuda.synchronize if options.device == "cuda" else int
    print(f"{'map':11} {'lengths':7} {'buffer on':9} {'learner on':10} insert and sample, ms")
    for name in options.maps.split(","):
        for kind in options.lengths.split(","):
            info = bench.MAPS[name]
            batch = make_batch(bench.draw_lengths(kind, options.batch, info.episode_limit), info)
            collected = batch[: options.collected]
            for kept in dict.fromkeys(("cpu", options.device)):
                buffer = filled(kept, options.device, batch, options.batch)
                insert = milliseconds(lambda b=buffer, c=collected: b.insert_episode_batch(c), options.repeats, settle)
                sample = milliseconds(
                    lambda b=buffer: b.sample(options.batch, Clock(0, 0)).to(options.device), options.repeats, settle
                )
                print(f"{name:11} {kind:7} {kept:9} {options.device:10} {insert}   {sample}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
