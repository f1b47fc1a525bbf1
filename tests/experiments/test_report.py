"""A report of runs: which stand beside each other, what is said of them, and what is written."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymarl import report
from pymarl.experiments.report import contents, numbers
from pymarl.experiments.report.figures import drawings
from pymarl.experiments.report.films import films_of
from pymarl.experiments.report.gather import study_of
from pymarl.experiments.report.page import render_page
from pymarl.experiments.report.study import Options, Study
from pymarl.experiments.report.tables import Entry, Table, as_csv, as_html, as_latex, as_markdown, best_of
from pymarl.experiments.report.words import amount, duration
from pymarl.experiments.report.write import write_figure
from pymarl.experiments.results import load_results
from pymarl.utils.errors import UserError
from results_kit import write_run

FOREIGN = Path(__file__).resolve().parent.parent / "fixtures" / "runs"
PART = {"qmix": {"mixer": "qmix"}, "vdn": {"mixer": "vdn"}}


def write_runs(root: Path, method: str, scenario: str, seeds: Sequence[Sequence[float]], **more: Any) -> None:
    """Write a run for each seed, with these win rates in tests of four episodes each 1000 env steps."""
    for seed, wins in enumerate(seeds, start=1):
        won = [round(4 * rate) for rate in wins]
        tests = [(1000 * place, [1.0] * count + [0.0] * (4 - count)) for place, count in enumerate(won)]
        write_run(
            root / "sacred" / scenario / method / str(seed), tests, name=method, seed=seed, t_max=tests[-1][0],
            env_args={"map_name": scenario}, **{**PART.get(method, {}), **more},
        )  # fmt: skip


def study(root: Path, **options: Any) -> Study:
    return study_of(load_results([root], pytest.fail), Options(**options))


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two methods on two scenarios."""
    root = tmp_path_factory.mktemp("report")
    for name in ("3m", "2s3z"):
        write_runs(root, "qmix", name, [[0, 0.5, 1, 1, 1], [0, 1, 1, 1, 1], [0, 0.75, 1, 1, 1]], lr=0.1)
        write_runs(root, "vdn", name, [[0, 0, 0, 0.25, 0.5], [0, 0, 0.5, 0.25, 0.25], [0, 0, 0, 0, 0.75]], lr=0.2)
    write_run(root / "sacred/3m/qmix/9", [(0, [0.0]), (1000, [1.0])], name="qmix", mixer="qmix", seed=9,
              run={"status": "FAILED"})  # fmt: skip
    assert report.main([str(root / "sacred"), "--out", str(root / "out")]) == 0
    return root / "out"


def test_what_is_written(written: Path) -> None:
    figures = {path.name for path in (written / "figures").iterdir()}
    names = {"curves", "curves_all", "aggregates", "profile", "improvement"}
    assert figures == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg", "pdf")} | {
        "curves.csv", "profile.csv",
    }  # fmt: skip
    tables = {path.name for path in (written / "tables").iterdir()}
    named = {"aggregates", "last_test", "improvement", "cost", "runs"}
    assert tables == {f"{name}.{suffix}" for name in named for suffix in ("csv", "tex")} | {"protocol.csv"}
    assert {path.name for path in written.iterdir()} == {
        "figures", "tables", "index.html", "report.md",
    }  # and nothing half-written  # fmt: skip


def test_the_page_stands_alone(written: Path) -> None:
    page = text(written / "index.html")
    assert not re.search(r'(src|srcset)="(?!data:)', page)
    assert not re.search(r"@import|<link|url\((?!#)", page)
    assert page.count("<svg") >= 9
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)
    for link in re.findall(r'href="((?:figures|tables|films)/[^"]+)"', page):
        assert (written / link).is_file()
    assert not re.search(r"#0072b2|#1b1f24", page.split("</style>", 1)[1])  # else it were dark on dark
    assert "lr" in page.split('id="protocol"')[1].split("<details")[0]
    assert "Left out: qmix on 3m, seed 9: failed" in page


