"""The habits of PyMARL's users: what their envs return and read is taken as PyMARL takes it, or refused in one line."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from pymarl.envs.actions import handed_over
from pymarl.envs.batched import SerialEnvs
from pymarl.envs.contract import numeric_info, read_info
from pymarl.envs.multiagentenv import EnvInfo
from pymarl.envs.workers.worker_envs import WorkerEnvs
from pymarl.utils.errors import UserError
from worker_kit import nothing_left, play, start

__all__ = ["nothing_left"]
pytestmark = pytest.mark.usefixtures("nothing_left")

GRADIENT = torch.tensor([[2.0]], requires_grad=True)
ONE = ("array", "array_0d", "array_2d", "numpy", "list", "tensor_1d", "tensor_0d", "bfloat16", "gradient")


@pytest.mark.parametrize("habit", ONE)
def test_one_number_in_any_wrapping_is_a_reward_and_an_ending(habit: str) -> None:
    env = start(SerialEnvs, "Habits", 1, habit=habit)
    env.reset(np.array([0]), np.array([1], np.uint64))
    for _ in range(2):
        env.step(np.zeros((1, 2), np.int64), np.array([0]))
    assert env.arrays.reward[0] == 2.0
    assert env.arrays.terminated[0]
    assert env.episode_info(0) == ({} if habit == "list" else {"number": 2.0})
    env.close()


@pytest.mark.parametrize("value", [np.zeros(2), torch.zeros(2), [1.0, 2.0], [], None, "1", 1j, {}, [[1.0, 2.0]]])
def test_more_or_less_than_one_number_is_refused(value: Any) -> None:
    env = start(SerialEnvs, "Habits", 1)
    env._envs[0].env.reward = value
    env.reset(np.array([0]), np.array([1], np.uint64))
    with pytest.raises(UserError, match=r"step returned reward .*, expected one finite number for the team") as caught:
        env.step(np.zeros((1, 2), np.int64), np.array([0]))
    assert "\n" not in str(caught.value)
    env.close()


@pytest.mark.parametrize(
    ("kind", "habit"),
    [(SerialEnvs, "pymarl"), (SerialEnvs, "tensors"), (SerialEnvs, "tensor"), (WorkerEnvs, "pymarl")],
)
def test_info_none_tensors_and_the_base_classs_methods_do(kind: type, habit: str) -> None:
    """`close` and `get_stats` of PyMARL's base class raise NotImplementedError; some envs return None as info."""
    env = start(kind, "Habits", 1, habit=habit)
    play(env, [1])
    assert env.arrays.obs[0].tolist() == [[2.0, 1.0], [2.0, 1.0]]
    assert env.arrays.state[0].tolist() == [2.0]
    assert env.get_stats() == [{}]
    env.close()


def test_an_env_that_lacks_a_method_is_refused_as_the_check_says() -> None:
    for kind in (SerialEnvs, WorkerEnvs):
        with pytest.raises(UserError, match=r"env 'fake_envs:NoState': method get_state is missing; see"):
            start(kind, "NoState", 1)


SAID = {"n_agents": 2, "n_actions": np.int64(3), "obs_shape": (4,), "state_shape": [np.int32(8)], "episode_limit": 9}


def test_get_env_info_is_read_as_ints() -> None:
    expected = EnvInfo(n_agents=2, n_actions=3, obs_shape=4, state_shape=8, episode_limit=9)
    assert read_info("x", SAID) == expected
    assert read_info("x", {**SAID, "n_agents": torch.tensor(2), "episode_limit": np.array(9)}) == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("n_agents", 2.0, "is 2.0, expected an int"),
        ("n_agents", np.float64(2), "expected an int"),
        ("n_agents", (2,), "expected an int"),
        ("n_agents", 0, "is 0, expected 1 to 2147483647"),
        ("obs_shape", (4, 84, 84), "expected an int; flatten it, and let this be its length"),
        ("obs_shape", (), "expected an int"),
        ("obs_shape", (4.5,), "is 4.5, expected an int"),
        ("state_shape", -1, "is -1, expected 1 to 2147483647"),
        ("episode_limit", None, "is None, expected an int"),
        ("episode_limit", "9", "is '9', expected an int"),
    ],
)
def test_get_env_info_that_cannot_be_is_one_line(key: str, value: Any, expected: str) -> None:
    with pytest.raises(UserError) as caught:
        read_info("x", {**SAID, key: value})
    assert str(caught.value).startswith(f"env 'x': get_env_info()[{key!r}] ")
    assert expected in str(caught.value)
    with pytest.raises(UserError, match=f"{key!r}. is missing, expected an int"):
        read_info("x", {k: v for k, v in SAID.items() if k != key})


