"""The code in docs/library.md runs as it is written there, on fewer steps, and its table names every command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pymarl
from pymarl.utils.doors import DOORS
from wheel_kit import ROOT

TEXT = (ROOT / "docs" / "library.md").read_text()
SHORT = (
    "t_max=100, seed=1, batch_size_run=2, batch_size=2, minibatches=1, test_nepisode=2, runner_log_interval=1, "
    'env_args={"map_name": "3m"}'
)  # with seeds drawn, now and then no episode has ended when numbers are written


def test_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE))
    written = 't_max=20_000, seed=1, env_args={"map_name": "3m"}'
    assert written in code
    names: dict[str, object] = {}
    exec(compile(code.replace(written, SHORT), "docs/library.md", "exec"), names)
    assert names["actions"].shape == (2, 3)
    assert len(names["values"]) == len(names["t"]) > 0
    assert names["policy"].t_env >= 100


def test_its_table_is_whole() -> None:
    assert re.findall(r"^\| `pymarl ([\w-]+)` \|", TEXT, re.MULTILINE) == list(DOORS)


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {pymarl.__version__}\n" in (ROOT / "CITATION.cff").read_text()
