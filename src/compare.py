"""Two methods, or two versions of one, beside each other: `python src/compare.py A B`.

Prints in what their configs differ, and the difference of their last tests with its 95% interval.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pymarl.utils.doors import command_parser, set_up
from pymarl.utils.errors import UserError, refuse

if TYPE_CHECKING:
    from rich.console import Console

    from pymarl.experiments.compare import Estimate, Outcome
    from pymarl.experiments.protocol import Difference
    from pymarl.experiments.results import Result

DESCRIPTION = """\
Print in what two sets of runs differ: their configs, and their last tests with the 95% interval of the difference.
A and B are folders of one run or of several seeds, or tokens of results/models; of PyMARL's, PyMARL2's and EPyMARL's
results, too. Several maps are compared one by one.

examples:
  python src/compare.py results/sacred/3m/qmix_env=8_adam_td_lambda results/sacred/3m/vdn_env=8_adam_td_lambda
  python src/compare.py results/models/TOKEN_A results/models/TOKEN_B --metric return
"""
HEADINGS = {
    "task": "WHAT IS TO BE SOLVED differs",
    "framework": "who has played them differs: envs and networks may be others",
    "test": "HOW IT IS TESTED differs",
    "length": "HOW LONG IT IS TRAINED differs",
    "training": "differs beside the method",
    "method": "the methods",
}


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = command_parser("python src/compare.py", DESCRIPTION, "A B [--metric NAME] [--anyway]")
    made.add_argument("a", type=Path, metavar="A", help="runs of one method")
    made.add_argument("b", type=Path, metavar="B", help="runs of the other")
    made.add_argument("--metric", help="number of the tests; default: battle_won where all have it, else return")
    made.add_argument("--anyway", action="store_true", help="compare numbers of tasks that differ, too")
    return made


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 compared, 1 wrong input or not to be compared."""
    set_up()
    options = parser().parse_args(argv)
    try:
        return compare(options)
    except UserError as error:
        return refuse(error)


def compare(options: argparse.Namespace) -> int:
    """Print what there is to say of the scenarios that both have. UserError if there is none."""
    from rich.console import Console

    from pymarl.experiments.compare import side_of

    sides = [side_of(folder) for folder in (options.a, options.b)]
    console = Console(highlight=False)
    shared = list(dict.fromkeys(scenario for _, scenario in sides[0] if scenario in {name for _, name in sides[1]}))
    if not shared:
        told = [", ".join(" ".join(each) for each in side) for side in sides]
        raise UserError(f"{options.a} has {told[0]}, {options.b} has {told[1]}: no scenario of both to compare")
    fine = True
    for scenario in shared:
        a, b = ([run for (_, name), runs in side.items() if name == scenario for run in runs] for side in sides)
        fine &= show(console, a, b, options)
    return 0 if fine else 1


def show(console: Console, a: Sequence[Result], b: Sequence[Result], options: argparse.Namespace) -> bool:
    """Print the comparison on one scenario; return whether there was one."""
    from pymarl.experiments.align import shared_metric
    from pymarl.experiments.compare import outcomes
    from pymarl.experiments.protocol import REFUSED, differences

    console.rule(f"[bold]{a[0].scenario}", align="left")
    for name, folder, runs in (("A", options.a, a), ("B", options.b, b)):
        seeds = f"seed{'s' if len(runs) > 1 else ''} {', '.join(str(run.seed) for run in runs)}"
        console.print(f"[bold]{name}[/]  {runs[0].method} ({runs[0].origin}), {seeds}")
        console.print(f"   {folder}", style="dim", soft_wrap=True)
        for run in runs:
            if run.status != "COMPLETED":
                console.print(f"   seed {run.seed}: {run.status.lower()}, tested up to {run.last:,}", style="yellow")
    found = differences({"A": a, "B": b})
    show_differences(console, found)
    if any(each.kind in REFUSED for each in found) and not options.anyway:
        console.print("Not compared: the tasks differ. --anyway compares the numbers all the same.", style="red")
        return False
    metric = shared_metric((*a, *b), options.metric)
    for outcome in outcomes(a, b, metric):
        show_outcome(console, metric, outcome)
    return True


def show_differences(console: Console, found: Sequence[Difference]) -> None:
    """Print in what two sides, A and B, differ, a table for each kind."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from pymarl.experiments.protocol import ABSENT, MARKED, REFUSED

    if not found:
        console.print("\nTheir configs differ in seeds alone.")
    for kind in dict.fromkeys(each.kind for each in found):
        alarming = kind in (*REFUSED, *MARKED)
        console.print(f"\n{HEADINGS[kind]}", style="bold yellow" if alarming else "bold")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 2), pad_edge=False)
        of_kind = [each for each in found if each.kind == kind]
        for each in of_kind:
            if kind != "method" or ABSENT not in each.values.values():
                table.add_row(f"  {each.key}", *(Text(each.values[side], overflow="fold") for side in ("A", "B")))
        if table.row_count:
            console.print(table)
        for side, other in (("A", "B"), ("B", "A")):
            own = [f"{each.key}={each.values[side]}" for each in of_kind if each.values[other] == ABSENT]
            if own and kind == "method":
                console.print(Padding(Text(f"only {side}: {', '.join(own)}", style="dim"), (0, 0, 0, 2)))


def show_outcome(console: Console, metric: str, outcome: Outcome) -> None:
    """Print the means of both sides and their difference."""
    from rich.table import Table

    from pymarl.experiments.statistics import few_seeds

    console.print(f"\n[bold]{metric}[/], {outcome.what}")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2), pad_edge=False)
    for name, estimate in (("A", outcome.a), ("B", outcome.b), ("A - B", outcome.difference)):
        style = "bold" if name == "A - B" else ""
        table.add_row(f"  {name}", f"{estimate.mean:.3f}", interval_text(estimate), style=style)
    console.print(table)
    over = outcome.difference.over
    if not over:
        console.print("  No interval: one run on a side, and only the mean of its test is known.", style="yellow")
    elif "episodes" in over:
        console.print(
            "  One seed on a side: its interval is over the episodes of one test. It says nothing of what other seeds "
            "would come to.", style="yellow",
        )  # fmt: skip
    elif few := few_seeds(outcome.difference.count):
        console.print(f"  {few}", style="yellow")


def interval_text(estimate: Estimate) -> str:
    """Return an interval in words."""
    if estimate.interval is None:
        return "no interval"
    low, high = estimate.interval
    return f"95% [{low:.3f}, {high:.3f}], bootstrap over {estimate.over}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
