"""Two sets of runs beside each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pymarl import compare
from pymarl.experiments.compare import outcomes
from pymarl.experiments.export import marl_eval
from pymarl.experiments.report.gather import study_of
from pymarl.experiments.report.study import Options
from pymarl.experiments.results import load_results
from results_kit import write_run


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def seeds(name: str, returns: list[list[float]], **config: object) -> None:
    for seed, values in enumerate(returns, start=1):
        write_run(Path(name) / str(seed), [(0, [0.0] * len(values)), (1000, values)], seed=seed, name=name, **config)


def test_the_interval_is_the_bootstrap_over_seeds() -> None:
    """Of seeds that come to 0 or 1, the mean of four drawn is binomial: P(0) = 1/16, P(1/4) = 4/16, ..."""
    seeds("a", [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    seeds("b", [[5.0, 5.0], [5.0, 5.0], [5.0, 5.0], [5.0, 5.0]])
    (outcome,) = outcomes(load_results([Path("a")]), load_results([Path("b")]), "return")
    assert outcome.what == "last test at 1,000 env steps"
    assert (outcome.a.mean, outcome.a.interval, outcome.a.over, outcome.a.count) == (0.5, (0.0, 1.0), "seeds", 4)
    assert outcome.b.interval == (5.0, 5.0)
    assert (outcome.difference.mean, outcome.difference.interval) == (-4.5, (-5.0, -4.0))


def test_of_one_seed_it_is_over_the_episodes_of_its_test() -> None:
    values = np.random.default_rng(1).normal(size=400)
    seeds("a", [values.tolist()])
    seeds("b", [[0.0, 0.0]])
    (outcome,) = outcomes(load_results([Path("a")]), load_results([Path("b")]), "return")
    assert outcome.difference.interval is not None
    low, high = outcome.difference.interval
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.01)
    assert high == pytest.approx(values.mean() + half, abs=0.01)
    assert outcome.difference.over == "episodes"


def test_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    seeds("a", [[0.0, 2.0], [1.0, 1.0]], lr=0.1)
    seeds("b", [[0.0, 0.0], [0.0, 0.0]], lr=0.2, t_max=9000)
    assert compare.main(["a", "b"]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "A a (pymarl), seeds 1, 2" in lines
    assert lines.index("HOW LONG IT IS TRAINED differs") < lines.index("differs beside the method")
    assert "lr 0.1 0.2" in lines
    assert "t_max 3000 9000" in lines
    assert "battle_won, last test at 1,000 env steps" in lines
    assert "A - B 0.750 95% [0.500, 1.000], bootstrap over seeds" in lines
    assert max(map(len, out.splitlines())) <= 80
    assert "One seed on a side" not in out
    assert "2 seeds: bootstrap intervals of so few are too narrow; take them for a hint." in lines


def test_it_says_that_one_seed_is_few(capsys: pytest.CaptureFixture[str]) -> None:
    seeds("a", [[0.0, 2.0]])
    seeds("b", [[0.0, 0.0]])
    assert compare.main(["a", "b", "--metric=return"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "A - B 1.000 95% [0.000, 2.000], bootstrap over episodes" in out
    assert "One seed on a side: its interval is over the episodes of one test." in out


def test_the_absolute_metric_is_compared_where_all_have_played_it(capsys: pytest.CaptureFixture[str]) -> None:
    write_run(Path("a/1"), [(0, [0.0, 0.0])], best=[3.0, 5.0])
    write_run(Path("b/1"), [(0, [0.0, 0.0])], best=[1.0, 1.0])
    assert compare.main(["a", "b", "--metric=return"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "return, best checkpoint, 2 episodes A 4.000" in out
    assert "A - B 3.000 95% [2.000, 4.000]" in out


def test_the_last_test_is_that_of_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    """Where intervals between tests differ, it stands at the multiple of the longer one that all come near to."""
    for name, interval in (("a", 1000), ("b", 1500)):
        tests = [(t, [float(t)]) for t in range(0, 4501, interval)]
        write_run(Path(name) / "1", tests, name=name, test_interval=interval)
    found = [load_results([Path(name)]) for name in ("a", "b")]
    (outcome,) = outcomes(*found, "return")
    assert outcome.what == "last test at 4,500 env steps"
    made = study_of([*found[0], *found[1]], Options(metric="return"))
    assert [cell.t[-1] for cell in made.cells.values()] == [4500, 4500]
    exported = marl_eval([*found[0], *found[1]], lambda line: None)["skirmish"]["3m"]
    counts = [[step["step_count"] for key, step in runs["seed_1"].items() if key.startswith("step_")]
              for runs in exported.values()]  # fmt: skip
    assert counts == [[0, 1500, 3000, 4500]] * 2


def test_other_tasks_are_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    seeds("a", [[0.0, 2.0]], env_args={"map_name": "3m", "step_mul": 8})
    seeds("b", [[0.0, 0.0]], env_args={"map_name": "3m", "step_mul": 4})
    assert compare.main(["a", "b"]) == 1
    refused = capsys.readouterr().out
    assert "WHAT IS TO BE SOLVED differs" in refused
    assert "Not compared: the tasks differ." in refused
    assert "A - B" not in refused
    assert compare.main(["a", "b", "--anyway"]) == 0
    assert "A - B" in capsys.readouterr().out


def test_a_token_has_a_short_name(capsys: pytest.CaptureFixture[str]) -> None:
    seeds("a", [[0.0, 2.0]])
    token = Path("results/models/a__1")
    token.mkdir(parents=True)
    (token / "runs.json").write_text(f'[{{"run": "{Path("a/1").absolute()}", "from": null}}]')
    assert compare.main(["a__1", "a"]) == 0
    assert "Their configs differ in seeds alone." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a", "nowhere"], "nowhere: no such folder; expected one of runs"),
        (["a", "many"], "many: expected runs of one method, got many lr=0.1, many lr=0.2; name the folder of one"),
        (["a", "c"], "a has skirmish 3m, c has skirmish 2s3z: no scenario of both to compare"),
        (["a", "untested"], "untested: 1 training runs, none of which has been tested yet"),
        (["a", "a", "--metric=battle_one"], "no metric 'battle_one'; did you mean 'battle_won'? (all have"),
    ],
)
def test_bad_input(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    seeds("a", [[0.0, 2.0]])
    seeds("c", [[0.0, 2.0]], env_args={"map_name": "2s3z"})
    write_run(Path("many/1"), [(0, [0.0])], name="many", lr=0.1)
    write_run(Path("many/2"), [(0, [0.0])], name="many", lr=0.2)
    write_run(Path("untested/1"))
    assert compare.main(words) == 1
    assert capsys.readouterr().err.startswith(f"error: {told}")
