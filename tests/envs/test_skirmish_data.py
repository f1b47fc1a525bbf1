"""Skirmish's tables: the 23 maps' sizes, unit values in loops, and files that are broken."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from skirmish_maps import ALL_MAPS, OWN_MAP, SMAC, Map

from pymarl.envs.skirmish.arrays import AIR, GRID, GROUND, KIND
from pymarl.envs.skirmish.data import MapSpec, load_map, load_units, map_names, max_reward
from pymarl.envs.skirmish.features import layout
from pymarl.envs.skirmish.maps import MAPS
from pymarl.envs.skirmish.units import UNITS
from pymarl.envs.specs import total_size
from pymarl.utils.config import config_keys
from pymarl.utils.errors import UserError


def default_rules(spec: MapSpec) -> Any:
    """Return what SMAC's defaults make of the map, as far as sizes depend on it."""
    return SimpleNamespace(
        n_agents=spec.n_agents,
        n_enemies=spec.n_enemies,
        n_actions=6 + spec.n_enemies,
        type_bits=spec.type_bits,
        ally_shields=spec.shields[0],
        enemy_shields=spec.shields[1],
        obs_all_health=True,
        obs_own_health=True,
        obs_last_action=False,
        obs_pathing_grid=False,
        obs_terrain_height=False,
        obs_instead_of_state=False,
        obs_timestep_number=False,
        state_last_action=True,
        state_timestep_number=False,
        quirks=True,
    )


def test_the_maps_are_smacs() -> None:
    assert len(SMAC) == 23
    assert map_names() == list(SMAC)


@ALL_MAPS
def test_sizes_and_largest_reward_are_smacs(name: str) -> None:
    m = Map(name)
    rules = default_rules(m.spec)
    entities = layout(rules)
    shapes = total_size(entities.obs), total_size(entities.state)
    sizes = *shapes, rules.n_actions, max_reward(m.spec, m.kinds, 10, 200), m.spec.limit
    assert sizes == SMAC[name]


@pytest.mark.parametrize(
    ("name", "kinds", "ally_bits", "enemy_bits"),
    [
        ("3m", ["marine"], [-1], [-1]),
        ("2s3z", ["stalker", "zealot"], [0, 1], [1, 0]),  # SMAC numbers the enemies the other way round
        ("1c3s5z", ["colossus", "stalker", "zealot"], [0, 1, 2], [0, 1, 2]),
        ("MMM", ["marauder", "marine", "medivac"], [0, 1, 2], [0, 1, 2]),
        ("bane_vs_bane", ["baneling", "zergling"], [0, 1], [0, 1]),
        ("corridor", ["zealot", "zergling"], [-1, -1], [-1, -1]),
    ],
)
def test_types_are_numbered_as_smac_does(
    name: str, kinds: list[str], ally_bits: list[int], enemy_bits: list[int]
) -> None:
    m = Map(name)
    assert m.names == kinds
    assert (m.kinds["ally_bit"].tolist(), m.kinds["enemy_bit"].tolist()) == (ally_bits, enemy_bits)
    assert m.spec.healers == (name == "MMM")


def test_values_are_in_loops_and_on_the_grid() -> None:
    m = Map("1c3s5z")
    colossus, stalker, zealot = m.kinds
    assert set(KIND.names or ()) == {*config_keys(type(load_units("liberty")["marine"])), "ally_bit", "enemy_bit"}
    assert stalker["period"] == round(1.44 * 16 * 4096) / 4096  # 23.04 loops
    assert stalker["speed"] == 756 / 4096  # 2.9531 cells/s
    assert stalker["damage_point"] == pytest.approx(0.167 * 16, abs=1 / 4096)
    assert (zealot["hits"], zealot["hit_gap"]) == (2, 18350 / 4096)  # 0.28 s
    assert (zealot["shield_regen"], zealot["shield_delay"]) == (2 / 16, 160)
    assert (stalker["targets"], zealot["targets"], colossus["planes"]) == (GROUND | AIR, GROUND, GROUND | AIR)
    medivac = Map("MMM").kinds[2]
    assert medivac["accel"] == 37 / 4096  # 2.3125 / 16**2
    assert medivac["heal"] == 9 / 16
    floats = [key for key in KIND.names or () if KIND[key] == np.float64]
    assert len(floats) > 25
    for kind in (*m.kinds, medivac):
        assert all((kind[key] * GRID).is_integer() for key in floats)


