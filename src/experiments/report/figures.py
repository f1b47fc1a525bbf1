"""The figures of a report, as panels that stand together in a paper and one by one in a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pymarl.experiments.report import numbers
from pymarl.experiments.report.numbers import Band, Estimate
from pymarl.experiments.report.study import BOUNDED, Method, Study
from pymarl.experiments.report.style import COLUMN, DIM, PAGE, RC, colour, style
from pymarl.experiments.report.words import amount, axis_name, duration


@dataclass(frozen=True)
class Panel:
    """Axes of a figure: a title, and what to draw."""

    title: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes:
        name: of its files.
        title: of its section.
        caption: what is shown and how it was computed.
        height: inches of a panel.
        columns: most panels beside each other, in a paper.
        legend: whether lines are told apart by a legend; otherwise by their labels.
        alone: inches of a panel's width where it stands alone, on the page.
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    height: float
    columns: int
    legend: bool
    alone: float = 4.0


def drawings(study: Study) -> list[Drawing]:
    """Return the figures of a report."""
    several = len(study.shared) > 1
    found = [_curves(study)]
    if several:
        found.append(_overall(study))
    found.append(_aggregates(study))
    found.append(_profiles(study))
    if len(study.methods) > 1:
        found.append(_improvement(study))
    return found


def _band_words(study: Study) -> str:
    if max(len(cell.runs) for cell in study.cells.values()) == 1:
        return "one seed each, so there is no band"
    return "shaded: 95% stratified bootstrap interval over seeds"


def _end_words(study: Study) -> str:
    return " Over time, a curve ends with its method's quickest run." if study.options.x == "seconds" else ""


def _curves(study: Study) -> Drawing:
    statistic = numbers.CURVES[study.options.aggregate][0]
    panels = tuple(Panel(name, partial(_draw_curves, study, name)) for name in study.scenarios)
    caption = f"{axis_name(study.metric).capitalize()}, {statistic} over seeds; {_band_words(study)}."
    caption += _end_words(study)
    return Drawing("curves", "Learning curves", caption, panels, 2.1, 3, True, {1: 4.0, 2: 3.8}.get(len(panels), 3.0))


def _normalised(study: Study) -> str:
    return axis_name(study.metric, normalised=study.metric not in BOUNDED)


def _draw_curves(study: Study, scenario: str, axes: Axes) -> None:
    for method, _ in study.of(scenario):
        _line(axes, method, numbers.curve(study, scenario, method))
    _dress(axes, study, axis_name(study.metric), bounded=study.metric in BOUNDED)


def _overall(study: Study) -> Drawing:
    statistic = numbers.CURVES[study.options.aggregate][0]

    def draw(axes: Axes) -> None:
        for method in study.methods:
            _line(axes, method, numbers.overall_curve(study, method))
        _dress(axes, study, _normalised(study), bounded=True)

    caption = (
        f"{statistic.capitalize()} of the {_normalised(study)} over the seeds of {len(study.shared)} scenarios "
        f"({', '.join(study.shared)}); {_band_words(study)}.{_end_words(study)}"
    )
    return Drawing("curves_all", "All scenarios together", caption, (Panel("", draw),), 2.3, 1, True)


def _line(axes: Axes, method: Method, band: Band, step: bool = False) -> None:
    kind = "steps-post" if step else "default"
    marker = "o" if len(band.x) == 1 else ""
    axes.plot(band.x, band.centre, color=colour(method), linestyle=style(method), linewidth=1.5, marker=marker,
              drawstyle=kind, label=method.name, zorder=3)  # fmt: skip
    if band.low is not None and band.high is not None:
        axes.fill_between(band.x, band.low, band.high, color=colour(method), alpha=0.18, linewidth=0,
                          step="post" if step else None)  # fmt: skip


def _dress(axes: Axes, study: Study, label: str, *, bounded: bool) -> None:
    """Give a panel of curves its axes."""
    seconds = study.options.x == "seconds"
    axes.set_xlabel("wall clock of training" if seconds else "env steps")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 3, 5, 6, 10] if seconds else [1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: duration(x) if seconds else amount(x)))
    if bounded:
        axes.set_ylim(-0.02, 1.02)
    axes.margins(x=0.01)
    _plain(axes)


def _plain(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    axes.grid(axis=grid)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _aggregates(study: Study) -> Drawing:
    found = {method.label: numbers.aggregates(study, method) for method in study.methods}

    def panel(name: str) -> Panel:
        rows = [(method.name, colour(method), found[method.label][name]) for method in study.methods]
        return Panel(f"{name} {'↓' if name == 'Optimality gap' else '↑'}", partial(_intervals, rows))

    caption = (
        f"Last {_normalised(study)} over the runs on {', '.join(study.shared)}; bars: 95% stratified bootstrap "
        "interval. The optimality gap is what is missing to 1: less is better."
    )
    panels = tuple(panel(name) for name in numbers.AGGREGATES)
    return Drawing("aggregates", "Aggregates", caption, panels, 0.55 + 0.2 * len(study.methods), 4, False, 2.2)


def _intervals(rows: Sequence[tuple[str, str, Estimate]], axes: Axes) -> None:
    """Draw a line for each row: its interval as a bar, its value as a mark."""
    for place, (_, shade, found) in enumerate(rows):
        low, high = found.interval or (found.value, found.value)
        axes.barh(place, max(high - low, 0), left=low, height=0.6, color=shade, alpha=0.35, linewidth=0)
        axes.plot([found.value] * 2, [place - 0.3, place + 0.3], color=shade, linewidth=2, solid_capstyle="butt")
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    low, high = axes.get_xlim()
    if high - low < 0.1:  # values that are nearly one would fill the panel with nothing
        axes.set_xlim((low + high) / 2 - 0.05, (low + high) / 2 + 0.05)
    _plain(axes, "x")
    axes.spines["left"].set_visible(False)


def _profiles(study: Study) -> Drawing:
    def draw(axes: Axes) -> None:
        for method in study.methods:
            _line(axes, method, numbers.profile(study, method), step=True)
        axes.set_xlabel(f"{_normalised(study)} τ")
        axes.set_ylabel("fraction of runs > τ")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.02, 1.02)
        _plain(axes)

    caption = (
        f"Performance profile: the fraction of runs whose last test is above τ, on {', '.join(study.shared)}; "
        f"{_band_words(study)}. Higher is better."
    )
    return Drawing("profile", "Performance profiles", caption, (Panel("", draw),), 2.3, 1, True)


def _improvement(study: Study) -> Drawing:
    best = numbers.reference(study)
    others = [method for method in study.methods if method is not best]
    rows = [(f"{each.name} > {best.name}", colour(each), numbers.improvement(study, each, best)) for each in others]

    def draw(axes: Axes) -> None:
        _intervals(rows, axes)
        axes.axvline(0.5, color=DIM, linewidth=0.8, linestyle=(0, (3, 2)), zorder=0)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_xlabel("P(X > Y)")

    why = "the reference" if study.reference else "the method of the greatest IQM"
    caption = (
        f"How likely a run of a method is better than one of {best.name} ({why}) on a scenario drawn at random; a tie "
        "counts half; bars: 95% stratified bootstrap interval. One that holds 0.5 says nothing."
    )
    panels = (Panel("", draw),)
    return Drawing("improvement", "Probability of improvement", caption, panels, 0.7 + 0.2 * len(rows), 1, False)


def paper(drawing: Drawing, methods: Sequence[Method]) -> Figure:
    """Return a figure for a paper: a column wide for one panel, two for more."""
    with matplotlib.rc_context(RC):
        columns = min(len(drawing.panels), drawing.columns)
        rows = math.ceil(len(drawing.panels) / columns)
        width = COLUMN if columns == 1 else PAGE
        lines = math.ceil(len(methods) / (3 if columns == 1 else 6)) if drawing.legend else 0
        figure = Figure(figsize=(width, rows * drawing.height + 0.22 * lines), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(grid, drawing.panels, strict=False):
            panel.draw(axes)
            axes.set_title(panel.title)
        for axes in grid[len(drawing.panels) :]:
            axes.set_axis_off()
        for number, axes in enumerate(grid):
            _share_labels(axes, number % columns == 0, drawing.legend)
        if drawing.legend:
            handles = [Line2D([], [], color=colour(each), linestyle=style(each), linewidth=1.5) for each in methods]
            figure.legend(handles, [each.name for each in methods], loc="outside upper center", frameon=False,
                          ncols=math.ceil(len(methods) / lines), handlelength=2.6, columnspacing=1.4)  # fmt: skip
        return figure


def _share_labels(axes: Axes, first: bool, legend: bool) -> None:
    """Leave the y label to the first panel of a row, as are the methods' names of one without a legend."""
    if not first:
        axes.set_ylabel("")
        if not legend:
            axes.set_yticklabels([])


def single(drawing: Drawing, panel: Panel) -> Figure:
    """Return one panel of a figure alone, for a page."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(drawing.alone, max(drawing.height, 0.9)), layout="constrained")
        figure.set_facecolor("none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        panel.draw(axes)
        axes.set_title(panel.title, fontweight="bold")
        return figure
