"""Helpers for tests of skirmish's tables: SMAC's sizes, a map with all that is made of it, and a user's own map."""

from __future__ import annotations

import pytest

from pymarl.envs.skirmish.battle.arrays import Terrain
from pymarl.envs.skirmish.scenario.kinds import kind_names, kind_table
from pymarl.envs.skirmish.scenario.maps import MapSpec, load_map
from pymarl.envs.skirmish.scenario.spawn import spawn_units
from pymarl.envs.skirmish.scenario.terrain import make_terrain
from pymarl.envs.skirmish.scenario.units import load_units

# Read off oxwhirl/smac at d6aab33, constructed with its defaults: obs, state, actions, max_reward, episode limit.
SMAC = {
    "3m": (30, 48, 9, 365, 60),
    "8m": (80, 168, 14, 640, 120),
    "25m": (250, 950, 31, 1575, 150),
    "5m_vs_6m": (55, 98, 12, 530, 70),
    "8m_vs_9m": (85, 179, 15, 695, 120),
    "10m_vs_11m": (105, 243, 17, 805, 150),
    "27m_vs_30m": (285, 1170, 36, 1850, 180),
    "MMM": (160, 290, 16, 1015, 150),
    "MMM2": (176, 322, 18, 1205, 180),
    "2s3z": (80, 120, 11, 1020, 120),
    "3s5z": (128, 216, 14, 1510, 150),
    "3s5z_vs_3s6z": (136, 230, 15, 1670, 170),
    "3s_vs_3z": (36, 54, 9, 680, 150),
    "3s_vs_4z": (42, 61, 10, 840, 200),
    "3s_vs_5z": (48, 68, 11, 1000, 250),
    "1c3s5z": (162, 270, 15, 1870, 180),
    "2m_vs_1z": (16, 26, 7, 360, 150),
    "corridor": (156, 282, 30, 1280, 400),
    "6h_vs_8z": (78, 140, 14, 1480, 150),
    "2s_vs_1sc": (17, 27, 7, 510, 300),
    "so_many_baneling": (202, 397, 38, 1480, 100),
    "bane_vs_bane": (336, 984, 30, 1260, 200),
    "2c_vs_64zg": (332, 342, 70, 3080, 400),
}
ALL_MAPS = pytest.mark.parametrize("name", list(SMAC))

OWN_MAP = """\
races: [terran, protoss]
limit: 90
map_type: mixed
allies:
  - {type: marine, count: 2, at: [4.5, 8]}
  - {type: stalker, count: 1, at: [6, 8]}
enemies:
  - {type: zealot, count: 2, at: [12, 8]}
enemy_order: attack_move
enemy_goal: [[4.5, 8]]
terrain:
  size: [16, 16]
  ground: [[0, 16, 2, 14]]
  cliffs: [[8, 9, 2, 6]]
  heights: []
"""


class Map:
    """A map with all that is made of it."""

    def __init__(self, name: str, layer: str = "liberty") -> None:
        self.spec: MapSpec = load_map(name)
        self.names = kind_names(self.spec)
        self.kinds = kind_table(self.spec, load_units(layer))
        self.terrain: Terrain = make_terrain(self.spec)
        self.units = spawn_units(self.spec, self.kinds, self.terrain)
