"""Maps: data/maps.yaml or a user's own file, checked."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml

from pymarl.envs.skirmish.scenario.units import load_units, on_grid
from pymarl.envs.skirmish.scenario.yaml_tables import fill, pairs, read
from pymarl.utils.config import Range
from pymarl.utils.errors import UserError, closest
from pymarl.utils.yaml_files import Entries, compose, where

MAPS = Path(__file__).parent / "data" / "maps.yaml"

Coordinate = Annotated[float, Range(ge=0, le=1e6)]
Point = tuple[Coordinate, Coordinate]
Cell = Annotated[int, Range(ge=0)]
Count = Annotated[int, Range(ge=1, le=1000)]
"""Observations grow with the square of the units: 1000 a side make 20 MB of them in each env step."""

Z = Annotated[float, Range(ge=-16, le=16)]
"""What the game's byte of a height can hold."""

Side = Annotated[int, Range(ge=1, le=64)]
"""Table of ways: 4 bytes for each pair of cells."""

Rectangle = tuple[Cell, Cell, Cell, Cell]
Race = Literal["terran", "protoss", "zerg"]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Units of one type that are created together at a point; `where` is its "file:line"."""

    type: str
    count: Count
    at: Point
    where: str


@dataclass(frozen=True, kw_only=True)
class Height:
    """A rectangle at height `z`, in units of the map editor (the plateaus of SMAC's maps: 8)."""

    area: Rectangle
    z: Z
    where: str


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A map's ground. Rectangles are (x from, x to, y from, y to) in cells, "to" excluded.

    Attributes:
        size: (width, height) of the map, cells; 64 at most.
        ground: where units walk.
        cliffs: taken out of the ground again; only units that climb cross them.
        heights: the last one that covers a cell wins; 0 elsewhere.
    """

    size: tuple[Side, Side]
    ground: tuple[Rectangle, ...]
    cliffs: tuple[Rectangle, ...]
    heights: tuple[Height, ...]
    where: str


@dataclass(frozen=True, kw_only=True)
class MapType:
    """What SMAC calls a map_type: how it numbers unit types."""

    allies: tuple[str, ...]
    enemies: tuple[str, ...]
    healers: bool


@dataclass(frozen=True, kw_only=True)
class MapKeys:
    """The keys of a map in YAML.

    Attributes:
        races: of allies and enemies; shields of a Protoss side are observed.
        limit: env steps in an episode.
        map_type: a name from `map_types` of data/maps.yaml.
        allies: groups in order of creation.
        enemies: the same; enemy ids follow this order.
        enemy_order: what enemies are told at the start of an episode.
        enemy_goal: no point, or the one of attack_move, or two: a random point between them. Whole 1/4096 cells.
        terrain: the ground.
    """

    races: tuple[Race, Race]
    limit: Annotated[int, Range(ge=1, le=100_000)]
    map_type: str
    allies: tuple[Group, ...]
    enemies: tuple[Group, ...]
    enemy_order: Literal["none", "attack_move", "hunt"]
    enemy_goal: tuple[Point, ...]
    terrain: Ground
    where: str


@dataclass(frozen=True, kw_only=True)
class MapSpec(MapKeys):
    """A map, and what follows from its map_type.

    Attributes:
        name: of the map.
        ally_types: order of agents by type, and of their one-hot.
        enemy_types: order of the enemies' one-hot.
        healers: the rules of map_type MMM hold: a Medivac's targets are agents, and Medivacs alone have lost.
    """

    name: str
    ally_types: tuple[str, ...]
    enemy_types: tuple[str, ...]
    healers: bool

    @property
    def n_agents(self) -> int:
        """N."""
        return sum(group.count for group in self.allies)

    @property
    def n_enemies(self) -> int:
        """M."""
        return sum(group.count for group in self.enemies)

    @property
    def type_bits(self) -> int:
        """U, the length of the one-hot of unit types; 0 where the side of the agents has one type."""
        return len(self.ally_types) if len(self.ally_types) > 1 else 0

    @property
    def shields(self) -> tuple[bool, bool]:
        """Whether allies and enemies are Protoss."""
        return self.races[0] == "protoss", self.races[1] == "protoss"


def load_map(name: str, path: Path | None = None) -> MapSpec:
    """Return a map of data/maps.yaml, or of a user's own file.

    Args:
        name: of a shipped map; or a path to a .yaml file with the keys of one map.
        path: a user's file; `name` is then only what the map is called.

    Raises:
        UserError: no such map, or what the file says is wrong, with file and line.
    """
    table = _table()
    own = path or (Path(name) if name.endswith((".yaml", ".yml")) else None)
    if own is not None:
        root = compose(own)
        return _read_map(Path(name).stem, own, root, table)
    known = pairs(MAPS, table["maps"][1], "maps")
    if name not in known:
        listed = ", ".join(known)
        raise UserError(
            f"map_name={name!r}: no such map{closest(name, known)} (known: {listed}; or a path to your own .yaml file)"
        )
    return _read_map(name, MAPS, known[name][1], table)


def map_names() -> list[str]:
    """Return the names of the shipped maps."""
    return list(pairs(MAPS, _table()["maps"][1], "maps"))


@functools.cache
def _table() -> Entries:
    """Return data/maps.yaml."""
    return pairs(MAPS, compose(MAPS), MAPS.name)


def _read_map(name: str, path: Path, node: yaml.Node, table: Entries) -> MapSpec:
    """Return the map at `node`; `table` is data/maps.yaml, for the terrains and map types that have a name."""
    entries = pairs(path, node, name)
    given = {}
    if "terrain" in entries:
        at = entries.pop("terrain")[1]
        if isinstance(at, yaml.ScalarNode):
            known = pairs(MAPS, table["terrains"][1], "terrains")
            _expect(known, path, at, "terrain", at.value)
            given["terrain"] = read(Ground, MAPS, known[at.value][1], at.value)
        else:
            given["terrain"] = read(Ground, path, at, "terrain")
    keys = fill(MapKeys, path, entries, node, name, given)
    map_types = pairs(MAPS, table["map_types"][1], "map_types")
    at = entries["map_type"][1]
    _expect(map_types, path, at, "map_type", keys.map_type)
    spec = _number_types(name, keys, read(MapType, MAPS, map_types[keys.map_type][1], keys.map_type))
    _check_ground(spec.terrain)
    _check_goals(spec, where(path, entries["enemy_goal"][1]))
    return spec


def _expect(known: Iterable[str], path: Path, node: yaml.Node, key: str, name: str) -> None:
    """Raise UserError if `key: name` at `node` is none of the known names."""
    if name not in known:
        listed = f"{closest(name, known)} (known: {', '.join(known)})"
        raise UserError(f"{where(path, node)}: {key}={name!r}: no such {key}{listed}")


def _number_types(name: str, keys: MapKeys, map_type: MapType) -> MapSpec:
    """Return the map with the order of its unit types, which are checked on the way."""
    units = load_units("liberty")
    groups = (*keys.allies, *keys.enemies)
    for group in groups:
        if group.type not in units:
            known = ", ".join(units)
            raise UserError(
                f"{group.where}: type={group.type!r}: no such unit{closest(group.type, units)} (known: {known})"
            )
    seen = tuple(dict.fromkeys(group.type for group in groups))
    goal = tuple((on_grid(x), on_grid(y)) for x, y in keys.enemy_goal)
    spec = MapSpec(
        **{**vars(keys), "enemy_goal": goal},
        name=name,
        ally_types=map_type.allies or seen,
        enemy_types=map_type.enemies or seen,
        healers=map_type.healers and any(units[kind].heal > 0 for kind in seen),
    )
    _check_types(spec, spec.allies, spec.ally_types, spec.shields[0])
    _check_types(spec, spec.enemies, spec.enemy_types if map_type.enemies else seen, spec.shields[1])
    return spec


def _check_types(spec: MapSpec, side: tuple[Group, ...], numbered: tuple[str, ...], shields: bool) -> None:
    """Raise UserError if a side is empty, or has a unit that SMAC's features have no place for."""
    units = load_units("liberty")
    if not side:
        raise UserError(f"{spec.where}: map {spec.name!r} has a side without units; add a group to allies and enemies")
    for group in side:
        if group.type not in numbered:
            raise UserError(
                f"{group.where}: type={group.type!r}: map_type {spec.map_type!r} numbers {', '.join(numbered)} only; "
                "choose another map_type, or 'mixed' for any types"
            )
        if shields and units[group.type].shield == 0:
            raise UserError(
                f"{group.where}: type={group.type!r}: a protoss side observes shields, and this unit has none; "
                "write another race for this side"
            )


def _check_ground(ground: Ground) -> None:
    """Raise UserError for an empty rectangle, or one outside of the map."""
    width, height = ground.size
    for x0, x1, y0, y1 in [*ground.ground, *ground.cliffs, *(height.area for height in ground.heights)]:
        if not (x0 < x1 <= width and y0 < y1 <= height):
            raise UserError(
                f"{ground.where}: rectangle {[x0, x1, y0, y1]}: expected [x from, x to, y from, y to] with "
                f"from < to, inside {width} x {height} cells"
            )


def _check_goals(spec: MapSpec, at: str) -> None:
    """Raise UserError if the enemies' order and its points do not fit together, or lead out of the map."""
    allowed = (1, 2) if spec.enemy_order == "attack_move" else (0,)
    if len(spec.enemy_goal) not in allowed:
        expected = "one point, or two to draw one between" if len(allowed) > 1 else "no point: []"
        raise UserError(f"{at}: enemy_goal with enemy_order={spec.enemy_order!r}: expected {expected}")
    width, height = spec.terrain.size
    for x, y in spec.enemy_goal:
        if x >= width or y >= height:
            raise UserError(f"{at}: enemy_goal {[x, y]}: expected a point inside {width} x {height} cells")
