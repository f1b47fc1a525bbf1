"""What one learner update must compute, what the machine can do at these shapes, and what the update takes.

    python benchmarks/roofline.py --maps 3m,2s3z,MMM2,27m_vs_30m --threads 1,2

Operations are those of QMIX's update (n_rnn, nmix, batch 128, full length) without padding: two forward passes of the
agents and of the mixers, and one backward pass. The rate is that of one core's kernels at the shapes of the recurrence,
[96, 64] x [64, 192], measured beforehand; the floor is operations over rate and threads, as if everything else were
free. Bytes are what has to come from and go to memory at least once: observations and states in each pass, and the
activations that the backward pass reads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as main.py does, before torch is imported

import learner as bench  # noqa: I001
import torch
from numba import njit

from learner_kit import flat_config, make_batch
from pymarl.envs.specs import EnvInfo
from pymarl.kernels.layout import Block, Layout, Part
from pymarl.kernels.strips import STRIP_ROWS
from pymarl.kernels.tiles import NO_FLOOR, multiply
from pymarl.utils.memory import keep_freed_memory


class Work(NamedTuple):
    """Floating-point operations and bytes of one update."""

    operations: float
    bytes: float


def work_of(info: EnvInfo, slots: int, flat: dict[str, Any]) -> Work:
    """Return the work of an update on `slots` filled slots."""
    h, e, y = flat["rnn_hidden_dim"], flat["mixing_embed_dim"], flat["hypernet_embed"]
    n, a, o, s, rows = info.n_agents, info.n_actions, info.obs_shape, info.state_shape, slots * info.n_agents
    agent = 2 * rows * (o * h + 6 * h * h + h * a)
    agent_back = 2 * rows * (o * h + 12 * h * h + 2 * h)  # of fc2 only the column of the action taken
    first, second = s * (2 * y + 2 * e), y * (n * e + e)
    mixer, mixer_back = 2 * slots * (first + second + n * e + 2 * e), 2 * slots * (first + 2 * second + 2 * n * e)
    kept = rows * 6 * h + slots * (2 * y + 4 * e + n * e)
    return Work(2 * agent + agent_back + 2 * mixer + mixer_back, 4 * (3 * rows * o + 3 * slots * s + 2 * kept))


@njit(nogil=True, error_model="numpy", _nrt=False)
def _products(times: int, m: int, n: int, k: int, a: int, b: int, c: int, init: int) -> None:
    for _ in range(times):
        multiply(m, n, k, a, k, b, c, n, init, 0, NO_FLOOR)


def matrix_rate(h: int) -> float:
    """Return one core's operations per second in the kernels' product of [96, h] and [h, 3h]: the best of ten."""
    m, n, k, times = STRIP_ROWS, 3 * h, h, 2000
    left, result, start = torch.randn(m, k), torch.empty(m, n), torch.zeros(n)
    layout = Layout({"right": Part(k, n, panels=True)}, [Block("right", 0, k, n, n, 1)])
    memory, at = layout.fill([torch.randn(k, n)])  # which has to live as long as it is read
    addresses = [left.data_ptr(), at["right"], result.data_ptr(), start.data_ptr()]
    seconds = []
    for _ in range(11):
        begin = time.perf_counter()
        _products(times, m, n, k, *addresses)
        seconds.append(time.perf_counter() - begin)
    del memory
    return 2 * m * n * k * times / min(seconds[1:])


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line per map and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="3m,2s3z,MMM2,27m_vs_30m", help=f"of {', '.join(bench.MAPS)}")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batch", type=int, default=128, help="episodes in one update")
    parser.add_argument("--repeats", type=int, default=7, help="timed updates")
    options = parser.parse_args(argv)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    flat = flat_config("qmix")
    rate = matrix_rate(flat["rnn_hidden_dim"])
    print(f"matrix rate of a core at these shapes: {rate / 1e9:.1f} GFLOP/s")
    print(f"{'map':11} {'GFLOP':>7} {'GB':>6} {'threads':>7} {'floor ms':>9} {'update ms':>9} {'of floor':>8}")
    for name in options.maps.split(","):
        info = bench.MAPS[name]
        work = work_of(info, options.batch * (info.episode_limit + 1), flat)
        batch = make_batch([info.episode_limit] * options.batch, info)
        for threads in map(int, options.threads.split(",")):
            torch.set_num_threads(threads)
            update = bench.our_update(flat, info, batch)
            measured = statistics.median(bench.measure([update], options.repeats)[0])
            floor = work.operations / rate / threads
            print(f"{name:11} {work.operations / 1e9:7.2f} {work.bytes / 1e9:6.2f} {threads:7} {1e3 * floor:9.1f} "
                  f"{1e3 * measured:9.1f} {floor / measured:8.0%}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
