"""PettingZoo: action masks wherever the API has them, and AEC envs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from zoo_kit import install, make_zoo, scripted

from pymarl.envs.check import check_env
from pymarl.envs.single import make_env
from pymarl.utils.errors import UserError

T, F = True, False
SEEN = gym.spaces.Box(0, 9, (2,), np.float32)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return (script entries, attributes of the env) -> the env, reset."""

    def build(*script: Any, **attributes: Any) -> Any:
        return make_zoo(install(monkeypatch, tmp_path, parallel_env=scripted(*script, **attributes)))

    return build


def in_obs(a: Any, b: Any) -> dict[str, Any]:
    def seen(mask: Any) -> Any:
        return {"observation": np.array([5, 6], np.float32), "action_mask": mask}

    return {"obs": {"a": seen(a), "b": seen(b)}}


def in_infos(a: Any, b: Any) -> dict[str, Any]:
    return {"infos": {"a": {"action_mask": a}, "b": {"action_mask": b}}}


def with_masks(n: int) -> gym.Space[Any]:
    return gym.spaces.Dict({"observation": SEEN, "action_mask": gym.spaces.Box(0, 1, (n,), np.int8)})


DECLARED = {"a": with_masks(2), "b": with_masks(3)}


@pytest.mark.parametrize("spaces", [DECLARED, {}], ids=["Dict space", "space of the observation alone"])
def test_a_mask_in_the_observation_is_read_and_not_observed(zoo: Any, spaces: Any) -> None:
    env = zoo(in_obs([1, 0], np.array([0, 1, 1], np.int8)), in_obs([0, 1], [1.0, 0.0, 0.0]), spaces=spaces)
    assert env.get_obs().tolist() == [[5, 6], [5, 6]]
    assert env.get_state().tolist() == [5, 6, 5, 6]
    assert env.get_env_info()["obs_shape"] == 2
    assert env.get_avail_actions().tolist() == [[T, F, F], [F, T, T]]
    env.step([0, 1])
    assert env.get_avail_actions().tolist() == [[F, T, F], [T, F, F]]


def test_a_mask_in_the_info_is_read(zoo: Any) -> None:
    env = zoo(in_infos([1, 0], [0, 1, 1]), in_infos([F, T], [T, F, F]))
    assert env.get_avail_actions().tolist() == [[T, F, F], [F, T, T]]
    env.step([0, 1])
    assert env.get_avail_actions().tolist() == [[F, T, F], [T, F, F]]


def test_a_mask_by_method_is_asked_for_after_each_step(zoo: Any) -> None:
    def action_mask(self: Any, agent: str) -> Any:
        return {"a": [1, 0], "b": [self.steps == 0, 1, 1]}[agent]

    env = zoo(action_mask=action_mask)
    assert env.get_avail_actions().tolist() == [[T, F, F], [T, T, T]]
    env.step([0, 1])
    assert env.get_avail_actions().tolist() == [[T, F, F], [F, T, T]]


def test_one_agent_may_have_masks_and_another_none(zoo: Any) -> None:
    only_b = {"infos": {"a": {}, "b": {"action_mask": [0, 0, 1]}}}
    env = zoo(only_b, only_b)
    env.step([0, 2])
    assert env.get_avail_actions().tolist() == [[T, T, F], [F, F, T]]


def test_who_is_out_needs_no_mask(zoo: Any) -> None:
    gone = {"terminations": {"a": T, "b": F}, "infos": {"b": {"action_mask": [0, 1, 0]}}}
    env = zoo(in_infos([0, 1], [1, 1, 1]), gone, {"terminations": {"a": T, "b": T}, "infos": {}})
    env.step([1, 0])
    assert env.get_avail_actions().tolist() == [[T, F, F], [F, T, F]]
    assert env.step([0, 1])[1:] == (True, {"episode_limit": False})
    assert env.get_avail_actions().tolist() == [[T, F, F], [T, F, F]]


