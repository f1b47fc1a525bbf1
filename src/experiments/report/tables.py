"""The tables of a report, and how they are written: CSV, LaTeX (booktabs), Markdown, HTML."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymarl.experiments.report.numbers import Estimate


@dataclass(frozen=True)
class Entry:
    """A place of a table.

    Attributes:
        text: what a reader sees.
        value: what sorts and a CSV has; the text if it is None.
        interval: ends, of an estimate's interval or of a spread.
        note: shown behind the text in place of the interval.
        bold: the best of its row or column, and the intervals say so.
    """

    text: str
    value: float | str | None = None
    interval: tuple[float, float] | None = None
    bold: bool = False
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: of its files.
        title: of its section.
        caption: what is in it, and how it was computed.
        columns: headings.
        rows: as many entries each.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: list[tuple[Entry, ...]]

    def numeric(self, place: int) -> bool:
        """Tell whether a column holds numbers, not words."""
        return any(isinstance(row[place].value, int | float) for row in self.rows)


def words(*texts: str) -> tuple[Entry, ...]:
    """Return entries of words."""
    return tuple(Entry(text) for text in texts)


def number(found: Estimate | None, *, bold: bool = False, digits: int = 2) -> Entry:
    """Return the entry of an estimate; a dash for none."""
    if found is None:
        return Entry("-", "")
    return Entry(f"{found.value:.{digits}f}", found.value, found.interval, bold)


def best_of(found: Sequence[Estimate | None], *, less: bool = False) -> int | None:
    """Return which is best beyond doubt: its interval lies beside all others'. None if that is none."""
    there = [(place, each) for place, each in enumerate(found) if each is not None]
    if len(there) < 2 or any(each.interval is None for _, each in there):
        return None
    sign = -1 if less else 1
    place, best = max(there, key=lambda pair: sign * pair[1].value)
    assert best.interval is not None
    rest = [each.interval for other, each in there if other != place and each.interval is not None]
    apart = all(best.interval[1] < low for low, _ in rest) if less else all(best.interval[0] > high for _, high in rest)
    return place if apart else None


def digits_for(found: Sequence[Estimate | None]) -> int:
    """Return how many decimals a row of estimates wants: two up to ten, one up to a hundred."""
    largest = max((abs(each.value) for each in found if each is not None), default=0.0)
    return 2 if largest < 10 else 1 if largest < 100 else 0


def _interval_text(entry: Entry) -> str:
    if entry.note or entry.interval is None:
        return entry.note
    digits = len(entry.text.partition(".")[2])
    return "[" + ", ".join(f"{end:.{digits}f}" for end in entry.interval) + "]"


def as_csv(table: Table) -> str:
    """Return a table as CSV, an interval in two columns of its own."""
    with_ends = [any(row[place].interval is not None for row in table.rows) for place in range(len(table.columns))]
    heading = [word for column, ends in zip(table.columns, with_ends, strict=True)
               for word in ([column, f"{column} low", f"{column} high"] if ends else [column])]  # fmt: skip
    rows = []
    for row in table.rows:
        line: list[Any] = []
        for entry, ends in zip(row, with_ends, strict=True):
            line.append(entry.text if entry.value is None else entry.value)
            line += (entry.interval or ("", "")) if ends else ()
        rows.append(line)
    return csv_text(heading, rows)


def csv_text(heading: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return lines of CSV; decimals are cut to six."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return text.getvalue()


def _plain(cell: Any) -> Any:
    """Return a number without needless digits."""
    if not isinstance(cell, float):
        return cell
    return int(cell) if cell.is_integer() else round(cell, 6)


SPECIAL = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
           "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
           ">": r"\textgreater{}", "↓": r"$\downarrow$"}  # fmt: skip


def latex_escaped(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(SPECIAL.get(letter, letter) for letter in text)


def as_latex(table: Table) -> str:
    """Return a table for LaTeX with the package booktabs; what is best beyond doubt is bold."""
    spec = "".join("c" if table.numeric(place) else "l" for place in range(len(table.columns)))
    lines = [
        r"% needs \usepackage{booktabs}", r"\begin{table}", r"\centering",
        rf"\caption{{{latex_escaped(table.caption)}}}", rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{spec}}}", r"\toprule",
        " & ".join(latex_escaped(column) for column in table.columns) + r" \\", r"\midrule",
    ]  # fmt: skip
    for row in table.rows:
        lines.append(" & ".join(_latex_entry(entry) for entry in row) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_entry(entry: Entry) -> str:
    text = latex_escaped(entry.text)
    text = rf"\textbf{{{text}}}" if entry.bold else text
    ends = latex_escaped(_interval_text(entry))
    return rf"{text} {{\scriptsize {ends}}}" if ends else text


def as_markdown(table: Table) -> str:
    """Return a table for Markdown, as GitHub and mkdocs read it."""
    aligned = ["---:" if table.numeric(place) else "---" for place in range(len(table.columns))]
    body = [[_markdown_entry(entry) for entry in row] for row in table.rows]
    lines = [[_markdown_escaped(column) for column in table.columns], aligned, *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _markdown_entry(entry: Entry) -> str:
    text, ends = _markdown_escaped(entry.text), _interval_text(entry)
    text = f"**{text}**" if entry.bold else text
    ends = f"({ends})" if entry.note else ends
    return f"{text} {ends}" if ends else text


def _markdown_escaped(text: str) -> str:
    """Return text that cannot end a cell, and that Markdown prints as it is."""
    return re.sub(r"([\\|*_`<\[])", r"\\\1", text)


def as_html(table: Table) -> str:
    """Return a table for the page, whose script sorts it by `data-v`."""
    head = "".join(f'<th scope="col"{_aligned(table, place)}>{html.escape(column)}</th>'
                   for place, column in enumerate(table.columns))  # fmt: skip
    body = "\n".join(
        "<tr>" + "".join(_html_entry(entry, _aligned(table, place)) for place, entry in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _aligned(table: Table, place: int) -> str:
    return ' class="n"' if table.numeric(place) else ""


def _html_entry(entry: Entry, aligned: str) -> str:
    value = "" if entry.value is None else f' data-v="{html.escape(str(entry.value))}"'
    text = html.escape(entry.text)
    text = f"<b>{text}</b>" if entry.bold else text
    ends = _interval_text(entry)
    return f"<td{aligned}{value}>{text}{f' <small>{html.escape(ends)}</small>' if ends else ''}</td>"
