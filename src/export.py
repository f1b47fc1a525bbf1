"""Results for the tools of others: `python src/export.py results/sacred --out runs.csv`, or `--out marl-eval.json`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pymarl.utils.doors import command_parser, set_up
from pymarl.utils.errors import UserError, refuse

DESCRIPTION = """\
Write the tests of runs, ours and those of PyMARL, PyMARL2 and EPyMARL, into one file.

  .csv   a line for each run, test and metric: method, env, scenario, seed, t, metric, value, ...
  .json  what marl-eval reads, for its profiles, aggregates and checks

example:
  python src/export.py results/sacred --out runs.csv
"""
SUFFIXES = (".csv", ".json")


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input."""
    set_up()
    parser = command_parser("python src/export.py", DESCRIPTION, "FOLDER [FOLDER ...] --out FILE")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="of runs, such as results/sacred")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="ends in .csv or .json")
    options = parser.parse_args(argv)
    try:
        print(export(options.folders, options.out))
    except UserError as error:
        return refuse(error)
    except OSError as error:
        from pymarl.utils.files import writing_failed

        print(f"error: {writing_failed(options.out, error)}", file=sys.stderr)
        return 1
    return 0


def export(folders: Sequence[Path], out: Path) -> str:
    """Write the file and return a line on it. UserError if there is nothing to write, or no way to."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"--out {out}: expected a name that ends in .csv or .json")
    from pymarl.experiments.export import write_csv, write_marl_eval
    from pymarl.experiments.results import load_results

    results = load_results(folders)
    if not any(result.curves for result in results):
        raise UserError(f"{', '.join(map(str, folders))}: {len(results)} training runs, none of which has been tested")
    if out.suffix == ".csv":
        return f"{out}: {write_csv(out, results):,} lines of {len(results)} runs"
    write_marl_eval(out, results)
    return f"{out}: {len(results)} runs"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
