"""Weapons, healing and regeneration of skirmish against hand calculation. Times are game loops, 16 a second."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skirmish_arena import EAST, GRID, IDLE, MOVE, STOP, Arena

# Typed from SMAC's data (Liberty layer), not read from our tables; seconds and cells.
# health, shield, armor, armored, light, zerg, damage, bonus, what the bonus is for, hits, period, damage point,
# missile speed, range
DATA: dict[str, tuple[Any, ...]] = {
    "marine": (45, 0, 0, False, True, False, 6, 0, "", 1, 0.8608, 0.05, 0, 5),
    "marauder": (125, 0, 1, True, False, False, 10, 10, "armored", 1, 1.5, 0, 20, 6),
    "medivac": (150, 0, 1, True, False, False, 0, 0, "", 0, 0, 0, 0, 0),
    "stalker": (80, 80, 1, True, False, False, 10, 4, "armored", 1, 1.44, 0.167, 18.75, 6),
    "zealot": (100, 50, 1, False, True, False, 8, 0, "", 2, 1.2, 0, 0, 0.1),
    "colossus": (200, 150, 1, True, False, False, 20, 0, "", 2, 2.2, 0.0832, 0, 6),
    "zergling": (35, 0, 0, False, True, True, 5, 0, "", 1, 0.696, 0.167, 0, 0.1),
    "baneling": (30, 0, 0, False, False, True, 20, 15, "light", 1, 0.833, 0, 0, 0.25),
    "hydralisk": (80, 0, 0, False, True, True, 12, 0, "", 1, 0.83, 0.208, 40, 5),
    "spine_crawler": (300, 0, 2, True, False, True, 25, 5, "armored", 1, 1.6, 0.3332, 27.3, 7),
}
KEYS = ("health", "shield", "armor", "armored", "light", "zerg", "damage", "bonus", "bonus_on", "hits", "period")
RADIUS = {
    "marine": 0.375, "marauder": 0.5625, "medivac": 0.75, "stalker": 0.625, "zealot": 0.5, "colossus": 1.0,
    "zergling": 0.375, "baneling": 0.375, "hydralisk": 0.625, "spine_crawler": 0.875,
}  # fmt: skip
ARMIES = (  # who meets whom on the 23 maps
    (("marine",), ("marine",)),
    (("marine", "marauder", "medivac"), ("marine", "marauder", "medivac")),
    (("colossus", "stalker", "zealot"), ("colossus", "stalker", "zealot")),
    (("marine",), ("zealot",)),
    (("zealot",), ("zergling", "baneling")),
    (("hydralisk",), ("zealot",)),
    (("stalker",), ("spine_crawler",)),
    (("zergling", "baneling"), ("zergling", "baneling")),
    (("colossus",), ("zergling",)),
)
MET = {pair for ours, theirs in ARMIES for a, b in product(ours, theirs) for pair in ((a, b), (b, a))}
PAIRS = sorted((a, b) for a, b in MET if a != "medivac" and (a, b) != ("marauder", "medivac"))
DUELS = [pair for pair in PAIRS if pair[0] != "baneling"]  # it strikes once: see the blasts
BY_HAND = {  # loop of the kill, the first loop being 1: first hit + intervals (+ flight, second blow or beam)
    ("marine", "marine"): 100,  # 8 hits: 1 + 1 (0.8 up) + 7 * 14 (13.77 up)
    ("marine", "zealot"): 394,  # 48 on the shield, 2 and 3 more, 20 of 5 (armor 1): 29 hits, 2 + 28 * 14
    ("zealot", "marine"): 46,  # 6 blows: three attacks, 1 + 2 * 20, the second blow 5 later
    ("zergling", "zealot"): 412,  # 10 on the shield, 25 of 4 on the life: 1 + 3 (2.67 up) + 34 * 12
    ("marauder", "stalker"): 198,  # 4 of 20 on the shield, 5 of 19: 1 + 8 * 24 + 5, 5.5 cells and a radius at 1.25
    ("colossus", "zergling"): 9,  # 1 + 2 (1.33 up) + 6: both beams
}
"""Worked out on paper."""


def hit_times(attacker: str, target: str, distance: float, until: int) -> list[int]:
    """Return the loops in which hits land if the order comes before loop 1."""
    data = dict(zip(KEYS, DATA[attacker], strict=False))
    period, point, speed = math.ceil(round(data["period"] * 16, 3)), DATA[attacker][11] * 16, DATA[attacker][12] / 16
    first = 1 + math.ceil(point)
    if attacker == "colossus":
        later = [6, 6]  # both beams end on the target after 0.375 s
    elif speed > 0:
        later = [max(1, math.ceil((distance - RADIUS[target]) / speed))]
    else:
        later = [0, math.ceil(0.28 * 16)][: data["hits"]]
    return sorted(start + wait for start in range(first, until, period) for wait in later)


def loops_to_kill(attacker: str, target: str, distance: float) -> int:
    """Return the loop in which the target dies, zerg growing 0.2734 points a second."""
    by, on = (dict(zip(KEYS, DATA[name], strict=False)) for name in (attacker, target))
    amount = by["damage"] + (by["bonus"] if by["bonus_on"] and on[by["bonus_on"]] else 0)
    grows = round(0.2734 / 16 * GRID) / GRID if on["zerg"] else 0.0
    health, shield, before = on["health"], on["shield"], 0
    for loop in hit_times(attacker, target, distance, 2000):
        health = min(health + grows * (loop - before), on["health"])
        before = loop
        absorbed = min(shield, amount)
        shield -= absorbed
        if amount > absorbed:
            health -= max(amount - absorbed - on["armor"], 0.5)
        if health <= 0:
            return loop
    raise AssertionError("never")


def duel(folder: Path, attacker: str, target: str, ally: bool, **options: Any) -> tuple[Arena, int, int, float]:
    """Return an arena where nobody walks and only the attacker fights, its two units and their distance."""
    sides = ([attacker], [target]) if ally else ([target], [attacker])
    arena = Arena(folder, *sides, **options)
    source, victim = (0, 1) if ally else (1, 0)
    arena.own_kind(victim, damage=0, targets=0)
    arena.all_kinds(speed=0)
    reach = DATA[attacker][13]
    distance = RADIUS[attacker] + RADIUS[target] + (reach - 0.5 if reach > 1 else 0.05)
    distance = round(distance * GRID) / GRID
    arena.place({source: (10, 16), victim: (10 + distance, 16)})
    return arena, source, victim, distance


def test_every_pair_that_meets_is_covered() -> None:
    assert len(PAIRS) == 30
    assert {name for pair in PAIRS for name in pair} == set(DATA)


@pytest.mark.parametrize("ally", [True, False], ids=["ally", "enemy"])
@pytest.mark.parametrize(("attacker", "target"), DUELS)
def test_time_to_kill(tmp_path: Path, attacker: str, target: str, ally: bool) -> None:
    arena, source, victim, distance = duel(tmp_path, attacker, target, ally)
    expected = loops_to_kill(attacker, target, distance)
    frames = arena.attack(expected + 5, *([(source, victim)] if ally else []))
    health = frames["health"][:, victim]
    assert (health[: expected - 1] > 0).all()
    assert (health[expected - 1 :] == 0).all()


@pytest.mark.parametrize(("attacker", "target"), BY_HAND)
def test_some_are_worked_out_on_paper(attacker: str, target: str) -> None:
    reach = DATA[attacker][13]
    distance = RADIUS[attacker] + RADIUS[target] + (reach - 0.5 if reach > 1 else 0.05)
    assert loops_to_kill(attacker, target, distance) == BY_HAND[attacker, target]


@pytest.mark.parametrize(("name", "loops"), [("marine", 13.7728), ("zergling", 11.136), ("hydralisk", 13.28)])
def test_random_delay(tmp_path: Path, name: str, loops: float) -> None:
    arena, source, victim, _ = duel(tmp_path, name, "zealot", True, delay=(-1.0, 2.0))
    arena.own_kind(victim, health=1e6, shield=0)
    arena.units["health"][victim] = 1e6
    health = arena.attack(8900, (source, victim))["health"][:, victim]
    waits = np.diff(np.flatnonzero(np.diff(health) < 0))
    assert len(waits) > 550
    assert set(waits.tolist()) == set(range(math.ceil(loops - 1), math.ceil(loops + 2) + 1))
    # Rounding up to whole loops adds half a loop to the mean delay of (2 - 1) / 2.
    assert abs(waits.mean() - (loops + 1)) < 4 * waits.std() / math.sqrt(len(waits))


def test_marauders_wait_for_whole_loops_alone(tmp_path: Path) -> None:
    arena, source, victim, _ = duel(tmp_path, "marauder", "zealot", True, delay=(-1.0, 2.0))
    arena.own_kind(victim, health=1e6, shield=0)
    arena.units["health"][victim] = 1e6
    health = arena.attack(4000, (source, victim))["health"][:, victim]
    waits = np.diff(np.flatnonzero(np.diff(health) < 0))
    assert set(waits.tolist()) == {24, 25, 26}  # the period is 24.0
    assert abs(waits.mean() - 25) < 0.25


def test_least_damage(tmp_path: Path) -> None:
    arena, source, victim, _ = duel(tmp_path, "marine", "marauder", True)
    arena.own_kind(victim, armor=6)
    assert arena.attack(2, (source, victim))["health"][-1, victim] == 124.5


def test_the_same_order_again_does_not_reset_the_windup(tmp_path: Path) -> None:
    arena, source, victim, _ = duel(tmp_path, "hydralisk", "zealot", True)
    fired = [int(arena.attack(1, (source, victim))["fired"][0, source]) for _ in range(40)]
    assert [loop for loop, who in enumerate(fired, 1) if who == victim] == [5, 19, 33]  # 1 + 4 (3.33 up), then 14


def test_a_move_breaks_off_and_keeps_the_weapon_ready(tmp_path: Path) -> None:
    arena, source, victim, _ = duel(tmp_path, "hydralisk", "zealot", True)
    assert arena.attack(3, (source, victim))["windup"][-1, source] > 0
    frames = arena.play(20, {source: EAST})
    assert (frames["fired"][:, source] == -1).all()
    assert (frames["windup"][:, source] == -1).all()
    assert (frames["cooldown"][:, source] == 0).all()
    assert (arena.attack(6, (source, victim))["fired"][:, source] == victim).tolist() == [False] * 4 + [True, False]


def test_a_move_after_the_shot_does_not_reload(tmp_path: Path) -> None:
    arena, source, victim, _ = duel(tmp_path, "stalker", "zealot", True)
    arena.attack(4, (source, victim))  # fires in loop 1 + 3 (2.67 up); the next in loop 1 + 24 (23.04 up)
    arena.play(3, {source: STOP})
    fired = arena.attack(40, (source, victim))["fired"][:, source]
    assert (np.flatnonzero(fired == victim)[:1] + 8).tolist() == [25 + 3]


def test_another_target_starts_a_new_attack(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["hydralisk"], ["zealot", "zealot"])
    arena.all_kinds(speed=0)
    arena.place({0: (10, 16), 1: (13, 15), 2: (13, 17)})
    arena.attack(3, (0, 1))
    frames = arena.attack(5, (0, 2))
    assert frames["fired"][:, 0].tolist() == [-1, -1, -1, -1, 2]


def test_a_refused_order_keeps_the_old_one(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marauder"], ["marine", "medivac"])
    arena.all_kinds(speed=0, heal=0)
    arena.place({0: (10, 16), 1: (13, 16), 2: (10, 18)})
    arena.attack(1, (0, 1))
    frames = arena.attack(120, (0, 2))  # 5 hits of 10, 24 loops apart
    assert frames["target"][0, 0] == 1
    assert frames["health"][-1, 1] == 0
    assert frames["health"][-1, 2] == 150
    assert frames["order"][-1, 0] == IDLE
    arena.play(1, {0: EAST})
    assert arena.attack(1, (0, 2))["order"][-1, 0] == MOVE


@pytest.mark.parametrize("name", [name for name in DATA if name not in ("medivac", "spine_crawler")])
def test_range_at_the_edge(tmp_path: Path, name: str) -> None:
    for beyond in (0, 1):
        arena = Arena(tmp_path, [name], ["zealot"])
        arena.kind(1)["speed"] = 0
        arena.own_kind(0, speed=0.125)
        reach = (round(DATA[name][13] * GRID) + beyond) / GRID
        arena.place({0: (10, 16), 1: (10 + RADIUS[name] + RADIUS["zealot"] + reach, 16)})
        frames = arena.attack(2, (0, 1))
        begins = (frames["cooldown"][:, 0] > 0) | (frames["health"][:, 0] == 0)
        assert begins.tolist() == [not beyond, True]
        assert (frames["x"][:, 0] > 10).tolist() == [bool(beyond)] * 2


@pytest.mark.parametrize(
    ("name", "slop"), [("marine", 1.0), ("stalker", 1.0), ("colossus", 0.0), ("spine_crawler", 0.0)]
)
@pytest.mark.parametrize("beyond", [False, True])
def test_a_target_may_slip_away_so_far(tmp_path: Path, name: str, slop: int, beyond: bool) -> None:
    arena = Arena(tmp_path, ["zealot"], [name], order="hunt")
    arena.own_kind(1, speed=0.0, damage_point=5.0)
    edge = arena.kind(1)["reach"] + arena.kind(1)["radius"] + arena.kind(0)["radius"]
    arena.place({0: (5, 16), 1: (5 + edge, 16)})
    assert arena.play(1)["windup"][0, 1] > 0
    arena.place({0: (5 - slop - beyond / GRID, 16)})
    frames = arena.play(1)
    assert (frames["windup"][0, 1] > 0) != beyond
    assert frames["cooldown"][0, 1] == 0 if beyond else frames["cooldown"][0, 1] > 0
