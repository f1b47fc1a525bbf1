"""Reads the docs as a reader does: their links, the files that they show, and the commands that they tell to type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pymarl.tools.algorithms import anchor

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "README.md"]
BLOCK = re.compile(r"(?:^<!-- not run: ([^\n]*) -->\n)?^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TYPED = re.compile(r"(?:[A-Z_]+=\S+ )*(?:python|pip|git|source|export|ray|mkdocs|sed|tensorboard|\./|\.ci/)")


@dataclass
class Command:
    """A command of a page: a line to type, with what the page says it prints (None: nothing is said)."""

    line: str
    prints: str | None


def text_of(page: Path) -> str:
    """Return a page's text."""
    return page.read_text(encoding="utf-8")


def without_code(text: str) -> str:
    """Return a page's text without its blocks and words of code."""
    return re.sub(r"`[^`\n]*`", "", BLOCK.sub("", text))


def anchors(text: str) -> set[str]:
    """Return the names of a page's headings in links."""
    lines = BLOCK.sub("", text).splitlines()
    return {anchor(line.lstrip("#").strip()) for line in lines if re.match(r"#{1,6} ", line)}


def broken_links(page: Path, base: Path | None = None) -> list[str]:
    """Return the links of a page that lead to no file here, or to no heading; others' addresses are not looked at."""
    broken = []
    for link in LINK.findall(without_code(text_of(page))):
        if re.match(r"https?://", link):
            continue
        name, _, heading = link.partition("#")
        target = (base or page.parent) / name if name else page
        if not target.is_file() or (heading and heading not in anchors(text_of(target))):
            broken.append(link)
    return broken


def files_shown(page: Path) -> dict[str, str]:
    """Return {name: text} of the files that a page shows, which are blocks with a title."""
    titles = ((re.search(r'title="([^"]+)"', info), text) for _, info, text in BLOCK.findall(text_of(page)))
    return {title[1]: text for title, text in titles if title}


def commands(page: Path) -> list[Command]:
    """Return what a page tells to type, in its order, without the blocks that say why they are not run."""
    found = []
    for reason, info, text in BLOCK.findall(text_of(page)):
        if reason or info:
            continue
        text = re.sub(r"\s*\\\n\s*", " ", text)
        if text.startswith("$ "):
            parts = [part.split("\n", 1) for part in text[2:].split("\n$ ")]
            found += [Command(line, rest.strip() or None) for line, rest in ([*part, ""][:2] for part in parts)]
        else:
            lines = [line.split("  #")[0].strip() for line in text.splitlines()]
            found += [Command(line, None) for line in lines if TYPED.match(line)]
    return found


def reasons(page: Path) -> list[str]:
    """Return why blocks of a page are not run."""
    return [reason for reason, _, _ in BLOCK.findall(text_of(page)) if reason]
