"""The tests of a training run: when one is due, what its episodes came to, and what is kept of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.run.best import Best
from pymarl.run.config import RunConfig
from pymarl.run.parts import Parts
from pymarl.runners.player import EpisodeRecord
from pymarl.runners.runner import Runner
from pymarl.runners.seeds import Phase
from pymarl.utils.evaluations import EVALUATIONS, Evaluation, parse_evaluations
from pymarl.utils.files import write_text, writing_failed
from pymarl.utils.interrupts import StopRequest
from pymarl.utils.logging import EpisodeStats, Logger


def due(before: int, now: int, last: int, interval: int) -> int | None:
    """Return the multiple of `interval` whose crossing brings a test; None if none does. All in env steps.

    Tests of runs with other seeds, whose episodes are of other lengths, so fall on the same multiples.

    Args:
        before: where this collect began.
        now: where it ended.
        last: of the last test; negative if there was none, and then the first collect brings one.
        interval: test_interval.
    """
    if last < 0:
        return before // interval * interval
    return now // interval * interval if now // interval > last // interval else None


def play(
    runner: Runner, episodes: int, after: Callable[[EpisodeBatch, list[EpisodeRecord]], None],
    stop: StopRequest | None = None, phase: Phase | None = None,
) -> None:  # fmt: skip
    """Play `episodes` greedy episodes; fewer if it is to stop.

    Args:
        runner: plays them, a batch at a time: the last one may hold more than are asked for, which do not count.
        episodes: how many.
        after: called after each batch with the batch and the records of those of its episodes that count.
        stop: asked between batches.
        phase: whose seeds; None: those of tests.
    """
    while episodes > 0 and not (stop is not None and stop.requested):
        batch = runner.run(test_mode=True, phase=phase)
        after(batch, runner.episodes[:episodes])
        episodes -= runner.batch_size


def statistics(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    """Return the means of episodes by PyMARL's names, without prefix."""
    stats = EpisodeStats()
    for record in records:
        stats.add(record.ret, record.length, record.info)
    return stats.flush()


def episodes_of(records: Sequence[EpisodeRecord]) -> dict[str, list[float | None]]:
    """Return what `Evaluation.episodes` holds."""
    numbers: dict[str, list[float | None]] = {
        "return": [record.ret for record in records],
        "length": [record.length for record in records],
        "seed": [record.seed for record in records],
    }
    if any("battle_won" in record.info for record in records):
        numbers["won"] = [int(record.info.get("battle_won", 0)) for record in records]
    return numbers


class Tests:
    """The tests of a training run so far.

    Args:
        parts: of the run.
        config: keys of the loop.
        logger: takes the means.
        models: folder of the run's checkpoints, in which the best networks have their own.

    Attributes:
        evaluations: every test, those before a resume too.
        best: what the best networks were; kept if absolute_episodes asks for it.
    """

    def __init__(self, parts: Parts, config: RunConfig, logger: Logger, models: Path) -> None:
        self.parts, self.config, self.logger = parts, config, logger
        self.evaluations: list[Evaluation] = []
        self.best = Best(parts.learner, parts.runner.get_env_info(), models)
        self._lines: list[str] = []
        self._folder: Path | None = None
        self._failing = False
        self._seconds, self._since = 0.0, time.perf_counter()

    def begin(self, folder: Path | None) -> None:
        """Write to a run's folder from now on, what was tested before (a resumed run) first; None writes nothing."""
        self._folder = folder
        if self.evaluations:
            self._write()
        if self.config.absolute_episodes:
            self.best.put_back()

    @property
    def seconds(self) -> float:
        """Wall clock of the training so far, all pieces of a resumed run together."""
        return self._seconds + time.perf_counter() - self._since

    def test(self, at: int) -> int:
        """Play test_nepisode episodes without exploration; return the env steps that took. `at`: see `due`."""
        runner, records, steps = self.parts.runner, list[EpisodeRecord](), 0

        def after(_: EpisodeBatch, counted: list[EpisodeRecord]) -> None:
            nonlocal steps
            records.extend(counted)
            steps += sum(record.length for record in runner.episodes)

        play(runner, self.config.test_nepisode, after)
        self.logger.log_stats(statistics(records), runner.t_env, prefix="test_")
        evaluation = Evaluation(at, runner.t_env, "training", self.seconds, episodes_of(records))
        self.add(evaluation)
        if self.config.absolute_episodes:
            self.best.offer(evaluation, self.logger.console_logger)
        return steps

    def add(self, evaluation: Evaluation) -> None:
        """Keep a test, and write it."""
        self.evaluations.append(evaluation)
        self._lines.append(evaluation.line())
        self._write()

    def _write(self) -> None:
        """Write all tests; a disk that is full or a folder that is gone is told once, and tried again at every test."""
        if self._folder is None:
            return
        try:
            if not self._folder.is_dir():
                raise FileNotFoundError(2, "No such file or directory")  # sacred's observer makes it again
            write_text(self._folder / EVALUATIONS, "".join(f"{line}\n" for line in self._lines))
        except OSError as error:
            if not self._failing:
                self.logger.console_logger.warning(
                    "%s; this is tried again after every test", writing_failed(self._folder / EVALUATIONS, error)
                )
            self._failing = True
        else:
            self._failing = False

    def finish(self) -> None:
        """Try once more what could not be written."""
        if self._failing:
            self._write()

    def state_dict(self) -> dict[str, Any]:
        """Return all tests (as text), the time that they took and what the best networks were."""
        return {"evaluations": "\n".join(self._lines), "seconds": self.seconds, "best": self.best.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken. Writes no file; see `begin`."""
        self.evaluations = parse_evaluations(state["evaluations"].encode(), "tests.evaluations")
        self._lines = [evaluation.line() for evaluation in self.evaluations]
        self._seconds, self._since = float(state["seconds"]), time.perf_counter()
        self.best.load_state_dict(state["best"])
