"""A map's unit types as the KIND table that kernels read, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import KIND
from pymarl.envs.skirmish.scenario.maps import MapSpec
from pymarl.envs.skirmish.scenario.units import UnitType, record


def kind_names(map_spec: MapSpec) -> list[str]:
    """Return the types on a map in the order of its KIND table: the allies' in SMAC's order, then the others."""
    allies = {group.type for group in map_spec.allies}
    names = [name for name in map_spec.ally_types if name in allies]
    return list(dict.fromkeys([*names, *(group.type for group in map_spec.enemies)]))


def kind_table(map_spec: MapSpec, units: Mapping[str, UnitType]) -> NDArray[np.void]:
    """Return the KIND table [K] of the types on a map, in the order of `kind_names`."""
    names = kind_names(map_spec)
    kinds = np.zeros(len(names), KIND)
    for k, name in enumerate(names):
        for key, value in record(units[name]).items():
            kinds[k][key] = value
        for key, order in (("ally_bit", map_spec.ally_types), ("enemy_bit", map_spec.enemy_types)):
            kinds[k][key] = order.index(name) if map_spec.type_bits and name in order else -1
    return kinds


def max_reward(map_spec: MapSpec, kinds: NDArray[np.void], death_value: float, win: float) -> float:
    """Return what SMAC divides rewards by, before reward_scale_rate: all that a win without regeneration yields."""
    names = kind_names(map_spec)
    held = sum(
        group.count * float(kinds[names.index(group.type)]["health"] + kinds[names.index(group.type)]["shield"])
        for group in map_spec.enemies
    )
    return death_value * map_spec.n_enemies + win + held
