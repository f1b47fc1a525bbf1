"""Search for good values of keys: Optuna proposes, runs are played, their tests decide; all of it can go on.

The study is an SQLite file, the runs are ordinary runs: a trial that was cut off goes on from its checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pymarl.experiments.launch import ENDED, Launch, Run
from pymarl.experiments.plan import Grid, Job, jobs_of
from pymarl.experiments.space import Parameter
from pymarl.utils.errors import UserError, closest
from pymarl.utils.files import as_file_name
from pymarl.utils.info import number_of, read_info
from pymarl.utils.packages import missing_module

SEED = 1
"""Of the sampler. Trial n draws from SEED + n, so that a search that was cut off proposes what it would have."""
RANDOM = 10
"""Trials that are drawn at random, before any are drawn near those that were good."""
LAST_TESTS = 3
"""A run is worth the mean of so many tests: one alone is noise."""
WARM_UP = 0.25
"""Part of a run's tests before which no trial is pruned: methods differ in how they begin."""
FOLLOW_SECONDS = 2.0
MOST_FAILURES = 3
"""Trials that may fail before one has ended well: then the mistake is not the trials'."""


@dataclass(frozen=True)
class Space:
    """What is searched, and for what.

    Attributes:
        grid: of one algorithm on one map; the seeds are those of each trial.
        parameters: the keys that are searched.
        metric: a key of info.json.
        minimise: the smaller the better.
        prune: end trials whose tests are worse than the median of the others'.
    """

    grid: Grid
    parameters: tuple[Parameter, ...]
    metric: str
    minimise: bool
    prune: bool

    def jobs(self, words: Sequence[str] = (), label: str = "") -> list[Job]:
        """Return the runs of a trial, one for each seed. UserError if they could not start."""
        jobs, _ = jobs_of([replace(self.grid, updates=(*self.grid.updates, *words))])
        seeds = [f" seed {job.config['seed']}" if len(jobs) > 1 else "" for job in jobs]
        return [replace(job, label=f"{label}{seed}") if label else job for job, seed in zip(jobs, seeds, strict=True)]

    @cached_property
    def base(self) -> list[Job]:
        """The runs as they are without the search."""
        return self.jobs()

    def check(self) -> None:
        """Raise UserError if a run at the edge of the space could not start."""
        lowest = {each.key: each.values[0] for each in self.parameters}
        for each in self.parameters:
            if any(update.partition("=")[0].strip() == each.key for update in self.grid.updates):
                raise UserError(f"with {each.key}=...: it is searched; leave one of the two out")
            for value in each.values:
                if each is self.parameters[0] or value != lowest[each.key]:
                    self.jobs(words_of(lowest | {each.key: value}))

    def name(self) -> str:
        """Return a name for the study which no other one has."""
        what = [
            [job.key for job in self.base],
            self.base[0].t_max,
            sorted(map(str, self.parameters)),
            self.metric,
            self.minimise,
        ]
        scenario = self.grid.maps[0] if self.grid.maps else Path(self.grid.env_configs[0]).stem
        short = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:8]
        return as_file_name(f"{Path(self.grid.configs[0]).stem}_{scenario}-{short}")


def words_of(values: dict[str, Any]) -> list[str]:
    """Return values as words of main.py."""
    return [f"{key}={value!r}" for key, value in values.items()]


def said(values: dict[str, Any]) -> str:
    """Return values as a person reads them."""
    return " ".join(
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
    )


def tests_of(folder: Path, metric: str, interval: int) -> dict[int, float]:
    """Return a run's tests so far, by how often `test_interval` had passed; each the mean of the LAST_TESTS up to it.

    It is NaN where one of these is no number.

    Raises:
        UserError: it has tests, but no such number.
    """
    info = read_info(folder)
    if metric not in info:
        known = [key for key in info if key.startswith("test_") and not key.endswith("_T")]
        if known and metric != "test_return_mean":
            raise UserError(f"--metric={metric}: runs have {', '.join(known)}{closest(metric, known)}")
        return {}
    values = [number_of(value) for value in info[metric]]  # null where it was none
    return {
        int(t_env) // interval: sum(values[max(0, number - LAST_TESTS + 1) : number + 1]) / min(number + 1, LAST_TESTS)
        for number, t_env in enumerate(info[f"{metric}_T"])
    }  # fmt: skip


def need_optuna() -> None:
    """Raise UserError if Optuna is not installed."""
    if find_spec("optuna") is None:
        raise UserError(f"--search needs {missing_module('optuna')}")


