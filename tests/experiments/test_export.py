"""Results for others: a CSV, marl-eval's JSON, and the keys that EPyMARL's plot_results.py wants."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pymarl import export, main
from pymarl.experiments.export import marl_eval
from pymarl.experiments.plan import Grid, jobs_of, key_of
from pymarl.experiments.results import load_results
from pymarl.utils.runs import FOR_EPYMARL, dotted
from results_kit import write_run
from run_kit import read, run_folders


def exported(tmp_path: Path, suffix: str) -> Path:
    out = tmp_path / f"out{suffix}"
    assert export.main([str(tmp_path), "--out", str(out)]) == 0
    return out


def test_csv(tmp_path: Path) -> None:
    write_run(tmp_path / "1", [(0, [0.0]), (1000, [1.0, 2.0])])
    folder = write_run(tmp_path / "2", [(0, [0.0, 3.0])], best=[4.0, 5.0, 6.0], seed=2, late=5)
    with exported(tmp_path, ".csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if "return" in row["metric"]]
    assert [(row["seed"], row["t"], row["metric"], row["value"], row["episodes"], row["seconds"]) for row in rows] == [
        ("1", "0", "return", "0.0", "", ""),  # a mean of a test of unknown size, at an unknown time
        ("1", "1000", "return", "1.5", "2", ""),
        ("2", "0", "return", "1.5", "2", "0.0"),
        ("2", "", "absolute_best_return", "5.0", "3", ""),
    ]
    assert [rows[-1][key] for key in ("method", "env", "scenario", "folder")] == ["qmix", "skirmish", "3m", str(folder)]


def shape(data: dict[str, Any]) -> dict[str, Any]:
    """Return how many steps each run has."""
    return {f"{task} {name} {run}": list(steps) for task, methods in data["skirmish"].items()
            for name, runs in methods.items() for run, steps in runs.items()}  # fmt: skip


def test_marl_eval(tmp_path: Path) -> None:
    """Runs of an older version, whose tests drift, are put on the multiples that the others have."""
    for seed in (1, 2):
        write_run(tmp_path / f"qmix/{seed}", [(1000 * k, [k, k + 1.0]) for k in range(13)], best=[9.0], seed=seed)
        drifting = [(1040 * k, [k / 2]) for k in range(14)]
        write_run(tmp_path / f"vdn/{seed}", drifting, best=[8.0], seed=seed, name="vdn")
    data = json.loads(exported(tmp_path, ".json").read_text())
    steps = [*(f"step_{k}" for k in range(13)), "absolute_metrics"]  # marl-eval goes by their order
    assert shape(data) == {f"3m {name} seed_{seed}": steps for name in ("qmix", "vdn") for seed in (1, 2)}
    qmix, vdn = data["skirmish"]["3m"]["qmix"]["seed_2"], data["skirmish"]["3m"]["vdn"]["seed_2"]
    assert qmix["step_3"] == {"step_count": 3000, "return": [3.0, 4.0]}  # vdn's are means: it has no wins
    assert (vdn["step_3"], vdn["step_12"]) == (
        {"step_count": 3000, "return": [1.5]},
        {"step_count": 12000, "return": [6.0]},  # at 12,480, nearer than that at 11,440
    )
    assert (qmix["absolute_metrics"], vdn["absolute_metrics"]) == ({"return": [9.0]}, {"return": [8.0]})


def test_marl_eval_is_given_what_all_have(tmp_path: Path) -> None:
    """Its diagnosis fails where methods, runs, steps or metrics of an env differ in number."""
    two_tests: Sequence[tuple[int, list[float]]] = [(0, [0.0, 0.0]), (1000, [1.0, 0.0])]
    for name, task, seed in (("qmix", "3m", 1), ("qmix", "3m", 2), ("qmix", "2s3z", 5), ("vdn", "3m", 1)):
        tests = [*two_tests, (2000, [2.0, 2.0])] if task == "3m" else two_tests
        config: dict[str, Any] = {"name": name, "seed": seed, "env_args": {"map_name": task}}
        write_run(tmp_path / name / task / str(seed), tests, **config)
    said: list[str] = []
    data = marl_eval(load_results([tmp_path]), said.append)
    steps = ["step_0", "step_1", "absolute_metrics"]
    assert shape(data) == {"2s3z qmix seed_0": steps, "3m qmix seed_0": steps}
    assert data["skirmish"]["2s3z"]["qmix"]["seed_0"]["absolute_metrics"]["return"] == [1.0, 0.0]  # the last test
    assert said == [
        "skirmish: vdn is left out: it has not been played on all of 2s3z, 3m",
        "skirmish 3m: qmix without its seeds 2: others have 1",
        "skirmish: 2 of 2 runs have no absolute metric (absolute_episodes); absolute_metrics hold the last test of all "
        "runs",
        "skirmish 3m: its tests after 1,000 env steps are left out; other maps have no more",
        "skirmish: methods have other seeds; they are numbered: seed_0, seed_1, ...",
    ]


def test_marl_eval_itself_accepts_it(tmp_path: Path) -> None:
    diagnosis = pytest.importorskip(
        "marl_eval.utils.diagnose_data_errors", reason="needs id-marl-eval; see docs/results_format.md"
    )
    for seed in (1, 2, 3):
        for name in ("qmix", "vdn"):
            write_run(tmp_path / name / str(seed), [(0, [0.0, 1.0])], best=[1.0], seed=seed, name=name)
    data = json.loads(exported(tmp_path, ".json").read_text())
    assert all(diagnosis.DiagnoseData(data).check_data()["skirmish"].values())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runs", "--out=x.txt"], "--out x.txt: expected a name that ends in .csv or .json"),
        (["empty", "--out=x.csv"], "empty: 0 training runs, none of which has been tested"),
        (["runs", "--out=runs/1/info.json/x.csv"], "cannot write runs/1/info.json/x.csv: "),
    ],
)
def test_bad_input(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(Path("runs/1"), [(0, [0.0])])
    Path("empty").mkdir()
    assert export.main(words) == 1
    assert capsys.readouterr().err.startswith(f"error: {told}")
    assert not list(tmp_path.glob("x.*"))


def test_config_json_has_what_epymarls_plot_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a launch finds the run of a job nevertheless."""
    monkeypatch.chdir(tmp_path)
    words = ("t_max=60", "batch_size=4", "buffer_size=8", "env_args.reward_scalarisation=mean", "use_cuda=False")
    (job,) = jobs_of([Grid(("vdn",), ("matrix_games",), ("penalty-0-nostate-v0",), (1,), words)])[0]
    assert main.main(job.words) == 0
    (folder,) = run_folders(tmp_path)
    config = read(folder, "config.json")
    assert {key: config[key] for key in FOR_EPYMARL} == {"common_reward": True, "reward_scalarisation": "mean"}
    assert read(folder, "metrics.json")["test_return_mean"].keys() == {"steps", "timestamps", "values"}
    assert key_of(config) == job.key
    assert not FOR_EPYMARL.keys() & dotted(config).keys()
