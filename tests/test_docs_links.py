"""Links of the docs lead somewhere, every page is in the site, and pictures are small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from docs_kit import BLOCK, LINK, PAGES, ROOT, broken_links, text_of, without_code

DOCS = ROOT / "docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert broken_links(page, ROOT if page.name.startswith("_") else None) == []


def test_many_links_were_looked_at() -> None:
    assert sum(len(LINK.findall(without_code(text_of(page)))) for page in PAGES) > 300


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# A heading, `with` code\n```\n# no heading\n```\n")
    (tmp_path / "a.md").write_text(
        "[1](b.md) [2](b.md#a-heading-with-code) [3](b.md#no-heading) [4](c.md) [5](#none) `[6](d.md)` [7](https://x.y)"
    )
    assert broken_links(tmp_path / "a.md") == ["b.md#no-heading", "c.md", "#none"]


def test_the_site_takes_every_block_for_one() -> None:
    """Of what stands behind ``` mkdocs knows a language and a title; a block with more is running text to it."""
    fences = [(page.name, info) for page in PAGES for _, info, _ in BLOCK.findall(text_of(page))]
    assert [fence for fence in fences if not re.fullmatch(r'(\w+( title="[^"]+")?)?', fence[1])] == []
    assert len(fences) > 60


def test_every_page_is_in_the_site_once() -> None:
    nav = re.findall(r"[\w/]+\.md", yaml.safe_dump(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(nav) == sorted(page.name for page in DOCS.glob("[!_]*.md"))


def test_pictures_are_small_and_used() -> None:
    pictures = list((DOCS / "pictures").iterdir())
    assert len(pictures) > 2
    assert [picture.name for picture in pictures if picture.stat().st_size > 200_000] == []
    text = "".join(map(text_of, PAGES))
    assert [picture.name for picture in pictures if f"pictures/{picture.name}" not in text] == []


@pytest.mark.nightly
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings_handlers.python", reason="pip install -r requirements-docs.txt")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    assert "Train" in (tmp_path / "runs.html").read_text()