def test_curves_are_means_over_seeds(written: Path) -> None:
    found = [
        row for row in rows(written / "figures" / "curves.csv") if (row["scenario"], row["method"]) == ("3m", "qmix")
    ]
    assert [row["x"] for row in found] == ["0", "1000", "2000", "3000", "4000"]
    assert [float(row["value"]) for row in found] == [0, 0.75, 1, 1, 1]
    assert (float(found[1]["low"]), float(found[1]["high"]), found[1]["seeds"]) == (0.5, 1.0, "3")
    overall = [row for row in rows(written / "figures" / "curves.csv") if row["scenario"] == "all"]
    assert [float(row["value"]) for row in overall if row["method"] == "vdn"] == [
        0, 0, 0.166667, 0.166667, 0.5,
    ]  # fmt: skip


def test_tables_say_when_they_won(written: Path) -> None:
    won, lost = rows(written / "tables" / "cost.csv")[:2]
    assert (won["reach 0.95"], won["steps to 0.95"], won["time to 0.95"]) == ("3", "2000", "200")
    assert (won["steps to 0.95 low"], won["steps to 0.95 high"]) == ("1000", "2000")
    assert (lost["reach 0.95"], lost["steps to 0.95"]) == ("0", "inf")
    assert "never" in text(written / "tables" / "cost.tex")


def test_markdown_says_what_came_of_each_and_at_what_cost(written: Path) -> None:
    page = text(written / "report.md")
    assert "| scenario | method | seeds | last test | steps to 0.95 | time to 0.95 | wall clock |" in page
    assert "| 3m | qmix | 3 | **1.00** [1.00, 1.00] | 2k | 3 min 20 s |" in page
    assert "| 3m | vdn | 3 | 0.50 [0.25, 0.75] | never | never |" in page
    assert "- Left out: qmix on 3m, seed 9: failed" in page


def test_latex_is_bold_where_intervals_lie_apart(written: Path) -> None:
    table = text(written / "tables" / "last_test.tex")
    assert r"3m & \textbf{1.00} {\scriptsize [1.00, 1.00]} & 0.50 {\scriptsize [0.25, 0.75]} \\" in table
    assert all(word in table for word in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lcc}"))


def test_the_same_runs_make_the_same_files(written: Path, tmp_path: Path) -> None:
    drawing = next(each for each in drawings(study(written.parent / "sacred")) if each.name == "curves_all")
    for place in ("a", "b"):
        write_figure(tmp_path / place, drawing, study(written.parent / "sacred").methods)
    written_twice = sorted((tmp_path / "a").iterdir())
    assert [path.suffix for path in written_twice] == [".pdf", ".png", ".svg"]
    for path in written_twice:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_seed_draws_other_samples_of_the_same_runs(tmp_path: Path) -> None:
    write_runs(tmp_path, "qmix", "3m", np.random.default_rng(0).integers(5, size=(7, 4)) / 4)
    first, again, other = (study(tmp_path, seed=seed) for seed in (0, 0, 1))
    bands = [numbers.curve(each, "3m", each.methods[0]) for each in (first, again, other)]
    assert (bands[0].centre == bands[2].centre).all()
    assert bands[0].low is not None
    assert bands[1].low is not None
    assert bands[2].low is not None
    assert (bands[0].low == bands[1].low).all()
    assert (bands[0].low != bands[2].low).any()


def test_one_seed_has_no_band_and_that_is_said(tmp_path: Path) -> None:
    write_runs(tmp_path, "qmix", "3m", [[0, 1]])
    write_runs(tmp_path, "vdn", "3m", [[0, 0.5]])
    made = study(tmp_path)
    assert "3m: one seed of qmix, vdn: no interval, and nothing to conclude from it." in made.remarks
    assert numbers.curve(made, "3m", made.methods[0]).low is None
    assert numbers.profile(made, made.methods[0]).low is None
    last = next(table for table in contents.tables(made) if table.name == "last_test")
    assert [(entry.text, entry.interval, entry.bold) for entry in last.rows[0][1:]] == [
        ("1.00", None, False), ("0.50", None, False),
    ]  # fmt: skip


