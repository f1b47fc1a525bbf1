"""Reading replays that may be damaged, foreign or made to harm: nothing is unpacked or shown that does not fit."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import BLAST, HUNT
from pymarl.utils.config import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, Range, check_value

LARGEST = 2**30
"""Bytes of a replay unpacked; a long battle of 57 units takes some 10 MB."""

Short = Annotated[int, Range(ge=1, le=256)]
META: dict[str, Any] = {
    "map": str,
    "seed": str,
    "result": Literal["won", "lost", "draw", "truncated", "unfinished"],
    "loops_per_second": PositiveInt,
    "step_mul": Short,
    "n_agents": PositiveInt,
    "n_enemies": PositiveInt,
    "width": Short,
    "height": Short,
    "actions": tuple[str, ...],
    "kinds": tuple[dict, ...],
    "unit_kinds": tuple[NonNegativeInt, ...],
    "ground": tuple[str, ...],
    "levels": tuple[str, ...],
}
KIND: dict[str, Any] = {
    "name": str,
    "radius": Annotated[float, Range(gt=0, le=16)],
    "health": PositiveFloat,
    "heals": bool,
    "hits": Annotated[int, Range(ge=1, le=2)],
    "splash": Annotated[int, Range(ge=0, le=BLAST)],
    "layer": Annotated[int, Range(ge=0, le=2)],
    **dict.fromkeys(("shield", "energy", "reach", "hit_gap", "splash_radius", "missile_speed"), NonNegativeFloat),
}


def read_entries(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a .npz. ValueError if one claims more than it has, or all are too large to be a replay."""
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
        if size > LARGEST:
            raise ValueError(f"{size / 2**30:.1f} GiB unpacked, more than {LARGEST / 2**30:.0f} GiB")
        return {entry.filename.removesuffix(".npy"): _read(archive, entry) for entry in archive.infolist()}


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(entry) as file:
        formats = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = formats[np.lib.format.read_magic(file)](file)
        count = math.prod(shape)
        if dtype.hasobject or dtype.itemsize == 0 or file.tell() + count * dtype.itemsize != entry.file_size:
            raise ValueError(f"{entry.filename} is not the {dtype} array of shape {shape} that it claims to be")
        return np.frombuffer(bytearray(file.read()), dtype, count).reshape(shape, order="F" if fortran else "C")


def parse_meta(entry: NDArray[Any]) -> dict[str, Any]:
    """Return the JSON object in a replay's `meta`."""
    if entry.dtype != np.uint8:
        raise ValueError(f"meta is {entry.dtype}, expected uint8")
    meta = json.loads(entry.tobytes(), parse_constant=_refuse)
    if not isinstance(meta, dict):
        raise ValueError(f"meta is a {type(meta).__name__}, expected a JSON object")
    return meta


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} in meta")


def check_meta(meta: dict[str, Any]) -> None:
    """Raise UserError or ValueError unless meta is what `replay_meta` makes."""
    _check(meta, META, "meta")
    kinds, (width, height) = meta["kinds"], (meta["width"], meta["height"])
    for number, kind in enumerate(kinds):
        _check(kind, KIND, f"meta.kinds[{number}]")
    if not kinds or max(meta["unit_kinds"], default=0) >= len(kinds):
        raise ValueError(f"unit_kinds up to {max(meta['unit_kinds'], default=0)}, but there are {len(kinds)} kinds")
    for key, digits, allowed in (("ground", 1, "#^."), ("levels", 2, "0123456789abcdef")):
        rows = meta[key]
        if len(rows) != height or any(len(row) != digits * width or not set(row) <= set(allowed) for row in rows):
            raise ValueError(f"{key} is not {height} rows for {width} cells of {allowed!r}")


def _check(values: dict[str, Any], kinds: dict[str, Any], name: str) -> None:
    for key, kind in kinds.items():
        if key not in values:
            raise ValueError(f"{name} has no {key!r}")
        check_value(values[key], kind, f"{name}.{key}")


def check_numbers(meta: dict[str, Any], frames: dict[str, NDArray[Any]], steps: dict[str, NDArray[Any]]) -> None:
    """Raise ValueError for places outside of the map, units, orders and actions that there are not, and NaN."""
    bounds = {
        "x": (0, meta["width"]),
        "y": (0, meta["height"]),
        "fired": (-1, len(meta["unit_kinds"]) - 1),
        "target": (-1, len(meta["unit_kinds"]) - 1),
        "order": (0, HUNT),
        "actions": (0, len(meta["actions"]) - 1),
    }
    for name, array in (*frames.items(), *steps.items()):
        low, high = bounds.get(name, (-np.finfo(np.float32).max, np.finfo(np.float32).max))
        if name != "values" and not ((array >= low) & (array <= high)).all():  # values are -inf or NaN where masked
            raise ValueError(f"{name} has numbers outside of {low:g} to {high:g}")
