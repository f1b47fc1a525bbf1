"""The one-step matrix game: every payoff, and what is seen."""

from __future__ import annotations

import numpy as np
import pytest

from pymarl.envs.one_step_matrix_game import OneStepMatrixGame
from pymarl.envs.single import make_env


@pytest.mark.parametrize(("map_name", "off"), [("one_step_matrix_game", -0.1), ("one_step_matrix_game_hard", -12.0)])
def test_payoffs(map_name: str, off: float) -> None:
    env = OneStepMatrixGame(OneStepMatrixGame.Config(map_name=map_name), batch_size=9)
    rows = np.arange(9)
    env.reset(rows, np.zeros(9, np.uint64))
    assert (env.arrays.obs == [1, 0]).all()
    env.step(np.stack(np.divmod(rows, 3), axis=1), rows)
    assert env.arrays.reward[:, 0].tolist() == [12, off, off, off, 0, 0, off, 0, 0]
    assert (env.arrays.state == [0, 1]).all()
    assert env.arrays.terminated.all()
    assert not env.arrays.truncated.any()


def test_only_the_rows_named_are_stepped() -> None:
    env = OneStepMatrixGame(OneStepMatrixGame.Config(map_name="one_step_matrix_game"), batch_size=3)
    env.reset(np.arange(3), np.zeros(3, np.uint64))
    env.step(np.zeros((3, 2), np.int64), np.array([1]))
    assert env.arrays.reward[:, 0].tolist() == [0, 12, 0]
    assert env.arrays.terminated.tolist() == [False, True, False]
    assert env.arrays.obs[:, 0, 0].tolist() == [1, 0, 1]


def test_an_unknown_action_is_refused() -> None:
    env = make_env("one_step_matrix_game", {}, seed=0)
    env.reset()
    with pytest.raises(ValueError, match="expected 0, 1 or 2"):
        env.step([0, 3])