GOOD = in_infos([1, 1], [1, 1, 1])
WRONG = {
    "too short": (in_infos([1, 1], [1, 1]), r"agent 'b' has an action mask of shape \(2,\) .* expected \(3,\)"),
    "too long": (in_infos([1, 1, 1], [1, 1, 1]), r"agent 'a' has an action mask of shape \(3,\)"),
    "2": (in_infos([1, 2], [1, 1, 1]), r"agent 'a' has the action mask \[1, 2\] in its info, expected 0 and 1"),
    "a half": (in_infos([1, 0.5], [1, 1, 1]), "expected 0 and 1"),
    "NaN": (in_infos([1, float("nan")], [1, 1, 1]), "expected 0 and 1"),
    "words": (in_infos(["1", "0"], [1, 1, 1]), "expected 0 and 1"),
    "a number": (in_infos(1, [1, 1, 1]), r"shape \(\)"),
    "a matrix": (in_infos([[1, 1]], [1, 1, 1]), r"shape \(1, 2\)"),
    "all 0": (in_infos([1, 1], [0, 0, 0]), "agent 'b' has no action, the mask in its info is all 0"),
    "two that differ": ({**GOOD, **in_obs([1, 1], [1, 1, 0])}, "has one action mask in its .* and another in"),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_mask_is_refused(zoo: Any, entry: Any, message: str) -> None:
    with pytest.raises(UserError, match=f"our_zoo:env_v0.*{message}"):
        zoo(entry)


@pytest.mark.parametrize("masked", [in_infos, in_obs])
def test_a_mask_does_not_come_and_go(zoo: Any, masked: Any) -> None:
    bare = {} if masked is in_infos else {"obs": dict.fromkeys("ab", np.zeros(2, np.float32))}
    env = zoo(masked([1, 0], [1, 1, 1]), bare)
    with pytest.raises(UserError, match="agent 'a' lacks the action mask that belongs in"):
        env.step([0, 0])
    env = zoo(bare, masked([1, 0], [1, 1, 1]))
    with pytest.raises(UserError, match=r"agent 'a' has an action mask .* that it did not have before"):
        env.step([0, 0])


def test_a_truncated_end_needs_its_masks(zoo: Any) -> None:
    cut = {"truncations": {"a": T, "b": T}, "agents": []}
    env = zoo(GOOD, {**cut, **in_infos([0, 1], [1, 0, 0])})
    env.step([0, 0])
    assert env.get_avail_actions().tolist() == [[F, T, F], [T, F, F]]
    env = zoo(GOOD, {**cut, "infos": {}})
    with pytest.raises(UserError, match=r"lacks the action mask .* the last too"):
        env.step([0, 0])


@pytest.mark.parametrize(
    ("entry", "attributes", "message"),
    [
        ({"infos": {"a": {"legal_actions": [0]}, "b": {}}}, {}, "'legal_actions' in an agent's info is not read"),
        ({"infos": {"a": {}, "b": {}, "avail_actions": [[1, 1], [1, 1, 1]]}}, {}, "'avail_actions' in infos is not"),
        ({"infos": {"a": {}, "b": {}, "action_mask": {"a": [1, 1]}}}, {}, "'action_mask' in infos is not read"),
        ({}, {"action_mask": np.ones(2)}, "its action_mask is not read"),
        ({}, {"get_action_mask": lambda self, agent: [1]}, "its get_action_mask is not read"),
    ],
)
def test_what_looks_like_a_mask_is_refused(zoo: Any, entry: Any, attributes: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        zoo(entry, **attributes)


def test_a_count_is_no_mask(zoo: Any) -> None:
    zoo({"infos": {"a": {"valid_actions": 3}, "b": {}}})


def aec_class(parallelizable: bool) -> Any:
    from pettingzoo import AECEnv
    from pettingzoo.utils import AgentSelector

    class Turns(AECEnv):
        """Two agents in turn; each may repeat no action. Terminated after each has acted twice."""

        metadata = {"is_parallelizable": parallelizable, "name": "turns"}
        render_mode = None

        def __init__(self) -> None:
            self.possible_agents = ["a", "b"]

        def observation_space(self, agent: str) -> Any:
            return with_masks(3)

        def action_space(self, agent: str) -> Any:
            return gym.spaces.Discrete(3)

        def reset(self, seed: Any = None, options: Any = None) -> None:
            self.agents = list(self.possible_agents)
            for part in ("rewards", "_cumulative_rewards"):
                setattr(self, part, dict.fromkeys(self.agents, 0))
            self.terminations, self.truncations = dict.fromkeys(self.agents, False), dict.fromkeys(self.agents, False)
            self.infos = {name: {} for name in self.agents}
            self.free = {name: [1, 1, 1] for name in self.agents}
            self._selector = AgentSelector(self.agents)
            self.agent_selection = self._selector.next()

        def observe(self, agent: str) -> Any:
            mine = parallelizable or agent == self.agent_selection
            mask = np.array(self.free[agent] if mine else [0, 0, 0], np.int8)
            return {"observation": np.full(2, sum(self.free[agent]), np.float32), "action_mask": mask}

        def step(self, action: Any) -> None:
            if self.terminations[self.agent_selection]:
                return self._was_dead_step(action)
            self._clear_rewards()
            assert self.free[self.agent_selection][action], "not available"
            self.free[self.agent_selection][action] = 0
            self.rewards[self.agent_selection] = 1
            if sum(map(sum, self.free.values())) == 2:
                self.terminations = dict.fromkeys(self.agents, True)
            self.agent_selection = self._selector.next()

    return Turns


def test_an_aec_env_that_is_parallelizable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pettingzoo")
    env = make_zoo(install(monkeypatch, tmp_path, env=aec_class(True)))
    assert env.get_obs().tolist() == [[3, 3], [3, 3]]
    assert env.step([0, 1])[:2] == (2.0, False)
    assert env.get_avail_actions().tolist() == [[F, T, T], [T, F, T]]
    assert env.step([1, 0]) == (2.0, True, {"episode_limit": False})


def test_an_aec_env_that_plays_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pettingzoo")
    env = make_zoo(install(monkeypatch, tmp_path, env=aec_class(False)))
    assert env.get_avail_actions().tolist() == [[T, T, T], [T, F, F]]
    assert env.step([1, 0])[:2] == (1.0, False)
    assert env.get_avail_actions().tolist() == [[T, F, F], [T, T, T]]
    env.step([0, 2])
    assert env.get_avail_actions().tolist() == [[T, F, T], [T, F, F]]
    env.step([0, 0])
    assert env.step([0, 0]) == (1.0, True, {"episode_limit": False})
    assert check_env(env, steps=50).terminated > 5


@pytest.mark.parametrize("ends", [True, False], ids=["ends within a cycle", "one acts twice"])
def test_one_that_only_says_that_it_is_parallelizable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    pytest.importorskip("pettingzoo")
    turns = aec_class(False)
    turns.metadata = {"is_parallelizable": True}
    turns.observe = lambda self, agent: {"observation": np.zeros(2, np.float32), "action_mask": [1, 1, 1]}
    if ends:
        turns._clear_rewards = lambda self: setattr(self, "terminations", {"a": T, "b": T})
    else:
        turns.step = lambda self, action: None
    env = make_zoo(install(monkeypatch, tmp_path, env=turns))
    with pytest.raises(UserError, match="says is_parallelizable, but aec_to_parallel cannot step it"):
        env.step([0, 0])


def test_tictactoe() -> None:
    pytest.importorskip("pygame")
    pytest.importorskip("pettingzoo.classic.tictactoe_v3")
    env = make_env("pettingzoo", {"key": "pettingzoo.classic:tictactoe_v3", "time_limit": 9}, seed=0)
    report = check_env(env, steps=200)
    assert (report.info.obs_shape, report.info.n_actions) == (18, 9)
    assert report.terminated > 20


@pytest.mark.parametrize("key", ["mask", "actions_mask", "legal_moves"])
def test_what_looks_like_a_mask_from_the_first_step_on_is_refused(zoo: Any, key: str) -> None:
    env = zoo({}, {"infos": {"a": {key: [1, 0]}, "b": {}}})
    with pytest.raises(UserError, match=f"{key!r} in an agent's info is not read"):
        env.step([0, 1])


@pytest.mark.parametrize("name", ["valid_actions", "available_actions", "get_available_actions", "legal_actions_mask"])
def test_attributes_that_look_like_masks_are_refused(zoo: Any, name: str) -> None:
    with pytest.raises(UserError, match=f"its {name} is not read"):
        zoo({}, **{name: [[1, 0], [1, 1, 1]]})


@pytest.mark.parametrize("name", ["masked", "unmasked_actions", "get_valid_actions", "mask"])
def test_other_attributes_are_no_masks(zoo: Any, name: str) -> None:
    assert zoo({}, **{name: [1]}).get_avail_actions().tolist() == [[T, T, F], [T, T, T]]
