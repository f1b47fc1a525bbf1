"""Runs as figures, tables and one page: `python src/report.py results/sacred --out report/`.

Of ours, and of PyMARL's, PyMARL2's and EPyMARL's run folders. The statistics are those of rliable: IQM, optimality gap,
performance profiles, probability of improvement, with stratified bootstrap intervals.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pymarl.utils.doors import command_line, command_parser, set_up
from pymarl.utils.errors import UserError, refuse
from pymarl.utils.files import why_no_folder, writing_failed

if TYPE_CHECKING:
    from pymarl.experiments.report.study import Options

DESCRIPTION = """\
Write learning curves, aggregates, profiles, tables and one page, index.html, of the runs under some folders.

examples:
  python src/report.py results/sacred --out report/
  python src/report.py results/sacred --scenarios=3m,2s3z --methods=qmix,vdn --reference=vdn --aggregate=iqm
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = command_parser("python src/report.py", DESCRIPTION, "FOLDER... [--out report/] [options]")
    made.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="runs, or folders of runs")
    made.add_argument("--out", type=Path, default=Path("report"), help="folder to write to; default: report")
    made.add_argument("--metric", help="number of the tests; default: battle_won where all have it, else return")
    made.add_argument("--scenarios", default="", help="maps or keys of envs, with commas between; default: all")
    made.add_argument("--methods", default="", help="with commas between; default: all")
    made.add_argument("--reference", help="the method others are compared with; default: that of the greatest IQM")
    made.add_argument("--x", choices=["env_steps", "seconds"], default="env_steps", help="of curves")
    made.add_argument("--aggregate", choices=["mean", "iqm", "median"], default="mean", help="of curves, over seeds")
    made.add_argument("--threshold", type=float, help="value that counts as won; default: 0.95 of a win rate")
    made.add_argument("--tests", type=int, default=3, help="over how many tests it must hold as a mean; default: 3")
    made.add_argument("--films", type=Path, nargs="*", default=[], metavar="REPLAY",
                      help="replays (.npz, or folders) beside those of the runs' evaluations")  # fmt: skip
    made.add_argument("--seed", type=int, default=0, help="of the bootstrap; default: 0")
    made.add_argument("--unfinished", action="store_true", help="take runs that are not complete, too, and mark them")
    made.add_argument("--anyway", action="store_true", help="report on runs whose tasks differ, too")
    return made


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 written, 1 wrong input or nothing to compare."""
    set_up()
    options = parser().parse_args(argv)
    try:
        return report(options, command_line("python src/report.py", argv))
    except UserError as error:
        return refuse(error)
    except OSError as error:
        print(f"error: {writing_failed(options.out, error)}", file=sys.stderr)
        return 1


def report(options: argparse.Namespace, made_by: str) -> int:
    """Write the report that the options describe and print its notes and its page. UserError if there is none."""
    from pymarl.experiments.report.gather import study_of
    from pymarl.experiments.results import load_results, say

    chosen = options_of(options)
    if reason := why_no_folder(options.out):
        raise UserError(f"--out {options.out}: {reason}")
    results = load_results(options.folders, say)
    if not results:
        raise UserError(
            f"no training runs under {', '.join(map(str, options.folders))}; expected such as results/sacred"
        )
    study = study_of(results, chosen)
    from pymarl.experiments.report.write import write_report  # matplotlib, which a refusal does without

    for note in study.remarks:
        print(f"note: {note}", file=sys.stderr)
    print(write_report(study, options.out, options.films, made_by, say))
    return 0


def options_of(options: argparse.Namespace) -> Options:
    """Return what the words ask for. UserError for numbers that make no sense."""
    from pymarl.experiments.report.study import Options

    for name, least in (("tests", 1), ("seed", 0)):
        if vars(options)[name] < least:
            raise UserError(f"--{name} {vars(options)[name]}: expected {least} or more")
    lists = {name: [word for word in vars(options)[name].split(",") if word] for name in ("scenarios", "methods")}
    return Options(
        metric=options.metric, scenarios=lists["scenarios"], methods=lists["methods"], reference=options.reference,
        x=options.x, aggregate=options.aggregate, seed=options.seed, threshold=options.threshold, tests=options.tests,
        unfinished=options.unfinished, anyway=options.anyway,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
