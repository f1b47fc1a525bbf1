"""What skirmish shows and pays: against numbers that SMAC itself gave (fixtures/make_smac_numbers.py), and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skirmish_tables import Tables

from pymarl.envs.skirmish.arrays import Rules, Terrain
from pymarl.envs.skirmish.features import NINTH, layout
from pymarl.envs.specs import total_size

FIXTURE = Path(__file__).parents[1] / "fixtures" / "smac_numbers.npz"
with np.load(FIXTURE) as file:
    NUMBERS = dict(file)
CASES: list[dict[str, Any]] = json.loads(str(NUMBERS["cases"]))
STEP = 1 / 4096
STOP, NORTH, SOUTH, EAST, WEST, FIRST_TARGET = range(1, 7)
MARINES = "3m"


def ground() -> Terrain:
    """Return the ground of the fixture: the protocol's first bit is cell (0, 0), its first height cell (0, 31)."""
    pathable = np.unpackbits(NUMBERS["pathing_bits"]).reshape(32, 32).T.astype(np.bool_).copy()
    height = np.ascontiguousarray(NUMBERS["height_bytes"].reshape(32, 32)[::-1].T) / 255
    return Terrain(pathable, pathable.copy(), height.astype(np.float32), np.zeros((1, 1), np.int32))


def bits(values: NDArray[Any]) -> NDArray[np.uint32]:
    return np.asarray(values, np.float32).view(np.uint32)


def name_of(case: dict[str, Any]) -> str:
    return "-".join([case["map"], *(f"{key}={value}" for key, value in case["options"].items()), case["ending"]])


def check_sizes(rules: Rules, case: dict[str, Any]) -> None:
    """SMAC's own rows are one longer than it says when they hold the time; without quirks they are not."""
    for key in ("n_agents", "n_enemies", "n_actions"):
        assert getattr(rules, key) == case[key]
    assert total_size(layout(rules).obs) == case["obs_size"] + rules.obs_timestep_number
    plain = layout(rules._replace(quirks=False))
    assert [total_size(plain.obs), total_size(plain.state)] == [case["obs_size"], case["state_size"]]


@pytest.mark.parametrize("k", range(len(CASES)), ids=[f"{k}-{name_of(case)}" for k, case in enumerate(CASES)])
def test_shows_and_pays_what_smac_does(k: int) -> None:
    case = CASES[k]
    smac = {
        key: NUMBERS[f"{k}.{key}"] for key in ("units", "actions", "obs", "state", "avail", "reward", "end", "info")
    }
    ours = Tables(case["map"], ground(), case["limit"], rows=2, **case["options"])
    check_sizes(ours.rules, case)
    ours.units["kind"] = [ours.names.index(name) for name in case["units"]]
    ours.put(smac["units"][0])
    for t in range(len(smac["reward"]) + 1):
        if t > 0:
            ours.hold()
            ours.put(smac["units"][t])
            ours.world.last_action[ours.row] = smac["actions"][t - 1]
            reward = ours.settle()
            assert reward == smac["reward"][t - 1]
            assert ours.end == tuple(smac["end"][t - 1])
            assert ours.world.info[ours.row].tolist() == smac["info"][t - 1].tolist()
        ours.show()
        assert np.array_equal(ours.avail, smac["avail"][t])
        assert np.array_equal(bits(ours.obs), bits(smac["obs"][t]))
        assert np.array_equal(bits(ours.state), bits(smac["state"][t]))
    assert np.isnan(ours.out.obs[0]).all()  # the other row
    assert np.isnan(ours.out.state[0]).all()


def test_the_fixture_holds_what_it_is_for() -> None:
    maps = {case["map"] for case in CASES}
    assert len(maps) == 23
    values = np.concatenate([NUMBERS[f"{k}.obs"].ravel() for k in range(len(CASES))])
    ends = np.concatenate([NUMBERS[f"{k}.end"] for k in range(len(CASES))])
    assert values.size > 100_000
    assert (values != 0).mean() > 0.25
    assert ends.sum(0).min() > 20  # terminated, truncated
    on_threshold = 0
    for k, case in enumerate(CASES):
        at = NUMBERS[f"{k}.units"][:, :, :2].astype(float)
        apart = at[:, : case["n_agents"], None] - at[:, None]
        on_threshold += int(np.isin((apart**2).sum(-1), (36.0, 81.0)).sum())
    assert on_threshold > 50


