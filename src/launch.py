"""Many runs in one command: `python src/launch.py --configs=qmix,vdn --env-configs=skirmish --maps=3m,2s3z --seeds=3`.

Each is an ordinary run of main.py. Called again it plays what is missing: runs that were cut off go on from their
checkpoints, finished ones are left alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pymarl.utils.errors import UserError, short_line

if TYPE_CHECKING:
    from pymarl.experiments.launch import Launch
    from pymarl.experiments.plan import Grid
    from pymarl.experiments.table import Show

DESCRIPTION = """\
Play algorithms x maps x seeds, as many at once as the machine takes. Called again it plays what is missing.

examples:
  python src/launch.py --configs=qmix,vdn --env-configs=skirmish --maps=3m,2s3z --seeds=3 with t_max=1000000
  python src/launch.py --plan=plan.yaml --at-once=4
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of what stands before `with`."""
    made = argparse.ArgumentParser(
        prog="launch.py", usage="python src/launch.py --configs=A,B --env-configs=E [options] [with KEY=VALUE ...]",
        description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    made.add_argument("--configs", help="algorithms, as for --config of main.py, with commas between")
    made.add_argument("--env-configs", help="envs, as for --env-config of main.py, with commas between")
    made.add_argument("--maps", help="values of env_args.map_name (or env_args.key), with commas between")
    made.add_argument("--seeds", default="1", help="how many (3: seeds 1, 2, 3), or which (1,5,7); default: 1")
    made.add_argument("--plan", type=Path, help="a YAML file: configs, env_configs, maps, seeds, with; or runs: [...]")
    made.add_argument("--at-once", type=int, help="most runs at a time; default: cores / threads, as memory allows")
    made.add_argument("--threads", type=int, default=1, help="threads of each run; default: 1")
    made.add_argument("--dry-run", action="store_true", help="print what would be played, and stop")
    return made


def main(argv: Sequence[str]) -> int:
    """Play a plan; return the exit code: 0 all done, 1 some failed or wrong input, 130 stopped by a signal."""
    warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)  # sacred 0.8.7 imports it
    words = list(argv)
    updates = words[words.index("with") + 1 :] if "with" in words else []
    options = parser().parse_args(words[: words.index("with")] if "with" in words else words)
    try:
        return play(options, updates)
    except UserError as error:
        print(f"error: {short_line(str(error))}", file=sys.stderr)
        return 1


def grids_of(options: argparse.Namespace, updates: Sequence[str]) -> list[Grid]:
    """Return what the options name. UserError if that is nothing, or two things."""
    from pymarl.experiments.plan import grid_of, read_plan, seeds_of

    for name, number in (("--at-once", options.at_once), ("--threads", options.threads)):
        if number is not None and number < 1:
            raise UserError(f"{name}={number}: expected 1 or more")
    named = {key: (getattr(options, key) or "").split(",") for key in ("configs", "env_configs", "maps")}
    lists = {key: [item for item in items if item] for key, items in named.items()}
    if options.plan is None:
        return [grid_of(lists, seeds_of(options.seeds), updates, "launch.py")]
    if any(lists.values()) or updates:
        raise UserError("--plan stands alone: write configs, env_configs, maps, seeds and with into the file")
    return read_plan(options.plan)


def play(options: argparse.Namespace, updates: Sequence[str]) -> int:
    """Play what the options name. UserError before anything begins if one of the runs could not."""
    from rich.console import Console

    from pymarl.experiments.book import Book
    from pymarl.experiments.launch import Launch, Run
    from pymarl.experiments.local import LocalBackend
    from pymarl.experiments.plan import jobs_of
    from pymarl.experiments.table import Show, counted, row

    jobs, notes = jobs_of(grids_of(options, updates))
    for note in notes:
        print(note, file=sys.stderr)
    results = {str(job.config["local_results_path"]) for job in jobs}
    if len(results) > 1:
        raise UserError(f"local_results_path: expected one for all runs, got {' and '.join(sorted(results))}")
    folder = Path(*results)
    runs, console = [Run(job) for job in jobs], Console()
    show = Show(console, runs)
    launch = Launch(runs, LocalBackend(options.at_once, options.threads, folder / "launch"), Book(folder), show.changed)
    if options.dry_run:
        launch.changed = lambda run: None
        launch.look()
        for run in runs:
            console.print("  ".join(row(run)[:3]), highlight=False, soft_wrap=True)
        return 0
    stopped = watch(launch, show)
    console.print(counted(runs), highlight=False)
    if any(run.state != "done" for run in runs):
        console.print("The same command plays what is missing.")
    return 130 if stopped else int(any(run.state == "failed" for run in runs))


def watch(launch: Launch, show: Show) -> bool:
    """Play all runs; return whether a signal stopped that. A second one kills what has not saved by then."""
    from pymarl.experiments.launch import POLL_SECONDS
    from pymarl.utils.interrupts import StopRequest

    def patience() -> bool:
        show.update()
        return not again

    again = False
    with StopRequest() as stop, show:
        try:
            with stop.deferred():
                while launch.step() and not stop.requested:
                    show.update()
                    time.sleep(POLL_SECONDS)
            if not stop.requested:
                return False
        except KeyboardInterrupt:
            again = True
        launch.stop()
        try:
            launch.await_stopped(patience)
        except KeyboardInterrupt:
            again = True
            launch.await_stopped(patience)
    return True


if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    sys.exit(main(sys.argv[1:]))
