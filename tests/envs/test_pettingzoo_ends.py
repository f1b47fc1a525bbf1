"""PettingZoo: who is out, how an episode ends, and answers that break the contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from zoo_kit import install, make_zoo, scripted

from pymarl.utils.errors import UserError

T, F = True, False
GOES_ON = (False, {"episode_limit": False})
TERMINATED = (True, {"episode_limit": False})
TRUNCATED = (True, {"episode_limit": True})


def ends(terminations: tuple[bool, bool], truncations: tuple[bool, bool] = (F, F), **more: Any) -> dict[str, Any]:
    a, b = terminations
    return {"terminations": {"a": a, "b": b}, "truncations": dict(zip("ab", truncations, strict=True)), **more}


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return (script entries, attributes of the env) -> the env, reset."""

    def build(*script: Any, env_args: Any = None, **attributes: Any) -> Any:
        key = install(monkeypatch, tmp_path, parallel_env=scripted(*script, **attributes))
        return make_zoo(key, **(env_args or {}))

    return build


@pytest.mark.parametrize(
    ("last", "end"),
    [
        (ends((T, T)), TERMINATED),
        (ends((F, F), (T, T)), TRUNCATED),
        (ends((T, F), (F, T)), TRUNCATED),
        (ends((T, T), (T, T)), TERMINATED),
        (ends((T, F)), GOES_ON),
        (ends((F, F), (F, T)), GOES_ON),
    ],
    ids=["terminated", "truncated", "mixed", "both at once", "one terminated", "one truncated"],
)
@pytest.mark.parametrize("keeps", [True, False], ids=["keeps its agents", "lets them go"])
def test_the_ends_of_all_agents_are_the_end(zoo: Any, last: Any, end: Any, keeps: bool) -> None:
    out = [n for n in "ab" if last["terminations"][n] or last["truncations"][n]]
    agents = ["a", "b"] if keeps else [n for n in "ab" if n not in out]
    env = zoo({}, {}, {**last, "agents": agents})
    assert env.step([0, 0])[1:] == GOES_ON
    assert env.step([0, 0])[1:] == end


def test_an_agent_that_is_out_but_kept_is_out(zoo: Any) -> None:
    env = zoo({}, ends((T, F)), {"terminations": {"a": T, "b": F}}, ends((T, T)))
    assert env.step([1, 2]) == (2.0, *GOES_ON)
    assert env.get_obs().tolist() == [[2, 2], [2, 2]]  # its last observation
    assert env.get_avail_actions().tolist() == [[T, F, F], [T, T, T]]
    assert env.step([0, 1]) == (1.0, *GOES_ON)  # b's reward alone
    assert env.get_obs().tolist() == [[0, 0], [3, 3]]
    assert env.step([0, 1]) == (1.0, *TERMINATED)


def test_truncated_earlier_and_terminated_last_is_terminated(zoo: Any) -> None:
    env = zoo({}, ends((F, F), (T, F), agents=["b"]), {"terminations": {"b": T}, "truncations": {"b": F}, "agents": []})
    assert env.step([0, 0])[1:] == GOES_ON
    assert env.step([0, 0])[1:] == TERMINATED


def test_of_a_truncated_end_only_who_goes_on_has_a_choice(zoo: Any) -> None:
    env = zoo({}, ends((T, F), (F, T)))
    assert env.step([0, 0])[1:] == TRUNCATED
    assert env.get_avail_actions().tolist() == [[T, F, F], [T, T, T]]


def test_an_agent_may_join_later(zoo: Any) -> None:
    env = zoo({"agents": ["b"], "obs": {"b": np.ones(2)}}, {"agents": ["a", "b"], "obs": {n: np.ones(2) for n in "ab"}})
    assert env.get_avail_actions().tolist() == [[T, F, F], [T, T, T]]
    assert env.get_obs().tolist() == [[0, 0], [1, 1]]
    assert env.step([0, 2])[0] == 1.0
    assert env._env.played == [{"b": 2}]
    assert env.get_avail_actions().tolist() == [[T, T, F], [T, T, T]]


def test_actions_count_from_the_spaces_start(zoo: Any) -> None:
    env = zoo(acted={"a": gym.spaces.Discrete(2, start=5), "b": gym.spaces.Discrete(3, start=-1)})
    env.step([1, 0])
    assert env._env.played == [{"a": 6, "b": -1}]


def test_many_actions_at_once_are_refused(zoo: Any) -> None:
    with pytest.raises(UserError, match=r"agent 1 acts in MultiDiscrete.*only discrete"):
        zoo(acted={"a": gym.spaces.Discrete(2), "b": gym.spaces.MultiDiscrete([2, 2])})