def marines(*places: tuple[float, float], **options: Any) -> Tables:
    """Return 3m with allies and enemies at `places`, the rest far away from them."""
    battle = Tables(MARINES, **options)
    battle.units["x"], battle.units["y"] = [1, 31, 31, 31, 31, 31], [9, 9, 11, 19, 21, 23]
    for unit, (x, y) in enumerate(places):
        battle.units[unit]["x"], battle.units[unit]["y"] = x, y
    battle.show()
    return battle


@pytest.mark.parametrize(
    ("offset", "targets", "seen"),
    [((6, 0), True, True), ((6 + STEP, 0), False, True), ((3.6 - 0.6 * STEP, 4.8), True, True), ((0, 9), False, False),
     ((0, 9 - STEP), False, True)],
)  # fmt: skip
def test_reaches_up_to_six_and_sees_below_nine(offset: tuple[float, float], targets: bool, seen: bool) -> None:
    battle = marines((5, 10), (5, 15), (20, 20), (5 + offset[0], 10 + offset[1]))
    assert battle.avail[0, FIRST_TARGET] == targets
    row = battle.obs[0, 4:9]
    dx, dy = offset
    expected = [float(targets), np.hypot(dx, dy) / 9, dx / 9, dy / 9, 1.0] if seen else [0] * 5
    assert row == pytest.approx(expected, abs=1e-6)
    assert battle.obs[0, 19:24] == pytest.approx([1, 5 / 9, 0, 5 / 9, 1])  # agent 1, in agent 0's eyes
    assert battle.obs[1, 19:24] == pytest.approx([1, 5 / 9, 0, -5 / 9, 1])


def test_a_ninth_times_a_place_is_what_smac_divides() -> None:
    way = np.arange(9 * 4096) / 4096
    assert np.array_equal(bits(way * NINTH), bits(way / 9))


def test_a_dead_agent_sees_nothing_and_can_only_do_nothing() -> None:
    battle = marines((5, 10), (5, 12), (5, 14), (7, 10))
    battle.units["health"][1] = 0
    battle.show()
    assert battle.avail[1].tolist() == [True] + [False] * 8
    assert not battle.obs[1].any()
    assert not battle.obs[0, 19:24].any()  # nobody sees it
    assert battle.obs[0, 24] == 1  # agent 2 keeps its place
    assert battle.state[:12].reshape(3, 4)[:, 0].tolist() == [1, 0, 1]


@pytest.mark.parametrize("quirks", [True, False])
def test_moves_at_the_edge_of_the_map(quirks: bool) -> None:
    """SMAC cuts -0.5 to cell 0; without quirks that is outside."""
    open_ground = Terrain(
        *(np.ones((32, 32), np.bool_),) * 2, np.ones((32, 32), np.float32), np.zeros((1, 1), np.int32)
    )
    battle = marines((0.5, 0.5), (1.0, 31.0), (16, 16), terrain=open_ground, replicate_quirks=quirks)
    assert battle.avail[0, NORTH : WEST + 1].tolist() == [True, quirks, True, quirks]
    assert battle.avail[1, NORTH : WEST + 1].tolist() == [False, True, True, True]
    assert battle.avail[2, NORTH : WEST + 1].all()


def test_a_healer_heals_agents_and_does_not_attack() -> None:
    battle = Tables("MMM")
    n, medivac = 10, 9
    battle.units["x"][:n], battle.units["y"][:n] = 10, 10
    battle.units["x"][n:], battle.units["y"][n:] = 10, 13
    battle.units["health"][3] = 0
    battle.show()
    assert battle.avail[medivac, FIRST_TARGET:].tolist() == [k not in (3, medivac) for k in range(10)]
    assert battle.avail[0, FIRST_TARGET:].all()
    flags = battle.obs[medivac, 4 : 4 + 80 : 8]
    assert flags.tolist() == [k not in (3, medivac) for k in range(10)]  # SMAC shows whom it can heal
    plain = Tables("MMM", replicate_quirks=False)
    plain.units[:] = battle.units
    plain.show()
    assert not plain.obs[medivac, 4 : 4 + 80 : 8].any()
    assert plain.obs[0, 4 : 4 + 80 : 8].all()
    assert np.array_equal(plain.avail, battle.avail)


