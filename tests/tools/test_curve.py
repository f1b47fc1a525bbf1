"""Learning curves: which runs are one experiment, what is drawn of them, and what is said of the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymarl.tools import curve
from pymarl.tools.grouping import SAME_EXPERIMENT, Group, group_runs, read_runs
from pymarl.utils.errors import UserError
from pymarl.utils.runs import FREE_ON_RESUME

METRIC = "test_return_mean"


def make_run(
    root: Path, number: int, values: list[Any], *, status: str = "COMPLETED", env_map: str = "3m",
    name: str = "qmix", gap: int = 1000, **config: Any,
) -> Path:  # fmt: skip
    """Write a run folder: a test every `gap` env steps."""
    folder = root / "sacred" / env_map / name / str(number)
    folder.mkdir(parents=True)
    steps = [gap * k for k in range(len(values))]
    keys = {"seed": number, "name": name, "env": "skirmish", "lr": 0.1, "evaluate": False, "save_replay": False}
    keys |= {"env_args": {"map_name": env_map}, "t_max": steps[-1], "resume": "", "checkpoint_path": ""}
    (folder / "config.json").write_text(json.dumps(keys | config))
    (folder / "run.json").write_text(json.dumps({"status": status, "heartbeat": "2026-01-01T00:00:00"}))
    (folder / "info.json").write_text(json.dumps({METRIC: values, f"{METRIC}_T": steps}))
    return folder


def grouped(*folders: Path) -> tuple[list[Group], list[str]]:
    _, runs, left_out = read_runs(folders, None)
    groups, twice = group_runs(runs)
    return groups, left_out + twice


def lines_of(*folders: Path) -> dict[str, Any]:
    """Return {panel: its axes}."""
    return {axes.get_title(): axes for axes in curve.draw(METRIC, grouped(*folders)[0]).axes}


def labels_of(axes: Any) -> list[str]:
    return list(axes.get_legend_handles_labels()[1])


def test_a_resumed_run_and_what_it_goes_on_with_are_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run of 40 k that was resumed twice, beside one of another seed: two runs, drawn to 40 k."""
    history = [float(k) for k in range(41)]
    parts = [
        make_run(tmp_path, 1, history[:9], status="RUNNING", seed=1),
        make_run(tmp_path, 2, history[:20], status="INTERRUPTED", seed=1, resume="results/models/x", t_max=40_000),
        make_run(tmp_path, 3, history, seed=1, resume="results/models/x", local_results_path="/elsewhere"),
    ]
    other = make_run(tmp_path, 4, history, seed=2)
    assert SAME_EXPERIMENT >= FREE_ON_RESUME
    axes = lines_of(*parts, other)["3m"]
    assert labels_of(axes) == ["qmix (2 runs)"]
    assert axes.lines[0].get_xdata()[-1] == 40_000
    assert curve.main([*map(str, [*parts, other, other]), "--out", str(tmp_path / "a.png")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told == [
        f"warning: left out: {path}: the config and seed of {parts[2]}, which has its numbers up to 40,000 env steps"
        for path in parts[:2]
    ]


def test_a_short_run_never_cuts_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = [make_run(tmp_path, seed, [float(seed)] * 41) for seed in (1, 2, 3)]
    short = make_run(tmp_path, 4, [10.0] * 9, status="FAILED")
    axes = lines_of(*full, short)["3m"]
    assert labels_of(axes) == ["qmix (3 to 4 runs)"]
    x, y = axes.lines[0].get_data()
    assert x[-1] == 40_000
    np.testing.assert_allclose(y[x < 9000], 4.0)  # it counts for one gap after its last test
    np.testing.assert_allclose(y[x > 9100], 2.0)
    assert curve.main([*map(str, [*full, short]), "--out", str(tmp_path / "a.png")]) == 0
    (told,) = capsys.readouterr().err.splitlines()
    assert told == f"warning: {short}: failed, ends at 8,000 of 40,000 env steps; 3m qmix goes on without it"


def test_groups_differ_in_more_than_seed_and_paths(tmp_path: Path) -> None:
    folders = [
        make_run(tmp_path, 1, [1.0, 2.0]),
        make_run(tmp_path, 2, [1.0, 2.0], checkpoint_path="somewhere"),
        make_run(tmp_path, 3, [1.0, 2.0], lr=0.5),
        make_run(tmp_path, 4, [1.0, 2.0], lr=0.5, t_max=7, use_cuda=True),
        make_run(tmp_path, 5, [1.0, 2.0], name="vdn"),
        make_run(tmp_path, 6, [1.0, 2.0], buffer="prioritized", t_max=7, name="per"),
        make_run(tmp_path, 7, [1.0, 2.0], buffer="prioritized", t_max=8, name="per"),
    ]
    assert labels_of(lines_of(*folders)["3m"]) == [
        'qmix checkpoint_path="" lr=0.1 (1 run)',
        'qmix checkpoint_path="given" lr=0.1 (1 run)',
        'qmix checkpoint_path="" lr=0.5 (2 runs)',
        "vdn (1 run)",
        "per t_max=7 (1 run)",
        "per t_max=8 (1 run)",
    ]


def test_each_map_has_its_own_axes(tmp_path: Path) -> None:
    folders = [make_run(tmp_path, 1, [1.0, 2.0], env_map=env_map) for env_map in ("3m", "8m")]
    sc2 = make_run(tmp_path / "other", 1, [1.0, 2.0], env="sc2")
    assert list(lines_of(*folders)) == ["3m", "8m"]
    assert list(lines_of(*folders, sc2)) == ["skirmish 3m", "8m", "sc2 3m"]


def test_the_interval_by_hand(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(200, 1)) + 3
    centre, low, high, count = curve.summarise(values, curve.STATISTICS["mean"][1])
    assert centre == pytest.approx(values.mean())
    spread = 1.96 * values.std() / np.sqrt(200)  # the central limit
    np.testing.assert_allclose([low[0], high[0]], [centre[0] - spread, centre[0] + spread], atol=0.02)
    assert count[0] == 200
    again = curve.summarise(values, curve.STATISTICS["mean"][1])
    assert (low, high) == (again[1], again[2])
    two = np.array([[0.0, np.nan], [1.0, 5.0]])
    centre, low, high, count = curve.summarise(two, curve.STATISTICS["mean"][1])
    assert (centre.tolist(), count.tolist()) == ([0.5, 5.0], [2, 1])
    assert (low[0], high[0]) == (0, 1)
    assert np.isnan([low[1], high[1]]).all()
    middle = curve.STATISTICS["iqm"][1](np.array([[9.0], [1.0], [2.0], [3.0], [-50.0], [4.0], [5.0], [100.0]]))
    assert middle.tolist() == [3.5]  # of 2, 3, 4, 5
    figure = curve.draw(METRIC, grouped(*(make_run(tmp_path, k, [1.0, 2.0]) for k in (1, 2)))[0])
    assert figure.axes[0].get_legend().get_title().get_text() == "mean, 95% bootstrap interval"


def test_null_is_a_gap(tmp_path: Path) -> None:
    axes = lines_of(make_run(tmp_path, 1, [1.0, 1.0, None, 1.0, float("nan"), 1.0, 1.0]))["3m"]
    x, y = axes.lines[0].get_data()
    gap = ((x > 1000) & (x < 3000)) | ((x > 3000) & (x < 5000))
    assert np.isnan(y[gap]).all()
    assert (y[(x <= 1000) | (x >= 5000)] == 1).all()


def test_a_killed_run_is_drawn_to_its_last_beat(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_run(tmp_path, 1, [1.0, 2.0], status="RUNNING")
    lines = [{"at": 2, "key": METRIC, "values": [3.0]}, {"at": 2, "key": f"{METRIC}_T", "values": [2000]}]
    (folder / "info.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert curve.main([str(folder), "--out", str(tmp_path / "a.svg")]) == 0
    assert capsys.readouterr().err == f"warning: {folder}: died, used up to its end at 2,000 env steps\n"


def test_what_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = make_run(tmp_path, 1, [1.0, 2.0])
    evaluation = make_run(tmp_path, 2, [1.0], evaluate=True)
    empty, broken = tmp_path / "3", make_run(tmp_path, 4, [1.0])
    empty.mkdir()
    (broken / "info.json").write_text("{")
    nulls = make_run(tmp_path, 5, [None, None])
    (tmp_path / "_sources").mkdir()
    words = [*map(str, (good, evaluation, empty, broken, nulls, tmp_path / "_sources"))]
    assert curve.main([*words, "--out", str(tmp_path / "a.pdf")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert [re.sub(r"\(.*\)", "()", line) for line in told] == [
        f"warning: left out: {evaluation}: an evaluation, not a training run",
        f"warning: left out: {empty / 'info.json'}: no such file; "
        "expected the folder of a run, results/sacred/<map>/<name>/<id>",
        f"warning: left out: {broken / 'info.json'}: broken (); expected the JSON that a run writes",
        f"warning: left out: {nulls}: no number of test_return_mean yet",
    ]


def test_results_of_pymarl(tmp_path: Path) -> None:
    """PyMARL's info.json wraps numpy's numbers; a folder may have no config.json."""
    wrapped = [{"dtype": "float64", "py/object": "numpy.float64", "value": value} for value in (0.5, 1.5)]
    folders = [make_run(tmp_path, k, wrapped, env="sc2", unique_token=f"t{k}") for k in (1, 2)]
    assert labels_of(lines_of(*folders)["3m"]) == ["qmix (2 runs)"]
    for folder in folders:
        (folder / "config.json").unlink()
        (folder / "run.json").unlink()
    axes = lines_of(*folders)["3m"]
    assert labels_of(axes) == ["qmix (2 runs)"]
    assert axes.lines[0].get_ydata()[[0, -1]].tolist() == [0.5, 1.5]


def test_the_metric_is_one_that_all_have(tmp_path: Path) -> None:
    won, other = make_run(tmp_path, 1, [1.0, 2.0]), make_run(tmp_path, 1, [1.0, 2.0], env_map="8m")
    info = json.loads((won / "info.json").read_text())
    info |= {"test_battle_won_mean": [0.5], "test_battle_won_mean_T": [0]}
    (won / "info.json").write_text(json.dumps(info))
    assert read_runs([won], None)[0] == "test_battle_won_mean"
    assert read_runs([won, other], None)[0] == METRIC
    with pytest.raises(UserError, match=r"no metric 'test_retrun_mean'; did you mean 'test_return_mean'\?"):
        read_runs([won], "test_retrun_mean")


def test_an_error_leaves_the_old_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = make_run(tmp_path, 1, [1.0, 2.0], name="a$b$c_{"), tmp_path / "new" / "a.png"
    assert curve.main([str(folder), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")

    def fail(self: Any, path: Path, **_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(curve.Figure, "savefig", fail)
    before = out.read_bytes()
    assert curve.main([str(folder), "--out", str(out)]) == 1
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]
    for name in ("a.jpg", "a"):
        assert curve.main([str(folder), "--out", name]) == 1
    (tmp_path / "file").touch()
    assert curve.main([str(folder), "--out", str(tmp_path / "file" / "a.png")]) == 1