def test_ladder_overrides_liberty() -> None:
    liberty, ladder = load_units("liberty"), load_units("ladder")
    assert list(liberty) == list(ladder)
    changed = {
        (name, key): (old, vars(ladder[name])[key])
        for name in liberty
        for key, old in vars(liberty[name]).items()
        if old != vars(ladder[name])[key]
    }
    assert changed == {
        ("marine", "scan"): (5, 5.5),
        ("marauder", "scan"): (6, 6.5),
        ("medivac", "speed"): (2.75, 2.5),
        ("medivac", "accel"): (2.3125, 2.25),
        ("medivac", "always_threat"): (True, False),
        ("stalker", "damage"): (10, 13),
        ("stalker", "bonus"): (4, 5),
        ("stalker", "scan"): (6, 6.5),
        ("stalker", "period"): (1.44, 1.87),
        ("colossus", "damage"): (20, 10),
        ("colossus", "bonus"): (0, 5),
        ("colossus", "bonus_attributes"): ((), ("light",)),
        ("colossus", "reach"): (6, 7),
        ("colossus", "scan"): (6, 7),
        ("colossus", "period"): (2.2, 1.5),
        ("hydralisk", "health"): (80, 90),
        ("hydralisk", "scan"): (5, 5.5),
        ("hydralisk", "period"): (0.83, 0.825),
        ("spine_crawler", "period"): (1.6, 1.85),
    }


@pytest.mark.parametrize("path", [UNITS, MAPS], ids=lambda path: path.name)
def test_each_value_names_its_source(path: Path) -> None:
    """Every line with a number in the tables ends in a comment, unless the line that opens its block has one."""
    bare, block = [], ""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        if not line.strip().startswith("-"):
            block = line
        if any(character.isdigit() for character in line.split("#")[0].split(":", 1)[-1]) and "#" not in line + block:
            bare.append(line)
    assert len(lines) > 200
    assert [line for line in bare if "size:" not in line] == []  # the heading of `terrains` has the source of sizes


