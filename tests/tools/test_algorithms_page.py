"""docs/algorithms.md is what the command writes, and says something of every algorithm and part."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymarl.run.config import PARTS
from pymarl.tools import algorithms
from pymarl.utils.layers import shipped_files


def test_the_page_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "algorithms.md"
    assert algorithms.main(["--out", str(written)]) == 0
    assert written.read_text() == algorithms.OUT.read_text(), "run python src/tools/algorithms.py"


def test_every_link_of_the_page_leads_to_a_heading() -> None:
    lines = algorithms.page().splitlines()
    headings = {algorithms.anchor(line.lstrip("# ")) for line in lines if line.startswith("#")}
    links = {link.split(")")[0] for line in lines for link in line.split("](#")[1:]}
    assert len(links) > 15
    assert links <= headings


def test_every_algorithm_names_its_paper_and_every_key_says_what_it_is() -> None:
    for name in shipped_files("algs"):
        text = (algorithms.CONFIG / "algs" / f"{name}.yaml").read_text()
        head = algorithms.head_of(text)[""]
        assert "arXiv" in head or "values" in head, name
    page = algorithms.page()
    for registry in PARTS:
        if registry.kind not in algorithms.ELSEWHERE:
            assert all(f"### {registry.kind} {name}\n\n" in page for name in registry)
    bare = [line for line in page.splitlines() if line.endswith(("`: ", "` |  |"))]
    assert bare == []


def test_labelled_lines_of_a_head_go_under_headings_of_their_own() -> None:
    head = algorithms.head_of("# A method.\n# Of it.\n# Assumes: this and\n# that.\n# Differs: so.\n\n# not: here\n")
    assert head == {"": "A method. Of it.", "Assumes": "this and that.", "Differs": "so."}


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert algorithms.main(["--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("error: ")