def test_runs_are_compared_up_to_the_shortest(tmp_path: Path) -> None:
    write_runs(tmp_path, "qmix", "3m", [[0, 0.25, 1], [0, 0.75, 1]])
    write_runs(tmp_path, "vdn", "3m", [[0, 0.5], [0, 0.5]])
    made = study(tmp_path)
    assert made.cells["3m", "qmix"].t.tolist() == [0, 1000]
    assert numbers.last_tests(made, "3m", made.methods[0]).value == 0.5
    assert any("compared up to 1,000 env steps" in line and "longest has 2,000" in line for line in made.remarks)
    assert any("t_max is 2000 for qmix, 1000 for vdn" in line for line in made.remarks)


def test_tests_that_meet_at_the_start_alone_are_told(tmp_path: Path) -> None:
    write_run(tmp_path / "sacred/3m/qmix/1", [(t, [0.0]) for t in (0, 1000, 3000)], name="qmix", mixer="qmix", seed=1)
    write_run(tmp_path / "sacred/3m/vdn/1", [(t, [0.0]) for t in (0, 10000, 20000)], name="vdn", mixer="vdn", seed=1,
              test_interval=10000)  # fmt: skip
    (text,) = [note for note in study(tmp_path).remarks if "alone" in note]
    assert "compared at 0 env steps alone: tests that all runs have are 10,000 apart, and the last of the" in text
    assert "(qmix, seed 1) is at 3,000." in text


def test_unfinished_runs_are_left_out_or_marked(tmp_path: Path) -> None:
    write_runs(tmp_path, "qmix", "3m", [[0, 1], [0, 1]])
    write_run(tmp_path / "sacred/3m/qmix/3", [(0, [0.0, 0.0])], name="qmix", mixer="qmix", seed=3, t_max=1000,
              env_args={"map_name": "3m"}, run={"status": "INTERRUPTED"})  # fmt: skip
    made = study(tmp_path)
    assert [run.seed for run in made.cells["3m", "qmix"].runs] == [1, 2]
    assert any(line.startswith("Left out: qmix on 3m, seed 3: interrupted") for line in made.remarks)
    made = study(tmp_path, unfinished=True)
    assert [run.seed for run in made.cells["3m", "qmix"].runs] == [1, 2, 3]
    assert any(line.startswith("Unfinished: qmix on 3m, seed 3: interrupted") for line in made.remarks)


def test_tests_beside_the_multiples_count_for_the_nearest(tmp_path: Path) -> None:
    """Those of older runs; each drifts by what the one before has overshot."""
    for seed, late in ((1, 40), (2, 70)):
        tests = [((1000 + late) * place, [float(place)]) for place in range(4)]
        write_run(tmp_path / str(seed), tests, seed=seed, t_max=3000)
    made = study(tmp_path, metric="return")
    cell = made.cells["3m", "qmix"]
    assert cell.t.tolist() == [0, 1000, 2000, 3000]
    assert cell.values.tolist() == [[0, 1, 2, 3]] * 2
    assert "3m: not all tests were made at multiples of 1,000 env steps; at each the nearest of each run counts." in (
        made.remarks
    )


def test_a_gap_in_the_tests_is_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "1", [(t, [1.0, 1.0]) for t in (0, 1000, 4000)], t_max=4000)
    write_run(tmp_path / "2", [(t, [1.0, 1.0]) for t in (0, 1000, 2000, 3000, 4000)], t_max=4000, seed=2)
    assert study(tmp_path).cells["3m", "qmix"].t.tolist() == [0, 1000, 2000, 3000, 4000]  # an interval away, at most
    write_run(tmp_path / "3", [(t, [1.0, 1.0]) for t in (0, 4000)], t_max=4000, seed=3)
    assert study(tmp_path).cells["3m", "qmix"].t.tolist() == [0, 1000, 3000, 4000]


