"""Area damage, healing and regeneration of skirmish against hand calculation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skirmish_arena import GRID, STOP, TARGET, Arena

GROWS = 70 / GRID
"""Life of zerg units per loop: 0.2734 / 16 on the grid."""


def still(folder: Path, allies: list[str], enemies: list[str]) -> Arena:
    """Return an arena where nobody walks, enemies do not fight and nothing grows."""
    arena = Arena(folder, allies, enemies)
    arena.all_kinds(speed=0, regen=0, shield_regen=0)
    for unit in range(arena.n_allies, len(arena.units)):
        splash = arena.kind(unit)["splash"]
        arena.own_kind(unit, targets=0, heal=0, damage=arena.kind(unit)["damage"] if splash == 2 else 0)
    return arena


def test_a_colossus_burns_a_strip(tmp_path: Path) -> None:
    """Half length 1.25 + 0.15 + 0.375 = 1.775, half width 0.525; in between a row of circles 0.25 apart."""
    places = {
        3: (16, 16),  # the target
        4: (16, 17.77), 5: (16, 14.23), 6: (16.5, 16), 7: (15.5, 16.25),  # inside
        8: (16, 17.78), 9: (16, 14.22), 10: (16.53, 16), 11: (15.47, 16.25), 12: (10, 17),  # outside
    }  # fmt: skip
    arena = still(tmp_path, ["colossus", "marine", "marine"], ["zergling"] * 10 + ["medivac", "colossus"])
    arena.units["health"][3:13] = 1000
    arena.place({0: (10, 16), 1: (16, 16.5), 2: (10, 16), **places, 13: (16, 16.2), 14: (16, 18)})
    frames = arena.attack(30, (0, 3))
    lost = 1000 - frames["health"][-1, 3:13]
    assert lost.tolist() == [40] * 5 + [0] * 5
    assert frames["health"][-1, :3].tolist() == [200, 45, 45]
    assert frames["health"][-1, 13] == 150  # in the air
    assert 350 - frames["health"][-1, 14] - frames["shield"][-1, 14] == 40  # its radius is 1
    drops = -np.diff(frames["health"][:, 3:13], axis=0)
    assert set(np.unique(drops)) == {0, 20, 40}
    shot = 2  # the third loop: 1.33 up to 2 after the first
    assert np.flatnonzero(drops[:, 0]).tolist() == [shot + 5]  # the target: six loops later, both beams
    # The ends of the strip: a beam comes by after 0 and after 5 loops, and burns 4 loops later.
    assert np.flatnonzero(drops[:, 1]).tolist() == [shot + 3, shot + 8]


def test_two_colossi_sweep_apart(tmp_path: Path) -> None:
    arena = still(tmp_path, ["colossus", "colossus"], ["zergling"] * 2)
    arena.units["health"][2:] = 1000
    arena.place({0: (10, 16), 1: (22, 16), 2: (16, 16), 3: (16, 17)})
    assert (1000 - arena.attack(30, (0, 2), (1, 2))["health"][-1, 2:]).tolist() == [80, 80]
    assert (1000 - arena.play(30)["health"][-1, 2:]).tolist() == [160, 160]  # the second shot, 36 loops later


BLAST_ON = {  # what is left of health and shield
    "marine": (10, 0),  # 45 - 35
    "zealot": (100, 15),  # 50 - 35
    "stalker": (80, 60),  # 80 - 20
    "marauder": (106, 0),  # 125 - (20 - 1)
    "zergling": (0, 0),
    "hydralisk": (45, 0),
    "baneling": (10, 0),
    "colossus": (200, 130),
    "medivac": (150, 0),  # in the air
    "spine_crawler": (222, 0),  # 300 - (80 - 2)
}


def test_a_baneling_bursts_on_what_it_meets(tmp_path: Path) -> None:
    names = list(BLAST_ON)
    arena = still(tmp_path, ["baneling", "marine", "zergling"], names)
    arena.place({0: (16, 16), 1: (16, 17), 2: (16, 15)})
    arena.place({3 + k: (16 + np.sin(k), 16 + np.cos(k)) for k in range(len(names))})
    arena.place({3: (16.75, 16)})
    arena.play(1, {0: TARGET})
    units = arena.units
    assert {name: (units[3 + k]["health"], units[3 + k]["shield"]) for k, name in enumerate(names)} == BLAST_ON
    assert units["health"][:3].tolist() == [0, 45, 35]


@pytest.mark.parametrize("killed", [False, True], ids=["on its own", "killed"])
def test_reach_of_a_blast(tmp_path: Path, killed: bool) -> None:
    """2.2 cells and the radius of who is hit: 2.575 for a marine, 2.7 for a zealot; exact on the axis."""
    reach = round(2.2 * GRID) / GRID
    arena = still(tmp_path, ["baneling", "baneling"], ["marine"] * 3 + ["zealot"] * 2)
    arena.place({0: (16, 16), 1: (20, 16), 2: (16.75, 16), 3: (16 - reach - 0.375, 16), 4: (16 - reach - 0.38, 16)})
    arena.place({5: (16, 16 + reach + 0.5), 6: (16, 16 - reach - 0.5 - 1 / GRID)})
    if killed:
        arena.own_kind(2, damage=200, targets=1, scan=5, damage_point=0)
        arena.place({1: (27, 16)})
        arena.play(1)
    else:
        arena.attack(1, (0, 2))
    assert arena.units["health"][0] == 0
    assert arena.units["health"][2:].tolist() == [10, 10, 45, 100, 100]
    assert arena.units["shield"][5:].tolist() == [15, 50]


def test_a_chain_of_banelings(tmp_path: Path) -> None:
    """Ours bursts, theirs bursts of it, our next bursts of that, and so on; nobody bursts twice."""
    arena = still(tmp_path, ["baneling"] * 3, ["baneling"] * 3 + ["stalker"])
    arena.units["health"][:6] = 20
    arena.place({0: (4, 16), 3: (4.8, 16), 1: (7, 16), 4: (9.2, 16), 2: (11.5, 16), 5: (25, 16), 6: (13.5, 16)})
    arena.play(1, {0: TARGET})
    assert arena.units["health"].tolist() == [0, 0, 0, 0, 0, 20, 80]
    assert arena.units["shield"][6] == 60  # of the last one of ours alone


def test_healing(tmp_path: Path) -> None:
    """9 points a second are 0.5625 a loop, for 0.33 energy each, which grows by 0.5625 a second."""
    arena = still(tmp_path, ["marine", "medivac"], ["spine_crawler"])
    arena.place({0: (10, 16), 1: (10 + 4 + 0.375 + 0.75, 16), 2: (30, 30)})
    arena.units["health"][0] = 10
    frames = arena.play(80, {1: TARGET})
    health, energy = frames["health"][:, 0], frames["energy"][:, 1]
    assert np.array_equal(health[:62], 10 + 0.5625 * np.arange(1, 63))  # 35 / 0.5625 = 62.2
    assert (health[62:] == 45).all()
    spent, grown = 0.5625 * 0.33, 0.5625 / 16
    assert energy[31] == pytest.approx(50 - 32 * (spent - grown), abs=0.01)
    assert energy[62] == pytest.approx(50 - 35 * 0.33 + 63 * grown, abs=0.02)
    assert (np.diff(energy[63:]) == grown).all()
    assert (frames["fired"][:63, 1] == 0).all()
    assert (frames["fired"][63:, 1] == -1).all()


def test_healing_ends_with_the_energy(tmp_path: Path) -> None:
    arena = still(tmp_path, ["marauder", "medivac"], ["spine_crawler"])
    arena.all_kinds(energy_regen=0)
    arena.place({0: (10, 16), 1: (11, 16), 2: (30, 30)})
    arena.units["health"][0], arena.units["energy"][1] = 10, 2
    frames = arena.play(40, {1: TARGET})
    assert frames["health"][-1, 0] == pytest.approx(10 + 2 / 0.33, abs=0.01)
    assert frames["energy"][-1, 1] == 0
    assert (np.diff(frames["health"][12:, 0]) == 0).all()


def test_allied_healers_wait_for_orders(tmp_path: Path) -> None:
    arena = still(tmp_path, ["marine", "medivac"], ["spine_crawler"])
    arena.place({0: (10, 16), 1: (11, 16), 2: (30, 30)})
    arena.units["health"][0] = 10
    assert (arena.play(50)["health"][:, 0] == 10).all()
    assert arena.play(10, {1: TARGET})["health"][-1, 0] > 10
    last = arena.play(1, {1: STOP})["health"][-1, 0]
    assert (arena.play(20)["health"][:, 0] == last).all()


def test_zerg_grow(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["zergling", "baneling", "hydralisk"], ["spine_crawler", "marine"])
    arena.place({0: (2, 16), 1: (4, 16), 2: (6, 16), 3: (30, 16), 4: (28, 28)})
    arena.units["health"] -= 10
    before = arena.units["health"].copy()
    health = arena.play(160)["health"]
    assert np.array_equal(health[-1, :4], before[:4] + 160 * GROWS)  # 2.734 in ten seconds
    assert health[-1, 4] == before[4]
    health = arena.play(600)["health"]
    assert health[-1].tolist() == [35, 30, 80, 300, 35]


@pytest.mark.parametrize("name", ["zealot", "stalker", "colossus"])
def test_shields_grow_after_ten_seconds(tmp_path: Path, name: str) -> None:
    arena = Arena(tmp_path, ["marine"], [name])
    arena.all_kinds(speed=0)
    arena.own_kind(1, damage=0, targets=0)
    arena.place({0: (10, 16), 1: (13, 16)})
    full = float(arena.units["shield"][1])
    shield = np.concatenate([arena.attack(2, (0, 1))["shield"], arena.play(300, {0: STOP})["shield"]])[:, 1]
    hit = 1  # the second loop
    assert shield[hit] == full - 6
    grows = np.flatnonzero(np.diff(shield) > 0) + 1 - hit
    assert grows[0] in (160, 161)  # whichever of the two acted first
    assert grows.tolist() == list(range(grows[0], grows[0] + 48))  # 6 points at 0.125
    assert shield[-1] == full


def test_a_hit_starts_the_ten_seconds_again(tmp_path: Path) -> None:
    arena = Arena(tmp_path, ["marine"], ["zealot"])
    arena.all_kinds(speed=0)
    arena.own_kind(1, damage=0, targets=0)
    arena.place({0: (10, 16), 1: (13, 16)})
    arena.attack(2, (0, 1))
    arena.play(150, {0: STOP})
    arena.attack(2, (0, 1))
    assert arena.units["shield"][1] == 38
    assert (arena.play(158, {0: STOP})["shield"][:, 1] == 38).all()
    assert arena.play(10)["shield"][-1, 1] > 38
