"""What benchmarks/matrix_games.py prints is the table's payoff, however the team's reward is made of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from matrix_games import payoff


@pytest.mark.parametrize(
    ("game", "reward", "env_args", "expected"),
    [
        ("qtran", 8.0, {}, 8.0),
        ("climbing", 11.0, {"ep_length": 1, "reward_scalarisation": "mean"}, 11.0),
        ("climbing", 22.0, {"ep_length": 1, "reward_scalarisation": "sum"}, 11.0),
        ("climbing-3p", 33.0, {"ep_length": 1, "reward_scalarisation": "sum"}, 11.0),
        ("penalty-100", 500.0, {"ep_length": 25, "reward_scalarisation": "sum"}, 10.0),
    ],
)
def test_a_payoff_is_that_of_one_agent_in_one_round(
    game: str, reward: float, env_args: dict[str, object], expected: float
) -> None:
    assert payoff(game, reward, env_args) == expected
