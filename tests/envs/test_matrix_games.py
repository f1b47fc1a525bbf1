"""Climbing and penalty games: every payoff, both endings, and the rewards of a team."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from pymarl.envs.matrix_games import PAYOFFS, MatrixGame
from pymarl.envs.single import make_env


def game(batch_size: int = 1, **keys: Any) -> MatrixGame:
    usual = {"map_name": "climbing-nostate-v0", "ep_length": 1000, "time_limit": 25, "common_reward": True,
             "reward_scalarisation": "sum"}  # fmt: skip
    return MatrixGame(MatrixGame.Config(**usual | keys), batch_size)


PLAYED = {
    "climbing-nostate-v0": [11, -30, 0, -30, 7, 0, 0, 6, 5],
    "penalty-0-nostate-v0": [0, 0, 10, 0, 2, 0, 10, 0, 0],
    "penalty-25-nostate-v0": [-25, 0, 10, 0, 2, 0, 10, 0, -25],
    "penalty-50-nostate-v0": [-50, 0, 10, 0, 2, 0, 10, 0, -50],
    "penalty-75-nostate-v0": [-75, 0, 10, 0, 2, 0, 10, 0, -75],
    "penalty-100-nostate-v0": [-100, 0, 10, 0, 2, 0, 10, 0, -100],
    "climbing-3p-nostate-v0": [11, -30, 0, -30, 0, 0, 0, 0, 0, -30, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 5],
}


@pytest.mark.parametrize("map_name", PAYOFFS)
def test_payoffs(map_name: str) -> None:
    joint = list(itertools.product(range(3), repeat=3 if "3p" in map_name else 2))
    for keys, factor in (({}, len(joint[0])), ({"reward_scalarisation": "mean"}, 1), ({"common_reward": False}, 1)):
        env = game(len(joint), map_name=map_name, **keys)
        rows = np.arange(len(joint))
        env.reset(rows, np.zeros(len(joint), np.uint64))
        env.step(np.array(joint), rows)
        expected = np.array(PLAYED[map_name])[:, None] * factor
        assert np.array_equal(env.arrays.reward, np.broadcast_to(expected, env.arrays.reward.shape))
        assert env.arrays.reward.shape[1] == (len(joint[0]) if keys == {"common_reward": False} else 1)


@pytest.mark.parametrize(("ep_length", "time_limit"), [(1000, 3), (3, 3), (3, 25)])
def test_a_cut_game_is_truncated_and_a_played_one_terminated(ep_length: int, time_limit: int) -> None:
    """An end that is both is a true end."""
    env = game(2, ep_length=ep_length, time_limit=time_limit)
    rows = np.arange(2)
    for _ in range(2):
        env.reset(rows, np.zeros(2, np.uint64))
        for played in range(1, 4):
            env.step(np.ones((2, 2), np.int64), rows)
            over = played == 3
            assert env.arrays.terminated.tolist() == [over and ep_length == 3] * 2
            assert env.arrays.truncated.tolist() == [over and ep_length > 3] * 2
        assert env.episode_info(0) == {"episode_limit": ep_length > 3}


def test_only_the_rows_named_are_stepped_and_nothing_is_seen() -> None:
    env = game(3, time_limit=2)
    env.reset(np.arange(3), np.zeros(3, np.uint64))
    env.step(np.zeros((3, 2), np.int64), np.array([1]))
    assert env.arrays.reward[:, 0].tolist() == [0, 22, 0]
    env.step(np.zeros((3, 2), np.int64), np.array([1, 2]))
    assert env.arrays.truncated.tolist() == [False, True, False]
    assert not env.arrays.obs.any()
    assert not env.arrays.state.any()
    assert env.arrays.obs.shape == (3, 2, 2)
    assert env.arrays.state.shape == (3, 4)


def test_an_unknown_action_is_refused() -> None:
    env = make_env("matrix_games", {}, seed=0)
    env.reset()
    with pytest.raises(ValueError, match=r"MatrixGame: actions .* expected 0, 1 or 2"):
        env.step([0, 3])
