"""Where skirmish's units start, and how they get round what is in the way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from skirmish_maps import ALL_MAPS, Map

from pymarl.envs.skirmish.battle.arrays import ALLY, ATTACK_MOVE, ENEMY, GRID, HUNT, IDLE, UNIT, Terrain
from pymarl.envs.skirmish.scenario.maps import load_map
from pymarl.envs.skirmish.scenario.terrain import make_terrain


@ALL_MAPS
def test_units_start_apart_and_on_free_ground(name: str) -> None:
    m = Map(name)
    width, height = m.terrain.pathable.shape
    for i, unit in enumerate(m.units):
        kind = m.kinds[unit["kind"]]
        ground = m.terrain.climbable if kind["climbs"] else m.terrain.pathable
        if m.names[unit["kind"]] != "medivac":
            assert ground[int(unit["x"]), int(unit["y"])], f"{m.names[unit['kind']]} {i} stands in a wall"
        assert kind["separation"] <= min(unit["x"], unit["y"], width - unit["x"], height - unit["y"])
        for other in m.units[:i]:
            if m.kinds[other["kind"]]["layer"] == kind["layer"]:
                apart = kind["separation"] + m.kinds[other["kind"]]["separation"]
                assert (unit["x"] - other["x"]) ** 2 + (unit["y"] - other["y"]) ** 2 >= apart**2
    positions = np.concatenate([m.units["x"], m.units["y"]]) * GRID
    assert np.array_equal(positions, np.round(positions))


@ALL_MAPS
def test_one_unit_stands_on_the_point(name: str) -> None:
    m = Map(name)
    for side, groups in ((ALLY, m.spec.allies), (ENEMY, m.spec.enemies)):
        here = m.units[m.units["side"] == side]
        firsts = {group.at for group in groups}
        for x, y in firsts:
            near = (np.abs(here["x"] - x) <= 0.5 / GRID) & (np.abs(here["y"] - y) <= 0.5 / GRID)
            assert near.any(), f"nobody stands on {x, y}"


@ALL_MAPS
def test_agents_are_sorted_and_all_is_fresh(name: str) -> None:
    m = Map(name)
    n = m.spec.n_agents
    assert len(m.units) == n + m.spec.n_enemies
    keys = [(m.spec.ally_types.index(m.names[u["kind"]]), u["x"], u["y"]) for u in m.units[:n]]
    assert keys == sorted(keys)
    made = [m.names[u["kind"]] for u in m.units[n:]]
    assert made == [group.type for group in m.spec.enemies for _ in range(group.count)]
    assert m.units["side"].tolist() == [ALLY] * n + [ENEMY] * m.spec.n_enemies
    for key in ("health", "shield", "energy"):
        assert np.array_equal(m.units[key], m.kinds[key][m.units["kind"]])
    for key in ("cooldown", "calm", "pace", "moved"):
        assert not m.units[key].any()
    for key in ("windup", "hit_in", "target", "aim", "hit_unit", "beam", "fired"):
        assert (m.units[key] == -1).all()
    assert set(np.abs(m.units["bend"])) == {1}
    assert set(UNIT.names or ()) >= {"x", "held_total"}


def test_enemies_have_the_order_of_the_map() -> None:
    for name, order, goal in (("3m", ATTACK_MOVE, (9, 16)), ("2c_vs_64zg", HUNT, None), ("2s_vs_1sc", IDLE, None)):
        m = Map(name)
        n = m.spec.n_agents
        assert (m.units["order"][:n] == IDLE).all()
        assert (m.units["order"][n:] == order).all()
        assert m.spec.enemy_goal == (() if goal is None else (goal,))
    assert load_map("2m_vs_1z").enemy_goal == ((13, 12), (19, 12))


@pytest.mark.parametrize("name", ["3m", "8m", "25m", "MMM", "2s3z", "3s5z", "1c3s5z", "bane_vs_bane"])
def test_equal_armies_mirror_each_other(name: str) -> None:
    m = Map(name)
    n = m.spec.n_agents
    ours = {(u["x"], u["y"], int(u["kind"])) for u in m.units[:n]}
    theirs = m.units[n:]
    if name == "bane_vs_bane":
        mirrored = {(u["x"], 32 - u["y"], int(u["kind"])) for u in theirs}
    else:
        mirrored = {(32 - u["x"], u["y"], int(u["kind"])) for u in theirs}
    assert ours == mirrored


def test_three_marines_stand_in_a_row() -> None:
    assert Map("3m").units[["x", "y"]].tolist()[:3] == [(9, 15.25), (9, 16), (9, 16.75)]


def walk(terrain: Terrain, a: tuple[int, int], b: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the cells at which a way from a to b turns, with both ends."""
    height = terrain.pathable.shape[1]
    cells, goal = [a], b[0] * height + b[1]
    while cells[-1] != b:
        at = cells[-1][0] * height + cells[-1][1]
        after = int(terrain.waypoint[at, goal])
        assert after not in (-1, at)
        cells.append(divmod(after, height))
        assert len(cells) < 50
    return cells


