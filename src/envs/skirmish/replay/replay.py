"""Replay files of skirmish: one episode each, with every game loop of it.

A replay is numpy's .npz: `np.load(path)` opens it anywhere. Its entries, for L loops, T env steps, U units (allies
0..N-1 in agent order, then enemies), N agents and A actions:

    meta            uint8, the text of a JSON object: see `replay_meta`
    frame_x, frame_y, frame_health, frame_shield, frame_energy
                    [L+1, U] float32, cells and points; row 0 is the start, row l the state after l loops
    frame_fired     [L+1, U] int16, unit that this unit's attack left for in loop l (a missile lands later); for a
                    healer the unit that it gave life to; -1: none
    frame_order     [L+1, U] int8, IDLE .. HUNT of arrays.py
    frame_target    [L+1, U] int16, unit that it fights, heals or was told to attack; -1: none
    frame_goal_x, frame_goal_y
                    [L+1, U] float32, where MOVE and ATTACK_MOVE lead; optional
    frame_cooldown  [L+1, U] float32, loops until the next attack may begin; optional
    step_actions    [T, N] int16, taken in loops t * step_mul + 1 .. (t + 1) * step_mul
    step_reward     [T] float32
    step_avail      [T, N, A] bool
    step_values     [T, N, A] float32, Q-values or probabilities that the actions were chosen by; optional
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import Rules, Terrain
from pymarl.envs.skirmish.replay.replay_check import check_meta, check_numbers, parse_meta, read_entries
from pymarl.utils.errors import UserError, message_line
from pymarl.utils.files import write_new

FORMAT = 1
LOOPS_PER_SECOND = 16
RESULTS = ("won", "lost", "draw", "truncated", "unfinished")
ACTIONS = ("no-op", "stop", "north", "south", "east", "west")
"""Names of those that are no target, in order."""

GROUND_CHARS = "#^."
"""Characters of `meta["ground"]`: blocked, only for units that climb, free."""

FRAME_TYPES = {
    "x": np.float32,
    "y": np.float32,
    "health": np.float32,
    "shield": np.float32,
    "energy": np.float32,
    "fired": np.int16,
    "order": np.int8,
    "target": np.int16,
    "goal_x": np.float32,
    "goal_y": np.float32,
    "cooldown": np.float32,
}
STEP_TYPES = {"actions": np.int16, "reward": np.float32, "avail": np.bool_, "values": np.float32}
OPTIONAL = {"goal_x", "goal_y", "cooldown", "values"}


@dataclass(frozen=True)
class Replay:
    """What a replay file holds. `frames` and `steps` have the names of the file's entries without their prefix."""

    meta: dict[str, Any]
    frames: dict[str, NDArray[Any]]
    steps: dict[str, NDArray[Any]]

    @property
    def n_loops(self) -> int:
        """L."""
        return len(self.frames["x"]) - 1

    @property
    def n_units(self) -> int:
        """U."""
        return len(self.meta["unit_kinds"])

    def per_unit(self, key: str) -> NDArray[Any]:
        """Return [U], a property of each unit's kind."""
        return np.array([self.meta["kinds"][kind][key] for kind in self.meta["unit_kinds"]])


def replay_path(directory: Path, map_name: str, seed: int) -> Path:
    """Return `<map>_<seed hex>_<UTC time>.npz` in `directory`; `save_replay` adds a number if the name is taken."""
    name = re.sub(r"[^\w.-]+", "_", Path(map_name).stem if map_name.endswith((".yaml", ".yml")) else map_name)
    return directory / f"{name}_{seed:x}_{datetime.now(UTC):%Y-%m-%d-%H-%M-%S}.npz"


def replay_meta(
    *,
    map_name: str,
    seed: int,
    result: str,
    rules: Rules,
    terrain: Terrain,
    kinds: NDArray[np.void],
    names: Sequence[str],
    unit_kinds: NDArray[np.integer[Any]],
) -> dict[str, Any]:
    """Describe an episode: the `meta` of its replay. More keys may be added; readers leave them alone.

    Args:
        map_name: name or file of the map.
        seed: that the episode was reset with, up to 64 bits.
        result: one of RESULTS; "truncated" is the time limit, "draw" an end without a winner.
        rules: of the env; sizes and step_mul are read.
        terrain: of the map.
        kinds: [K] KIND, the types on this map.
        names: [K] their names.
        unit_kinds: [U] row in `kinds` of each unit.

    Returns:
        format, map, seed (hex), result, loops_per_second, step_mul, n_agents, n_enemies, width, height; actions (A
        names); kinds (name, radius, health, shield, energy, reach, hits, hit_gap, splash, splash_radius,
        missile_speed, heals and layer of each, in cells, loops and points) and unit_kinds [U]; ground (rows of
        GROUND_CHARS, north first) and levels (rows of two hex digits per cell).
    """
    if result not in RESULTS:
        raise ValueError(f"result {result!r} is none of {RESULTS}")
    return {
        **{"format": FORMAT, "map": map_name, "seed": f"{seed:x}", "result": result},
        "loops_per_second": LOOPS_PER_SECOND,
        **{key: int(rules._asdict()[key]) for key in ("step_mul", "n_agents", "n_enemies", "width", "height")},
        "actions": [*ACTIONS, *(f"target {k}" for k in range(rules.n_actions - len(ACTIONS)))],
        "kinds": [_kind(kind, name) for kind, name in zip(kinds, names, strict=True)],
        "unit_kinds": [int(kind) for kind in unit_kinds],
        **_ground(terrain),
    }


