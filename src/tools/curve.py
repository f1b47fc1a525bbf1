"""Plot learning curves of runs: `python src/tools/curve.py results/sacred/3m/qmix/* --out curve.png`.

Runs in the same folder (one algorithm on one scenario, several seeds) make one curve: the median over runs, with a
band from the lowest to the highest. The numbers are those of info.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # run as a file: python has put src/tools on the path, not src
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from utils.errors import UserError, closest

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Env steps and values."""

LABELS = {"test_battle_won_mean": "test win rate", "test_return_mean": "test return"}
PREFERRED = tuple(LABELS)
POINTS = 400
"""At which runs of one curve are compared."""


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = argparse.ArgumentParser(
        prog="python src/tools/curve.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders with info.json: results/sacred/<map>/<name>/<id>")
    parser.add_argument("--metric", help="metric of info.json; the test win rate, or else the test return")
    parser.add_argument("--out", type=Path, default=Path("curve.png"), help=".png, .pdf or .svg (default: curve.png)")
    return parser


def read_metrics(run: Path) -> dict[str, list[float]]:
    """Return a run's info.json."""
    path = run / "info.json"
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the folder of a run, results/sacred/<map>/<name>/<id>")
    try:
        metrics: dict[str, list[float]] = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: broken ({error}); expected the JSON that a run writes") from error
    return {key: values for key, values in metrics.items() if values}


def trained(run: Path) -> bool:
    """Tell whether a folder is a training run: sacred's sources and evaluations lie beside them."""
    path = run / "config.json"
    if run.name == "_sources":
        return False
    if not path.is_file():
        return True  # read_metrics says what is wrong
    config = json.loads(path.read_text())
    return not (config["evaluate"] or config["save_replay"])


def choose_metric(metrics: dict[str, list[float]], run: Path, wanted: str | None) -> str:
    """Return the metric to plot; UserError if the run has no such numbers."""
    plottable = [key for key in metrics if f"{key}_T" in metrics]
    if wanted is None:
        found = [key for key in PREFERRED if key in plottable]
        if not found:
            raise UserError(f"{run}: no test has been logged yet; name another --metric ({', '.join(plottable)})")
        return found[0]
    if wanted not in plottable:
        raise UserError(f"{run}: no metric {wanted!r}{closest(wanted, plottable)} (logged: {', '.join(plottable)})")
    return wanted


def read_curves(runs: Sequence[Path], wanted: str | None) -> tuple[str, dict[str, list[Curve]]]:
    """Return the metric and {label: curves of its runs}."""
    groups: dict[str, list[Curve]] = {}
    metric = wanted
    for run in filter(trained, (path.resolve() for path in runs)):
        metrics = read_metrics(run)
        metric = choose_metric(metrics, run, metric)
        curve = np.array(metrics[f"{metric}_T"], np.float64), np.array(metrics[metric], np.float64)
        if len(curve[0]) != len(curve[1]):
            raise UserError(
                f"{run}: {len(curve[1])} values of {metric} at {len(curve[0])} env steps; info.json is broken"
            )
        groups.setdefault(f"{run.parent.parent.name}: {run.parent.name}", []).append(curve)
    if metric is None or not groups:
        raise UserError("no training run among the folders; expected results/sacred/<map>/<name>/<id>")
    return metric, groups


def draw(metric: str, groups: dict[str, list[Curve]]) -> Figure:
    """Return the picture."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for label, curves in groups.items():
        last = min(steps[-1] for steps, _ in curves)
        grid = np.linspace(min(steps[0] for steps, _ in curves), last, POINTS)
        values = np.stack([np.interp(grid, *curve) for curve in curves])
        count = f" ({len(curves)} runs: median, lowest to highest)" if len(curves) > 1 else ""
        (line,) = axes.plot(grid, np.median(values, 0), label=label + count, linewidth=2)
        if len(curves) > 1:
            axes.fill_between(grid, values.min(0), values.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
    axes.set_xlabel("env steps")
    axes.set_ylabel(LABELS.get(metric, metric))
    if metric == "test_battle_won_mean":
        axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best")
    return figure


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input."""
    options = parser().parse_args(argv)
    try:
        if options.out.suffix not in (".png", ".pdf", ".svg"):
            raise UserError(f"--out {options.out}: expected a name that ends in .png, .pdf or .svg")
        options.out.parent.mkdir(parents=True, exist_ok=True)
        draw(*read_curves(options.runs, options.metric)).savefig(options.out, dpi=150)
    except (UserError, OSError) as error:
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        return 1
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
