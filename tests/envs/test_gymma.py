"""Gymnasium envs: the two endings, padding, and what a user gets told."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from pymarl.envs.check import check_env
from pymarl.envs.single import make_env
from pymarl.utils.errors import UserError

LOAD = 5


class Team(gym.Env):
    """Two agents of unequal spaces. Ends are lists, after as many steps as the action of agent 1 says, if any."""

    def __init__(self, scalar_reward: bool = False) -> None:
        box = gym.spaces.Box(0, 9, (2, 2), np.float32)
        second = gym.spaces.Dict({"a": gym.spaces.Discrete(3), "b": gym.spaces.Box(0, 9, (3,), np.float64)})
        self.observation_space = gym.spaces.Tuple((box, second))
        self.action_space = gym.spaces.Tuple((gym.spaces.Discrete(2, start=1), gym.spaces.Discrete(4)))
        self.scalar_reward = scalar_reward

    def _obs(self) -> Any:
        return np.full((2, 2), self.start, np.float32), {"a": 2, "b": np.array([4.0, 5.0, 6.0])}

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.start = int(self.np_random.integers(1, 9))
        return self._obs(), {}

    def step(self, actions: Any) -> Any:
        self.actions = actions
        reward: Any = 7.0 if self.scalar_reward else [1.0, 2.0]
        ended = [[False, False], [True, False], [True, True], [False, False]][actions[1]]
        return self._obs(), reward, ended, [False, actions[1] in (1, 3)], {"score": 3}


class Single(gym.Env):
    observation_space = gym.spaces.Box(0, 1, (3,))
    action_space = gym.spaces.Discrete(2)


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gym.register(id="PyTeam-v0", entry_point=Team, max_episode_steps=2)
    gym.register(id="PySingle-v0", entry_point=Single)
    yield
    del gym.registry["PyTeam-v0"], gym.registry["PySingle-v0"]


def lbf(time_limit: int) -> Any:
    env = make_env("gymma", {"time_limit": time_limit}, seed=1)
    env.reset(seed=3)
    return env


def feed(env: Any) -> Any:
    """Put both players of a foraging env beside its last food and let them load it."""
    base = env._env.unwrapped
    base.field[:] = 0
    base.field[3, 3] = 1
    base.players[0].position, base.players[1].position = (3, 2), (3, 4)
    base._gen_valid_moves()
    return env.step([LOAD, LOAD])


def test_foraging_is_truncated_at_our_limit_and_not_before() -> None:
    pytest.importorskip("lbforaging")
    for time_limit in (10, 50, 60):  # its own clock would stop it at 50 and call that terminated
        env = lbf(time_limit)
        for _ in range(time_limit - 1):
            _, over, info = env.step([0, 0])
            assert not over
            assert info["episode_limit"] is False
        _, over, info = env.step([0, 0])
        assert over
        assert info["episode_limit"] is True


def test_foraging_terminates_when_the_food_is_gone_even_on_the_last_step() -> None:
    pytest.importorskip("lbforaging")
    for steps_before in (0, 9):
        env = lbf(time_limit=10)
        for _ in range(steps_before):
            env.step([0, 0])
        reward, over, info = feed(env)
        assert reward > 0
        assert over
        assert info["episode_limit"] is False


def test_a_foraging_episode_does_not_depend_on_the_one_before() -> None:
    pytest.importorskip("lbforaging")
    fresh, used = lbf(50), lbf(50)
    for seed in range(60):  # lbforaging alone differs from a fresh env within these
        used.reset(seed=seed)
        fresh = make_env("gymma", {}, seed=1)
        fresh.reset(seed=seed)
        assert np.array_equal(fresh.get_obs(), used.get_obs())


def test_warehouse_is_truncated_at_our_limit() -> None:
    pytest.importorskip("rware")
    env = make_env("gymma", {"key": "rware:rware-tiny-2ag-v2", "time_limit": 501}, seed=1)
    env.reset(seed=3)
    ends = [env.step([0, 0])[1:] for _ in range(501)]
    assert [over for over, _ in ends] == [False] * 500 + [True]
    assert ends[-1][1]["episode_limit"] is True
    assert env.get_env_info() == {
        "state_shape": 142, "obs_shape": 71, "n_actions": 5, "n_agents": 2, "episode_limit": 501,
    }  # fmt: skip


def team(**env_args: Any) -> Any:
    env = make_env("gymma", {"key": "PyTeam-v0", "time_limit": 4, **env_args}, seed=1)
    env.reset(seed=3)
    return env


def test_unequal_spaces_are_padded_and_masked() -> None:
    env = team()
    start = env._env.unwrapped.start
    assert env.get_obs().tolist() == [[start] * 4 + [0, 0], [0, 0, 1, 4, 5, 6]]
    assert env.get_state().tolist() == env.get_obs().ravel().tolist()
    assert env.get_avail_actions().tolist() == [[True, True, False, False], [True] * 4]
    env.step([0, 3])
    assert env._env.unwrapped.actions == (1, 3)  # the first agent's actions start at 1


@pytest.mark.parametrize(
    ("action", "over", "truncated"),
    [(0, False, False), (1, True, True), (2, True, False), (3, False, False)],
    ids=["goes on", "one ends, the other is stopped", "both end", "one is stopped, the other goes on"],
)
def test_the_episode_ends_with_its_last_agent(action: int, over: bool, truncated: bool) -> None:
    env = team()
    _, ended, info = env.step([0, action])
    assert (ended, info["episode_limit"], info["score"]) == (over, truncated, 3)


def test_our_limit_replaces_gymnasiums() -> None:
    env = team()  # registered with 2 steps
    assert [env.step([0, 0])[1] for _ in range(4)] == [False, False, False, True]


def test_team_reward() -> None:
    assert team().step([0, 0])[0] == 3.0
    assert team(reward_scalarisation="mean").step([0, 0])[0] == 1.5
    assert team(env_kwargs={"scalar_reward": True}).step([0, 0])[0] == 7.0


def test_individual_rewards() -> None:
    env = team(common_reward=False)
    assert env.get_env_info()["n_rewards"] == 2
    assert env.step([0, 0])[0].tolist() == [1.0, 2.0]
    with pytest.raises(UserError, match=r"gives the team one reward; write env_args.common_reward=True"):
        team(common_reward=False, env_kwargs={"scalar_reward": True}).step([0, 0])


def test_foraging_pays_who_loads() -> None:
    pytest.importorskip("lbforaging")
    own = make_env("gymma", {"time_limit": 10, "common_reward": False}, seed=1)
    own.reset(seed=3)
    rewards = feed(own)[0]
    assert rewards.shape == (2,)
    assert (rewards > 0).all()
    assert float(np.sum(rewards)) == feed(lbf(10))[0]  # the team's, to the last bit
    assert "2 agents with rewards of their own" in str(check_env(own, steps=50))


def test_no_warnings_reach_the_user() -> None:
    pytest.importorskip("lbforaging")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lbf(5).step([0, 0])


@pytest.mark.parametrize(
    ("env_args", "message"),
    [
        ({"key": "PyTeem-v0"}, "no env has the id 'PyTeem-v0'; did you mean 'PyTeam-v0'"),
        (
            {"key": "no_such_package:X-v0"},
            "needs the Python module 'no_such_package', which is not installed; if it is your own",
        ),
        ({"key": "PySingle-v0"}, "not an env for a team"),
        ({"key": "PyTeam-v0", "env_kwargs": {"colour": 1}}, "does not take them.*colour"),
        ({"key": "PyTeam-v0", "env_kwargs": {"max_steps": 9}}, "write env_args.time_limit instead"),
        ({"key": "PyTeam-v0", "reward_scalarisation": "max"}, "expected 'sum' or 'mean'"),
        ({"ky": "PyTeam-v0"}, "unknown key 'env_args.ky'; did you mean 'key'"),
    ],
)
def test_what_cannot_be_is_refused(env_args: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_env("gymma", env_args, seed=0)