def test_own_map_file(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(OWN_MAP)
    m = Map(str(path))
    assert m.spec == load_map("bridge", path)
    assert (m.spec.name, m.spec.limit, m.spec.type_bits) == ("bridge", 90, 3)
    assert m.names == ["marine", "stalker", "zealot"]
    assert m.kinds["ally_bit"].tolist() == m.kinds["enemy_bit"].tolist() == [0, 1, 2]
    assert m.terrain.pathable.shape == (16, 16)
    assert not m.terrain.pathable[8, 2:6].any()
    assert len(m.units) == 5
    path.write_text(OWN_MAP.split("terrain:")[0] + "terrain: strip\n")
    assert load_map(str(path)).terrain == load_map("3m").terrain


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("limit: 90", "limit: soon", 2, "limit='soon': expected int, got str"),
        ("limit: 90", "limit: 0", 2, "limit=0: expected int >= 1"),
        ("limit: 90\n", "", 1, "bridge has no key 'limit'; add it"),
        ("limit: 90", "limits: 90", 2, "unknown key 'limits' of bridge; did you mean 'limit'?"),
        ("limit: 90", "limit: 90\nlimit: 80", 3, "key 'limit' is given twice"),
        ("limit: 90", "limit: [90", 3, "not YAML"),
        ("limit: 90", "limit: !!python/object:os.system 90", 2, "limit: expected plain YAML"),
        ("[terran, protoss]", "[terran, protos]", 1, "races=['terran', 'protos']: expected"),
        ("map_type: mixed", "map_type: mixd", 3, "map_type='mixd': no such map_type; did you mean 'mixed'?"),
        ("map_type: mixed", "map_type: marines", 6, "map_type 'marines' numbers marine only"),
        ("type: marine", "type: marin", 5, "type='marin': no such unit; did you mean 'marine'?"),
        ("type: zealot", "type: marine", 8, "a protoss side observes shields"),
        ("count: 2, at: [12", "count: 0, at: [12", 8, "count=0: expected int >= 1"),
        ("at: [12, 8]", "at: 12", 8, "at=12: expected"),
        ("at: [12, 8]", "at: [12, -8]", 8, "expected"),
        (
            "  - {type: zealot, count: 2, at: [12, 8]}",
            "  {type: zealot}",
            8,
            "enemies={'type': 'zealot'}: expected a list",
        ),
        ("attack_move", "attack", 9, "enemy_order='attack': expected 'none' or 'attack_move' or 'hunt'"),
        ("[[4.5, 8]]", "[]", 10, "expected one point, or two to draw one between"),
        ("[[4.5, 8]]", "[[4.5, 80]]", 10, "expected a point inside 16 x 16 cells"),
        ("  size: [16, 16]", "  sice: [16, 16]", 12, "unknown key 'sice' of terrain; did you mean 'size'?"),
        ("size: [16, 16]", "size: [16, 640]", 12, "size=[16, 640]: expected"),
        (OWN_MAP[OWN_MAP.index("enemies:") : OWN_MAP.index("enemy_order")], "enemies: []\n", 1, "a side without units"),
        ("[0, 16, 2, 14]", "[0, 17, 2, 14]", 12, "rectangle [0, 17, 2, 14]: expected"),
        ("[0, 16, 2, 14]", "[0, 16, 2]", 13, "ground=[0, 16, 2]: expected"),
        (OWN_MAP[OWN_MAP.index("terrain:") :], "terrain: stripe\n", 11, "no such terrain; did you mean 'strip'?"),
        (OWN_MAP, "", 1, "the file is empty"),
        (OWN_MAP, "- 3m\n", 1, "bridge=['3m']: expected `key: value` lines"),
    ],
)
def test_broken_map_file_names_file_and_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    path = tmp_path / "bridge.yaml"
    assert old in OWN_MAP
    path.write_text(OWN_MAP.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        load_map(str(path))
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: "), message
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("at: [12, 8]", "at: [12, 1]", 8, "expected a point where zealot can stand"),
        ("at: [12, 8]", "at: [16, 8]", 8, "expected a point where zealot can stand"),
        ("count: 2, at: [12", "count: 400, at: [12", 8, "no room for 400 zealot"),
    ],
)
def test_units_that_cannot_stand_name_file_and_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(OWN_MAP.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        Map(str(path))
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert says in str(caught.value)


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"map_name='3mm': no such map; did you mean '3m'\? \(known: 3m, 8m, .*zg; or"):
        load_map("3mm")
    with pytest.raises(UserError, match=r"cannot read .*none\.yaml: No such file"):
        load_map(str(tmp_path / "none.yaml"))
    with pytest.raises(UserError, match="unit_stats='hots': expected 'liberty' or 'ladder'"):
        load_units("hots")


def test_broken_unit_table_names_file_and_line(tmp_path: Path) -> None:
    text, path = UNITS.read_text(), tmp_path / "units.yaml"
    lines = text.splitlines()
    first = next(i for i, content in enumerate(lines, 1) if content.startswith("defaults"))
    for old, new, says in (
        ("    health: 45 ", "    healt: 45 ", "unknown key 'healt' of marine; did you mean 'health'?"),
        ("    damage: 6 ", "    damage: six", "damage='six': expected float, got str"),
        ("    period: 1.85 ", "    perod: 1.85 ", "unknown key 'perod' of spine_crawler"),
        ("ladder: ", "lader: ", "the table has no key 'ladder'; add it"),
    ):
        line = next(i for i, content in enumerate(lines, 1) if content.startswith(old))
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(UserError) as caught:
            load_units.__wrapped__("ladder", path)
        at = first if old == "ladder: " else line
        assert str(caught.value).startswith(f"{path}:{at}: {says}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"period": 0}, "period: 0: expected the seconds between attacks"),
        ({"hits": 2, "hit_gap": 0}, "hits: 2: expected a hit_gap above 0"),
        ({"missile_speed": 1}, "a missile would still fly when the next one leaves; expected more than 9.29 cells/s"),
    ],
)
def test_weapons_that_cannot_work_are_refused(tmp_path: Path, change: dict[str, float], message: str) -> None:
    path = tmp_path / "units.yaml"
    text = UNITS.read_text()
    start, end = text.index("  marine:"), text.index("  marauder:")
    entry = text[start:end]
    for key, value in change.items():
        lines = [line for line in entry.split("\n") if not line.startswith(f"    {key}:")]
        entry = "\n".join([lines[0], f"    {key}: {value}", *lines[1:]])
    path.write_text(text[:start] + entry + text[end:])
    with pytest.raises(UserError, match=message) as error:
        load_units("liberty", path)
    assert "units.yaml:" in str(error.value)
