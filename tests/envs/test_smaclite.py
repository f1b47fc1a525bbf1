"""The env `smaclite`, on a package that answers as SMAClite does; on SMAClite itself where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from pymarl.envs.check import check_env
from pymarl.envs.single import make_env
from pymarl.utils.errors import UserError

MAPS = ("smaclite/2s3z-v0", "smaclite/custom-v0")


class Battle(gym.Env[Any, Any]):
    """Two agents of three actions, an enemy that dies of the second action 2; with SMAClite's names and its habits."""

    observation_space = gym.spaces.Tuple([gym.spaces.Box(-1, 1, (2,))] * 2)
    action_space = gym.spaces.Tuple([gym.spaces.Discrete(3)] * 2)
    state_size = 7

    def __init__(self, use_cpp_rvo2: bool, **kwargs: Any) -> None:
        self.use_cpp_rvo2 = use_cpp_rvo2
        self.last_actions = np.zeros(6)

    def _answer(self) -> Any:
        return [np.full(2, 0.5, np.float32)] * 2, {"avail_actions": [np.ones(3)] * 2}

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        self.enemies = {0: "a marine of two lives"}
        self.hits = 0
        return self._answer()

    def step(self, actions: Any) -> Any:
        self.last_actions = np.eye(3)[np.array(actions)].flatten()
        self.hits += sum(action == 2 for action in actions)
        if self.hits >= 2:
            self.enemies = {}
        obs, info = self._answer()
        return obs, 10.0, not self.enemies, False, info

    def get_state(self) -> Any:
        return np.concatenate([[len(self.enemies)], self.last_actions])


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "smaclite", ModuleType("smaclite"))
    before = dict(gym.registry)
    gym.register(MAPS[0], entry_point=Battle)
    gym.register(MAPS[1], entry_point=Battle)
    yield
    gym.registry.clear()
    gym.registry.update(before)


@pytest.mark.usefixtures("package")
def test_the_state_is_smaclites_and_each_episode_begins_without_actions() -> None:
    env = make_env("smaclite", {}, seed=1)
    env.reset(seed=1)
    assert env.get_state_size() == 7
    reward, over, info = env.step([0, 2])
    assert (reward, over, info["battle_won"]) == (10.0, False, False)
    assert env.get_state().tolist() == [1, 1, 0, 0, 0, 0, 1]
    _, over, info = env.step([1, 2])
    assert over
    assert info["battle_won"]
    env.reset(seed=2)
    assert env.get_state().tolist() == [1, 0, 0, 0, 0, 0, 0]


@pytest.mark.usefixtures("package")
def test_the_time_limit_is_no_victory() -> None:
    env = make_env("smaclite", {"time_limit": 2}, seed=1)
    env.reset(seed=1)
    env.step([0, 0])
    _, over, info = env.step([0, 0])
    assert over
    assert info["episode_limit"]
    assert not info["battle_won"]


@pytest.mark.usefixtures("package")
def test_a_map_that_is_not_there_is_told_by_its_name() -> None:
    with pytest.raises(UserError, match=r"map_name='2s3zz': SMAClite has no such map; did you mean '2s3z'\?"):
        make_env("smaclite", {"map_name": "2s3zz"}, seed=1)


def test_a_missing_package_is_named_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smaclite", None)
    with pytest.raises(UserError, match="which is not installed; `pip install git"):
        make_env("smaclite", {}, seed=1)


def test_smaclite_itself() -> None:
    pytest.importorskip("smaclite", exc_type=ImportError)
    check_env(make_env("smaclite", {"map_name": "2s3z"}, seed=1), steps=300)
