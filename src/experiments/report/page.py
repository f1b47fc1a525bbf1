"""A report as one HTML page that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from pymarl.experiments.report import figures
from pymarl.experiments.report.contents import own_of_methods, protocol
from pymarl.experiments.report.figures import Drawing
from pymarl.experiments.report.films import Film
from pymarl.experiments.report.study import Method, Study
from pymarl.experiments.report.style import COLOURS, DIM, INK, LINE, RC
from pymarl.experiments.report.tables import Table, as_html
from pymarl.experiments.report.words import axis_name, duration

TEMPLATE = Path(__file__).with_name("template")

VARIABLES = {INK: "--ink", DIM: "--dim", LINE: "--line"} | {shade: f"--c{n}" for n, shade in enumerate(COLOURS)}
"""Colour of a figure -> the page's variable in its place, which is another one in the dark."""

DASHES = ("", "8 3", "2 2", "9 2.5 2 2.5")
"""Of figures.STYLES, in a legend."""

SHORT = {
    "curves": "Curves",
    "curves_all": "All scenarios",
    "profile": "Profiles",
    "improvement": "Improvement",
    "cost": "Cost",
    "absolute_best": "Best checkpoint",
    "absolute_last": "Last checkpoint",
}
"""Section -> its name in the navigation, where the title is long."""

METHODS_TEXT = """\
<p>A test's value is the mean over its episodes. Tests stand at multiples of the interval between tests and are averaged
over seeds there. Intervals are percentile intervals of 2,000 stratified bootstrap samples: on each scenario the seeds
are drawn with replacement. IQM, optimality gap, performance profiles and probability of improvement are those of
Agarwal et al., <a href="https://arxiv.org/abs/2108.13264">Deep RL at the Edge of the Statistical Precipice</a> (2021);
normalisation and the absolute metric those of Gorsane et al., <a href="https://arxiv.org/abs/2209.10485">Towards a
Standardised Performance Evaluation Protocol for Cooperative MARL</a> (2022).</p>"""


def render_page(
    study: Study, drawn: Sequence[Drawing], tables: Sequence[Table], films: Sequence[Film], made_by: str
) -> str:
    """Return the page.

    Args:
        study: what it is about.
        drawn: its figures; each table stands below the figure of its title.
        tables: its tables.
        films: of battles.
        made_by: what has made it, for its foot: the command line.
    """
    sections = list(_sections(study, drawn, tables, films))
    parts = {
        "TITLE": html.escape(_heading(study)),
        "STYLE": (TEMPLATE / "style.css").read_text(encoding="utf-8"),
        "HEADING": html.escape(_heading(study)),
        "FACTS": html.escape(_facts(study)),
        "NAVIGATION": "".join(f'<a href="#{name}">{SHORT.get(name, title)}</a>' for name, title, _ in sections),
        "BODY": _notes(study) + "\n".join(_section(*each) for each in sections) + _foot(made_by),
        "SCRIPT": (TEMPLATE / "script.js").read_text(encoding="utf-8"),
    }
    pieces = (TEMPLATE / "page.html").read_text(encoding="utf-8").split("@@")  # text, name, text, name, ..., text
    return "".join(parts[piece] if odd % 2 else piece for odd, piece in enumerate(pieces))


def _heading(study: Study) -> str:
    names = [method.name for method in study.methods]
    places = study.scenarios
    return f"{_listed(names, 'methods')} on {_listed(places, 'scenarios')}"


def _listed(names: Sequence[str], what: str) -> str:
    """Return names in words; of many only how many."""
    if len(names) > 5:
        return f"{len(names)} {what}"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _facts(study: Study) -> str:
    runs = [run for cell in study.cells.values() for run in cell.runs]
    counts = sorted({len(cell.runs) for cell in study.cells.values()})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    spent = [run.wall_seconds for run in runs if run.wall_seconds is not None]
    facts = [f"{len(runs)} runs", f"{seeds} seed{'' if counts == [1] else 's'} each", axis_name(study.metric)]
    if spent:
        facts.append(f"{duration(sum(spent))} of training in all")
    return " · ".join(facts)


def _sections(
    study: Study, drawn: Sequence[Drawing], tables: Sequence[Table], films: Sequence[Film]
) -> Iterator[tuple[str, str, str]]:
    """Yield name, title and content of each section."""
    left = {table.name: table for table in tables}
    for drawing in drawn:
        content = _drawing(study, drawing)
        if table := left.pop("last_test" if drawing.name == "curves" else drawing.name, None):
            content += _table(table, heading=table.title != drawing.title)
        yield drawing.name, drawing.title, content
    runs = left.pop("runs", None)
    for table in left.values():
        yield table.name, table.title, _table(table)
    if films:
        yield "films", "Films", _films(films)
    yield "protocol", "Protocol", _protocol(study)
    if runs:
        yield "runs", "Runs", _table(runs)


