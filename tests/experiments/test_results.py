"""Run folders of ours, of PyMARL2 and of EPyMARL, read as one kind of result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pymarl.experiments.results import Result, load_results
from pymarl.utils.errors import UserError
from results_kit import CONFIG, write, write_run

RUNS = Path(__file__).resolve().parent.parent / "fixtures" / "runs"
"""Runs of PyMARL2 (8ccac7c) and EPyMARL (cbc38c0), cut to a few tests."""


def one(folder: Path) -> Result:
    (result,) = load_results([folder], pytest.fail)
    return result


def test_of_a_run_of_ours(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "sacred/3m/qmix/1", [(0, [0.0, 1.0]), (1000, [1.0, 2.0])], best=[3.0, 0.5], late=7)
    result = one(tmp_path)
    assert (result.method, result.env, result.scenario, result.seed) == ("qmix", "skirmish", "3m", 1)
    assert (result.origin, result.folder, result.status, result.wall_seconds) == ("pymarl", folder, "COMPLETED", 100)
    assert result.config["env_args.map_name"] == "3m"
    assert set(result.curves) == {"return", "ep_length", "battle_won"}
    curve = result.curves["return"]
    assert curve.t.tolist() == [0, 1000]  # the multiples, not 7 and 1007
    assert [values.tolist() for values in curve.values] == [[0.0, 1.0], [1.0, 2.0]]
    assert curve.seconds is not None
    assert curve.seconds.tolist() == [0.0, 100.0]
    assert [values.tolist() for values in result.curves["battle_won"].values] == [[0.0, 1.0], [1.0, 1.0]]
    assert {name: values.tolist() for name, values in result.absolute["best"].items()} == {
        "return": [3.0, 0.5], "ep_length": [5.0, 5.0], "battle_won": [1.0, 0.0],
    }  # fmt: skip


def test_where_it_was_played(tmp_path: Path) -> None:
    own = {"commit": "abc", "dirty": False, "versions": {"torch": "2"}, "machine": {"cpu": "C", "gpu": None}}
    write_run(tmp_path / "1", [(0, [0.0])], run=own | {"host": {"hostname": "h", "cpu": "?", "python_version": "3"}})
    assert one(tmp_path).stamp == {
        "commit": "abc", "dirty": False, "machine": "h", "cpu": "C", "python": "3", "torch": "2",
        "started": "2026-01-01T10:00:00",
    }  # fmt: skip


def test_tests_from_before_there_were_evaluations_are_kept(tmp_path: Path) -> None:
    """A run that an older version began has means alone for its first tests."""
    write_run(tmp_path / "1", [(0, [0.25]), (1000, [1.0, 2.0])])
    curve = one(tmp_path).curves["return"]
    assert [values.tolist() for values in curve.values] == [[0.25], [1.0, 2.0]]
    assert curve.seconds is None  # metrics.json does not say when the first one was


def test_the_wall_clock_of_a_run_without_evaluations_is_that_of_metrics_json(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "1", [(0, [0.25]), (1000, [1.0])])
    moments = ["2026-01-01T10:00:01", "2026-01-01T10:00:31.500000"]
    write(folder / "metrics.json", {"test_return_mean": {"steps": [0, 1000], "timestamps": moments, "values": [0, 1]}})
    seconds = one(tmp_path).curves["return"].seconds
    assert seconds is not None
    assert seconds.tolist() == [1.0, 31.5]


def test_a_run_that_was_resumed_is_one(tmp_path: Path) -> None:
    """The newest folder has the numbers of all; the time is that of all pieces."""
    token = {"models": "/somewhere/models/qmix__1"}
    write_run(tmp_path / "1", [(0, [0.0]), (1000, [9.0])], run=token | {"status": "INTERRUPTED"})
    later = {"start_time": "2026-01-02T10:00:00", "stop_time": "2026-01-02T10:00:50"}
    newest = write_run(tmp_path / "2", [(0, [0.0]), (1000, [1.0]), (2000, [2.0])], run=token | later, t_max=9000)
    begun = {"start_time": "2026-01-03T10:00:00", "stop_time": "2026-01-03T10:00:01", "status": "FAILED"}
    write_run(tmp_path / "3", run=token | begun)  # it has logged nothing yet
    result = one(tmp_path)
    assert (result.folder, result.wall_seconds) == (newest, 151)
    assert [float(values[0]) for values in result.curves["return"].values] == [0, 1, 2]


def test_of_two_runs_of_one_seed_the_longer_is_kept_and_it_is_said(tmp_path: Path) -> None:
    write_run(tmp_path / "1", [(0, [0.0]), (1000, [1.0])])
    short = write_run(tmp_path / "2", [(0, [0.0])])
    write_run(tmp_path / "3", [(0, [0.0])], seed=2)
    said: list[str] = []
    assert [(result.seed, result.last) for result in load_results([tmp_path], said.append)] == [(1, 1000), (2, 0)]
    assert said == [f"left out: {short}: {tmp_path / '1'} has its config and seed"]


def test_a_broken_folder_is_named_and_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "1", [(0, [0.0])])
    (write_run(tmp_path / "2", seed=2) / "info.json").write_text('{"test_return_mean": [0')
    (write_run(tmp_path / "3", seed=3) / "config.json").write_text(json.dumps({"name": "qmix"}))
    (write_run(tmp_path / "4", [(0, [0.0, 1.0])], seed=4) / "evaluations.jsonl").write_text('{"at": 1}\n')
    said: list[str] = []
    assert [result.seed for result in load_results([tmp_path], said.append)] == [1]
    assert len(said) == 3
    for number, line in zip("234", said, strict=True):
        assert line.startswith("left out: ")
        assert str(tmp_path / number) in line


def test_a_living_run_is_loaded_as_far_as_it_is(tmp_path: Path) -> None:
    """info.json is of a while ago, and the last line of info.jsonl half written."""
    folder = write_run(tmp_path / "1", [(0, [0.0])], run={"status": "RUNNING", "stop_time": None})
    new = {"test_return_mean": 4.0, "test_return_mean_T": 8}
    lines = [json.dumps({"at": 1, "key": key, "values": [value]}) for key, value in new.items()]
    (folder / "info.jsonl").write_text("".join(f"{line}\n" for line in lines) + '{"at": 2, "key"')
    assert one(tmp_path).curves["return"].t.tolist() == [0, 8]
    just_begun = write_run(tmp_path / "2", seed=2)
    (just_begun / "info.json").unlink()
    assert [len(result.curves) for result in load_results([tmp_path], pytest.fail)] == [1, 0]


def test_evaluations_of_a_checkpoint_and_sources_are_no_runs(tmp_path: Path) -> None:
    write_run(tmp_path / "qmix/1", evaluate=True)
    write_run(tmp_path / "qmix/_sources/1")
    assert load_results([tmp_path], pytest.fail) == []
    with pytest.raises(UserError, match="no such folder; expected one of runs"):
        load_results([tmp_path / "nowhere"])


def test_a_token_stands_for_its_runs(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "1", [(0, [0.0])])
    token = tmp_path / "models" / "qmix__1"
    token.mkdir(parents=True)
    write(token / "config.json", CONFIG)
    write(token / "runs.json", [{"run": str(folder), "from": None}, {"run": str(tmp_path / "gone"), "from": None}])
    assert one(token).folder == folder


def test_of_pymarl2() -> None:
    result = one(RUNS / "pymarl2")
    assert (result.method, result.scenario, result.seed) == ("qmix_env=8_adam_td_lambda", "stag_hunt", 1)
    assert (result.origin, result.status) == ("pymarl2", "DIED")  # it never says that it has ended
    assert set(result.curves) == {"return", "ep_length"}
    curve = result.curves["return"]
    assert curve.t.tolist() == [1600, 12800, 24000, 35200]
    assert [values.tolist() for values in curve.values] == [[0.0]] * 4
    assert curve.seconds is None  # its metrics.json is empty
    assert result.stamp["torch"] == "2.13.0+cpu"


def test_of_epymarl() -> None:
    result = one(RUNS / "epymarl")
    assert (result.method, result.scenario) == ("pac_sarsa_ns", "matrixgames:climbing-nostate-v0")
    assert (result.origin, result.status) == ("epymarl", "COMPLETED")
    curve = result.curves["return"]
    assert curve.t.tolist() == [10, 8010, 16010, 24010, 32010, 40010]
    assert [float(values[0]) for values in curve.values] == [-5.06, -8.96, -10.62, -5.46, 18.66, 22.0]
    assert curve.seconds is not None
    assert np.round(curve.seconds[[0, -1]], 3).tolist() == [2.310, 74.690]
    assert result.config["env_args.common_reward"] is True  # a key beside env_args there


def test_runs_of_all_stand_side_by_side(tmp_path: Path) -> None:
    write_run(tmp_path / "1", [(0, [0.0])])
    found = load_results([RUNS, tmp_path, RUNS / "pymarl2"], pytest.fail)
    assert [result.origin for result in found] == ["epymarl", "pymarl", "pymarl2"]
