"""Unit types: data/units.yaml, checked, and as the records that kernels read.

The YAML holds seconds and cells; a KIND record holds game loops, cells, and whole multiples of 1/4096.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pymarl.envs.skirmish.battle import arrays
from pymarl.envs.skirmish.scenario.yaml_tables import fill, pairs
from pymarl.utils.config import NonNegativeFloat, PositiveFloat, PositiveInt
from pymarl.utils.errors import UserError, closest
from pymarl.utils.yaml_files import compose, where

UNITS = Path(__file__).parent / "data" / "units.yaml"
LONGEST_CHASE = 3.0
"""How much farther than its weapon's range a missile may fly: radii and a target that runs, cells."""

LOOPS = 16.0
"""Game loops in a second of the table."""

Plane = Literal["ground", "air"]
Attribute = Literal["light", "armored", "biological", "mechanical", "massive", "structure"]

BITS = {
    "ground": arrays.GROUND,
    "air": arrays.AIR,
    "light": arrays.LIGHT,
    "armored": arrays.ARMORED,
    "biological": arrays.BIOLOGICAL,
    "mechanical": arrays.MECHANICAL,
    "massive": arrays.MASSIVE,
    "structure": arrays.STRUCTURE,
}
LAYERS = {"ground": arrays.GROUND_LAYER, "colossus": arrays.COLOSSUS_LAYER, "air": arrays.AIR_LAYER}
SPLASHES = {"single": arrays.SINGLE, "beam": arrays.BEAM, "blast": arrays.BLAST}
IN_LOOPS = {  # factor from seconds to loops
    **dict.fromkeys(("speed", "missile_speed", "heal", "energy_regen", "regen", "shield_regen"), 1 / LOOPS),
    **dict.fromkeys(("hit_gap", "period", "damage_point", "shield_delay"), LOOPS),
    "accel": 1 / LOOPS**2,
}


@dataclass(frozen=True, kw_only=True)
class UnitType:
    """A unit type in cells and seconds; data/units.yaml says what each key means."""

    health: PositiveFloat
    shield: NonNegativeFloat
    armor: NonNegativeFloat
    attributes: tuple[Attribute, ...]
    planes: tuple[Plane, ...]
    layer: Literal["ground", "colossus", "air"]
    radius: PositiveFloat
    separation: PositiveFloat
    speed: NonNegativeFloat
    accel: NonNegativeFloat
    climbs: bool
    sight: NonNegativeFloat
    damage: NonNegativeFloat
    bonus: NonNegativeFloat
    bonus_attributes: tuple[Attribute, ...]
    structure_damage: NonNegativeFloat
    hits: Literal[1, 2]
    hit_gap: NonNegativeFloat
    reach: NonNegativeFloat
    slop: NonNegativeFloat
    scan: NonNegativeFloat
    period: NonNegativeFloat
    damage_point: NonNegativeFloat
    missile_speed: NonNegativeFloat
    targets: tuple[Plane, ...]
    splash: Literal["single", "beam", "blast"]
    splash_radius: NonNegativeFloat
    heal: NonNegativeFloat
    heal_cost: NonNegativeFloat
    heal_reach: NonNegativeFloat
    heal_scan: NonNegativeFloat
    heal_least: NonNegativeFloat
    energy: NonNegativeFloat
    energy_max: NonNegativeFloat
    energy_regen: NonNegativeFloat
    regen: NonNegativeFloat
    shield_regen: NonNegativeFloat
    shield_delay: NonNegativeFloat
    always_threat: bool
    type_id: PositiveInt
    max_cooldown: PositiveFloat


@functools.cache
def load_units(unit_stats: str, path: Path = UNITS) -> Mapping[str, UnitType]:
    """Return {name: unit type} of a layer of data/units.yaml.

    Args:
        unit_stats: "liberty", what SMAC's maps load, or "ladder", the values of the multiplayer game 4.10.
        path: the table.

    Raises:
        UserError: no such layer, or the table is broken.
    """
    if unit_stats not in ("liberty", "ladder"):
        raise UserError(f"unit_stats={unit_stats!r}: expected 'liberty' or 'ladder'")
    root = compose(path)
    table = pairs(path, root, path.name)
    for key in ("defaults", "liberty", "ladder"):
        if key not in table:
            raise UserError(f"{where(path, root)}: the table has no key {key!r}; add it")
    defaults, base, ladder = (pairs(path, table[key][1], key) for key in ("defaults", "liberty", "ladder"))
    for name, (at, _) in ladder.items():
        if name not in base:
            raise UserError(f"{where(path, at)}: ladder has {name!r}, which is not in liberty{closest(name, base)}")
    units = {}
    for name, (_, node) in base.items():
        entries = {**defaults, **pairs(path, node, name)}
        if unit_stats == "ladder" and name in ladder:
            entries.update(pairs(path, ladder[name][1], name))
        units[name] = fill(UnitType, path, entries, node, name)
        _check_weapon(units[name], f"{where(path, node)}: {name}")
    return types.MappingProxyType(units)


def _check_weapon(unit: UnitType, at: str) -> None:
    """Raise UserError for a weapon that would not do what it says."""
    if unit.damage == 0:
        return
    if unit.period == 0:
        raise UserError(f"{at}: period: 0: expected the seconds between attacks of a unit with damage")
    if unit.hits == 2 and unit.splash != "beam" and (unit.hit_gap == 0 or unit.missile_speed > 0):
        raise UserError(f"{at}: hits: 2: expected a hit_gap above 0 and no missile; or 1 hit of twice the damage")
    if unit.missile_speed > 0 and (unit.reach + LONGEST_CHASE) / unit.missile_speed > unit.period:
        raise UserError(
            f"{at}: missile_speed: {unit.missile_speed}: a missile would still fly when the next one leaves; expected "
            f"more than {(unit.reach + LONGEST_CHASE) / unit.period:.3g} cells/s, or 0 for a weapon that hits at once"
        )


def record(unit: UnitType) -> dict[str, Any]:
    """Return the fields of a unit type's KIND record, without its places in one-hots."""
    fields: dict[str, Any] = {}
    for key, value in vars(unit).items():
        if key in ("attributes", "bonus_attributes", "planes", "targets"):
            fields[key] = sum({BITS[name] for name in value})
        elif isinstance(value, float | int) and key not in ("climbs", "always_threat", "hits", "type_id"):
            fields[key] = on_grid(value * IN_LOOPS.get(key, 1.0))
        else:
            fields[key] = value
    fields["targets"] *= unit.damage > 0  # without a weapon it threatens nobody
    fields["layer"] = LAYERS[unit.layer]
    fields["splash"] = SPLASHES[unit.splash]
    return fields


def on_grid(value: float) -> float:
    """Return the nearest whole multiple of 1/4096."""
    return round(value * arrays.GRID) / arrays.GRID
