"""One list of fields from which every array, scheme and check is derived."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from pymarl.components.episode_batch import stored_fields
from pymarl.envs.batched import make_batched_env
from pymarl.envs.contract import check_arrays, check_info, read_info
from pymarl.envs.multiagentenv import EnvArrays
from pymarl.envs.native.out import Out
from pymarl.envs.shared import SharedArrays
from pymarl.envs.specs import Block, Box, Discrete, EntityLayout, EnvInfo, block_slices
from pymarl.run.parts import episode_scheme
from pymarl.utils.errors import UserError
from pymarl.utils.memory import anonymous_memory

INFO = EnvInfo(n_agents=3, n_actions=5, obs_shape=7, state_shape=11, episode_limit=4)
OWN = replace(INFO, n_rewards=3)
LAYOUT = EntityLayout(obs=(Block("enemies", 2, 3), Block("own", 1, 1)), state=(Block("all", 1, 11),), first_target=2)

UNAIMED = replace(LAYOUT, obs=(Block("own", 1, 7),))
HEALED = replace(LAYOUT, obs=(Block("enemies", 2, 2), Block("allies", 2, 1), Block("own", 1, 1)), healers=(6,))


@pytest.mark.parametrize(("info", "rewards"), [(INFO, 1), (OWN, 3)])
def test_arrays_are_what_the_fields_say(info: EnvInfo, rewards: int) -> None:
    shapes = {
        "obs": (2, 3, 7), "state": (2, 11), "avail_actions": (2, 3, 5), "reward": (2, rewards),
        "terminated": (2,), "truncated": (2,), "broken": (2,),
    }  # fmt: skip
    arrays = EnvArrays.allocate(info, 2)
    assert {name: array.shape for name, array in vars(arrays).items()} == shapes
    kinds = [str(array.dtype) for array in vars(arrays).values()]
    assert kinds == ["float32", "float32", "bool", "float64", "bool", "bool", "bool"]
    assert set(Out._fields) == shapes.keys() - {"broken"}  # no native env's game fails
    assert Out.of(arrays).truncated is arrays.truncated
    shared = SharedArrays(info, 2, anonymous_memory(), create=True)
    assert {name: array.shape for name, array in vars(shared.arrays).items()} == shapes
    assert (shared.actions.shape, shared.actions.dtype) == ((2, 3), np.int64)


@pytest.mark.parametrize(("info", "rewards"), [(INFO, 1), (OWN, 3)])
def test_a_batch_stores_what_the_fields_say(info: EnvInfo, rewards: int) -> None:
    scheme, groups, _ = episode_scheme(info)
    fields = {name: (field.shape, field.dtype) for name, field in stored_fields(scheme, groups).items()}
    assert fields == {
        "obs": ((3, 7), torch.float32), "state": ((11,), torch.float32), "avail_actions": ((3, 5), torch.bool),
        "actions": ((3, 1), torch.uint8), "reward": ((rewards,), torch.float32), "terminated": ((1,), torch.bool),
    }  # fmt: skip


def test_a_continuous_action_is_a_field_as_well() -> None:
    box = Box(-1.0, 1.0, (5,))
    assert INFO.action_space == Discrete(5)
    info = replace(INFO, box=box)
    assert info.action_space == box
    (actions,) = info.with_role("action")
    assert (actions.shape, actions.vshape, actions.dtype) == ((3, 5), (5,), np.float32)


def test_blocks_lie_one_behind_the_other() -> None:
    assert block_slices(LAYOUT.obs) == {"enemies": slice(0, 6), "own": slice(6, 7)}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"n_rewards": 2}, "has 2 rewards, expected 1 for the team or one for each of 3 agents"),
        ({"n_rewards": "three"}, r"get_env_info\(\)\['n_rewards'\] is 'three', expected an int"),
        ({"box": Box(0.0, 1.0, (5,))}, r"has continuous actions, Box\(.*; only discrete ones are supported"),
        ({"box": Box(0.0, 1.0, (2, 2))}, r"has actions of shape \(2, 2\), but n_actions=5"),
        ({"entity_layout": [1, 2]}, "expected an EntityLayout"),
        ({"entity_layout": LAYOUT, "obs_shape": 8}, "has an entity layout of 7 features, but obs_shape=8"),
        ({"entity_layout": LAYOUT, "state_shape": 8}, "has an entity layout of 11 features, but state_shape=8"),
        ({"entity_layout": replace(LAYOUT, first_target=4)}, "first_target=4 and 2 enemies, but n_actions=5"),
        ({"entity_layout": replace(LAYOUT, first_target=6)}, "first_target=6 and 2 enemies, but n_actions=5"),
        ({"entity_layout": UNAIMED}, "first_target=2, but no block of enemies; write first_target=5"),
        (
            {"entity_layout": replace(LAYOUT, healers=(6,))},
            r"healers=\(6,\), expected places of an observation that has",
        ),
        (
            {"entity_layout": replace(HEALED, healers=(7,))},
            r"healers=\(7,\), expected places of an observation that has",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=rf"^env 'x'.*{message}"):
        read_info("x", INFO.sizes() | said)


def test_what_an_env_says_is_taken_over() -> None:
    assert read_info("x", INFO.sizes() | {"box": "a key of the env's own"}) == INFO
    for layout in (LAYOUT, HEALED, replace(UNAIMED, first_target=5)):
        assert read_info("x", OWN.sizes() | {"entity_layout": layout}) == replace(OWN, entity_layout=layout)
    old = {key: size for key, size in INFO.sizes().items() if key != "n_rewards"}  # PyMARL's description
    assert read_info("x", old) == INFO


def broken_arrays() -> dict[str, dict[str, np.ndarray]]:
    """Return what is wrong -> the arrays of a batched env in which it is."""

    def fresh() -> dict[str, np.ndarray]:
        arrays = vars(EnvArrays.allocate(INFO, 2))
        arrays["avail_actions"][...] = True
        return dict(arrays)

    faults = {name: fresh() for name in ("shape", "type", "nan", "mask", "reward", "ends")}
    faults["shape"]["obs"] = np.zeros((2, 3, 6), np.float32)
    faults["type"]["state"] = np.zeros((2, 11))
    faults["nan"]["obs"][1, 2, 3] = np.nan
    faults["mask"]["avail_actions"][1, 2] = False
    faults["reward"]["reward"][1] = np.inf
    faults["ends"]["terminated"][1] = faults["ends"]["broken"][1] = True
    return {**faults, "": fresh()}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("shape", r"its array obs has shape \(2, 3, 6\) of float32, expected \(B, 3, 7\) of float32"),
        ("type", r"its array state has shape \(2, 11\) of float64, expected \(B, 11\) of float32"),
        ("nan", r"row 1 of obs holds nan at \(2, 3\), expected finite numbers"),
        ("mask", "leaves agent 2 no action"),
        ("reward", r"row 1 of reward holds inf at \(0,\)"),
        ("ends", "row 1 ended in more than one way"),
    ],
)
def test_arrays_that_do_not_fit_the_specs_are_told(fault: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_arrays("x", INFO, broken_arrays()[fault], range(2))
    check_arrays("x", INFO, broken_arrays()[""], range(2))


def test_a_native_env_that_describes_itself_wrongly_is_refused() -> None:
    with pytest.raises(UserError, match="'fake_envs:NativeRewards' has 5 rewards"):
        make_batched_env("fake_envs:NativeRewards", {"n_rewards": 5}, 2, 0, {}, in_process=True)
    env = make_batched_env("fake_envs:NativeRewards", {"n_rewards": 2}, 2, 0, {}, in_process=True)
    check_info("x", env.info)
    check_arrays("x", env.info, vars(env.arrays), range(2))


def test_workers_for_a_native_env_are_refused() -> None:
    with pytest.raises(UserError, match=r"env_workers=2: fake_envs:NativeRewards steps all .* write env_workers=None"):
        make_batched_env("fake_envs:NativeRewards", {"n_rewards": 2}, 2, 0, {}, in_process=False, workers=2)