A, B = np.zeros(2, np.float32), np.ones(2, np.float32)
BROKEN = {
    "an agent left without an end": ({"agents": ["b"]}, "agent 'a' left"),
    "a stranger": ({"agents": ["a", "b", "c"]}, "agent 'c' is in the game, but not among possible_agents"),
    "no termination of a": ({"terminations": {"b": F}}, "no terminations of agent 'a'"),
    "no truncation of b": ({"truncations": {"a": F}}, "no truncations of agent 'b'"),
    "no reward of b": ({"rewards": {"a": 1.0}}, "no rewards of agent 'b'"),
    "no observation of b": ({"obs": {"a": A}}, "no observation of agent 'b'"),
    "None as observation": ({"obs": {"a": A, "b": None}}, "no observation of agent 'b'"),
    "another shape": ({"obs": {"a": A, "b": np.zeros(3)}}, r"agent 1 observes shape \(3,\)"),
    "a word to see": ({"obs": {"a": A, "b": "xy"}}, "agent 1 observes shape"),
    "observations in a list": ({"obs": [A, B]}, "observations .* expected a dict"),
    "rewards in a list": ({"rewards": [1, 1]}, "rewards .* expected a dict"),
    "no infos": ({"infos": None}, "step returned 5 values .*NoneType"),
    "NaN": ({"rewards": {"a": 1.0, "b": float("nan")}}, "rewards .*nan.* finite"),
    "None as reward": ({"rewards": {"a": 1.0, "b": None}}, "rewards .*None"),
    "a word as reward": ({"rewards": {"a": 1.0, "b": "2"}}, "rewards"),
    "two rewards of one agent": ({"rewards": {"a": [1.0, 1.0], "b": [1.0, 1.0]}}, "rewards"),
    "rewards of unequal length": ({"rewards": {"a": [1.0, 1.0], "b": 1.0}}, "rewards"),
    "a word as end": ({"terminations": {"a": "no", "b": "no"}}, "terminations .* expected one bool"),
    "None as end": ({"truncations": {"a": None, "b": F}}, "truncations .* expected one bool"),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_step_is_refused(zoo: Any, entry: Any, message: str) -> None:
    env = zoo({}, entry)
    with pytest.raises(UserError, match=f"our_zoo:env_v0.*{message}") as error:
        env.step([0, 0])
    assert "\n" not in str(error.value)


def test_nobody_comes_back(zoo: Any) -> None:
    env = zoo({}, ends((T, F), agents=["b"]), ends((F, F), agents=["a", "b"]))
    env.step([0, 0])
    with pytest.raises(UserError, match="agent 'a' was terminated or truncated, but is reported alive again"):
        env.step([0, 0])


def old_reset(self: Any) -> Any:
    return {"a": A, "b": B}


def old_returns(self: Any, seed: Any = None, options: Any = None) -> Any:
    self.agents = ["a", "b"]
    return {"a": A, "b": B}


def four(self: Any, actions: Any) -> Any:
    return {"a": A, "b": B}, {"a": 1, "b": 1}, {"a": F, "b": F}, {}


def no_possible_agents(self: Any) -> None:
    self.agents = ["a", "b"]


def changing(self: Any, seed: Any = None, options: Any = None) -> Any:
    self.agents = self.possible_agents = ["a", "b", "c"]
    return {"a": A, "b": B}, {}


def nobody(self: Any, seed: Any = None, options: Any = None) -> Any:
    self.agents = []
    return {}, {}


def listless(self: Any, seed: Any = None, options: Any = None) -> Any:
    return {"a": A, "b": B}, {}


def unwritten(self: Any) -> Any:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"reset": old_reset}, "reset takes no 'seed'"),
        ({"reset": old_returns}, r"reset returned a dict.*expected \(observations, a dict of infos\)"),
        ({"step": four}, "step returned 4 values.*as old Gym did"),
        ({"__init__": no_possible_agents}, "no possible_agents"),
        ({"reset": changing}, "possible_agents were .*'b'.* and are .*'c'"),
        ({"reset": nobody}, "no agent is in the game after reset"),
        ({"state_space": gym.spaces.Discrete(3)}, "state_space is Discrete"),
        ({"state_space": gym.spaces.Box(0, 1, (3,)), "state": unwritten}, r"has a state_space, but no state\(\)"),
        ({"reset": listless}, "no list of `agents`"),
        ({"observation_space": lambda self, name: {}[name]}, "cannot be made: KeyError: 'a'"),
        ({"spaces": {"a": gym.spaces.Sequence(gym.spaces.Discrete(2))}}, "no fixed length"),
    ],
)
def test_another_api_is_refused(zoo: Any, attributes: Any, message: str) -> None:
    def play() -> None:
        env = zoo(**attributes)
        env.step([0, 0])
        env.get_state()

    with pytest.raises(UserError, match=message):
        play()