def test_over_seconds(tmp_path: Path) -> None:
    """A test each 100 s, straight between two."""
    write_runs(tmp_path, "qmix", "3m", [[0, 1, 1], [0, 0.5, 1]])
    cell = study(tmp_path, x="seconds").cells["3m", "qmix"]
    assert (cell.x[0], cell.x[-1]) == (0, 200)
    assert np.interp(50, cell.x, cell.curve[0]) == pytest.approx(0.5, abs=0.01)
    write_run(
        tmp_path / "sacred/3m/qmix/3", [(0, [0.0]), (1000, [0.0]), (2000, [1.0])], seed=3, t_max=2000, mixer="qmix"
    )
    with pytest.raises(UserError, match="3m/qmix/3 does not say when it was tested; --x env_steps needs no times"):
        study(tmp_path, x="seconds", metric="return")


def test_returns_are_normalised_per_scenario(tmp_path: Path) -> None:
    for name, scale in (("3m", 10.0), ("2s3z", 2.0)):
        for method, last in (("qmix", 1.0), ("vdn", 0.5)):
            for seed in (1, 2):
                tests = [(0, [0.0, 0.0]), (1000, [scale * last - 0.1, scale * last + 0.1])]
                write_run(tmp_path / name / method / str(seed), tests, name=method, seed=seed, t_max=1000,
                          env_args={"map_name": name}, mixer=method)  # fmt: skip
    made = study(tmp_path, metric="return")
    assert made.bounds == {"3m": (0.0, 10.0), "2s3z": (0.0, 2.0)}
    assert made.scores(made.methods[1]).tolist() == [[0.5, 0.5]] * 2
    assert any("return is normalised" in line for line in made.remarks)
    assert "reach" not in " ".join(next(each for each in contents.tables(made) if each.name == "cost").columns)


def test_what_not_all_have_played_stays_out_of_what_is_over_all(tmp_path: Path) -> None:
    for method in ("qmix", "vdn"):
        write_runs(tmp_path, method, "3m", [[0, 1]] * 3)
    write_runs(tmp_path, "qmix", "2s3z", [[0, 0.5]] * 2)
    made = study(tmp_path)
    assert (made.scenarios, made.shared) == (["2s3z", "3m"], ["3m"])
    assert "Numbers over all scenarios are of 3m; not all have played 2s3z." in made.remarks
    assert "3m: 3 seeds: bootstrap intervals of so few are too narrow; take them for a hint." in made.remarks
    last = next(table for table in contents.tables(made) if table.name == "last_test")
    assert [entry.text for entry in last.rows[0]] == ["2s3z", "0.50", "-"]


def test_the_absolute_metric(tmp_path: Path) -> None:
    for method, best in (("qmix", [1.0, 1.0, 0.0, 1.0]), ("vdn", [0.0, 0.0, 0.0, 1.0])):
        for seed in (1, 2):
            tests = [(0, [0.0, 0.0]), (1000, [0.0, 0.0])]
            write_run(tmp_path / method / str(seed), tests, best=best, name=method, mixer=method, seed=seed, t_max=1000)
    (table,) = (each for each in contents.tables(study(tmp_path)) if each.name.startswith("absolute"))
    assert table.name == "absolute_best"
    assert [(entry.text, entry.bold) for entry in table.rows[0][1:]] == [("0.75", True), ("0.25", False)]
    assert "over 4 more episodes" in table.caption


def test_a_method_keeps_its_colour(tmp_path: Path) -> None:
    for method in ("iql", "qmix", "vdn"):
        write_runs(tmp_path, method, "3m", [[0, 1]] * 2)
    everyone, some = study(tmp_path), study(tmp_path, methods=["vdn", "qmix"], reference="vdn")
    assert [method.name for method in some.methods] == ["qmix", "vdn"]
    assert some.methods == everyone.methods[1:]
    assert numbers.reference(some).name == "vdn"