def frames_of(units: NDArray[np.void], fired: NDArray[np.integer[Any]]) -> dict[str, NDArray[Any]]:
    """Return the frames of a replay.

    Args:
        units: [L+1, U] UNIT, at the start and after each loop.
        fired: [L+1, U] unit that an attack or a heal of the loop was for, -1: none.
    """
    target = np.where(units["aim"] >= 0, units["aim"], units["target"])
    kept = ("x", "y", "health", "shield", "energy", "order", "goal_x", "goal_y", "cooldown")
    frames = {name: units[name] for name in kept} | {"fired": fired, "target": target}
    return {name: frames[name].astype(dtype) for name, dtype in FRAME_TYPES.items()}


def save_replay(
    path: Path, meta: dict[str, Any], frames: Mapping[str, NDArray[Any]], steps: Mapping[str, NDArray[Any]]
) -> Path:
    """Write a replay and return its path: `path`, or a free name beside it. Never half a file.

    Args:
        path: see `replay_path`.
        meta: see `replay_meta`.
        frames: x, y, health, shield, energy, fired, order, target; perhaps goal_x, goal_y, cooldown. [L+1, U], above.
        steps: actions [T, N], reward [T], avail [T, N, A]; perhaps values [T, N, A].

    Raises:
        ValueError: an array is missing or of another shape.
    """
    return write_new(path, _packed(_checked(meta, frames, steps)))


def read_replay(path: Path) -> Replay:
    """Read a replay file.

    Raises:
        UserError: there is no such file, it is broken, or it is no replay of skirmish.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected a replay (.npz) as save_replay=True writes them")
    try:
        entries = read_entries(path)
        meta = parse_meta(entries.pop("meta"))
        found = meta.get("format")
        if found != FORMAT:
            raise ValueError(f"replay format {found!r}, expected {FORMAT}: use the version that wrote it")
        check_meta(meta)
        unknown = [name for name in entries if not name.startswith(("frame_", "step_"))]
        if unknown:
            raise ValueError(f"unknown entries {unknown}")
        frames = {name[6:]: array for name, array in entries.items() if name.startswith("frame_")}
        steps = {name[5:]: array for name, array in entries.items() if name.startswith("step_")}
        for name, array in (*frames.items(), *steps.items()):
            if array.dtype != (FRAME_TYPES | STEP_TYPES).get(name, array.dtype):
                raise ValueError(f"{name} is {array.dtype}, expected {np.dtype((FRAME_TYPES | STEP_TYPES)[name])}")
        replay = _checked(meta, frames, steps)
        check_numbers(meta, frames, steps)
    except Exception as error:  # whatever zipfile, zlib, numpy and json make of a file that is none of ours
        reason = message_line(error)[:300]
        raise UserError(
            f"{path}: not a replay of skirmish, or broken ({reason}); expected a .npz that skirmish wrote"
        ) from error
    return replay


def _kind(kind: np.void, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "energy": float(kind["energy_max"]),
        "reach": float(max(kind["reach"], kind["heal_reach"])),
        "heals": bool(kind["heal"] > 0),
        **{key: int(kind[key]) for key in ("hits", "splash", "layer")},
        **{
            key: float(kind[key]) for key in ("radius", "health", "shield", "hit_gap", "splash_radius", "missile_speed")
        },
    }


def _ground(terrain: Terrain) -> dict[str, list[str]]:
    code = np.where(terrain.pathable, 2, np.where(terrain.climbable, 1, 0))
    level = np.rint(terrain.level * 255).astype(int)
    north_first = range(code.shape[1] - 1, -1, -1)
    return {
        "ground": ["".join(GROUND_CHARS[cell] for cell in code[:, y]) for y in north_first],
        "levels": ["".join(f"{cell:02x}" for cell in level[:, y]) for y in north_first],
    }


def _packed(replay: Replay) -> bytes:
    text = json.dumps(replay.meta, sort_keys=True).encode()
    entries = {f"frame_{name}": array for name, array in replay.frames.items()}
    entries |= {f"step_{name}": array for name, array in replay.steps.items()}
    file = io.BytesIO()
    np.savez_compressed(file, meta=np.frombuffer(text, np.uint8), **entries)  # type: ignore[arg-type]
    return file.getvalue()


def _checked(meta: dict[str, Any], frames: Mapping[str, NDArray[Any]], steps: Mapping[str, NDArray[Any]]) -> Replay:
    """Return a replay with every array of the right type; ValueError if something is missing or does not fit."""
    missing = [key for key in (*FRAME_TYPES, *STEP_TYPES) if key not in OPTIONAL | frames.keys() | steps.keys()]
    unknown = sorted(frames.keys() - FRAME_TYPES.keys() | steps.keys() - STEP_TYPES.keys())
    if missing or unknown:
        raise ValueError(f"missing {missing}, unknown {unknown}")
    n_steps, n_agents, n_actions = len(steps["actions"]), meta["n_agents"], len(meta["actions"])
    shape = (n_steps * meta["step_mul"] + 1, len(meta["unit_kinds"]))
    shapes: dict[str, tuple[int, ...]] = {"actions": (n_steps, n_agents), "reward": (n_steps,)}
    shapes |= dict.fromkeys(("avail", "values"), (n_steps, n_agents, n_actions))
    if shape[1] != n_agents + meta["n_enemies"]:
        raise ValueError(f"{shape[1]} unit_kinds, expected {n_agents} agents + {meta['n_enemies']} enemies")
    for name, array in (*frames.items(), *steps.items()):
        if np.shape(array) != shapes.get(name, shape):
            raise ValueError(f"{name} has shape {np.shape(array)}, expected {shapes.get(name, shape)}")
    return Replay(
        meta,
        {name: np.asarray(array, FRAME_TYPES[name]) for name, array in frames.items()},
        {name: np.asarray(array, STEP_TYPES[name]) for name, array in steps.items()},
    )
