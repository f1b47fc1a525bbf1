"""Fixtures for tests that need a game."""

from __future__ import annotations

from pathlib import Path

import pytest

from sc2_standin.faults import VARIABLE
from sc2_standin.install import make_sc2path


@pytest.fixture
def sc2path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """SC2PATH, with the stand-in as the game."""
    folder = make_sc2path(tmp_path / "StarCraftII")
    monkeypatch.setenv("SC2PATH", str(folder))
    monkeypatch.delenv(VARIABLE, raising=False)
    return folder
