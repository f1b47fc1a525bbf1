"""How units of skirmish walk, get round things and keep apart, against hand calculation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skirmish_arena import EAST, GRID, NORTH, ROW, SOUTH, STOP, WEST, Arena, gap, make, random_actions

PER_SECOND = {
    "marine": 2.25, "marauder": 2.25, "stalker": 2.9531, "zealot": 2.25, "colossus": 2.25, "zergling": 2.9531,
    "baneling": 2.5, "hydralisk": 2.25,
}  # fmt: skip
"""Cells. Medivacs speed up on the way."""


@pytest.mark.parametrize(
    ("action", "dx", "dy"), [(NORTH, 0, 1), (SOUTH, 0, -1), (EAST, 1, 0), (WEST, -1, 0)], ids=["N", "S", "E", "W"]
)
@pytest.mark.parametrize("name", PER_SECOND)
def test_way_of_a_step(tmp_path: Path, name: str, action: int, dx: int, dy: int) -> None:
    arena = Arena(tmp_path, [name], ["spine_crawler"], step_mul=8)
    arena.place({0: (8, 16), 1: (30, 30)})
    way = 8 * round(PER_SECOND[name] / 16 * GRID) / GRID  # marine 1.125
    assert way == pytest.approx(PER_SECOND[name] / 2, abs=8 / GRID)
    units = arena.play(1, {0: action})
    assert units[0, 0]["x"] - 8 == way * dx
    assert units[0, 0]["y"] - 16 == way * dy
    units = arena.play(3)  # without a new order it stops after two cells
    assert units["x"][:, 0].tolist() == [8 + 2 * dx] * 3
    assert units["y"][:, 0].tolist() == [16 + 2 * dy] * 3


def test_a_medivac_speeds_up(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["medivac"], ["spine_crawler"], move_amount=20)
    arena.place({0: (4, 16), 1: (30, 30)})
    x = arena.play(60, {0: EAST})["x"][:, 0]
    steps = np.diff(x, prepend=4)
    accel = 2.3125 / 256
    assert steps[:19] == pytest.approx(accel * np.arange(1, 20), abs=0.01)
    assert (steps[20:] == 2.75 / 16).all()
    assert x[7] - 4 == pytest.approx(36 * accel, abs=0.01)  # 0.33 cells in the first env step
    arena.play(50, {0: STOP})
    assert arena.play(8, {0: WEST})["x"][-1, 0] == pytest.approx(x[-1] - 36 * accel, abs=0.01)


def test_stop_stops(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marine"], ["spine_crawler"])
    arena.place({0: (8, 16), 1: (30, 30)})
    x = arena.play(3, {0: EAST})["x"][-1, 0]
    assert (arena.play(20, {0: STOP})["x"][:, 0] == x).all()


def test_walls_and_the_rim(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marine", "marine"], ["spine_crawler"], ground=[(2, 30, 8, 24)], camps=((8, 16), (26, 20)))
    arena.place({0: (28.5, 10), 1: (2.25, 23.5)})
    for _ in range(3):
        units = arena.play(12, {0: EAST, 1: NORTH})
    assert 29 < units["x"][-1, 0] < 30
    assert 23.5 < units["y"][-1, 1] < 24


CLIFF = [(14, 18, 4, 32)]
"""Ground to the west and to the east, joined in the south."""


@pytest.mark.parametrize("name", ["colossus", "zergling"])
def test_cliffs(tmp_path: Path, name: str) -> None:
    arena = Arena(tmp_path, [name], ["spine_crawler"], cliffs=CLIFF)
    arena.kind(1)["damage"] = 0
    arena.place({0: (6, 24), 1: (26, 24)})
    units = arena.attack(300, (0, 1))
    x, y = units["x"][:, 0], units["y"][:, 0]
    on_cliff = (x >= 14) & (x < 18) & (y >= 4)
    if name == "colossus":
        assert on_cliff.sum() == pytest.approx(4 / (2.25 / 16), abs=2)
        assert (y == 24).all()
    else:
        assert not on_cliff.any()
        assert y.min() < 4
        way = np.hypot(np.diff(x), np.diff(y)).sum()
        # At least (6, 24) - (14, 4) - (18, 4) - (26, 24) less both radii and its reach.
        assert 2 * np.hypot(8, 20) + 4 - 1.5 < way < 2 * np.hypot(8, 20) + 4 + 2
    assert units["health"][-1, 1] < 300


def test_medivacs_fly_over_everything(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["medivac"], ["spine_crawler"], ground=[(2, 12, 0, 32), (20, 32, 0, 32)], move_amount=20)
    arena.place({0: (6, 24), 1: (26, 10)})
    units = arena.play(150, {0: EAST})
    assert units["x"][-1, 0] == 26
    assert (units["y"][:, 0] == 24).all()


def test_zerglings_get_through_the_choke_of_corridor() -> None:
    env = make(map_name="corridor")
    actions = np.zeros((1, 6), np.int64)
    units = env._world.units[0]
    env.reset(ROW, np.array([3], np.uint64))
    units["x"][:6], units["y"][:6] = np.linspace(3, 5, 6), 4  # our zealots beyond the choke
    start = units[6:].copy()
    through = 0
    for _ in range(80):
        env.arrays.avail_actions[:], env.arrays.terminated[:] = True, False
        env.step(actions + 1, ROW)
        through = max(through, int(((units["y"][6:] < 12) & (units["health"][6:] > 0)).sum()))
        inside = env.terrain.pathable[units["x"].astype(int), units["y"].astype(int)]
        assert inside.all()
    assert (start["y"] > 14).all()
    assert through == 24
    assert (units["health"][:6] <= 0).any()  # they fight there


def overlap(arena: Arena) -> float:
    """Return by how much the two worst units of a layer overlap."""
    kinds, units = arena.env.kinds[arena.units["kind"]], arena.units
    worst = 0.0
    for i in range(len(units)):
        for j in range(i):
            if kinds["layer"][i] == kinds["layer"][j] and min(units["health"][i], units["health"][j]) > 0:
                touch = kinds["separation"][i] + kinds["separation"][j]
                worst = max(worst, float(touch) - gap(units[i], units[j]))
    return worst


def test_units_keep_apart(tmp_path: Path) -> None:
    """A crowd walks into a corner, then rests; nobody ends up on top of anybody, nor in the wall."""
    arena = Arena(tmp_path, ["marine"] * 12 + ["zealot"] * 6, ["spine_crawler"], ground=[(0, 32, 4, 28)])
    arena.place({18: (30, 27)})
    for _ in range(12):
        units = arena.play(16, dict.fromkeys(range(18), WEST))
        units = arena.play(16, dict.fromkeys(range(18), SOUTH))
        assert (units["x"] >= 0).all()
        assert (units["y"] >= 4).all()
    arena.play(100, dict.fromkeys(range(18), STOP))
    assert overlap(arena) < 0.1
    assert units["x"][-1, :18].max() < 8


def test_nobody_stands_on_another_for_long(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marine"] * 2, ["zealot"] * 2)
    arena.place({0: (10, 16), 1: (10, 16), 2: (20, 16), 3: (20.1, 16)})
    arena.play(8, {0: NORTH, 1: NORTH})
    arena.play(32, {0: SOUTH, 1: SOUTH})
    arena.play(8, {0: STOP, 1: STOP})
    assert overlap(arena) < 0.1


@pytest.mark.parametrize(("count", "least"), [(4, 4), (8, 7), (16, 7)])
def test_a_crowd_surrounds_its_target(tmp_path: Path, count: int, least: int) -> None:
    """Seven zerglings find room: centres at most 0.975 from the zealot's and 0.75 from each other, 2 asin(.75/1.95)."""
    arena = Arena(tmp_path, ["zealot"], ["zergling"] * count, order="hunt")
    arena.place({0: (8, 16)})
    arena.own_kind(0, health=1e6, damage=0, targets=1, shield=0)
    arena.units["health"][0] = 1e6
    fired = arena.play(400)["fired"][-150:, 1:]
    hits = (fired == 0).sum(0)
    assert (hits > 0).sum() >= least, hits.tolist()


