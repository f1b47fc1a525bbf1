"""A search on a back end that is played: what is proposed, reported, pruned, gone on with and written."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pymarl import launch, main
from pymarl.experiments import launch as module
from pymarl.experiments import search as searching
from pymarl.experiments.best import best_config
from pymarl.experiments.book import Book
from pymarl.experiments.launch import Launch
from pymarl.experiments.plan import Grid, Job
from pymarl.experiments.search import Search, Space, open_study
from pymarl.experiments.space import parameters_of
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge
from stage_kit import Played, Stage, write_folder

needs_optuna = pytest.mark.skipif(
    importlib.util.find_spec("optuna") is None, reason="optuna is not installed: pip install -r requirements-dev.txt"
)
METRIC = "test_return_mean"
STUDY = Path("results/search/study.db")


@pytest.fixture(autouse=True)
def _quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "LOOK_SECONDS", -1.0)
    monkeypatch.setattr(searching, "FOLLOW_SECONDS", -1.0)


def space(*words: str, seeds: int = 1, **options: Any) -> Space:
    grid = Grid(("qmix",), ("skirmish",), ("3m",), tuple(range(1, seeds + 1)), ("t_max=1000", "test_interval=100"))
    own = {"metric": METRIC, "minimise": False, "prune": False} | options
    return Space(grid, parameters_of(words or ("lr=loguniform:1e-5,1e-1", "gamma=uniform:.9,.999")), **own)


@dataclass
class Player:
    """Plays a search: each run's tests are worth what its lr and its seed are, and grow towards that."""

    space: Space
    trials: int
    stage: Stage
    told: list[str] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)
    search: Search = field(init=False)

    def __post_init__(self) -> None:
        STUDY.parent.mkdir(parents=True, exist_ok=True)
        launch = Launch([], self.stage, Book(Path("results")))
        study = open_study(STUDY, self.space)
        self.search = Search(self.space, study, self.trials, launch, self.told.append)

    def write(self, job: Job, tests: int, status: str) -> None:
        worth = 10 - (math.log10(job.config["lr"]) + 3) ** 2 + job.config["seed"]
        info = {METRIC: [worth * (number + 1) / 11 for number in range(tests)],
                f"{METRIC}_T": [100 * number + 7 for number in range(tests)]}  # fmt: skip
        write_folder(job, self.folders.setdefault(job.key, 1 + len(self.folders)), status, info=info)

    def play(self, steps: int = 1000) -> None:
        """Play whole runs until the search is over, or for so many steps."""
        for _ in range(steps):
            going = self.search.step()
            for run in self.search.launch.runs:
                if isinstance(run.process, Played) and not run.process.ended():
                    self.write(run.job, 11, "COMPLETED")
                    run.process.code = 0
            if not going:
                return

    def values(self) -> list[dict[str, Any]]:
        return [trial.params for trial in self.search.study.get_trials()]


def test_tests_of_a_run_are_smoothed_and_counted_in_intervals(tmp_path: Path) -> None:
    info = {METRIC: [1.0, 2.0, 6.0, 10.0], f"{METRIC}_T": [8, 107, 230, 401]}
    (tmp_path / "info.json").write_text(json.dumps(info))
    assert searching.tests_of(tmp_path, METRIC, 100) == {0: 1.0, 1: 1.5, 2: 3.0, 4: 6.0}
    with pytest.raises(UserError, match=r"--metric=test_return: runs have test_return_mean; did you mean"):
        searching.tests_of(tmp_path, "test_return", 100)


@needs_optuna
def test_a_trial_whose_tests_are_no_numbers_has_failed() -> None:
    """A number that is NaN is null in info.json; those before the last tests do no harm."""
    player = Player(space(), 1, Stage(1))
    write, nulls = player.write, [[9, 10], [2]]

    def with_nulls(job: Job, tests: int, status: str) -> None:
        write(job, tests, status)
        path = Path("results/sacred/3m/qmix") / str(player.folders[job.key]) / "info.json"
        info = json.loads(path.read_text())
        for place in nulls[0]:
            info[METRIC][place] = None
        path.write_text(json.dumps(info))

    player.write = with_nulls  # type: ignore[method-assign]
    player.play()
    assert player.told[-1].startswith(f"trial 0: failed: its last {METRIC} is no number")
    assert player.search.best() is None
    nulls.pop(0)
    player.search.trials = 2
    player.play()
    assert player.search.best().number == 1


def test_one_name_for_what_is_the_same_search() -> None:
    name = space().name()
    assert name.startswith("qmix_3m-")
    assert space("gamma=uniform:.9,.999", "lr=loguniform:1e-5,1e-1").name() == name
    others = [space("lr=loguniform:1e-5,1e-1"), space(metric="x"), space(minimise=True), space(seeds=2)]
    assert len({name, *(other.name() for other in others)}) == 5


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("lrr=uniform:1,2",), "unknown key 'lrr'; did you mean 'lr'"),
        (("lr=uniform:-1,2",), "lr=-1"),
        (("rnn_hidden_dim=choice:8,x",), "rnn_hidden_dim='x'"),
        (("t_max=int:1,2",), r"with t_max=\.\.\.: it is searched"),
    ],
)
def test_both_ends_of_a_range_are_tried_before_anything_begins(words: Sequence[str], line: str) -> None:
    with pytest.raises(UserError, match=line):
        space(*words).check()


