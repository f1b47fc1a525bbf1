"""Gymnasium envs: rewards, ends, observations and masks in the forms that envs give them in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from pymarl.envs.check import check_env
from pymarl.envs.single import make_env
from pymarl.utils.errors import UserError

T, F = True, False
BOX = gym.spaces.Box(0, 9, (2,), np.float32)
MASKED = gym.spaces.Dict({"observation": BOX, "action_mask": gym.spaces.Box(0, 1, (2,), np.int8)})
SEEN = (np.array([1, 2], np.float32), np.array([3, 4], np.float32))


class Said(gym.Env):
    """Two agents with 2 and 3 actions; each answer is an option of the constructor, for reset and step alike."""

    action_space = gym.spaces.Tuple((gym.spaces.Discrete(2), gym.spaces.Discrete(3)))

    def __init__(self, obs: Any = SEEN, reward: Any = 1.0, ended: Any = F, stopped: Any = F, **more: Any) -> None:
        self.observation_space = gym.spaces.Tuple([more.pop("space", BOX)] * 2)
        self.infos = more.pop("infos", [{}, {}])
        self.answer = (obs, reward, ended, stopped)
        vars(self).update(more)

    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        return self.answer[0], self.infos[0]

    def step(self, actions: Any) -> Any:
        self.actions = actions
        return *self.answer, self.infos[1]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    gym.register(id="PySaid-v0", entry_point=Said)
    yield
    del gym.registry["PySaid-v0"]


def said(scalarisation: str = "sum", **answers: Any) -> Any:
    env_args = {"key": "PySaid-v0", "time_limit": 4, "reward_scalarisation": scalarisation, "env_kwargs": answers}
    env = make_env("gymma", env_args, seed=1)
    env.reset(seed=3)
    return env


def test_who_is_out_earns_nothing_of_its_own() -> None:
    answers = {"reward": [1.0, 2.0], "ended": [T, F]}
    env_args = {"key": "PySaid-v0", "time_limit": 4, "common_reward": False, "env_kwargs": answers}
    env: Any = make_env("gymma", env_args, seed=1)
    env.reset(seed=3)
    assert [env.step([0, 0])[0].tolist() for _ in range(2)] == [[1.0, 2.0], [0.0, 2.0]]


@pytest.mark.parametrize(
    ("reward", "team"),
    [
        (2.5, 2.5), (np.float32(2.5), 2.5), (np.array(3), 3.0), ([1, 2], 3.0), ((1.0, 2.0), 3.0), (np.ones(2), 2.0),
        ({0: 1.0, 1: 2.0}, 3.0), ({"x": 1.0, "y": 2.0}, 3.0),
    ],
)  # fmt: skip
def test_rewards_of_the_team(reward: Any, team: float) -> None:
    assert said(reward=reward).step([0, 0])[0] == team
    mean = team if np.ndim(reward) == 0 and not isinstance(reward, dict) else team / 2
    assert said("mean", reward=reward).step([0, 0])[0] == mean


NO_REWARD = [
    [1, 2, 3], [1], [], np.ones((2, 2)), np.ones((2, 1)), np.ones((1, 2)), [[1, 2], [3]], None, "1", ["1", "2"], 1j,
    float("nan"), [1.0, float("inf")], [None, 1.0], {}, {0: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}, {0: [1, 2], 1: [1, 2]},
    {0: None, 1: 1.0}, {"x": "1", "y": "2"},
]  # fmt: skip


@pytest.mark.parametrize("reward", NO_REWARD, ids=repr)
def test_other_rewards_are_refused(reward: Any) -> None:
    env = said(reward=reward)
    with pytest.raises(UserError, match=r"env 'PySaid-v0': .*rewards .*expected") as error:
        env.step([0, 0])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("ended", "stopped", "over", "truncated"),
    [
        (T, F, T, F), (F, T, T, T), (T, T, T, F), (np.bool_(T), F, T, F), ([T, T], F, T, F), ([T, F], [F, T], T, T),
        ({0: T, 1: T}, {0: F, 1: F}, T, F), ({"x": T, "y": F}, {"x": F, "y": F}, F, F), (1, 0, T, F),
    ],
)  # fmt: skip
def test_ends(ended: Any, stopped: Any, over: bool, truncated: bool) -> None:
    _, is_over, info = said(ended=ended, stopped=stopped).step([0, 0])
    assert (is_over, info["episode_limit"]) == (over, truncated)


@pytest.mark.parametrize("end", [None, "no", [T], [T, T, T], 2, [None, T], {0: T}], ids=repr)
def test_other_ends_are_refused(end: Any) -> None:
    for which in ("ended", "stopped"):
        with pytest.raises(UserError, match=r"env 'PySaid-v0': .*expected one"):
            said(**{which: end}).step([0, 0])


def test_who_ends_first_is_out() -> None:
    env = said(ended=[T, F], reward=[1.0, 2.0])
    assert env.step([0, 0])[:2] == (3.0, False)
    assert env.get_obs().tolist() == [[1, 2], [3, 4]]
    assert env.get_avail_actions().tolist() == [[T, F, F], [T, T, T]]
    assert env.step([0, 0])[:2] == (2.0, False)
    assert env.get_obs().tolist() == [[0, 0], [3, 4]]
    env._env.unwrapped.answer = (SEEN, [1.0, 2.0], [F, T], F)
    with pytest.raises(UserError, match="agent 0 was terminated or truncated, but is reported alive again"):
        env.step([0, 0])


FIRST, SECOND = ([1, 0], [0, 1, 1]), ([0, 1], [1, 0, 0])
AVAIL = [[[T, F, F], [F, T, T]], [[F, T, F], [T, F, F]]]


@pytest.mark.parametrize("key", ["action_mask", "avail_actions"])
@pytest.mark.parametrize(
    "form",
    [
        tuple,
        list,
        lambda masks: tuple(np.array(mask, np.int8) for mask in masks),
        lambda masks: dict(enumerate(masks)),
        lambda masks: {"x": masks[0], "y": masks[1]},
        lambda masks: np.array([[*masks[0], 0], masks[1]]),
        lambda masks: [*masks[0], *masks[1]],
    ],
    ids=["tuple", "list", "arrays", "numbered", "named", "one padded array", "one row of sb3-contrib"],
)
def test_masks_in_the_info(key: str, form: Any) -> None:
    env = said(infos=[{key: form(FIRST)}, {key: form(SECOND), "score": 2}])
    assert env.get_avail_actions().tolist() == AVAIL[0]
    assert env.step([0, 1])[2]["score"] == 2
    assert env.get_avail_actions().tolist() == AVAIL[1]


@pytest.mark.parametrize("names", [[0, 1], ["x", "y"]])
def test_an_info_per_agent(names: Any) -> None:
    infos = [{names[i]: {"action_mask": masks[i]} for i in (1, 0)} for masks in (FIRST, SECOND)]
    env = said(infos=infos, possible_agents=names)
    assert env.get_avail_actions().tolist() == AVAIL[0]
    env.step([0, 1])
    assert env.get_avail_actions().tolist() == AVAIL[1]


def test_a_true_end_needs_no_masks() -> None:
    env = said(infos=[{"action_mask": FIRST}, {"action_mask": []}], ended=T)
    assert env.step([0, 1])[1:] == (T, {"action_mask": [], "episode_limit": F})
    assert env.get_avail_actions().tolist() == [[T, F, F], [T, F, F]]


def test_a_dict_of_masks_follows_the_names_of_the_agents() -> None:
    masks = {"action_mask": {"y": FIRST[1], "x": FIRST[0]}}
    assert said(infos=[masks, masks], possible_agents=["x", "y"]).get_avail_actions().tolist() == AVAIL[0]


@pytest.mark.parametrize("whole", [T, F], ids=["Dict space", "space of the observation alone"])
def test_masks_in_the_observations(whole: bool) -> None:
    obs = tuple({"observation": o, "action_mask": np.array(m, np.int8)} for o, m in zip(SEEN, FIRST, strict=True))
    space = gym.spaces.Dict({"action_mask": gym.spaces.Box(0, 1, (3,), np.int8), "observation": BOX})
    env = said(obs=obs, space=space if whole else BOX)
    assert env.get_obs().tolist() == [[1, 2], [3, 4]]
    assert env.get_obs_size() == 2
    assert env.get_avail_actions().tolist() == AVAIL[0]


@pytest.mark.parametrize(
    "methods",
    [
        {"action_mask": lambda agent: FIRST[agent]},
        {"action_mask": lambda who: FIRST["xy".index(who)], "possible_agents": ["x", "y"]},
        {"action_masks": lambda: FIRST},
        {"action_masks": lambda: np.array([1, 0, 0, 1, 1])},
        {"valid_action_mask": lambda: list(FIRST)},
        {"get_avail_actions": lambda: [[1, 0, 0], [0, 1, 1]]},
    ],
    ids=[
        "action_mask",
        "action_mask by name",
        "action_masks",
        "one row of sb3-contrib",
        "valid_action_mask",
        "get_avail_actions",
    ],
)
def test_masks_by_method(methods: Any) -> None:
    env = said(**methods)
    assert env.get_avail_actions().tolist() == AVAIL[0]
    env._env.unwrapped.action_mask = None  # bound at the start


def test_taxis_own_helper_is_left_alone() -> None:
    masks = {"action_mask": FIRST}
    env = said(action_mask=lambda state: 1 / 0, infos=[masks, masks])
    assert env.get_avail_actions().tolist() == AVAIL[0]


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"infos": [{"action_mask": [[1, 1]]}, {}]}, r"info\['action_mask'\].*one entry for each of 2 agents"),
        ({"infos": [{"action_mask": [1, 1]}, {}]}, r"agent 0 has an action mask of shape \(\)"),
        ({"infos": [{"action_mask": ([1, 1], [1, 1])}, {}]}, "agent 1 has an action mask of shape"),
        ({"infos": [{"action_mask": ([0, 0], [1, 1, 1])}, {}]}, "agent 0 has no action"),
        ({"infos": [{"action_mask": ([3, 0], [1, 1, 1])}, {}]}, "expected 0 and 1"),
        ({"infos": [{"action_mask": FIRST}, {}]}, "agent 0 lacks the action mask"),
        ({"infos": [{}, {"action_mask": FIRST}]}, "agent 0 has an action mask in its info that it did not have"),
        ({"infos": [{"legal_actions": FIRST}, {}]}, "'legal_actions' in info is not read"),
        ({"infos": [{"a": {"action_mask": [1, 1]}}, {}]}, r"'action_mask' in info\['a'\] is not read"),
        ({"space": MASKED}, "agent 0 .*observes shape|agent 0 observes a ndarray"),
        (
            {"space": MASKED, "obs": ({"observation": SEEN[0]},) * 2},
            "agent 0 lacks the action mask that belongs in its obs",
        ),
        ({"ended": [[T], [T, F]]}, "terminated .*expected one bool per agent"),
        ({"obs": np.array(3.0)}, "observations .*one entry for each of 2"),
        ({"action_masks": np.ones((2, 3))}, "its action_masks is not read"),
        ({"action_mask": lambda state: 1}, "its action_mask is not read"),
        ({"action_masks": lambda: [1, 1, 1]}, r"action_masks\(\).*one entry for each of 2"),
        ({"obs": SEEN[:1]}, "observations .*one entry for each of 2"),
        ({"obs": (np.zeros(3), SEEN[1])}, r"agent 0 observes shape \(3,\)"),
        ({"obs": (SEEN[0], None)}, "no observation of agent 1"),
        ({"obs": 3.0}, "observations .*one entry for each of 2"),
        ({"infos": [{}, None]}, "step returned 5 values .*NoneType"),
        ({"reset": lambda seed=None, options=None: SEEN}, r"reset returned 2 values \(ndarray, ndarray\)"),
        ({"reset": lambda: SEEN}, "reset takes no 'seed'"),
        ({"step": lambda actions: (SEEN, 1.0, F, {})}, "step returned 4 values .* as old Gym did"),
        ({"space": gym.spaces.Discrete(3), "obs": (-1, 2)}, "agent 0 observes -1, but its space is Discrete"),
        ({"space": gym.spaces.Box(0, 9, (2,), np.int8)}, None),
        ({"space": gym.spaces.Box(0, 9, (2,), np.int8), "obs": (SEEN[0] / 2, SEEN[1])}, "float32 that is not int8"),
    ],
)
def test_what_breaks_the_contract(answers: Any, message: str | None) -> None:
    if message is None:
        said(**answers).step([0, 0])
        return
    with pytest.raises(UserError, match=rf"env 'PySaid-v0': .*{message}"):
        said(**answers).step([0, 0])


def test_masked_actions_are_never_played() -> None:
    masks = {"action_mask": FIRST}
    env = said(infos=[masks, masks])
    base, played = env._env.unwrapped, set()
    step = base.step
    base.step = lambda actions: (played.add(actions), step(actions))[1]
    assert check_env(env, steps=40).truncated > 5
    assert played == {(0, 1), (0, 2)}
