"""Replays as one HTML page that needs nothing else: no network, no server."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.replay.events import events_of
from pymarl.envs.skirmish.replay.replay import Replay
from pymarl.envs.skirmish.replay.theme import VIEWER, battle_box, glyphs, palettes, title
from pymarl.utils.files import write_text

SCRIPTS = (
    "theme.js",
    "address.js",
    "battles.js",
    "decode.js",
    "terrain.js",
    "units.js",
    "effects.js",
    "arena.js",
    "panel.js",
    "detail.js",
    "log.js",
    "timeline.js",
    "player.js",
)
"""In the order in which the page runs them."""

COOLDOWN_SCALE = 256
"""Cooldowns are whole numbers of 1 / COOLDOWN_SCALE loops."""


def write_page(replays: Sequence[Replay], path: Path) -> None:
    """Write the page of one or several replays, or leave the old one."""
    write_text(path, render_page(replays))


def render_page(replays: Sequence[Replay]) -> str:
    """Return the page of one or several replays as HTML; with several it has a list to choose from."""
    if not replays:
        raise ValueError("a page needs a replay")
    data = {"battles": [page_data(replay) for replay in replays], "palettes": palettes()}
    parts = {
        "TITLE": page_title(replays).replace("&", "&amp;").replace("<", "&lt;"),
        "STYLE": f"{_colours()}\n{(VIEWER / 'style.css').read_text(encoding='utf-8')}",
        # "<" would end the script if a name held "</script>"
        "REPLAY": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        "SCRIPT": "\n".join((VIEWER / name).read_text(encoding="utf-8") for name in SCRIPTS),
    }
    pieces = (VIEWER / "page.html").read_text(encoding="utf-8").split("@@")  # text, name, text, name, ..., text
    return "".join(parts[piece] if odd % 2 else piece for odd, piece in enumerate(pieces))


def page_title(replays: Sequence[Replay]) -> str:
    """Return what a browser's tab says: map and result, or the maps and how many battles."""
    if len(replays) == 1:
        return f"{replays[0].meta['map']} · {replays[0].meta['result']}"
    return f"{', '.join(dict.fromkeys(replay.meta['map'] for replay in replays))} · {len(replays)} battles"


def _colours() -> str:
    """Return the themes as CSS variables: as the system says, unless the page's switch says otherwise."""
    dark, light = (_variables(palettes()[name]) for name in ("dark", "light"))
    return (
        f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root:not([data-theme]){{{dark}}}}}\n"
        f":root[data-theme=dark]{{{dark}}}"
    )


def _variables(colours: Mapping[str, str]) -> str:
    return ";".join(f"--{name.replace('_', '-')}:{colour}" for name, colour in colours.items())


def page_data(replay: Replay) -> dict[str, Any]:
    """Return what the page's script reads: facts as they are, numbers as packed arrays.

    Places are whole numbers of 1 / place_scale cells, points of 1 / point_scale, values run from value_low over
    65535 steps to value_high. All of them fit 16 bits, and differences between loops are small and compress well.
    """
    meta, frames, steps, events = replay.meta, replay.frames, replay.steps, events_of(replay)
    kinds = meta["kinds"]
    place_scale = 65535 // max(meta["width"], meta["height"])
    point_scale = 65535 / max(1.0, *(kind[key] for kind in kinds for key in ("health", "shield", "energy")))
    arrays: dict[str, dict[str, Any]] = {}
    arrays |= {name: _scaled(frames[name], place_scale) for name in ("x", "y", "goal_x", "goal_y") if name in frames}
    arrays |= {name: _scaled(frames[name], point_scale) for name in ("health", "shield", "energy")}
    if "cooldown" in frames:
        arrays["cooldown"] = _scaled(frames["cooldown"], COOLDOWN_SCALE)
    arrays["facing"] = _pack((np.rint(events.facing * (128 / np.pi)).astype(np.int64) % 256).astype(np.uint8), True)
    arrays |= {name: _pack(frames[name].astype(np.int16)) for name in ("order", "target")}
    arrays |= {name: _pack(getattr(events, name)) for name in ("shots", "heals", "deaths")}
    arrays |= {"chosen": _pack(steps["actions"].astype(np.int16)), "reward": _pack(steps["reward"].astype(np.float32))}
    arrays["avail"] = _pack(steps["avail"].astype(np.uint8))
    low, high = 0.0, 0.0
    if "values" in steps:
        low, high, arrays["values"] = _values(steps["values"], steps["avail"])
    signs = glyphs([kind["name"] for kind in kinds])
    shown = [kind | {"title": title(kind["name"]), "glyph": sign} for kind, sign in zip(kinds, signs, strict=True)]
    facts = {"n_loops": replay.n_loops, "n_steps": len(steps["actions"]), "box": battle_box(replay)}
    facts["return"] = float(steps["reward"].sum(dtype=np.float64))
    scales = {"place_scale": place_scale, "point_scale": point_scale, "value_low": low, "value_high": high}
    return meta | {"kinds": shown, "arrays": arrays, "cooldown_scale": COOLDOWN_SCALE} | facts | scales


def _scaled(array: NDArray[np.float32], scale: float) -> dict[str, Any]:
    """Pack numbers >= 0 as 16 bits; what is above 0 stays above it."""
    whole = np.ceil(np.clip(array.astype(np.float64) * scale, 0, 65535) - 1e-3)
    return _pack(whole.astype(np.uint16), True)


def _values(values: NDArray[np.float32], avail: NDArray[np.bool_]) -> tuple[float, float, dict[str, Any]]:
    """Return the range of the values of available actions and the packed values; others are not shown."""
    shown = avail & np.isfinite(values)
    low, high = (float(values[shown].min()), float(values[shown].max())) if shown.any() else (0.0, 0.0)
    steps = np.where(shown, values - low, 0) * (65535 / (high - low) if high > low else 0)
    return low, high, _pack(np.rint(steps).astype(np.uint16))


def _pack(array: NDArray[Any], delta: bool = False) -> dict[str, Any]:
    """Return an array as text; with `delta`, as differences from the row before, which wrap around."""
    data = np.concatenate([array[:1], array[1:] - array[:-1]]) if delta else array
    text = base64.b64encode(zlib.compress(np.ascontiguousarray(data).tobytes(), 9)).decode()
    return {"type": f"{array.dtype.kind}{array.dtype.itemsize}", "width": array[:1].size, "delta": delta, "data": text}