def crossed(cells: list[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return all cells that a walker from centre to centre of these cells sets foot on."""
    points = [
        np.array(a) + 0.5 + (np.array(b) - np.array(a)) * t for a, b in pairwise(cells) for t in np.linspace(0, 1, 997)
    ]
    return {(int(x), int(y)) for x, y in points}


def test_corridor_has_one_way_and_it_is_the_choke() -> None:
    terrain = make_terrain(load_map("corridor"))
    rooms = [(x, y) for x in range(32) for y in range(32) if terrain.pathable[x, y]]
    upper, lower = [c for c in rooms if c[1] >= 16], [c for c in rooms if c[1] < 10]
    checked = 0
    for a in upper[::17]:
        for b in lower[::13]:
            steps = crossed(walk(terrain, a, b))
            assert all(terrain.pathable[cell] for cell in steps)
            assert steps & {(12, 12), (12, 13), (13, 12), (13, 13)}
            checked += 1
    assert checked > 50


def test_on_foot_2c_vs_64zg_goes_round_the_cliff() -> None:
    terrain = make_terrain(load_map("2c_vs_64zg"))
    assert not terrain.pathable[4:28, 12:14].any()
    assert terrain.climbable[4:28, 12:14].all()
    assert walk(terrain, (16, 9), (16, 16)) in (
        [(16, 9), (28, 11), (28, 14), (16, 16)],
        [(16, 9), (3, 11), (3, 14), (16, 16)],
    )
    steps = crossed(walk(terrain, (9, 9), (9, 16)))
    assert all(terrain.pathable[cell] for cell in steps)
    assert (3, 12) in steps


@pytest.mark.parametrize("name", ["6h_vs_8z", "2s_vs_1sc"])
def test_a_ring_of_cliff_keeps_the_plateau_apart(name: str) -> None:
    m = Map(name)
    at = [int(u["x"]) * 32 + int(u["y"]) for u in m.units]
    assert (m.terrain.waypoint[np.ix_(at, at)] >= 0).all()
    assert (m.terrain.waypoint[at, 0] == -1).all()
    assert m.terrain.pathable[0, 0]
    assert m.terrain.climbable.all()


@pytest.mark.parametrize("name", ["corridor", "2c_vs_64zg", "so_many_baneling", "2m_vs_1z", "6h_vs_8z"])
def test_ways_are_short_and_never_touch_a_wall(name: str) -> None:
    """Against a plain search over neighbours: a way is never longer, and it exists where the search finds one."""
    terrain = make_terrain(load_map(name))
    rng = np.random.default_rng(3)
    cells = np.argwhere(terrain.pathable)
    goal = tuple(int(v) for v in cells[rng.integers(len(cells))])
    far = {goal: 0.0}
    for _ in range(80):
        for (x, y), length in list(far.items()):
            for u, v in ((x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
                inside = 0 <= u < 32 and 0 <= v < 32
                if inside and terrain.pathable[u, v] and terrain.pathable[u, y] and terrain.pathable[x, v]:
                    far[u, v] = min(far.get((u, v), np.inf), length + np.hypot(u - x, v - y))
    reached = terrain.waypoint[:, goal[0] * 32 + goal[1]].reshape(32, 32) >= 0
    assert reached.sum() == len(far)
    for a in list(far)[::9]:
        way = walk(terrain, a, goal)
        length = sum(np.hypot(p[0] - q[0], p[1] - q[1]) for p, q in pairwise(way))
        assert length <= far[a] * 1.002 + 1e-9  # costs of steps are whole numbers, 29 and 41
        assert all(terrain.pathable[cell] for cell in crossed(way))


def test_ground_of_a_rectangle_needs_no_ways() -> None:
    for name in ("3m", "3s_vs_5z"):
        assert make_terrain(load_map(name)).waypoint.shape == (1, 1)
    assert make_terrain(load_map("3m")) is make_terrain(load_map("MMM2"))


def test_heights_are_bytes_as_the_game_sends_them() -> None:
    level = make_terrain(load_map("2c_vs_64zg")).level
    assert (level[16, 8], level[16, 16]) == (np.float32(191 / 255), np.float32(207 / 255))
