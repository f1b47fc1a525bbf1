"""Native envs of other libraries: clock, rewards, rows; VMAS's adapter on a stand-in, missing packages."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pymarl.envs.batched import make_batched_env
from pymarl.envs.jaxmarl import set_clock
from pymarl.envs.team_batch import TeamBatch
from pymarl.envs.vmas import VmasEnv
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge

CONFIG: dict[str, Any] = {
    "key": "pair", "time_limit": 3, "common_reward": True, "reward_scalarisation": "sum", "env_kwargs": {},
}  # fmt: skip


class Pair(TeamBatch):
    """Two agents of 2 and 3 actions, who observe their seed and are paid their action; action 2 ends the game."""

    def __init__(self, batch_size: int, **keys: Any) -> None:
        super().__init__(VmasEnv.Config(**CONFIG | {"one_world": True} | keys), [2, 3], 1, None, batch_size)
        self.seeds = np.zeros(batch_size)

    def begin(self, rows: Any, seeds: Any) -> None:
        self.seeds[rows] = seeds
        self.show(rows, np.tile(self.seeds[rows, None, None], (1, 2, 1)))

    def advance(self, actions: Any, rows: Any) -> tuple[Any, Any]:
        self.show(rows, np.tile(self.seeds[rows, None, None], (1, 2, 1)))
        return actions[rows], actions[rows, 1] == 2


def started(batch_size: int = 3, **keys: Any) -> Pair:
    env = Pair(batch_size, **keys)
    env.reset(np.arange(batch_size), np.arange(batch_size).astype(np.uint64) + 4)
    return env


def test_rows_are_stepped_alone_and_the_clock_truncates() -> None:
    env = started()
    actions = np.array([[1, 2], [1, 1], [0, 1]])
    env.step(actions, np.array([1, 2]))
    assert env.arrays.reward[:, 0].tolist() == [0, 2, 1]
    env.step(actions, np.array([0, 2]))
    env.step(actions, np.array([2]))
    assert env.arrays.terminated.tolist() == [True, False, False]
    assert env.arrays.truncated.tolist() == [False, False, True]
    assert [env.episode_info(row)["episode_limit"] for row in range(3)] == [False, False, True]
    env.reset(np.array([2]), np.array([9], np.uint64))
    env.step(actions, np.array([2]))
    assert not env.arrays.truncated[2]
    assert env.arrays.state.tolist() == [[4, 4], [5, 5], [9, 9]]


def test_the_end_of_the_game_in_the_last_step_is_no_time_limit() -> None:
    env = started(1)
    for action in (0, 0, 2):
        env.step(np.array([[0, action]]), np.array([0]))
    assert (env.arrays.terminated[0], env.arrays.truncated[0]) == (True, False)


@pytest.mark.parametrize(
    ("keys", "reward"),
    [({}, [3]), ({"reward_scalarisation": "mean"}, [1.5]), ({"common_reward": False}, [1, 2])],
)
def test_rewards_are_gathered_as_the_config_says(keys: dict[str, Any], reward: list[float]) -> None:
    env = started(**keys)
    env.step(np.array([[1, 2]] * 3), np.arange(3))
    assert env.arrays.reward[0].tolist() == reward


@pytest.mark.parametrize("action", [2, -1, 3])
def test_an_action_that_is_not_available_is_refused(action: int) -> None:
    env = started()
    assert env.arrays.avail_actions[0].tolist() == [[True, True, False], [True, True, True]]
    with pytest.raises(ValueError, match=f"action {action} of agent 0 in env 1 is not available"):
        env.step(np.array([[0, 0], [action, 0], [0, 0]]), np.array([1, 2]))


def test_a_reward_that_is_no_number_is_refused() -> None:
    env = started(1)
    env.advance = lambda actions, rows: ([[np.nan, 0]], [False])  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"its rewards are .*nan"):
        env.step(np.zeros((1, 2), np.int64), np.array([0]))


class Tensor(np.ndarray):
    """What of torch's tensors the adapter calls."""

    def numpy(self) -> Any:
        return np.asarray(self)

    def equal(self, other: Any) -> bool:
        return np.array_equal(self, other)


def tensor(values: Any) -> Tensor:
    return np.asarray(values, np.float32).view(Tensor)


class Walk:
    """VMAS's API: two agents at places that chance draws at the start, and with `late` at each step as well."""

    vmas_random_state = [tensor([0]), np.random.default_rng(0).bit_generator.state, random.getstate()]

    def __init__(self, copies: int, late: bool = False, together: bool = False) -> None:
        self.places, self.late, self.calls = np.zeros((copies, 2)), late, 0
        self.draws = copies if together else 1
        self.action_space = [SimpleNamespace(n=3), SimpleNamespace(n=3)]
        legacy = ("MT19937", np.zeros(4), 1)
        self.vmas_random_state[:] = [tensor([0]), legacy, random.getstate()]

    def draw(self) -> float:
        state = self.vmas_random_state
        state[0] = tensor((state[0] * 7 + 3) % 101)
        return float(state[0][0])

    def seed(self, seed: int) -> None:
        self.vmas_random_state[0] = tensor([seed % 101])

    def reset_at(self, copy: int, return_observations: bool) -> None:
        self.places[copy] = [[self.draw(), self.draw()] for _ in range(self.draws)][min(copy, self.draws - 1)]

    def get_from_scenario(self, **wanted: bool) -> Any:
        return ([tensor(self.places[:, :1]), tensor(self.places)],)

    def step(self, moves: list[Any]) -> Any:
        self.calls += 1
        self.places = self.places + np.concatenate(moves, 1) + 1 + (self.draw() if self.late else 0)
        obs = self.get_from_scenario()[0]
        over = tensor(self.places[:, 0] > 1000)
        return obs, [tensor(self.places[:, 0]), tensor(self.places[:, 1])], over, over, {}


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Walk]:
    """Put a package `vmas` there with one scenario, walk; return the envs that are made."""
    made: list[Walk] = []
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    (scenarios / "walk.py").write_text("")
    package, folder = ModuleType("vmas"), ModuleType("vmas.scenarios")
    package.__path__, folder.__path__ = [str(tmp_path)], [str(scenarios)]

    def make_env(key: str, num_envs: int, late: bool = False, together: bool = False, **fixed: Any) -> Walk:
        made.append(Walk(num_envs, late, together))
        return made[-1]

    vars(package).update(make_env=make_env, scenarios=folder)
    monkeypatch.setitem(sys.modules, "vmas", package)
    monkeypatch.setitem(sys.modules, "vmas.scenarios", folder)
    return made


