"""How figures look: for a two-column paper, with any colour vision, and for print without colours."""

from __future__ import annotations

from typing import Any

from pymarl.experiments.report.study import Method

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a6f5d")
"""Of Okabe and Ito, told apart with any colour vision; not their yellow and black, which a page loses."""

STYLES: tuple[tuple[float, tuple[float, ...]], ...] = ((0, ()), (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
"""Of lines: offset, and lengths of dashes and gaps in line widths."""

INK, DIM, LINE = "#1b1f24", "#59636e", "#dfe3e8"
"""Of text, of what stands back, of the grid. The page puts its own in their place."""

COLUMN, PAGE = 3.4, 7.0
"""Inches: a column of a two-column paper, and both with the gap between."""

RC: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 8, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.major.size": 2.5, "ytick.major.size": 2.5, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": DIM,
    "xtick.color": DIM, "ytick.color": DIM, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "grid.color": LINE,
    "grid.linewidth": 0.5, "pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "pymarl",
    "text.parse_math": False,
}  # fmt: skip


def colour(method: Method) -> str:
    """Return a method's colour."""
    return COLOURS[method.number % len(COLOURS)]


def style(method: Method) -> tuple[float, tuple[float, ...]]:
    """Return a method's line style; of 28 methods none has both the colour and the style of another."""
    return STYLES[method.number % len(STYLES)]
