"""docs/first_hour.ipynb runs from the top: it trains, draws the curve, acts, and shows a battle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from docs_kit import ROOT

NOTEBOOK = ROOT / "docs" / "first_hour.ipynb"


def played(folder: Path, monkeypatch: pytest.MonkeyPatch, t_max: str) -> list[list[Any]]:
    """Run the notebook in a folder and return the outputs of its code cells."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "t_max=100_000" in cells[0].source
    cells[0].source = cells[0].source.replace("t_max=100_000", t_max)
    NotebookClient(notebook, timeout=250, resources={"metadata": {"path": str(folder)}}).execute()
    return [cell.outputs for cell in cells]


def shown(outputs: list[Any], kind: str) -> str:
    """Return what a cell shows of a kind."""
    return next(output.data[kind] for output in outputs if "data" in output and kind in output.data)


def test_it_runs_and_shows_curve_and_battle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, curve, acted, watched = played(tmp_path, monkeypatch, "t_max=2_000")
    assert 0 <= float(shown(trained, "text/plain")) <= 1
    assert len(shown(curve, "image/png")) > 5000
    assert 0 <= int(shown(acted, "text/plain")) <= 20
    page = shown(watched, "text/html")
    assert page.startswith("<div><iframe srcdoc=")
    assert "&lt;canvas" in page or "&lt;svg" in page
    assert list(tmp_path.glob("results/replays/*.html"))


@pytest.mark.nightly
def test_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, _, acted, _ = played(tmp_path, monkeypatch, "t_max=100_000")
    assert float(shown(trained, "text/plain")) > 0.8
    assert int(shown(acted, "text/plain")) > 15


def test_the_outputs_that_are_kept_show_both() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert shown(cells[1].outputs, "image/png")
    assert "<iframe" in shown(cells[3].outputs, "text/html")
    assert NOTEBOOK.stat().st_size < 300_000
