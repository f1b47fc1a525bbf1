"""Many runs in one command: `python src/launch.py --configs=qmix,vdn --env-configs=skirmish --maps=3m,2s3z --seeds=3`.

Each is an ordinary run of main.py. Called again it plays what is missing: runs that were cut off go on from their
checkpoints, finished ones are left alone. With `--search` the runs are trials of values that Optuna proposes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymarl.utils.doors import command_parser, set_up
from pymarl.utils.errors import UserError, closest, refuse

if TYPE_CHECKING:
    from pymarl.experiments.plan import Grid
    from pymarl.experiments.play import MakeBackend
    from pymarl.experiments.search import Space

DESCRIPTION = """\
Play algorithms x maps x seeds, as many at once as the machine takes. Called again it plays what is missing.

examples:
  python src/launch.py --configs=qmix,vdn --env-configs=skirmish --maps=3m,2s3z --seeds=3 with t_max=1000000
  python src/launch.py --plan=plan.yaml --at-once=4
  python src/launch.py --plan=plan.yaml --backend=slurm --slurm partition=cpu time=4:00:00 mem=8G
  python src/launch.py --plan=plan.yaml --backend=ray --ray address=HOST:6379
  python src/launch.py --configs=qmix --env-configs=skirmish --maps=3m --search lr=loguniform:1e-4,1e-2 \\
      gamma=uniform:.9,.999 batch_size=choice:16,32,64 rnn_hidden_dim=int:32,256 --trials=30 with t_max=200000
"""


AT_ONCE = 10
"""Runs of a search on Slurm at a time, unless the user says otherwise: more would be proposed without a result."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before `with`."""
    made = command_parser(
        "python src/launch.py", DESCRIPTION, "--configs=A,B --env-configs=E [options] [with KEY=VALUE ...]"
    )
    made.add_argument("--configs", help="algorithms, as for --config of main.py, with commas between")
    made.add_argument("--env-configs", help="envs, as for --env-config of main.py, with commas between")
    made.add_argument("--maps", help="values of env_args.map_name (or env_args.key), with commas between")
    made.add_argument("--seeds", default="1", help="how many (3: seeds 1, 2, 3), or which (1,5,7 or 7,); default: 1")
    made.add_argument("--plan", type=Path, help="a YAML file: configs, env_configs, maps, seeds, with; or runs: [...]")
    made.add_argument("--at-once", type=int, help="most runs at a time; default: cores / threads, as memory allows")
    made.add_argument("--threads", type=int, default=1, help="threads of each run; default: 1")
    made.add_argument("--dry-run", action="store_true", help="print what would be played, and stop")
    made.add_argument("--backend", default="local", help="where: local (default), slurm or ray")
    words: dict[str, Any] = {"nargs": "+", "action": "extend", "default": [], "metavar": "KEY=VALUE"}
    made.add_argument("--slurm", help="options of sbatch: partition, time, mem, gpus_per_node, account ...", **words)
    made.add_argument(
        "--ray", help="address=HOST:PORT of a cluster (default: started here), gpus=NUMBER a run", **words
    )
    search = made.add_argument_group("search, of one algorithm on one map; needs optuna")
    words["metavar"] = "KEY=RANGE"
    search.add_argument("--search", help="ranges: uniform, loguniform, int, logint, choice, as in the example", **words)
    search.add_argument("--trials", type=int, default=20, help="how many in all, those of before included; default: 20")
    search.add_argument("--metric", default="test_return_mean", help="what counts; default: test_return_mean")
    search.add_argument("--minimise", action="store_true", help="the smaller the better")
    search.add_argument(
        "--no-pruning", action="store_true", help="play also those to the end that are below the median"
    )
    return made


def main(argv: Sequence[str]) -> int:
    """Play a plan; return the exit code: 0 all done, 1 some failed or wrong input, 130 stopped by a signal."""
    set_up()
    words = list(argv)
    updates = words[words.index("with") + 1 :] if "with" in words else []
    known = parser()
    options, unknown = known.parse_known_args(words[: words.index("with")] if "with" in words else words)
    try:
        if unknown:
            raise UserError(unknown_word(unknown[0], list(known._option_string_actions)))
        return play(options, updates)
    except UserError as error:
        return refuse(error)
    except KeyboardInterrupt:  # before anything has begun
        print("interrupted", file=sys.stderr)
        return 130


def unknown_word(word: str, options: Sequence[str]) -> str:
    """Return what to say of a word that is no option."""
    if "=" in word and not word.startswith("-"):
        return f"{word!r} comes before `with`; write: with {word}"
    name = word.partition("=")[0]
    return f"unknown option {name}{closest(name, options)}; --help lists them"


def grids_of(options: argparse.Namespace, updates: Sequence[str]) -> list[Grid]:
    """Return what the options name. UserError if that is nothing, or two things."""
    from pymarl.experiments.plan import grid_of, read_plan, seeds_of

    for name, number in (("--at-once", options.at_once), ("--threads", options.threads), ("--trials", options.trials)):
        if number is not None and number < 1:
            raise UserError(f"{name}={number}: expected 1 or more")
    named = {key: (getattr(options, key) or "").split(",") for key in ("configs", "env_configs", "maps")}
    lists = {key: [item for item in items if item] for key, items in named.items()}
    if options.plan is None:
        return [grid_of(lists, seeds_of(options.seeds), updates, "launch.py")]
    if any(lists.values()) or updates:
        raise UserError("--plan stands alone: write configs, env_configs, maps, seeds and with into the file")
    return read_plan(options.plan)


def space_of(options: argparse.Namespace, grids: Sequence[Grid]) -> Space:
    """Return what is searched. UserError if that is more than one algorithm on one map."""
    from pymarl.experiments.search import Space
    from pymarl.experiments.space import parameters_of

    sizes = [(len(grid.configs), len(grid.env_configs), len(grid.maps) or 1) for grid in grids]
    if sizes != [(1, 1, 1)]:
        raise UserError("--search: expected one algorithm on one map; for more call it for each")
    return Space(grids[0], parameters_of(options.search), options.metric, options.minimise, not options.no_pruning)


def backend_maker(options: argparse.Namespace) -> MakeBackend:
    """Return what makes the back end that the options name. UserError if there is no such one."""
    from pymarl.experiments.backends import NAMES, backend_of

    if options.backend not in NAMES:
        raise UserError(f"--backend={options.backend}: expected {', '.join(NAMES)}{closest(options.backend, NAMES)}")
    words = {"slurm": options.slurm, "ray": options.ray}
    at_once = options.at_once
    if options.search and options.backend == "slurm":
        at_once = at_once or AT_ONCE
    return lambda logs: backend_of(options.backend, words, at_once, options.threads, logs)


def play(options: argparse.Namespace, updates: Sequence[str]) -> int:
    """Play what the options name. UserError before anything begins if one of the runs could not."""
    from pymarl.experiments.play import play_plan, play_search

    grids, make = grids_of(options, updates), backend_maker(options)
    how = {"here": options.backend == "local", "dry": options.dry_run}
    if options.search:
        return play_search(space_of(options, grids), options.trials, make, **how)
    return play_plan(grids, make, **how)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