def vmas(batch_size: int, **env_args: Any) -> Any:
    layers = merge(None, "vmas", {})
    layers.add({"env_args": {"key": "walk", **env_args}}, "with")
    return make_batched_env("vmas", layers.values["env_args"], batch_size, 0, layers.origin, in_process=True)


def walked(env: Any, seeds: list[int]) -> list[Any]:
    """Return what rows show in three steps, rows last first and one by one in the second."""
    rows, actions = np.arange(len(seeds)), np.array([[1, 2]] * len(seeds))
    env.reset(rows, np.array(seeds, np.uint64))
    seen = [env.arrays.obs.copy()]
    for parts in ([rows], [rows[k : k + 1] for k in rows[::-1]], [rows]):
        for part in parts:
            env.step(actions, part)
        seen.append(env.arrays.obs.copy())
    return np.stack(seen, 1).tolist()


def test_vmas_has_one_world_for_all_rows(walks: list[Walk]) -> None:
    env = vmas(4)
    env.reset(np.arange(4), np.arange(4).astype(np.uint64))
    env.step(np.ones((4, 2), np.int64), np.arange(4))
    assert [len(walk.places) for walk in walks] == [4, 1]  # the latter to compare the starts
    assert walks[0].calls == 1
    assert env.arrays.obs[:, 0, 1].tolist() == [0] * 4  # padded
    assert len(set(env.arrays.obs[:, 0, 0].tolist())) == 4


def test_vmas_plays_rows_again_that_a_step_left_out(walks: list[Walk]) -> None:
    """Of three rows one is behind by a step, one starts anew: each is where it would be alone."""
    env, actions = vmas(3), np.array([[1, 2], [2, 1], [1, 1]])
    env.reset(np.arange(3), np.array([5, 6, 7], np.uint64))
    for rows in ([0, 1, 2], [0, 2], [0, 1, 2], [1]):
        env.step(actions, np.array(rows))
    env.reset(np.array([2]), np.array([8], np.uint64))
    env.step(actions, np.arange(3))
    for row, seed, steps in ((0, 5, 4), (1, 6, 4), (2, 8, 1)):
        alone = vmas(1)
        alone.reset(np.array([0]), np.array([seed], np.uint64))
        for _ in range(steps):
            alone.step(actions[row : row + 1], np.array([0]))
        assert alone.arrays.obs[0].tolist() == env.arrays.obs[row].tolist()


def test_vmas_refuses_later_chance_in_one_world_alone(walks: list[Walk]) -> None:
    env = vmas(2, env_kwargs={"late": True})
    env.reset(np.arange(2), np.arange(2).astype(np.uint64))
    with pytest.raises(UserError, match=r"goes on by chance that all rows.*one_world=False"):
        env.step(np.ones((2, 2), np.int64), np.arange(2))


def test_vmas_refuses_starts_that_copies_share(walks: list[Walk]) -> None:
    with pytest.raises(UserError, match=r"starts by chance that all rows.*one_world=False"):
        vmas(2, env_kwargs={"together": True})
    assert len(vmas(2, one_world=False, env_kwargs={"together": True}).arrays.obs) == 2


def test_vmas_with_a_world_for_each_row_repeats_its_episodes(walks: list[Walk]) -> None:
    several = walked(vmas(3, one_world=False, env_kwargs={"late": True}), [5, 6, 7])
    alone = walked(vmas(1, env_kwargs={"late": True}), [6])
    assert [len(walk.places) for walk in walks] == [1, 1, 1, 1]
    assert several[1] == alone[0]
    assert several[0] != several[1]


def test_vmas_names_the_scenario_that_was_meant(walks: list[Walk]) -> None:
    with pytest.raises(UserError, match=r"env_args.key='wolk': VMAS has no such scenario; did you mean 'walk'"):
        vmas(1, key="wolk")


@pytest.mark.parametrize(
    ("name", "package"), [("vmas", "vmas"), ("jaxmarl", "jaxmarl"), ("overcooked", "overcooked_ai_py")]
)
def test_a_missing_package_is_named_with_its_install(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    layers = merge(None, name, {})
    with pytest.raises(
        UserError, match=f"'{package}.*' *, which is not installed; `pip install {package.split('_')[0]}"
    ):
        make_batched_env(name, layers.values["env_args"], 1, 0, layers.origin, in_process=True)


def test_jaxmarls_own_clocks_are_set_past_ours() -> None:
    inner = SimpleNamespace(max_steps=25)
    set_clock(SimpleNamespace(_env=inner), 100)
    assert inner.max_steps == 101
    later = SimpleNamespace(max_steps=400)
    set_clock(later, 100)
    assert later.max_steps == 400