@needs_optuna
def test_it_finds_what_is_good_and_knows_when_it_is_over() -> None:
    those = space()
    player = Player(those, 5, Stage(1))
    player.play()
    best = player.search.best()
    assert best.value == pytest.approx((11 - (math.log10(best.params["lr"]) + 3) ** 2) * 10 / 11)
    assert best.value == max(trial.value for trial in player.search.study.get_trials())
    assert player.search.counted().startswith(f"5 of 5 trials: 5 complete; best {METRIC} {best.value:.4g}")
    assert sum("the best so far" in line for line in player.told) >= 1
    again = Player(those, 5, Stage(1))
    again.play()
    assert again.told == []
    more = Player(those, 6, Stage(1))
    more.play()
    assert len(more.stage.begun) == 1


@needs_optuna
def test_a_search_that_is_cut_off_proposes_what_it_would_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And plays the trial at which it was cut off first."""
    monkeypatch.setattr(searching, "RANDOM", 2)
    those = space()
    whole = Player(those, 4, Stage(1))
    whole.play()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    part = Player(those, 4, Stage(1))
    for cut in (1, 3):
        while len(part.search.in_state("COMPLETE")) < cut:
            part.play(1)
        part.search.step()  # begins a trial, and no more of it
        part = Player(those, 4, Stage(1), folders=part.folders)
        assert part.told == [f"trial {cut} goes on: {searching.said(whole.values()[cut])}"]
    part.play()
    assert part.values() == whole.values()
    assert len(part.search.in_state("COMPLETE")) == 4


@needs_optuna
def test_a_trial_is_worth_the_mean_of_its_seeds() -> None:
    player = Player(space(seeds=2), 1, Stage(2))
    player.play()
    assert [run.job.label for run in player.search.launch.runs] == ["trial 0 seed 1", "trial 0 seed 2"]
    best = player.search.best()
    assert best.value == pytest.approx((11.5 - (math.log10(best.params["lr"]) + 3) ** 2) * 10 / 11)
    assert best.intermediate_values[0] == pytest.approx(best.value / 10)


@needs_optuna
def test_who_is_below_the_median_is_pruned() -> None:
    player = Player(space(prune=True), 6, Stage(1))
    player.play(10)  # five trials, which the pruner wants to see
    player.search.step()
    assert len(player.search.in_state("COMPLETE")) == 5
    (trial,) = player.search.open.values()
    run = trial.runs[0]
    for tests, asked in ((2, 0), (4, 1)):  # the first quarter does not count
        info = {METRIC: [-50.0] * tests, f"{METRIC}_T": [100 * number for number in range(tests)]}
        write_folder(run.job, 99, "RUNNING", info=info)
        player.search.step()
        assert player.stage.begun[-1].asked == asked
    write_folder(run.job, 99, "INTERRUPTED", info=info)
    assert not player.search.step()
    assert player.told[-1].startswith("trial 5: pruned with lr=")
    assert player.search.in_state("PRUNED")[0].intermediate_values == {0: -50.0, 1: -50.0, 2: -50.0, 3: -50.0}


@needs_optuna
def test_trials_that_all_fail_end_the_search() -> None:
    player = Player(space(), 9, Stage(1))
    for failed in range(3):
        if failed:
            player.search.step()  # which takes in the last one's end
        player.search.step()
        player.stage.begun[-1].code = 1
    with pytest.raises(UserError, match="3 trials have failed and none has ended well; the last: error: out of luck"):
        player.search.step()
    assert len(player.search.in_state("FAIL")) == 3


@needs_optuna
def test_a_file_that_is_no_study_is_one_line() -> None:
    STUDY.parent.mkdir(parents=True)
    STUDY.write_text("no database")
    with pytest.raises(UserError, match=r"study\.db: no study of Optuna's .*; move it away"):
        open_study(STUDY, space())


def test_the_best_config_is_a_file_that_main_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It gives what the words of the trial give, and says what differs from the algorithm's own file."""
    words = ("env_args.step_mul=4", "batch_size=16", "t_max=5000", "save_model=True", "local_results_path=x")
    grid = Grid(("qmix",), ("skirmish",), ("3m",), (1,), words)
    parameters = parameters_of(["lr=loguniform:1e-5,1e-1", "mixer=choice:vdn,nmix"])
    text = best_config(grid, parameters, {"lr": 5e-05, "mixer": "vdn"}, "the best of two")
    path = tmp_path / "best.yaml"
    path.write_text(text)
    given = {"lr": 5e-05, "mixer": "vdn", "batch_size": 16, "t_max": 5000, "env_args": {"step_mul": 4}}
    same = merge("qmix", "skirmish", given).values
    found = merge(str(path), "skirmish", {}).values
    assert found == same | {"name": f"{same['name']}_searched"}
    assert main.main([f"--config={path}", "--env-config=skirmish", "--print-config"]) == 0
    assert "lr = 5e-05" in capsys.readouterr().out
    assert text.startswith("# qmix, the best of two\n")
    assert "lr: 5.0e-05  # found in loguniform(1e-05,0.1); " in text
    assert "batch_size: 16  # not as in qmix; there 128" in text
    assert "save_model" not in text


@pytest.mark.parametrize(
    ("module_of", "words", "line"),
    [
        ("search", ("--search", "lr=uniform:0,1"), "--search needs the Python module 'optuna'"),
        ("slurm", ("--backend=slurm",), "--backend=slurm needs the Python module 'submitit'"),
        ("ray", ("--backend=ray",), "--backend=ray needs the Python module 'ray'"),
    ],
)
def test_a_package_that_is_missing_is_one_line_with_its_pip_install(
    module_of: str,
    words: tuple[str, ...],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(f"pymarl.experiments.{module_of}.find_spec", lambda name: None)
    assert launch.main(["--configs=qmix", "--env-configs=skirmish", *words]) == 1
    (said,) = [each for each in capsys.readouterr().err.splitlines() if not each.startswith("note: ")]
    assert said.startswith(f"error: {line}, which is not installed; `pip install ")
    assert not Path("results").exists()
