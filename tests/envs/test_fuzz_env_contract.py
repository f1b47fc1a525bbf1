"""Envs that break their contract in any way at any call: one line, from the check and from a run's adapter alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fuzz_env
from fuzz_env import OddEnv
from fuzz_kit import assert_one_line, only_user_errors, tries
from pymarl.envs.batched import SerialEnvs
from pymarl.envs.check import check_env
from pymarl.envs.workers.process import EnvError


def _raise(error: BaseException) -> Callable[[], Any]:
    def throw() -> Any:
        raise error

    return throw


ANSWERS: list[Any] = [
    None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**400, "x", b"x", [], {}, (), [1], [[1, 1], [1]], {"a": 1},
    {"n_agents": 2}, np.zeros(0), np.zeros((2, 3)), np.zeros((3, 2)), np.full((2, 3), np.nan), np.ones((2, 3), bool),
    np.array(None, dtype=object), np.array(["a", "b"]), np.zeros((2, 3), complex), np.datetime64("2020"), object(),
    (1.0, False, {}), (np.array([1.0]), np.array([True]), {}), (np.array([1.0, 2.0]), False, {}), ([1.0], [False], {}),
    (None, None, None), (1.0, False, None), (1.0, False, {"episode_limit": "x"}), (1.0, "no", {}),
    (float("nan"), 0, {}),
    (1.0, True, {"x": np.float32(1), "y": np.array([2]), 3: 4}), (1.0, False), (1, 2, 3, 4), (0, 1, False, False, {}),
    ([0], [1, 2], [False], [True], {}), (1.0, False, {"episode_limit": True}), lambda: iter(()), 1j, range(3),
    _raise(ValueError("two\nlines")), _raise(KeyError("x")), _raise(NotImplementedError()), _raise(ZeroDivisionError()),
    _raise(SystemExit(3)), _raise(AssertionError()), _raise(MemoryError()), _raise(RecursionError()),
]  # fmt: skip
"""What a method answers instead; a function is called first."""

METHODS = ["reset", "step", "get_obs", "get_state", "get_avail_actions", "get_env_info", "get_stats", "close",
           "get_obs_size", "get_state_size", "get_total_actions"]  # fmt: skip


@pytest.fixture(autouse=True)
def _as_it_was() -> Any:
    yield
    fuzz_env.ODD.clear()


@tries(200)
@given(method=st.sampled_from(METHODS), call=st.integers(0, 4), answer=st.integers(0, len(ANSWERS) - 1))
def test_an_odd_answer(method: str, call: int, answer: int) -> None:
    fuzz_env.ODD.clear()
    fuzz_env.ODD[method] = (call, ANSWERS[answer])
    with only_errors_of_envs():
        env = OddEnv()
        try:
            check_env(env, steps=20)
        finally:
            fuzz_env.ODD.pop("close", None)
    fuzz_env.ODD[method] = (call, ANSWERS[answer])
    with only_errors_of_envs():
        envs = SerialEnvs("fuzz_env:OddEnv", {}, 1, 0, {})
        try:
            play(envs)
            envs.get_stats()
        finally:
            envs.close()


@contextmanager
def only_errors_of_envs() -> Iterator[None]:
    """Let a UserError of one line pass, and an EnvError that names the env."""
    try:
        with only_user_errors():
            yield
    except EnvError as error:
        _assert_named(str(error))


def _assert_named(text: str) -> None:
    assert "OddEnv" in text, text
    assert_one_line(text.splitlines()[0])


def play(envs: SerialEnvs) -> None:
    """Play two episodes."""
    row = np.zeros(1, np.int64)
    for seed in range(2):
        envs.reset(row, np.array([seed], np.uint64))
        for _ in range(OddEnv.episode_limit):
            envs.step(envs.arrays.avail_actions.argmax(-1), row)
            if envs.arrays.terminated[0] or envs.arrays.truncated[0] or envs.arrays.broken[0]:
                break
