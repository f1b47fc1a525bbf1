"""How a replay looks: what the page and the pictures have in common."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pymarl.envs.skirmish.replay.replay import Replay

VIEWER = Path(__file__).parent / "viewer"

GLYPHS = {
    "marine": "M",
    "marauder": "R",
    "medivac": "+",
    "stalker": "S",
    "zealot": "Z",
    "colossus": "C",
    "zergling": "L",
    "baneling": "B",
    "hydralisk": "H",
    "spine_crawler": "T",
}
MARGIN = 2.0
"""Cells shown around the battle."""


@cache
def palettes() -> dict[str, dict[str, str]]:
    """Return the colours of the page by theme, "dark" and "light": `#rrggbb` by name, and "scheme"."""
    themes: dict[str, dict[str, str]] = json.loads((VIEWER / "palette.json").read_text(encoding="utf-8"))
    return themes


def palette() -> dict[str, str]:
    """Return the colours of pictures and films, `#rrggbb` by name."""
    return palettes()["dark"]


def glyphs(names: Sequence[str]) -> list[str]:
    """Return a sign for each unit type: the known ones, else the first letter of the name that no other has."""
    taken = {GLYPHS[name] for name in names if name in GLYPHS}
    signs = []
    for name in names:
        sign = GLYPHS.get(name) or next((c for c in name.upper() if c.isalnum() and c not in taken), "?")
        taken.add(sign)
        signs.append(sign)
    return signs


def title(name: str) -> str:
    """Return a name as a person would write it."""
    return name.replace("_", " ").capitalize()


def battle_box(replay: Replay) -> tuple[float, float, float, float]:
    """Return west, east, south, north in cells of where units ever are, with a margin, inside the map."""
    x, y = replay.frames["x"], replay.frames["y"]
    margin = MARGIN + max(kind["radius"] for kind in replay.meta["kinds"])
    west, east = max(float(x.min()) - margin, 0), min(float(x.max()) + margin, replay.meta["width"])
    south, north = max(float(y.min()) - margin, 0), min(float(y.max()) + margin, replay.meta["height"])
    return west, east, south, north
