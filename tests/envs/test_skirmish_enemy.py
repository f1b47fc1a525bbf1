"""Whom units of skirmish fight: enemies by themselves, agents on orders alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skirmish_arena import ATTACK_MOVE, EAST, GRID, IDLE, ROW, STOP, Arena, make


def quiet(folder: Path, allies: list[str], enemies: list[str], **options: object) -> Arena:
    """Return an arena where nobody walks and nobody dies."""
    arena = Arena(folder, allies, enemies, **options)  # type: ignore[arg-type]
    arena.all_kinds(speed=0, health=1e6)
    arena.units["health"] = 1e6
    return arena


@pytest.mark.parametrize(("name", "scan", "radius"), [("zealot", 5, 0.5), ("marine", 5, 0.375), ("stalker", 6, 0.625)])
def test_scan_range(tmp_path: Path, name: str, scan: float, radius: float) -> None:
    for beyond in (0, 1):
        arena = quiet(tmp_path, ["hydralisk"], [name])
        arena.place({0: (10, 16), 1: (10 + scan + radius + 0.625 + beyond / GRID, 16)})
        assert (arena.play(30)["aim"][:, 1] == (-1 if beyond else 0)).all()


def test_a_target_in_range_is_kept(tmp_path: Path) -> None:
    arena = quiet(tmp_path, ["marine", "marine"], ["marine"])
    arena.place({0: (10, 16), 1: (2, 2), 2: (14, 16)})
    assert arena.play(3)["aim"][-1, 2] == 0
    arena.place({1: (13, 16)})  # nearer, but the other is still in range
    assert (arena.play(60)["aim"][:, 2] == 0).all()
    arena.place({0: (14 - 5 - 0.75 - 1 / GRID, 16)})  # out of range, though in scan range for a zealot
    arena.all_kinds(scan=8)
    assert arena.play(20)["aim"][-1, 2] == 1


def test_the_nearest_first(tmp_path: Path) -> None:
    arena = quiet(tmp_path, ["marine"] * 3, ["zealot"])
    arena.place({0: (10, 16), 1: (12.5, 16), 2: (15, 12), 3: (15, 16)})
    assert arena.play(1)["aim"][0, 3] == 1


@pytest.mark.parametrize(("threat", "chosen"), [(True, 0), (False, 1)])
def test_threats_before_others(tmp_path: Path, threat: bool, chosen: int) -> None:
    """A medivac is nearer than a marine. In the Liberty layer it counts as a threat, on the ladder it does not."""
    arena = quiet(tmp_path, ["medivac", "marine"], ["marine"])
    arena.own_kind(0, always_threat=threat)
    arena.place({0: (13, 16), 1: (10.5, 16), 2: (15, 16)})
    assert arena.play(1)["aim"][0, 2] == chosen


def test_one_that_is_no_threat_is_fought_if_alone(tmp_path: Path) -> None:
    arena = quiet(tmp_path, ["medivac"], ["marine", "marauder"])
    arena.own_kind(0, always_threat=False)
    arena.place({0: (13, 16), 1: (15, 16), 2: (11, 16)})
    assert arena.play(30)["aim"][-1].tolist()[1:] == [0, -1]  # marauders cannot shoot upwards
    assert arena.units["health"][0] < 1e6


def test_fights_back_and_friends_help(tmp_path: Path) -> None:
    """A stalker shoots from 7 cells; its victim's friends 4 cells away help, from 4 + 1/4096 on they do not."""
    arena = Arena(tmp_path, ["stalker"], ["zealot"] * 4)
    arena.own_kind(0, speed=0)
    arena.place({0: (8, 16), 1: (15, 16), 2: (19, 16), 3: (15, 20 + 1 / GRID), 4: (15, 12)})
    assert (arena.play(20)["aim"][:, 1:] == -1).all()
    frames = arena.attack(30, (0, 1))
    hit = int(np.flatnonzero(frames["shield"][:, 1] < 50)[0])
    assert hit + 1 == 4 + 6  # 2.67 up after the first loop; 6.5 cells at 18.75 / 16 a loop
    assert (frames["aim"][:hit, 1:] == -1).all()
    assert frames["aim"][hit, 1:].tolist() == [0, 0, -1, 0]
    assert frames["x"][-1, 1] < 14
    assert frames["x"][-1, 3] == 15


