"""Scripted agents: what they choose in battles set up by hand, and that they beat chance."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from baselines import half_width, play
from pymarl.envs.skirmish.env import Skirmish
from scripted import POLICIES, Script, is_sensible, make_env

STOP, NORTH, SOUTH, EAST, WEST, FIRST_TARGET = range(1, 7)
MEDIVAC = 9  # last agent of MMM
ROW = np.zeros(1, np.int64)
SEEDS = np.arange(20, dtype=np.uint64)


def battle(map_name: str, places: dict[int, tuple[float, float]], **values: dict[int, float]) -> Skirmish:
    """Return one env with these units alive, all others dead, after a step of nobody."""
    env = make_env(map_name, 1, "liberty")
    env.reset(ROW, SEEDS[:1])
    state = env.get_state_dict()
    units = state["units"][0]
    gone = [i for i in range(units.size) if i not in places]
    units["health"][gone] = units["shield"][gone] = 0
    for i, (x, y) in places.items():
        units[i]["x"], units[i]["y"] = x, y
    for key, numbers in values.items():
        for i, number in numbers.items():
            units[i][key] = number
    env.load_state_dict(state)
    look(env)
    return env


def look(env: Skirmish) -> None:
    """Write the mask of the units as they stand: who is in range of whom, all moves."""
    units, n = env.get_state_dict()["units"][0], env.rules.n_agents
    mask = env.arrays.avail_actions[0]
    mask[:] = False
    for a in range(n):
        targets = units[:n] if env.rules.healers and env.kinds[units[a]["kind"]]["heal"] > 0 else units[n:]
        near = np.hypot(targets["x"] - units[a]["x"], targets["y"] - units[a]["y"]) <= 6
        mask[a, FIRST_TARGET : FIRST_TARGET + len(targets)] = near & (targets["health"] > 0) & (units[a]["health"] > 0)
        mask[a, STOP:FIRST_TARGET] = units[a]["health"] > 0
        mask[a, 0] = units[a]["health"] <= 0


def chosen(env: Skirmish, policy: str) -> NDArray[Any]:
    return Script(env, policy).act(ROW)[0]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("map_name", ["3m", "MMM", "corridor", "2c_vs_64zg", "bane_vs_bane"])
def test_choose_available_actions_alone(policy: str, map_name: str) -> None:
    env = make_env(map_name, 4, "liberty")
    rows = np.arange(4)
    script = Script(env, policy)
    env.reset(rows, SEEDS[:4])
    script.reset(rows, SEEDS[:4])
    checked = 0
    for _ in range(40):
        actions = script.act(rows)
        assert np.take_along_axis(env.arrays.avail_actions, actions[..., None], -1)[rows].all()
        checked += len(rows)
        env.step(actions, rows)
        rows = rows[~(env.arrays.terminated[rows] | env.arrays.truncated[rows])]
        if not len(rows):
            break
    assert checked >= 40


def test_attack_nearest_beats_random() -> None:
    env = make_env("3m", 8, "liberty")
    assert play(env, "attack_nearest", SEEDS).won.mean() >= play(env, "random", SEEDS).won.mean() + 0.2


@pytest.mark.parametrize("policy", ["random", "focus_fire"])
def test_episodes_do_not_depend_on_the_batch(policy: str) -> None:
    one, many = (play(make_env("3m", size, "liberty"), policy, SEEDS) for size in (1, 7))
    assert np.array_equal(one.returns, many.returns)
    assert np.array_equal(one.lengths, many.lengths)
    assert np.array_equal(one.won, many.won)


def test_attack_nearest_attacks_the_nearest_and_focus_fire_the_weakest() -> None:
    places = {0: (8.0, 16.0), 3: (11.0, 16.0), 4: (13.0, 16.0), 5: (16.0, 16.0)}
    env = battle("3m", places, health={3: 45, 4: 20, 5: 1})
    assert chosen(env, "attack_nearest")[0] == FIRST_TARGET
    assert chosen(env, "focus_fire")[0] == FIRST_TARGET + 1  # the weakest of all is out of range


@pytest.mark.parametrize(("place", "move"), [((15.0, 17.0), EAST), ((7.0, 23.0), NORTH), ((8.0, 9.0), SOUTH)])
def test_out_of_range_fighters_move_towards_the_nearest(place: tuple[float, float], move: int) -> None:
    env = battle("3m", {0: (8.0, 16.0), 3: place, 4: (31.0, 16.0)})
    assert chosen(env, "attack_nearest")[0] == chosen(env, "focus_fire")[0] == move


def test_kite_shoots_when_ready_and_else_steps_away() -> None:
    places = {0: (16.0, 16.0), 3: (13.0, 16.0)}
    assert chosen(battle("3s_vs_3z", places), "kite")[0] == FIRST_TARGET
    assert chosen(battle("3s_vs_3z", places, cooldown={0: 15}), "kite")[0] == EAST


def test_medivacs_heal_the_weakest_and_marauders_leave_medivacs_alone() -> None:
    places = {0: (8.0, 16.0), 2: (10.0, 17.0), 3: (10.0, 15.0), MEDIVAC: (9.0, 16.0), 19: (12.0, 16.0)}
    env = battle("MMM", places, health={2: 30, 3: 20})
    for policy in ("attack_nearest", "focus_fire", "kite"):
        actions = chosen(env, policy)
        assert actions[MEDIVAC] == FIRST_TARGET + 3
        assert actions[0] == STOP
        assert actions[2] == FIRST_TARGET + 9


def test_kite_is_for_units_that_outrange_who_walks() -> None:
    sensible = {name: is_sensible("kite", make_env(name, 1, "liberty")) for name in ("3m", "3s5z", "2s_vs_1sc", "MMM")}
    assert sensible == {"3m": False, "3s5z": True, "2s_vs_1sc": False, "MMM": False}


def test_interval_is_wilsons() -> None:
    assert half_width(0, 100) == pytest.approx(0.0185, abs=1e-4)  # centre 0.0185: from 0 to 0.037
    assert half_width(50, 100) == pytest.approx(0.0962, abs=1e-4)