@pytest.mark.parametrize(("name", "seed"), [("3s5z", 1), ("bane_vs_bane", 2), ("2c_vs_64zg", 3)])
def test_no_overlap_in_real_battles(name: str, seed: int) -> None:
    """Disc overlap stays small: its mean over pairs that touch, and no pair on the same spot."""
    env = make(map_name=name)
    generator = np.random.default_rng(seed)
    env.reset(ROW, np.array([seed], np.uint64))
    units = env._world.units[0]
    kind = env.kinds[units["kind"]]
    touch = kind["separation"][:, None] + kind["separation"]
    same = (kind["layer"][:, None] == kind["layer"]) & ~np.eye(len(units), dtype=bool)
    worst, seen = 0.0, 0
    while not (env.arrays.terminated[0] or env.arrays.truncated[0]):
        env.step(random_actions(env, generator), ROW)
        alive = units["health"] > 0
        pairs = same & alive & alive[:, None]
        depth = (touch - np.hypot(units["x"][:, None] - units["x"], units["y"][:, None] - units["y"]))[pairs]
        if depth.size:
            worst, seen = max(worst, float(depth.max())), seen + 1
    assert seen > 5
    assert worst < 0.4


def test_a_move_goes_on_past_a_friend_who_fights(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marine", "marine"], ["zealot"])
    arena.own_kind(2, speed=0.0, health=1e6)
    arena.units["health"][2] = 1e6
    arena.place({0: (9.2, 16.05), 1: (10, 16), 2: (14, 16)})
    arena.attack(1, (1, 2))
    frames = arena.play(40, {0: EAST})
    assert frames["x"][-1, 0] == pytest.approx(11.2, abs=0.01)  # two cells, on the far side of the friend


def test_hunters_without_prey_stay(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["medivac"], ["zergling", "medivac"], order="hunt")
    before = arena.units[["x", "y"]].copy()
    after = arena.play(60)[-1]  # a zergling cannot hit a flyer, and nobody is wounded
    assert (after[["x", "y"]] == before).all()