def test_busy_friends_do_not_help(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["stalker", "marine"], ["zealot", "zealot"])
    arena.all_kinds(speed=0)
    for seed in range(8):  # who acts after the hit would help for the rest of the loop only
        arena.reset(seed)
        arena.place({0: (8, 16), 2: (15, 16), 3: (16, 16), 1: (21.5, 16)})  # in sight of one of them
        frames = arena.attack(14, (0, 2))
        assert frames["shield"][-1, 2] < 50
        assert (frames["aim"][:, 3] == 1).all()


def test_attack_move_goes_on_after_a_kill(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marine"], ["zealot"], order="attack_move", goal=[(4, 16)])
    arena.place({0: (14, 17), 1: (20, 16)})
    frames = arena.play(300)
    death = int(np.flatnonzero(frames["health"][:, 0] == 0)[0])
    assert (frames["aim"][: death + 1, 1] == 0).any()
    assert frames["order"][death + 2, 1] == ATTACK_MOVE
    assert (frames["x"][-1, 1], frames["y"][-1, 1]) == (4, 16)
    assert frames["order"][-1, 1] == IDLE
    away = np.diff(frames["x"][death + 6 :, 1])
    assert (away <= 0).all()


def test_who_has_arrived_still_fights(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marine"], ["zealot"], order="attack_move", goal=[(20, 16)])
    arena.place({0: (4, 16), 1: (22, 16)})
    assert arena.play(40)["order"][-1, 1] == IDLE
    arena.place({0: (16, 16)})
    assert arena.play(60)["health"][-1, 0] < 45


def test_the_goal_of_2m_vs_1z_is_random() -> None:
    env = make(64, map_name="2m_vs_1z")
    env.reset(np.arange(64), np.arange(64).astype(np.uint64))
    enemy = env._world.units[:, 2]
    assert (enemy["goal_y"] == 12).all()
    assert 13 <= enemy["goal_x"].min() < 13.5
    assert 18.5 < enemy["goal_x"].max() <= 19
    assert abs(enemy["goal_x"].mean() - 16) < 4 * (6 / 12**0.5) / 8
    assert (enemy["order"] == ATTACK_MOVE).all()


def test_zerglings_hunt_on_2c_vs_64zg() -> None:
    env = make(map_name="2c_vs_64zg")
    env.reset(ROW, np.array([1], np.uint64))
    units = env._world.units[0]
    units["x"][:2], units["y"][:2] = 16, (17.5, 19)  # out of their scan range of 5, behind the cliff
    stop = np.full((1, 2), STOP)
    env.step(stop, ROW)
    assert set(units["aim"][2:].tolist()) == {0}  # the nearest
    for _ in range(60):
        env.arrays.avail_actions[:], env.arrays.terminated[:] = True, False
        env.step(stop, ROW)
    assert units["health"][0] + units["shield"][0] < 350


def test_enemies_of_2s_vs_1sc_stay() -> None:
    env = make(map_name="2s_vs_1sc")
    env.reset(ROW, np.array([1], np.uint64))
    units = env._world.units[0]
    before = units[2].copy()
    for _ in range(10):
        env.step(np.full((1, 2), STOP), ROW)
    assert (units["x"][2], units["y"][2]) == (before["x"], before["y"])
    assert (units["aim"][2], units["order"][2]) == (-1, IDLE)


def healers(folder: Path, shares: list[float]) -> Arena:
    """Return enemies of which the last is a medivac, and the others have some share of their life."""
    arena = Arena(folder, ["zealot"], ["marine"] * len(shares) + ["medivac"])
    arena.all_kinds(speed=0, energy_regen=0)
    arena.place({0: (2, 2), len(shares) + 1: (16, 16)})
    arena.units["health"][1:-1] = 45 * np.array(shares)
    return arena


def test_a_medivac_heals_who_has_the_least_then_the_nearest(tmp_path: Path) -> None:
    arena = healers(tmp_path, [0.5, 0.4, 0.4, 0.1])
    arena.place({1: (16.5, 16), 2: (14, 16), 3: (16, 19), 4: (16, 16 + 6 + 1.125 + 1 / GRID)})
    frames = arena.play(200)
    assert (frames["fired"][:3, -1] == 2).all()
    turns = frames["fired"][:, -1]
    first = [int(turns[0])]
    for who in turns.tolist():
        if who not in (first[-1], -1):
            first.append(who)
    assert first == [2, 3, 1]  # each to its full life; the last one is out of scan range
    assert arena.units["health"][1:-1].tolist()[:3] == [45, 45, 45]
    assert arena.units["health"][4] == 4.5


def test_a_medivac_needs_five_energy_to_begin(tmp_path: Path) -> None:
    for energy, begins in ((5 - 1 / GRID, False), (5, True)):
        arena = healers(tmp_path, [0.2])
        arena.place({1: (15, 16)})
        arena.units["energy"][-1] = energy
        healed = arena.play(60)["health"][-1, 1] - 9
        assert healed == pytest.approx(5 / 0.33 if begins else 0, abs=0.05)


def test_a_medivac_does_not_mend_machines_or_itself(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["zealot"], ["stalker", "medivac", "medivac"])
    arena.all_kinds(speed=0)
    arena.place({0: (2, 2), 1: (16, 16), 2: (17, 16), 3: (18, 16)})
    arena.units["health"][1:] = 20
    assert (arena.play(30)["health"][-1, 1:] == 20).all()


def test_agents_are_passive(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marine", "stalker"], ["zealot"])
    arena.place({0: (10, 16), 1: (10, 18), 2: (10.5, 17)})
    frames = arena.play(60)
    assert (frames["fired"][:, :2] == -1).all()
    assert (frames["aim"][:, :2] == -1).all()
    assert frames["health"][-1, 0] + frames["shield"][-1, 1] < 45 + 80


def test_agents_idle_after_their_target_died(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["stalker"], ["zergling", "zergling"])
    arena.all_kinds(speed=0)
    arena.place({0: (10, 16), 1: (13, 15), 2: (13, 17)})
    frames = arena.attack(200, (0, 1))
    death = int(np.flatnonzero(frames["health"][:, 1] == 0)[0])
    assert frames["order"][death + 1, 0] == IDLE
    assert (frames["fired"][death + 1 :, 0] == -1).all()
    assert frames["health"][-1, 2] == 35


def test_agents_follow_who_runs(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["zergling"], ["zealot"], order="attack_move", goal=[(30, 16)])
    arena.own_kind(1, damage=0, targets=0)
    arena.place({0: (8, 16), 1: (12, 16)})
    frames = arena.attack(300, (0, 1))
    assert frames["health"][-1, 1] < 100
    arena.play(1, {0: EAST})


def test_who_acts_first_is_random(tmp_path: Path) -> None:
    """Two marines begin in the same loop, and so one of them, half of the time ours, dies before its last shot."""
    arena = Arena(tmp_path, ["marine"], ["marine"])
    won = 0
    for seed in range(100):
        arena.reset(seed)
        arena.place({0: (10, 16), 1: (14, 16)})
        health = arena.attack(110, (0, 1))["health"]
        assert (health[-1] > 0).sum() == 1
        assert (health[98] > 0).all()
        assert (health[99] > 0).sum() == 1  # worked out for test_time_to_kill: loop 100
        won += int(health[-1, 0] > 0)
    assert 30 <= won <= 70