def _section(name: str, title: str, content: str) -> str:
    return f'<section id="{name}"><h2>{html.escape(title)}</h2>\n{content}</section>'


def _notes(study: Study) -> str:
    if not study.notes:
        return ""
    items = "".join(f"<li>{html.escape(note)}</li>" for note in study.remarks)
    title = "Read this first" if len(study.notes) > 1 else "Note"
    return f'<details class="notes" open><summary>{title}</summary><ul>{items}</ul></details>\n'


def _foot(made_by: str) -> str:
    return f"\n<footer>{METHODS_TEXT}<p>Made by <code>{html.escape(made_by)}</code></p></footer>"


def _drawing(study: Study, drawing: Drawing) -> str:
    legend = _legend(study.methods) if drawing.legend else ""
    kind = "one" if len(drawing.panels) == 1 else "four" if drawing.columns == 4 else "some"
    shown = "\n".join(
        f"<figure>{_svg(figures.single(drawing, panel), f'{drawing.name}{place}', drawing.caption)}</figure>"
        for place, panel in enumerate(drawing.panels)
    )
    caption = f"{html.escape(drawing.caption)} {_files('figures', drawing.name, ('png', 'svg', 'pdf'))}"
    panels = f'<div class="panels {kind}">\n{shown}\n</div>'
    return f'{legend}<div class="drawing {kind}">{panels}<p class="caption">{caption}</p></div>'


def _files(folder: str, name: str, suffixes: Sequence[str]) -> str:
    """Return links to what stands beside the page."""
    named = ((suffix, "LaTeX" if suffix == "tex" else suffix.upper()) for suffix in suffixes)
    links = (f'<a href="{folder}/{name}.{suffix}">{word}</a>' for suffix, word in named)
    return f'<span class="files">{" ".join(links)}</span>'


def _legend(methods: Sequence[Method]) -> str:
    items = ""
    for method in methods:
        dash = DASHES[method.number % len(DASHES)]
        shade = f"var(--c{method.number % len(COLOURS)})"
        line = f'<path d="M0 5h34" stroke="{shade}" stroke-width="3" stroke-dasharray="{dash}"/>'
        items += f'<li><svg viewBox="0 0 34 10" aria-hidden="true">{line}</svg>{html.escape(method.name)}</li>'
    return f'<ul class="legend">{items}</ul>'


def _svg(figure: Figure, name: str, said: str) -> str:
    """Return a figure as part of the page: its colours are the page's, its ids its own."""
    file = io.StringIO()
    with matplotlib.rc_context(RC):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for shade, variable in VARIABLES.items():
        text = text.replace(shade, f"var({variable})")
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"([^>]*?) (?:width|height)="[^"]*"', r"\1\2", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(said)}" ', 1)


def _table(table: Table, *, heading: bool = False) -> str:
    title = f"<h3>{html.escape(table.title)}</h3>" if heading else ""
    caption = f"{html.escape(table.caption)} {_files('tables', table.name, ('csv', 'tex'))}"
    return f'{title}{as_html(table)}<p class="caption">{caption}</p>'


def _films(films: Sequence[Film]) -> str:
    shown = []
    for number, film in enumerate(films):
        title, result = html.escape(film.title), html.escape(film.result)
        picture = f'<img src="{film.poster}" alt="{title}, {result}">'
        if film.file:
            stage, text = f'<a class="stage" href="{html.escape(film.file)}">{picture}</a>', ""
        else:
            stage = f'<button class="stage" data-film="film{number}" title="Play: {title}">{picture}</button>'
            # "<" would end the script if the page held "</script>"
            text = json.dumps(film.page).replace("<", "\\u003c")
            text = f'<script type="application/json" id="film{number}">{text}</script>'
        caption = f"<figcaption>{title} <span>· {result}</span></figcaption>"
        shown.append(f'<figure class="film">{stage}{caption}{text}</figure>')
    return f'<div class="films">{"".join(shown)}</div><p class="caption">Recorded battles; a click plays one.</p>'


def _protocol(study: Study) -> str:
    found = protocol(study)
    content = ""
    for names, table in found:
        beside, own = own_of_methods(table)
        content += f"<h3>{html.escape(names)}</h3>" if len(found) > 1 else ""
        if beside:
            content += as_html(replace(table, rows=beside)) + f'<p class="caption">{html.escape(table.caption)}.</p>'
        else:
            content += '<p class="caption">Beside what makes the methods, the configs differ in seeds alone.</p>'
        if own:
            content += f"<details><summary>{len(own)} keys that make the methods</summary>"
            content += f"{as_html(replace(table, rows=own))}</details>"
    return content
