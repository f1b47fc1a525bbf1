"""What benchmarks/matrix_games.py prints is the table's payoff, however the team's reward is made of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

from matrix_games import payoff


@pytest.mark.parametrize(
    ("map_name", "reward", "env_args", "expected"),
    [
        ("one_step_matrix_game_qtran", 8.0, {}, 8.0),
        ("climbing-nostate-v0", 11.0, {"ep_length": 1, "reward_scalarisation": "mean"}, 11.0),
        ("climbing-nostate-v0", 22.0, {"ep_length": 1, "reward_scalarisation": "sum"}, 11.0),
        ("climbing-3p-nostate-v0", 33.0, {"ep_length": 1, "reward_scalarisation": "sum"}, 11.0),
        ("penalty-100-nostate-v0", 500.0, {"ep_length": 25, "reward_scalarisation": "sum"}, 10.0),
    ],
)
def test_a_payoff_is_that_of_one_agent_in_one_round(
    map_name: str, reward: float, env_args: dict[str, object], expected: float
) -> None:
    assert payoff(reward, {"map_name": map_name, **env_args}) == expected
