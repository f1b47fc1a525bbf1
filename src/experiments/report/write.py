"""The files of a report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from pymarl.experiments.report import figures
from pymarl.experiments.report.contents import protocol, summary, tables
from pymarl.experiments.report.figures import Drawing
from pymarl.experiments.report.films import films_of
from pymarl.experiments.report.numbers import Band, curve_bands, profile
from pymarl.experiments.report.page import render_page
from pymarl.experiments.report.study import Method, Study
from pymarl.experiments.report.style import RC
from pymarl.experiments.report.tables import Table, as_csv, as_latex, as_markdown, csv_text
from pymarl.utils.files import replacing_file, write_text

FORMATS: dict[str, dict[str, Any]] = {
    "png": {"dpi": 300},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
"""Of figures; without a date, so that the same runs make the same files."""

POINTS = ("scenario", "method", "x", "value", "low", "high", "seeds")


def write_report(study: Study, out: Path, films: Sequence[Path], made_by: str, warn: Callable[[str], None]) -> Path:
    """Write a report into a folder and return its page; what is there of other names stays.

    Args:
        study: what to report.
        out: holds index.html, report.md (all tables), figures/ (PNG, SVG, PDF, and CSV of the curves), tables/ (CSV,
            LaTeX) and, where the page would grow too large, films/.
        films: replays, or folders of them, beside those of the runs.
        made_by: the command line.
        warn: is told of replays that cannot be read.
    """
    drawn, made = figures.drawings(study), tables(study)
    for drawing in drawn:
        write_figure(out / "figures", drawing, study.methods)
    profiles = [("all", method, profile(study, method)) for method in study.methods]
    write_text(out / "figures" / "curves.csv", csv_text(POINTS, _points(curve_bands(study))))
    write_text(out / "figures" / "profile.csv", csv_text(POINTS, _points(profiles)))
    for table in made:
        write_text(out / "tables" / f"{table.name}.csv", as_csv(table))
        write_text(out / "tables" / f"{table.name}.tex", as_latex(table))
    for number, (names, table) in enumerate(protocol(study), start=1):
        suffix = f"_{number}" if number > 1 else ""
        write_text(out / "tables" / f"protocol{suffix}.csv", f"# {names}\n{as_csv(table)}")
    shown = films_of(study, films, warn)
    for film in shown:
        if film.file:
            write_text(out / film.file, film.page)
    write_text(out / "report.md", _markdown(study, made, made_by))
    page = out / "index.html"
    write_text(page, render_page(study, drawn, made, shown, made_by))
    return page


def _markdown(study: Study, made: Sequence[Table], made_by: str) -> str:
    """Return the tables, with what a reader has to know, for a README or an issue."""
    notes = "".join(f"- {note}\n" for note in study.remarks)
    shown = [(each.title, each.caption, as_markdown(each)) for each in (summary(study), *made)]
    parts = [f"## {title}\n\n{caption}\n\n{text}" for title, caption, text in shown]
    return "\n".join([f"`{made_by}`\n", *([notes] if notes else []), *parts])


def write_figure(folder: Path, drawing: Drawing, methods: Sequence[Method]) -> None:
    """Write a figure for a paper in all formats; the methods are those of its legend."""
    figure = figures.paper(drawing, methods)
    for suffix, options in FORMATS.items():
        with replacing_file(folder / f"{drawing.name}.{suffix}") as path, matplotlib.rc_context(RC):
            figure.savefig(path, **options)


def _points(named: Sequence[tuple[str, Method, Band]]) -> list[tuple[Any, ...]]:
    """Return the points of bands: scenario, method, x, value, its interval's ends or nothing, seeds."""
    return [
        (name, method.name, float(band.x[place]), float(band.centre[place]),
         *("" if ends is None else float(ends[place]) for ends in (band.low, band.high)), band.count)
        for name, method, band in named
        for place in range(len(band.x))
    ]  # fmt: skip
