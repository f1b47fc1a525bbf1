"""Does skirmish show and pay what SMAC would? Unmodified SMAC plays against the stand-in of tests/sc2_standin.

    python benchmarks/conformance.py --episodes 20                       all maps, default options
    python benchmarks/conformance.py --episodes 2 --options all          all maps, every option in turn
    python benchmarks/conformance.py --episodes 20 --script attack_nearest
    python benchmarks/conformance.py --maps 3m,MMM --options obs_last_action,reward_sparse

Needs oxwhirl/smac and pysc2 (./install_sc2.sh). Both play the same episodes with the same actions: random ones, and in
every other episode mostly attacks from where they stand, or those of a script of benchmarks/scripted.py. A row of the
table: a map, or an option over all maps, and in how many steps what SMAC computes from the stand-in's messages differs,
as float32, from what skirmish computes itself. Exit status 1 if anything does.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.sc2.installation import MAPS
from pymarl.envs.skirmish.env import Skirmish
from sc2_standin.conformance import OPTIONS, Report, compare, use_standin
from scripted import POLICIES, Script


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default=",".join(MAPS), help="names, comma-separated")
    parser.add_argument("--options", default="defaults", help="names, comma-separated, or 'all'")
    parser.add_argument("--episodes", type=int, default=20, help="of each map with each option")
    parser.add_argument("--script", choices=POLICIES, help="plays every other episode, instead of standing still")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    script = partial(make_script, args.script) if args.script else None
    options = list(OPTIONS) if args.options == "all" else args.options.split(",")
    logging.disable(logging.CRITICAL)  # option debug
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        use_standin(Path(folder))
        for option in options:
            for name in args.maps.split(","):
                reports.append(compare(name, option, args.episodes, args.seed, script))
                show(f"{name}, {option}", [reports[-1]])
    print()
    for key in ("map_name", "option"):
        rows: dict[str, list[Report]] = {}
        for report in reports:
            rows.setdefault(getattr(report, key), []).append(report)
        for name, part in rows.items():
            show(name, part)
        print()
    return int(any(report.differences for report in reports))


def make_script(policy: str, env: Skirmish) -> Callable[[], NDArray[np.int64]]:
    """Return a scripted policy of one env."""
    script = Script(env, policy)
    rows = np.zeros(1, np.int64)
    return lambda: script.act(rows)[0].copy()


def show(name: str, reports: list[Report]) -> None:
    """Print a row of the table."""
    episodes, steps, won, late, float64 = (
        sum(getattr(report, key) for report in reports) for key in ("episodes", "steps", "won", "timeouts", "float64")
    )
    found = ", ".join(f"{what} {count} ({r.first[what]})" for r in reports for what, count in r.differences.items())
    seconds = sum(report.seconds for report in reports)
    print(
        f"{name:<40} {episodes:>5} episodes {steps:>7} steps {won:>4} won {late:>4} timeouts {seconds:>6.0f} s "
        f"float64 rewards that differ {float64:>5}  differences: {found or 'none'}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
