"""What scripted agents win on skirmish's maps, as a markdown table.

    python benchmarks/baselines.py                                     1,000 episodes of each script on each SMAC map
    python benchmarks/baselines.py --maps 3m,2s3z,river.yaml --policies focus_fire,kite --episodes 100
    python benchmarks/baselines.py --unit-stats ladder                 the multiplayer game's units

A cell is the share of battles won in % +- the half-width of its 95% interval (Wilson, 1927), then mean return and mean
length in env steps. A dash stands for a script that makes no sense on a map. Episode k of a map has the same seed for
each script, and is the same battle whatever the batch size.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pymarl.envs.skirmish.env import Skirmish
from pymarl.envs.skirmish.scenario.maps import map_names
from scripted import POLICIES, battles, is_sensible, make_env

Z95 = 1.959964


@dataclass
class Record:
    """What became of some episodes; [episodes] each."""

    won: NDArray[np.bool_]
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]

    def __str__(self) -> str:
        win = f"{100 * self.won.mean():.1f} ±{100 * half_width(int(self.won.sum()), len(self.won)):.1f}"
        return f"{win} · {self.returns.mean():.1f} · {self.lengths.mean():.0f}"


def half_width(successes: int, n: int) -> float:
    """Return half the width of Wilson's 95% interval of a share."""
    share = successes / n
    return Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2)) / (1 + Z95**2 / n)


def play(env: Skirmish, policy: str, seeds: NDArray[np.uint64]) -> Record:
    """Play one episode of each seed to its end, as many at a time as the env has rows."""
    n = len(seeds)
    record = Record(np.zeros(n, np.bool_), np.zeros(n), np.zeros(n, np.int64))
    for turn in battles(env, policy, seeds):
        if not turn.began:
            record.returns[turn.episode[turn.rows]] += env.arrays.reward[turn.rows, 0]
            record.lengths[turn.episode[turn.rows]] += 1
            record.won[turn.episode[turn.ended]] = env.outcomes[turn.ended, 0]
    return record


def table_rows(options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the table as they become known."""
    policies = options.policies.split(",")
    yield f"| map | {' | '.join(policies)} |"
    yield f"|---|{'---|' * len(policies)}"
    seeds = np.random.default_rng(options.seed).integers(2**64, size=options.episodes, dtype=np.uint64)
    for map_name in options.maps.split(",") if options.maps else map_names():
        env = make_env(map_name, options.num_envs, options.unit_stats)
        cells = [str(play(env, policy, seeds)) if is_sensible(policy, env) else "-" for policy in policies]
        env.close()
        yield f"| {map_name} | {' | '.join(cells)} |"


def parse(argv: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="", help="comma-separated names or files; all of SMAC's if not given")
    parser.add_argument("--policies", default=",".join(POLICIES), help=f"comma-separated, of {', '.join(POLICIES)}")
    parser.add_argument("--episodes", type=int, default=1000, help="of each script on each map")
    parser.add_argument("--num-envs", type=int, default=64, help="episodes that are played side by side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--unit-stats", choices=("liberty", "ladder"), default="liberty")
    options = parser.parse_args(argv)
    unknown = set(options.policies.split(",")) - set(POLICIES)
    if unknown or options.episodes < 1 or options.num_envs < 1:
        parser.error(
            f"--policies: {', '.join(sorted(unknown))}" if unknown else "--episodes and --num-envs: at least 1"
        )
    return options


def main(argv: list[str]) -> None:
    """Play and print the table."""
    options = parse(argv)
    begin = time.perf_counter()
    print(f"win rate in % ±95% interval · mean return · mean length; {options.episodes} episodes, seed {options.seed}, "
          f"unit_stats {options.unit_stats}\n")  # fmt: skip
    for line in table_rows(options):
        print(line, flush=True)
    print(f"\n{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
