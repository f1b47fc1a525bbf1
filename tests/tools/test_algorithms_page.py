"""docs/algorithms.md and parts.md are what the command writes, and say something of every algorithm and part."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pymarl.run.config import PARTS
from pymarl.tools import algorithms
from pymarl.utils.layers import shipped_files


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: page() for name, page in algorithms.PAGES.items()}


def test_the_pages_are_up_to_date(pages: dict[str, str]) -> None:
    assert set(pages) == {"algorithms.md", "parts.md"}
    for name, text in pages.items():
        assert text == (algorithms.OUT / name).read_text(), "run python src/tools/algorithms.py"


def test_every_link_of_the_pages_leads_to_a_heading(pages: dict[str, str]) -> None:
    headings = {name: {algorithms.anchor(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}
                for name, text in pages.items()}  # fmt: skip
    links = {(page or "algorithms.md", anchor) for page, anchor in
             re.findall(r"\]\((\w+\.md)?#([^)]*)\)", pages["algorithms.md"])}  # fmt: skip
    assert len(links) > 100
    assert {(page, anchor) for page, anchor in links if anchor not in headings[page]} == set()


def test_every_algorithm_is_in_one_family_by_what_its_agents_say(pages: dict[str, str]) -> None:
    names = list(shipped_files("algs"))
    assert sorted(re.findall(r"^\| \[(\S+)\]\(#", pages["algorithms.md"], re.MULTILINE)) == sorted(names)
    families = {name: algorithms.family(name) for name in ("qmix", "pqn_vdn", "mappo", "vmix", "epymarl/maddpg_ns")}
    assert families == {"qmix": "Value-based", "pqn_vdn": "Value-based", "mappo": "Actor-critic",
                        "vmix": "Actor-critic", "epymarl/maddpg_ns": "Actor-critic"}  # fmt: skip


def test_every_algorithm_names_its_paper_and_every_key_says_what_it_is(pages: dict[str, str]) -> None:
    for name in shipped_files("algs"):
        text = (algorithms.CONFIG / "algs" / f"{name}.yaml").read_text()
        head = algorithms.head_of(text)
        assert algorithms.PAPER.search(head[""]), name
        assert head.get("Assumes"), name
        assert [key for key, (_, comment) in algorithms.comments_of(text).items() if not comment] == [], name
    for registry in PARTS:
        if registry.kind not in algorithms.ELSEWHERE:
            assert all(f"### {registry.kind} {name}\n\n" in pages["parts.md"] for name in registry)
    bare = [line for text in pages.values() for line in text.splitlines() if line.endswith(("`: ", "` |  |"))]
    assert bare == []


def test_a_sentence_is_taken_of_a_description() -> None:
    words = "VMIX (VDAC-mix): an actor-critic, see below. Su et al. 2021 (arXiv 2007.12306), PyMARL2's values."
    assert algorithms.first_sentence(words) == "an actor-critic, see below"
    assert algorithms.first_sentence("QMIX as it was tuned: Adam. More.") == "QMIX as it was tuned: Adam"
    assert algorithms.paper(words) == "[2007.12306](https://arxiv.org/abs/2007.12306)"


def test_labelled_lines_of_a_head_go_under_headings_of_their_own() -> None:
    head = algorithms.head_of("# A method.\n# Of it.\n# Assumes: this and\n# that.\n# Differs: so.\n\n# not: here\n")
    assert head == {"": "A method. Of it.", "Assumes": "this and that.", "Differs": "so."}


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert algorithms.main(["--out", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith("error: ")