def test_numbers_in_info_may_be_arrays_and_tensors_of_one() -> None:
    info = {
        "a": np.array(1.5), "b": np.array([True]), "c": torch.tensor(2), "d": GRADIENT, "e": np.float32(3), "f": True,
        "big": 10**400, "nan": np.nan, 7: 1,
        "no": np.zeros(2), "text": np.array("x"), "none": None, "list": [1], "object": np.array({}, object),
    }  # fmt: skip
    expected = {"a": 1.5, "b": 1.0, "c": 2.0, "d": 2.0, "e": 3.0, "f": 1.0, "big": np.inf, "nan": np.nan, "7": 1.0}
    np.testing.assert_equal(numeric_info(info), expected)


READS = {
    "ints": lambda a: [int(x) for x in a],
    "items": lambda a: [x.item() for x in a],
    "tolist": lambda a: a.tolist(),
    "numpy": lambda a: a.cpu().numpy().astype(int).tolist(),
    "detach": lambda a: a.detach().cpu().numpy().tolist(),
    "to": lambda a: a.to("cpu").long().clone().numpy().tolist(),
    "index": lambda a: [[0, 1, 2][x] for x in a],
    "key": lambda a: [{0: 0, 1: 1, 2: 2}[x] for x in a],
    "text": lambda a: [int(f"{x}") for x in a],
    "shape": lambda a: [int(a.max()), int(a.min()), int(a.sum()) - 2][: a.shape[0] + a.numel() - 1],
    "unsqueeze": lambda a: a.unsqueeze(0)[0].tolist(),
    "pickled": lambda a: pickle.loads(pickle.dumps(a)).tolist(),
}
TORCH_READS = {
    "one_hot": lambda a: functional.one_hot(a, 3).argmax(-1).tolist(),
    "as_tensor": lambda a: torch.as_tensor(a).tolist(),
    "tensor": lambda a: torch.tensor(a).tolist(),
    "from_numpy": lambda a: torch.from_numpy(a).tolist(),
    "stack": lambda a: torch.stack([a, a])[0].tolist(),
    "index": lambda a: torch.arange(3)[a].tolist(),
    "plus": lambda a: (torch.zeros(3, dtype=torch.int64) + a).tolist(),
    "gather": lambda a: torch.arange(3).gather(0, a).tolist(),
}


@pytest.mark.parametrize(
    "read", [*READS.values(), *TORCH_READS.values()], ids=[*READS, *(f"torch_{name}" for name in TORCH_READS)]
)
def test_actions_are_read_as_an_array_and_as_a_tensor(read: Any) -> None:
    assert read(handed_over(np.array([2, 0, 1]))) == [2, 0, 1]


def test_actions_become_other_types_as_a_tensor_does() -> None:
    actions = handed_over(np.array([2, 0, 1]))
    assert [str(actions.int().dtype), str(actions.float().cpu().dtype), str(actions.double().dtype)] == [
        "int32", "float32", "float64",
    ]  # fmt: skip
    assert (~actions.to(torch.bool)).tolist() == [False, True, False]
    assert actions.type(torch.float32).dtype == np.float32
    assert actions.to("cuda").dtype == np.int64
    assert actions.cuda().contiguous().dim() == 1
    assert [action.cpu().item() for action in actions] == [2, 0, 1]
    assert {2: "up"}[actions[0].detach()] == "up"


def test_actions_need_no_module_of_ours_to_be_unpickled() -> None:
    text = repr(pickle.dumps(handed_over(np.array([2, 0, 1]))))
    code = f"import pickle; a = pickle.loads({text}); print(type(a).__name__, a.tolist())"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={}, cwd="/", timeout=60)
    assert said.stdout == "ndarray [2, 0, 1]\n"


@pytest.mark.parametrize("kind", [SerialEnvs, WorkerEnvs])
def test_actions_are_the_envs_to_keep(kind: type) -> None:
    """Many envs show an agent its last action: what they kept must not turn into the next step's."""
    env = start(kind, "KeepsActions", 1)
    env.reset(np.array([0]), np.array([1], np.uint64))
    given = np.zeros((1, 2), np.int64)
    seen = []
    for action in (1, 2, 0):
        given[:] = action
        env.step(given, np.array([0]))
        seen.append(env.arrays.state[0].tolist())
        assert (given == action).all()
    assert seen == [[1.0], [1.0], [2.0]]
    env.close()
