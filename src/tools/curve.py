"""Plot learning curves of runs: `python src/tools/curve.py results/sacred/3m/qmix/[0-9]* --out curve.png`.

Runs whose configs differ in seed, paths and length alone make one curve, the mean over their seeds with a 95% bootstrap
interval; a run that was resumed and the run that it goes on with are one. Each map has axes of its own. A curve goes as
far as its longest run, over the runs that come so far. The numbers are those of info.json, completed by info.jsonl.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

if not __package__:  # run as a file: python has put src/tools on the path, not src
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import matplotlib.ticker
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pymarl.tools.grouping import Group, Run, group_runs, read_runs
from pymarl.utils.doors import command_parser
from pymarl.utils.errors import UserError, refuse
from pymarl.utils.files import replacing_file

Array = NDArray[np.float64]

LABELS = {"test_battle_won_mean": "test win rate", "test_return_mean": "test return"}
POINTS = 400
"""At which runs of one curve are compared."""

RESAMPLES = 2000
LEVEL = 0.95
COLUMNS = 3
SUFFIXES = (".png", ".pdf", ".svg")


def interquartile_mean(values: Array) -> Array:
    """Return the mean [..., G] of the middle half of runs [..., N, G] (Agarwal et al. 2021)."""
    cut = values.shape[-2] // 4
    return np.sort(values, axis=-2)[..., cut : values.shape[-2] - cut, :].mean(-2)


STATISTICS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "mean": ("mean", lambda values: values.mean(-2)),
    "iqm": ("interquartile mean", interquartile_mean),
}


def parser() -> argparse.ArgumentParser:
    """Return the command's options."""
    parser = command_parser("python src/tools/curve.py", __doc__ or "")
    parser.add_argument("runs", type=Path, nargs="+", help="folders with info.json: results/sacred/<map>/<name>/<id>")
    parser.add_argument("--metric", help="metric of info.json; the test win rate, or else the test return")
    parser.add_argument("--statistic", choices=list(STATISTICS), default="mean", help="over seeds; iqm wants ten or so")
    parser.add_argument("--out", type=Path, default=Path("curve.png"), help=".png, .pdf or .svg (default: curve.png)")
    return parser


def on_grid(run: Run, grid: Array) -> Array:
    """Return a run's values [G] at env steps, between its numbers in a straight line; NaN where it has none.

    Tests do not fall on the same env steps in all runs, so a run counts for one gap longer than its numbers.
    """
    inside = (grid >= run.steps[0] - run.gap) & (grid <= run.last + run.gap)
    return np.where(inside, np.interp(grid, run.steps, run.values), np.nan)


def summarise(values: Array, statistic: Callable[[Array], Array]) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Return the statistic [G] over the runs that have a value, its interval's ends [G], and how many these are [G].

    Args:
        values: [N, G], NaN where a run has none.
        statistic: of [..., N, G] over N.
    """
    centre, low, high = (np.full(values.shape[1], np.nan) for _ in range(3))
    present = np.isfinite(values)
    for pattern in np.unique(present, axis=1).T:
        at, n = (present == pattern[:, None]).all(0), int(pattern.sum())
        if n == 0:
            continue
        some = values[np.ix_(pattern, at)]
        centre[at] = statistic(some)
        draws = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))  # the same figure every time
        if n > 1:
            ends = np.quantile(statistic(some[draws]), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
            low[at], high[at] = ends
    return centre, low, high, present.sum(0)


def draw(metric: str, groups: Sequence[Group], statistic: str = "mean") -> Figure:
    """Return the picture."""
    panels = list(dict.fromkeys(group.panel for group in groups))
    labels = list(dict.fromkeys(group.label for group in groups))
    columns = min(len(panels), COLUMNS)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(8 if columns == 1 else 5.5 * columns, 4.5 * rows), layout="constrained")
    several = any(len(group.runs) > 1 for group in groups)
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.set_title(_shown(panel))
        for group in groups:
            if group.panel == panel:
                _draw_group(axes, group, f"C{labels.index(group.label) % 10}", STATISTICS[statistic][1])
        _format_axes(axes, metric, f"{STATISTICS[statistic][0]}, {LEVEL:.0%} bootstrap interval" if several else "")
    return figure


def _draw_group(axes: Axes, group: Group, colour: str, statistic: Callable[[Array], Array]) -> None:
    first, last = min(run.steps[0] for run in group.runs), group.runs[0].last
    grid = np.linspace(first, last, POINTS if last > first else 1)
    centre, low, high, count = summarise(np.stack([on_grid(run, grid) for run in group.runs]), statistic)
    fewest, most = int(count[count > 0].min()), int(count.max())
    told = f"{most} run{'s' if most > 1 else ''}" if fewest == most else f"{fewest} to {most} runs"
    marker = "o" if len(grid) == 1 else ""
    axes.plot(grid, centre, color=colour, linewidth=2, marker=marker, label=f"{_shown(group.label)} ({told})")
    axes.fill_between(grid, low, high, color=colour, alpha=0.2, linewidth=0)


def _format_axes(axes: Axes, metric: str, legend: str) -> None:
    axes.set_xlabel("env steps")
    axes.set_ylabel(_shown(LABELS.get(metric, metric)))
    if metric == "test_battle_won_mean":
        axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_formatter(matplotlib.ticker.EngFormatter(sep=""))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best", title=legend or None, alignment="left", fontsize="small")


def _shown(text: str) -> str:
    return text.replace("$", r"\$")  # else it would be read as a formula


def remarks(groups: Sequence[Group]) -> list[str]:
    """Return a line for each run that did not complete, or ends before others of its curve."""
    lines = []
    for group in groups:
        longest = group.runs[0]
        for run in group.runs:
            ended = f"{run.status.lower()}, " if run.status not in ("", "COMPLETED") else ""
            short = run.last + run.gap < longest.last
            if short:
                lines.append(
                    f"{run.folder}: {ended}ends at {run.last:,.0f} of {longest.last:,.0f} env steps; "
                    f"{group.panel} {group.label} goes on without it"
                )
            elif ended:
                lines.append(f"{run.folder}: {ended}used up to its end at {run.last:,.0f} env steps")
    return lines


def main(argv: Sequence[str]) -> int:
    """Run a command line; return the exit code: 0 done, 1 wrong input."""
    options = parser().parse_args(argv)
    try:
        if options.out.suffix not in SUFFIXES:
            raise UserError(f"--out {options.out}: expected a name that ends in .png, .pdf or .svg")
        metric, runs, left_out = read_runs(options.runs, options.metric)
        groups, twice = group_runs(runs)
        for line in (*left_out, *twice):
            print(f"warning: left out: {line}", file=sys.stderr)
        for line in remarks(groups):
            print(f"warning: {line}", file=sys.stderr)
        with replacing_file(options.out) as temporary:
            draw(metric, groups, options.statistic).savefig(temporary, dpi=150)
    except (UserError, OSError) as error:
        return refuse(error)
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