def open_study(path: Path, space: Space) -> Any:
    """Return the Optuna study in an SQLite file, which is made if it is not there. UserError if it cannot be."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    job = space.base[0]
    tests = job.t_max // int(job.config["test_interval"])
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=int(tests * WARM_UP))
    try:
        return optuna.create_study(
            storage=f"sqlite:///{path}", study_name=path.stem, load_if_exists=True,
            direction="minimize" if space.minimise else "maximize",
            pruner=pruner if space.prune else optuna.pruners.NopPruner(),
        )  # fmt: skip
    except Exception as error:  # SQLAlchemy's, of many kinds
        raise UserError(f"{path}: no study of Optuna's ({' '.join(str(error).split())[:200]}); move it away") from error


@dataclass
class Trial:
    """A proposal that is being played."""

    trial: Any
    values: dict[str, Any]
    runs: list[Run]
    reported: set[int]


class Search:
    """Plays the trials of a study.

    Args:
        space: what is searched.
        study: Optuna's.
        trials: how many there are to be in all.
        launch: plays the runs; begin with none.
        tell: is told in a line what became of a trial.
    """

    def __init__(self, space: Space, study: Any, trials: int, launch: Launch, tell: Callable[[str], None]) -> None:
        self.space, self.study, self.trials, self.launch, self.tell = space, study, trials, launch, tell
        self.open: dict[int, Trial] = {}
        self._followed = -math.inf
        self._interval = int(space.base[0].config["test_interval"])
        for frozen in self.in_state("RUNNING"):  # of a search that was cut off
            self._take(self._trial(frozen), set(frozen.intermediate_values), "goes on")

    def in_state(self, name: str) -> list[Any]:
        """Return the study's trials in a state: RUNNING, COMPLETE, PRUNED, FAIL."""
        import optuna

        return list(self.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState[name],)))

    def _trial(self, frozen: Any) -> Any:
        import optuna

        return optuna.trial.Trial(self.study, frozen._trial_id)

    def step(self) -> bool:
        """Do what there is to do now; return whether trials are left to play."""
        if self._wants_more():
            self._ask()
        self.launch.step()
        ended = any(all(run.state in ENDED for run in trial.runs) for trial in self.open.values())
        if ended or time.monotonic() - self._followed > FOLLOW_SECONDS:
            self._followed = time.monotonic()
            for number in list(self.open):
                self._follow(number)
        return bool(self.open) or self._asked() < self.trials

    def _asked(self) -> int:
        return len(self.study.get_trials(deepcopy=False))

    def _wants_more(self) -> bool:
        if self._asked() >= self.trials or any(run.state == "waiting" for run in self.launch.runs):
            return False
        return self.launch.backend.has_room(self.launch.processes())

    def _ask(self) -> None:
        """Begin a trial."""
        import optuna

        self.study.sampler = optuna.samplers.TPESampler(n_startup_trials=RANDOM, seed=SEED + self._asked())
        self._take(self.study.ask(), set(), "begins")

    def _take(self, trial: Any, reported: set[int], what: str) -> None:
        values = {each.key: each.suggest(trial) for each in self.space.parameters}
        runs = [Run(job) for job in self.space.jobs(words_of(values), f"trial {trial.number}")]
        self.launch.runs += runs
        self.open[trial.number] = Trial(trial, values, runs, reported)
        self.tell(f"trial {trial.number} {what}: {said(values)}")

    def _follow(self, number: int) -> None:
        """Report a trial's tests, and end it where it is over or of no use."""
        import optuna

        trial = self.open[number]
        if failed := next((run for run in trial.runs if run.state == "failed"), None):
            self._end(number, f"failed: {failed.reason}", state=optuna.trial.TrialState.FAIL)
            if len(self.in_state("FAIL")) >= MOST_FAILURES and not self.in_state("COMPLETE"):
                raise UserError(
                    f"{MOST_FAILURES} trials have failed and none has ended well; the last: {failed.reason}"
                )
            return
        means = self._means(trial)
        done = all(run.state == "done" for run in trial.runs)
        for step in sorted(set(means) - trial.reported):
            trial.reported.add(step)
            if not math.isfinite(means[step]):
                continue
            trial.trial.report(means[step], step)
            if not done and trial.trial.should_prune():
                for run in trial.runs:
                    self.launch.give_up(run)
                break
        if any(run.given_up for run in trial.runs):
            if all(run.state in ENDED for run in trial.runs):
                self._end(number, "pruned", state=optuna.trial.TrialState.PRUNED)
        elif done and means and not math.isfinite(means[max(means)]):
            why = f"failed: its last {self.space.metric} is no number"
            self._end(number, why, state=optuna.trial.TrialState.FAIL)
        elif done and means:
            self._end(number, f"{self.space.metric} {means[max(means)]:.4g}", value=means[max(means)])
        elif done:
            raise UserError(f"trial {number} has ended without a test; write a smaller test_interval")

    def _means(self, trial: Trial) -> dict[int, float]:
        """Return the mean of a trial's seeds after each test that all have played."""
        if any(run.entry is None for run in trial.runs):
            return {}
        tests = [tests_of(run.entry.folder, self.space.metric, self._interval) for run in trial.runs if run.entry]
        common = set.intersection(*map(set, tests))
        return {step: sum(each[step] for each in tests) / len(tests) for step in common}

    def _end(self, number: int, what: str, value: float | None = None, state: Any = None) -> None:
        """Tell Optuna and the user how a trial ended."""
        trial = self.open.pop(number)
        for run in trial.runs:
            if run.state not in ENDED:
                self.launch.give_up(run)
        self.study.tell(trial.trial, value, state=state)
        best = " (the best so far)" if value is not None and self.best().number == number else ""
        self.tell(f"trial {number}: {what} with {said(trial.values)}{best}")

    def best(self) -> Any:
        """Return the best trial of those that are complete; None if there is none."""
        return self.study.best_trial if self.in_state("COMPLETE") else None

    def counted(self) -> str:
        """Return how far the search is, as a line."""
        names = {"RUNNING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
        count = {word: len(self.in_state(name)) for name, word in names.items()}
        parts = ", ".join(f"{number} {word}" for word, number in count.items() if number)
        best = self.best()
        return f"{sum(count.values())} of {self.trials} trials: {parts or 'none yet'}" + (
            "" if best is None else f"; best {self.space.metric} {best.value:.4g} (trial {best.number})"
        )
