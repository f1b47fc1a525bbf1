"""PettingZoo envs: agents that leave early, the two endings, MPE."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymarl.envs.single import make_env
from pymarl.utils.errors import UserError

LEAVERS = '''
import gymnasium as gym
import numpy as np


class Leavers:
    """Agent a leaves terminated after 1 step, agent b after 3: truncated if `stop_b`, else terminated."""

    possible_agents = ["a", "b"]

    def __init__(self, stop_b=False, box=False):
        self.stop_b = stop_b
        self.box = box

    def observation_space(self, name):
        return gym.spaces.Box(0, 9, (2 if name == "a" else 3,), np.float32)

    def action_space(self, name):
        return gym.spaces.Box(0, 1) if self.box else gym.spaces.Discrete(3)

    def _obs(self, names):
        return {name: np.full(2 if name == "a" else 3, self.steps + 1, np.float32) for name in names}

    def reset(self, seed=None, options=None):
        self.agents, self.steps = ["a", "b"], 0
        return self._obs(self.agents), {}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.steps += 1
        acting = self.agents
        last = self.steps == 3
        terminations = {n: self.steps == 1 if n == "a" else last and not self.stop_b for n in acting}
        truncations = {n: n == "b" and last and self.stop_b for n in acting}
        self.agents = [n for n in acting if not terminations[n] and not truncations[n]]
        return self._obs(acting), {n: 1.0 for n in acting}, terminations, truncations, {n: {} for n in acting}

    def close(self):
        pass


parallel_env = Leavers
'''


@pytest.fixture
def park(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    package = tmp_path / "leavers_park"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "leavers_v0.py").write_text(LEAVERS)
    (package / "empty_v0.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "leavers_park:leavers_v0"


def make(key: str, **env_args: Any) -> Any:
    env = make_env("pettingzoo", {"key": key, "time_limit": 10, **env_args}, seed=0)
    env.reset(seed=1)
    return env


def test_who_leaves_early_sees_zeros_and_has_only_action_0(park: str) -> None:
    env = make(park)
    assert env.get_obs().tolist() == [[1, 1, 0], [1, 1, 1]]
    assert env.get_state().tolist() == [1, 1, 0, 1, 1, 1]  # it has no state of its own
    assert env.step([2, 2]) == (2.0, False, {"episode_limit": False})
    assert env.get_obs()[0].tolist() == [2, 2, 0]  # its last observation
    assert env.get_avail_actions().tolist() == [[True, False, False], [True] * 3]
    assert env.step([0, 2]) == (1.0, False, {"episode_limit": False})
    assert env.get_obs().tolist() == [[0, 0, 0], [3, 3, 3]]


def test_who_is_out_earns_nothing(park: str) -> None:
    env = make(park, common_reward=False)
    assert env.get_env_info()["n_rewards"] == 2
    assert [env.step([0, 0])[0].tolist() for _ in range(3)] == [[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize("stop_b", [False, True])
def test_the_last_agents_leave_terminated_or_truncated(park: str, stop_b: bool) -> None:
    env = make(park, env_kwargs={"stop_b": stop_b}, reward_scalarisation="mean")
    assert env.step([0, 0])[0] == 1.0
    assert env.step([0, 0])[0] == 0.5
    assert env.step([0, 0]) == (0.5, True, {"episode_limit": stop_b})
    # The learner bootstraps from a truncated end: there, agent b can still act.
    assert env.get_avail_actions().tolist() == [[True, False, False], [True, stop_b, stop_b]]


def test_our_limit_truncates(park: str) -> None:
    env = make(park, time_limit=2)
    assert env.step([0, 0])[1] is False
    assert env.step([0, 0])[1:] == (True, {"episode_limit": True})
    assert env.get_avail_actions()[1].all()
    env = make(park, time_limit=3)  # the end of the last agent is true, on the last step as well
    assert [env.step([0, 0])[2]["episode_limit"] for _ in range(3)] == [False, False, False]


def test_simple_spread() -> None:
    pytest.importorskip("mpe2")
    env = make("mpe2:simple_spread_v3", time_limit=25)
    assert env.get_env_info() == {
        "state_shape": 54, "obs_shape": 18, "n_actions": 5, "n_agents": 3, "episode_limit": 25,
    }  # fmt: skip
    assert np.array_equal(env.get_state(), env.get_obs().ravel())
    start = env.get_obs()[:, :4].copy()  # velocity, position
    reward, over, _ = env.step([0, 1, 2])
    assert reward < 0
    assert not over
    assert np.allclose(env.get_obs()[:, 0], [0.0, -0.5, 0.5], atol=0.3)  # pushed left and right
    assert np.array_equal(start[:, :2], np.zeros((3, 2)))
    ends = [env.step([0, 0, 0]) for _ in range(24)]
    assert [end[1] for end in ends] == [False] * 23 + [True]
    assert ends[-1][2] == {"episode_limit": True}
    assert env.get_avail_actions().all()


@pytest.mark.parametrize(
    ("env_args", "message"),
    [
        ({"key": "leavers_park:leaver_v0"}, "has no module 'leaver_v0'; did you mean 'leavers_v0'"),
        ({"key": "leavers_park:empty_v0"}, "has no parallel_env and no env"),
        (
            {"key": "no_such_park:x_v0"},
            "needs the Python module 'no_such_park', which is not installed; if it is your own",
        ),
        ({"key": "pz-mpe-simple-spread-v3"}, "expected 'package:module'.*write.*mpe2:simple_spread_v3"),
        ({"key": "leavers_park:leavers_v0", "env_kwargs": {"box": True}}, "only discrete actions are supported"),
        ({"key": "leavers_park:leavers_v0", "env_kwargs": {"colour": 1}}, "does not take them"),
    ],
)
def test_what_cannot_be_is_refused(park: str, env_args: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_env("pettingzoo", env_args, seed=0)