def test_runs_of_pymarl2_stand_beside_ours(tmp_path: Path) -> None:
    """Its os._exit leaves them RUNNING; who came to the last test is complete."""
    (run,) = load_results([FOREIGN / "pymarl2"], pytest.fail)
    with pytest.raises(UserError, match="1 runs, none of which is finished and tested; --unfinished takes others, too"):
        study_of([run], Options())
    made = study_of([replace(run, config=run.config | {"t_max": run.last + 100})], Options())
    assert [(method.name, cell.runs[0].origin) for method, cell in made.of("stag_hunt")] == [("qmix", "pymarl2")]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ("--metric=batle_won",),
            "no metric 'batle_won'; did you mean 'battle_won'? (all have battle_won, ep_length, ret",
        ),
        (("--scenarios=3mm",), "--scenarios: no '3mm'; did you mean '3m'? (there are 3m, 8m)"),
        (("--methods=qmx",), "no method 'qmx'; did you mean 'qmix'? (there are qmix, vdn)"),
        (("--reference=qmixx",), "no method 'qmixx'; did you mean 'qmix'? (there are qmix, vdn)"),
        (("--tests=0",), "--tests 0: expected 1 or more"),
        ((), "no scenario that all methods have been played on (qmix: 3m; vdn: 8m); name --methods or --scenarios"),
    ],
)
def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str) -> None:
    write_runs(tmp_path, "qmix", "3m", [[0, 1]] * 2)
    write_runs(tmp_path, "vdn", "8m", [[0, 1]] * 2)
    assert report.main([str(tmp_path / "sacred"), "--out", str(tmp_path / "out"), *words]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {line}")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_without_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert report.main([str(tmp_path / "empty")]) == 1
    assert capsys.readouterr().err.startswith(f"error: no training runs under {tmp_path / 'empty'}; expected")


def test_other_tasks_are_not_compared(tmp_path: Path) -> None:
    write_runs(tmp_path, "qmix", "3m", [[0, 1]] * 2)
    write_runs(tmp_path, "vdn", "3m", [[0, 1]] * 2)
    for path in tmp_path.rglob("3m/vdn/*/config.json"):
        path.write_text(path.read_text().replace('"map_name"', '"difficulty": "5", "map_name"'))
    with pytest.raises(
        UserError, match=r"3m: the methods were set different tasks: env_args.difficulty is - for qmix, 5"
    ):
        study(tmp_path)
    made = study(tmp_path, anyway=True)
    assert any("not the same protocol: env_args.difficulty" in line for line in made.remarks)


def test_who_is_best_beyond_doubt() -> None:
    def of(value: float, low: float, high: float) -> numbers.Estimate:
        return numbers.Estimate(value, (low, high), 5)

    assert best_of([of(0.9, 0.8, 1.0), of(0.5, 0.4, 0.7)]) == 0
    assert best_of([of(0.9, 0.6, 1.0), of(0.5, 0.4, 0.7)]) is None
    assert best_of([of(0.9, 0.8, 1.0), of(0.5, 0.4, 0.7)], less=True) == 1
    assert best_of([of(0.9, 0.8, 1.0)]) is None
    assert best_of([of(0.9, 0.8, 1.0), None, numbers.Estimate(0.1, None, 1)]) is None


def test_names_cannot_break_a_table() -> None:
    row = (Entry("a_b & 50% <b>", note="x"), Entry("0.50", 0.5, (0.25, 0.75), bold=True))
    table = Table("t", "T", "100% $", ("me_thod", "value"), [row])
    assert r"a\_b \& 50\% \textless{}b\textgreater{} {\scriptsize x} & \textbf{0.50} {\scriptsize [0.25, 0.75]} \\" in (
        as_latex(table)
    )
    assert "&lt;b&gt;" in as_html(table)
    assert as_markdown(table).splitlines()[2] == r"| a\_b & 50% \<b> (x) | **0.50** [0.25, 0.75] |"
    assert as_csv(table).splitlines() == ["me_thod,value,value low,value high", "a_b & 50% <b>,0.5,0.25,0.75"]


def test_numbers_for_readers() -> None:
    assert [amount(value) for value in (0, 950, 2500, 30720, 999_999, 2_050_000)] == [
        "0", "950", "2.5k", "30.7k", "1M", "2.05M",
    ]  # fmt: skip
    assert [duration(value) for value in (7.59, 59.7, 200, 3599.7, 7500, 86400, 6e6)] == [
        "7.6 s", "1 min", "3 min 20 s", "1 h", "2 h 5 min", "24 h", "1,666 h",
    ]  # fmt: skip


def test_films_of_evaluations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A victory, where there is one; it is inside the page, and one that is too much lies beside it."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "envs"))
    from skirmish_battles import marines

    from pymarl.envs.skirmish.replay.replay import save_replay

    token = tmp_path / "results/models/qmix__1"
    folder = tmp_path / "results/sacred/3m/qmix"
    write_run(folder / "1", [(0, [0.0, 0.0]), (1000, [1.0, 1.0])], t_max=1000, run={"models": str(token)})
    write_run(folder / "2", save_replay=True, evaluate=True, checkpoint_path=str(token),
              run={"artifacts": ["lost.npz", "/elsewhere/won.npz", "broken.npz"]})  # fmt: skip
    meta, frames, steps = marines(2, 2, seed=1).play()
    (tmp_path / "results/replays").mkdir()
    save_replay(folder / "2" / "lost.npz", {**meta, "result": "lost"}, frames, steps)
    save_replay(tmp_path / "results/replays/won.npz", {**meta, "result": "won"}, frames, steps)
    (folder / "2" / "broken.npz").write_bytes(b"no")
    made = study(tmp_path / "results")
    (write_run(folder / "3") / "run.json").write_text("{")  # of which load_results tells
    told: list[str] = []
    (film,) = films_of(made, [], told.append)
    assert (film.title, film.result, film.file, told) == ("qmix on 3m, seed 1", "won", None, [])
    assert film.poster.startswith("data:image/jpeg;base64,")
    page = render_page(made, [], [], [film], "")
    assert page.count("</script>") == 2  # its own, and that which holds the film
    monkeypatch.setattr("pymarl.experiments.report.films.MOST_BYTES", 10)
    given = [tmp_path / "results/replays", folder / "2" / "broken.npz"]
    films = films_of(made, given, told.append)
    assert [each.file for each in films] == ["films/film_1.html", "films/film_2.html"]
    assert 'href="films/film_2.html"' in render_page(made, [], [], films, "")
    assert len(told) == 1
    assert "broken.npz: not a replay of skirmish" in told[0]


def test_films_of_a_run_that_lies_high_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was moved may have less above it than results/sacred/<map>/<name>."""
    write_runs(tmp_path, "qmix", "3m", [[0.0]])
    made = study(tmp_path)
    made.cells["3m", "qmix"].runs[0] = replace(made.cells["3m", "qmix"].runs[0], folder=Path("/dev"))
    monkeypatch.setattr("pymarl.experiments.report.films.token_of", lambda record: Path("token"))
    assert films_of(made, [], pytest.fail) == []


def test_who_never_won_is_infinitely_late() -> None:
    assert contents._first(np.array([np.nan, 100.0, 300.0]), amount) == Entry(
        "300", 300.0, (100.0, np.inf), note="100 to 300"
    )
    assert numbers.median_of(np.array([np.nan, 100.0, 300.0])) == 300
    assert numbers.median_of(np.array([np.nan, 100.0, np.nan])) == np.inf
