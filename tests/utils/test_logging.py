"""Logged numbers: names, means, and backends that fail."""

from __future__ import annotations

import logging
import math
import re
from typing import Any

import pytest

from pymarl.utils.logging import EpisodeStats, Logger


class FakeRun:
    """Stands in for sacred's run."""

    def __init__(self, broken: bool = False) -> None:
        self.info: dict[str, Any] = {}
        self.scalars: list[tuple[str, float, int]] = []
        self.broken = broken

    def log_scalar(self, key: str, value: float, t: int) -> None:
        if self.broken:
            raise ConnectionError("the database is gone")
        self.scalars.append((key, value, t))


def test_pymarls_names_and_steps() -> None:
    logger, run = Logger(logging.getLogger("test")), FakeRun()
    logger.setup_sacred(run)
    logger.log_stats({"return_mean": 1}, 10, prefix="test_")
    logger.log_stat("test_return_mean", 2.5, 20)
    assert run.info == {"test_return_mean": [1.0, 2.5], "test_return_mean_T": [10, 20]}
    assert run.scalars == [("test_return_mean", 1.0, 10), ("test_return_mean", 2.5, 20)]


def test_a_failing_backend_is_named_once_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    logger, run = Logger(logging.getLogger("test")), FakeRun(broken=True)
    logger.setup_sacred(run)
    for t in range(3):
        logger.log_stat("loss", 0.5, t)
    assert run.info["loss"] == [0.5] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "sacred is off from now on: ConnectionError: the database is gone"
    ]


def test_a_restored_logger_goes_on_where_it_was() -> None:
    logger, twin = Logger(logging.getLogger("test")), Logger(logging.getLogger("test"))
    logger.log_stat("loss", 0.1, 1)
    twin.load_state_dict(logger.state_dict())
    run = FakeRun()
    twin.setup_sacred(run)
    twin.log_stat("loss", 0.2, 2)
    assert run.info == {"loss": [0.1, 0.2], "loss_T": [1, 2]}
    assert twin.last("loss") == 0.2


def test_the_table_averages_the_last_values(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logger = Logger(logging.getLogger("test"))
    for t in range(7):
        logger.log_stat("loss", t, t)
        logger.log_stat("epsilon", t, t)
    logger.log_stat("episode", 12, 6)
    logger.print_recent_stats()
    text = caplog.records[-1].getMessage()
    assert "t_env:          6 | Episode:       12" in text
    assert "loss:        4.0000" in text  # mean of 2, 3, 4, 5, 6
    assert "epsilon:     6.0000" in text


def test_the_table_has_groups_and_fits_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logger = Logger(logging.getLogger("test"))
    for key in ("battle_won_mean", "return_mean", "dead_allies_mean"):
        logger.log_stats({key: 12345.678}, 10)
        logger.log_stats({key: 0.5}, 10, prefix="test_")
    for key in ("loss_td", "steps_per_s", "episode", "epsilon", "q_taken_mean", "updates_per_s"):
        logger.log_stat(key, 1.0, 10)
    logger.print_recent_stats()
    _, *rows = caplog.records[-1].getMessage().splitlines()
    assert max(map(len, rows)) <= 80
    assert [re.findall(r"\w+(?=:)", row) for row in rows] == [
        ["test_battle_won_mean", "battle_won_mean"], ["test_return_mean", "return_mean"],
        ["dead_allies_mean", "test_dead_allies_mean"],
        ["epsilon", "loss_td"], ["q_taken_mean"],
        ["steps_per_s", "updates_per_s"],
    ]  # fmt: skip


def test_the_table_can_be_short_or_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logger = Logger(logging.getLogger("test"))
    for key in ("test_return_mean", "return_mean", "test_battle_won_mean", "ep_length_mean", "return_std", "grad_norm",
                "loss_td", "critic_loss", "epsilon", "steps_per_s", "steps_per_s_test", "memory_gib"):  # fmt: skip
        logger.log_stat(key, 1.0, 10)
    logger.print_recent_stats("off")
    assert caplog.records == []
    logger.print_recent_stats("short")
    title, *rows = caplog.records[-1].getMessage().splitlines()
    assert title.startswith("Recent Stats | t_env:         10")
    assert re.findall(r"\w+(?=:)", " ".join(rows)) == [
        "test_battle_won_mean", "test_return_mean", "return_mean", "critic_loss", "epsilon", "loss_td", "steps_per_s",
    ]  # fmt: skip
    assert len(rows) <= 5


def test_episode_stats_by_hand() -> None:
    stats = EpisodeStats()
    stats.add(1.0, 10, {"battle_won": True, "text": "ignored"})
    stats.add(3.0, 20, {})
    assert stats.flush() == {"return_mean": 2.0, "return_std": 1.0, "battle_won_mean": 0.5, "ep_length_mean": 15.0}
    assert stats.flush() == {}


def test_an_infos_keys_never_take_the_place_of_ours() -> None:
    stats = EpisodeStats()
    info = {"return": 7.0, "ep_length": 99, "q_taken": 1.0, "test_return": 5.0, "battle won/%": True, 3: 2.0}
    stats.add(1.0, 10, info)
    assert stats.flush() == {
        "return_mean": 1.0, "return_std": 0.0, "ep_length_mean": 10.0, "env_return_mean": 7.0,
        "env_ep_length_mean": 99.0, "env_q_taken_mean": 1.0, "env_test_return_mean": 5.0,
        "battle won/%_mean": 1.0, "3_mean": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400, -(10**400)])
def test_numbers_that_are_not_finite_are_told_once_and_kept(value: float, caplog: pytest.LogCaptureFixture) -> None:
    logger, stats = Logger(logging.getLogger("test")), EpisodeStats()
    for t in range(3):
        stats.add(1e200 if t else 1e308, 10, {"battle_won": value})
        stats.add(-1e308, 10, {"battle_won": value})
        logger.log_stats(stats.flush(), t, prefix="test_")
    told = [record.getMessage() for record in caplog.records]
    shown = f"{value}" if isinstance(value, float) else "inf" if value > 0 else "-inf"
    assert f"test_battle_won_mean is {shown} at t_env=0; info.json holds null where it is" in told
    assert len(told) == len({line.split()[0] for line in told})
    kept = Logger(logging.getLogger("test"))
    kept.load_state_dict(logger.state_dict())  # exact: a resumed run equals one that never stopped
    assert repr(kept.info) == repr(logger.info)