def test_the_time_takes_one_place_without_quirks() -> None:
    battle = marines(obs_timestep_number=True, replicate_quirks=False, state_timestep_number=True)
    battle.world.steps[0] = 15
    battle.show()
    assert battle.obs.shape == (3, 31)
    assert battle.obs[:, 30].tolist() == [0.25] * 3
    assert battle.state[-1] == 0.25


def test_pays_for_damage_and_kills() -> None:
    """3m: max_reward = 3 * 10 + 200 + 3 * 45 = 365, of which a perfect win gets 20 in all."""
    battle = Tables(MARINES)
    total = 0.0
    for hits in ([6, 6, 0], [39, 0, 0], [0, 39, 44.5]):  # damage to each enemy
        battle.hold()
        battle.units["health"][3:] -= hits
        total += battle.settle()
    assert total * 365 / 20 == pytest.approx(12 + 49 + 39 + 10 + 44.5)
    assert battle.end == (False, False)
    battle.hold()
    battle.units["health"][5] = 0
    total += battle.settle()
    assert total == pytest.approx(20)
    assert battle.end == (True, False)
    assert battle.world.info[0].tolist() == [1, 0, 3]


@pytest.mark.parametrize(("quirks", "pays"), [(True, 5.5), (False, 0)])
def test_what_enemies_regain(quirks: bool, pays: float) -> None:
    battle = Tables("2s3z", replicate_quirks=quirks, reward_scale=False)
    battle.units["shield"][5:] -= 8
    battle.hold()
    battle.units["shield"][5:7] += 4
    battle.units["health"][7] -= 2.5
    assert battle.settle() == pays
    battle.hold()
    battle.units["health"][9] = 0  # its shield goes with it
    battle.units["health"][0] = 0  # costs nothing
    assert battle.settle() == 100 + 42 + 10
    battle.hold()
    assert battle.settle() == 0  # the dead are paid for once


def test_own_losses_count_where_negative_rewards_do() -> None:
    battle = Tables("2s3z", reward_only_positive=False, reward_scale=False)
    battle.hold()
    battle.units["shield"][0] -= 20
    battle.units["health"][2] = 0  # a zealot of 100 + 50
    battle.units["health"][5] -= 12
    assert battle.settle() == 12 - 0.5 * 20 - 0.5 * 150 - 0.5 * 10


@pytest.mark.parametrize(
    ("map_name", "dead", "quirks", "result"),
    [
        ("3m", [0, 1, 2], True, "lost"),
        ("3m", [3, 4, 5], True, "won"),
        ("3m", range(6), True, "drawn"),
        ("3m", [0, 3], True, None),
        ("MMM", [*range(9)], True, "lost"),  # a healer alone
        ("MMM", [*range(9), *range(10, 20)], True, "lost"),  # even against nobody
        ("MMM", range(20), True, "lost"),
        ("MMM", range(10, 19), True, "won"),  # the last enemy is a healer
        ("MMM", range(10, 18), True, None),
        ("MMM", [*range(10, 17), 18], True, None),  # two healers, see below
        ("MMM", [*range(10, 17), 18], False, "won"),
    ],
)
@pytest.mark.parametrize("sparse", [False, True])
def test_endings(map_name: str, dead: list[int], quirks: bool, result: str | None, sparse: bool) -> None:
    battle = Tables(map_name, replicate_quirks=quirks, reward_sparse=sparse, reward_scale=False, reward_defeat=-30)
    if map_name == "MMM" and len(dead) == 8 and dead[-1] == 18:
        battle.units["kind"][[17, 19]] = battle.names.index("medivac")
    for unit in dead:
        battle.units["health"][unit] = battle.units["shield"][unit] = 0
    battle.world.steps[0] = battle.rules.episode_limit - 1  # an end in the last step is an end
    battle.hold()
    reward = battle.settle()
    assert battle.end == (result is not None, result is None)
    assert battle.world.info[0, 0] == (result == "won")
    worth = {"won": (200, 1), "lost": (-30, -1), "drawn": (0, 0), None: (0, 0)}[result]
    assert reward == worth[sparse]


def test_sparse_rewards_are_scaled_too() -> None:
    battle = Tables(MARINES, reward_sparse=True)
    battle.hold()
    battle.units["health"][3:] = 0
    assert battle.settle() == 1 / (365 / 20)
