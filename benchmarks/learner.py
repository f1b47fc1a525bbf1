"""Seconds per learner update at the sizes of SMAC maps, on synthetic episodes; with --peer also PyMARL2's.

    python benchmarks/learner.py --maps 3m,2s3z,MMM2,27m_vs_30m --lengths full,random --peer DIR
    python benchmarks/learner.py --maps 3m,2s3z,MMM2 --device cuda,cpu --peer DIR

All learners get the same episodes and settings and take turns, update by update, in one run; the ratio is of medians.
"full" episodes last to the map's limit; "random" ones are uniform between 20% and 100% of it. On a GPU the episodes are
there already, and a time runs until the GPU has finished. The peer computes on the first device.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests"), str(HERE.parent / "src")]

os.environ.setdefault("GOMP_SPINCOUNT", "2000")  # as main.py does, before torch is imported

import torch  # noqa: E402

import peer  # noqa: E402
from learner_kit import flat_config, make_batch, make_learner, train  # noqa: E402
from pymarl.components.episode_batch import EpisodeBatch  # noqa: E402
from pymarl.envs.multiagentenv import EnvInfo  # noqa: E402
from pymarl.run.parts import choose_device  # noqa: E402
from pymarl.utils.memory import keep_freed_memory  # noqa: E402

# SMAC's own sizes with default options.
MAPS = {
    "3m": EnvInfo(n_agents=3, n_actions=9, obs_shape=30, state_shape=48, episode_limit=60),
    "8m": EnvInfo(n_agents=8, n_actions=14, obs_shape=80, state_shape=168, episode_limit=120),
    "2s3z": EnvInfo(n_agents=5, n_actions=11, obs_shape=80, state_shape=120, episode_limit=120),
    "3s5z": EnvInfo(n_agents=8, n_actions=14, obs_shape=128, state_shape=216, episode_limit=150),
    "MMM2": EnvInfo(n_agents=10, n_actions=18, obs_shape=176, state_shape=322, episode_limit=180),
    "27m_vs_30m": EnvInfo(n_agents=27, n_actions=36, obs_shape=285, state_shape=1170, episode_limit=180),
}
LENGTHS = ("full", "random")


def draw_lengths(kind: str, episodes: int, limit: int) -> list[int]:
    """Return the episodes' lengths in env steps."""
    if kind == "full":
        return [limit] * episodes
    generator = torch.Generator().manual_seed(0)
    return torch.randint(max(limit // 5, 1), limit + 1, (episodes,), generator=generator).tolist()


def our_update(flat: dict[str, Any], info: EnvInfo, batch: EpisodeBatch, device: str = "cpu") -> Callable[[], float]:
    """Return a call that makes one of our updates and returns its seconds."""
    learner = make_learner(flat, info, device=device)
    batch, settle = batch.to(learner.device), torch.cuda.synchronize if device == "cuda" else int

    def update() -> float:
        # A fresh batch each time, as from a buffer: nothing computed for the last update may be used again.
        fresh = EpisodeBatch(
            batch.scheme, batch.groups, batch.batch_size, batch.max_seq_length, batch.preprocess, batch.device,
            data=batch.data, lengths=batch.lengths,
        )  # fmt: skip
        settle()
        begin = time.perf_counter()
        train(learner, fresh, 0, 0)
        settle()
        return time.perf_counter() - begin

    return update


@contextmanager
def peer_update(
    directory: Path, flat: dict[str, Any], info: EnvInfo, batch: EpisodeBatch, threads: int, device: str = "cpu"
) -> Iterator[Callable[[], float]]:
    """Yield a call that makes one of the peer's updates, in its own process, and returns its seconds."""
    dims = {key: info.sizes()[key] for key in ("n_agents", "n_actions", "obs_shape", "state_shape")}
    stored = {key: batch[key] for key in (*batch.data, "filled")}
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "spec.pt")
        args = {
            **flat,
            "use_cuda": device == "cuda",
            "use_per": False,
            "mixer": "qmix" if flat["mixer"] == "nmix" else flat["mixer"],
        }
        torch.save({"args": args, "dims": dims, "batch": stored, "threads": threads, "device": device}, spec)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = peer.start(directory, HERE / "peer_learner.py", str(spec), threads=threads, **pipes)
        assert process.stdin is not None
        assert process.stdout is not None
        _answer(process, "ready")

        def update() -> float:
            process.stdin.write("update\n")
            process.stdin.flush()
            return float(_answer(process, "seconds").split()[1])

        try:
            yield update
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


def _answer(process: subprocess.Popen[str], word: str) -> str:
    """Return the peer's next line that starts with `word`; it prints other things as well."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line
    raise RuntimeError(f"the peer exited with {process.wait()} before it said {word!r}; its error is above")


def measure(updates: Sequence[Callable[[], float]], repeats: int) -> list[list[float]]:
    """Return each learner's seconds over `repeats` turns, after one turn to warm up."""
    for update in updates:
        update()
    turns = [[_after_a_rest(update) for update in updates] for _ in range(repeats)]
    return [list(seconds) for seconds in zip(*turns, strict=True)]


def _after_a_rest(update: Callable[[], float]) -> float:
    """Return an update's seconds once the idle threads of the one before have stopped spinning."""
    time.sleep(0.05)
    return update()


def describe(seconds: Sequence[float]) -> str:
    """Return "median s (least - most)"."""
    return f"{statistics.median(seconds):.4f} s ({min(seconds):.4f} - {max(seconds):.4f})"


def compare(options: argparse.Namespace, name: str, kind: str) -> None:
    """Measure and print one map with one kind of lengths."""
    info, flat = MAPS[name], flat_config(options.config)
    batch = make_batch(draw_lengths(kind, options.batch, info.episode_limit), info)
    first = options.device[0]
    names = [f"ours on {device}" if len(options.device) > 1 else "ours" for device in options.device]
    with ExitStack() as stack:
        updates = [our_update(flat, info, batch, device) for device in options.device]
        if options.peer is not None:
            names.append("peer")
            theirs = peer_update(options.peer, flat, info, batch, options.threads, first)
            updates.append(stack.enter_context(theirs))
        seconds = measure(updates, options.repeats)
    line = "  ".join(f"{who} {describe(taken)}" for who, taken in zip(names, seconds, strict=True))
    if len(seconds) > 1:
        line += f"  ratio {statistics.median(seconds[-1]) / statistics.median(seconds[0]):.2f}"
    print(f"{name:11} {kind:7} {line}", flush=True)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="3m,2s3z,MMM2,27m_vs_30m", help=f"of {', '.join(MAPS)}")
    parser.add_argument("--lengths", default="full,random", help="full, random or both")
    parser.add_argument("--batch", type=int, default=128, help="episodes in one update")
    parser.add_argument("--repeats", type=int, default=5, help="timed updates of each learner")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads of each learner")
    parser.add_argument("--config", default="qmix", help="a file of config/algs")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or both: ours is measured on each, in turns")
    parser.add_argument("--peer", type=Path, help="a PyMARL2 checkout to measure in turns")
    options = parser.parse_args(argv)
    options.maps, options.lengths = options.maps.split(","), options.lengths.split(",")
    options.device = options.device.split(",")
    for given, known in ((options.maps, MAPS), (options.lengths, LENGTHS), (options.device, ("cpu", "cuda"))):
        for name in given:
            if name not in known:
                parser.error(f"{name!r} is none of {', '.join(known)}")
    if "cuda" in options.device and not torch.cuda.is_available():
        parser.error("--device: there is no GPU here, or this torch cannot use it")
    return options


def main(argv: Sequence[str] | None = None) -> None:
    """Print the machine, then one line per map and kind of lengths."""
    options = parse(argv)
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as run.run does
    keep_freed_memory()
    if "cuda" in options.device:
        print(choose_device(True, logging.getLogger()), torch.cuda.get_device_name())
    print(
        f"{platform.processor() or platform.machine()}, {platform.platform()}, torch {torch.__version__}, "
        f"{options.threads} threads, {options.config}, batch {options.batch}, {options.repeats} repeats"
    )
    for name in options.maps:
        for kind in options.lengths:
            compare(options, name, kind)


if __name__ == "__main__":
    main()
