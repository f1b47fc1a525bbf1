"""Evaluation of a trained policy: one row per episode, and a mean with its uncertainty."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pymarl.components.episode_batch import EpisodeBatch
from pymarl.controllers.basic_controller import BasicMAC
from pymarl.envs.multiagentenv import ReplayError
from pymarl.run.config import RunConfig
from pymarl.run.parts import Parts
from pymarl.run.testing import play, statistics
from pymarl.run.tracked import kept_replays
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.player import BrokenTooOften, EpisodeRecord
from pymarl.utils.doors import from_here
from pymarl.utils.errors import UserError
from pymarl.utils.files import write_json, write_text
from pymarl.utils.interrupts import StopRequest
from pymarl.utils.logging import Logger
from pymarl.utils.seeding import numpy_generator


def bootstrap_interval(
    values: NDArray[np.float64], rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron 1979).

    Args:
        values: [episodes].
        rng: draws the resamples.
        level: coverage, in (0, 1).
        resamples: number of bootstrap samples.
    """
    means = np.array([rng.choice(values, len(values)).mean() for _ in range(resamples)])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class ReplaySaver:
    """Saves replays of evaluated episodes, with what the policy thought where a replay can show it.

    Args:
        runner: has played them.
        mac: chose the actions.
        directory: where to.
        wanted: save any at all.

    Attributes:
        paths: files so far.
    """

    def __init__(self, runner: LocalRunner, mac: BasicMAC, directory: Path, *, wanted: bool) -> None:
        self._runner, self._mac, self._directory = runner, mac, directory
        self._wanted = wanted
        self.paths: list[Path] = []

    def after(self, batch: EpisodeBatch, episodes: int) -> None:
        """Save the batch's first `episodes` episodes, if that is what a replay of this env holds."""
        if self._wanted and self._runner.replay_of_episode:
            with torch.no_grad():
                values = self._mac.unroll(batch.to(self._mac.device))[:episodes].float().cpu().numpy()
            self._save(episodes, values)

    def finish(self) -> None:
        """Save what is left to save. UserError if there is nothing at all."""
        if not self._wanted:
            return
        if not self._runner.replay_of_episode:
            self._save()
        if not self.paths:
            raise UserError(
                "save_replay=True: there is nothing to save; the games are new, they replace some that failed"
            )

    def rescue(self, log: logging.Logger) -> None:
        """Save what there is to save where something else has failed already."""
        try:
            self.finish()
        except UserError as error:
            log.warning("%s", error)

    def _save(self, episodes: int | None = None, values: NDArray[np.float32] | None = None) -> None:
        try:
            self.paths += self._runner.save_replay(self._directory, episodes, values)
        except ReplayError as error:
            self.paths += error.saved
            raise

    def report(self, episodes: int, log: logging.Logger, run: Any) -> None:
        """Say where the files are, name them in run.json, and say if some of those who played have none."""
        for path in self.paths:
            run.add_artifact(str(path))
        if self.paths:
            more = f" and {len(self.paths) - 1} more beside it" if len(self.paths) > 1 else ""
            watch = f"; watch: {from_here('python src/tools/replay.py')}" if self.paths[0].suffix == ".npz" else ""
            log.info("Replay: %s%s%s", self.paths[0], more, watch)
        if self.paths and len(self.paths) < min(self._runner.batch_size, episodes):
            log.warning("%d replays of %d envs: the other games are new", len(self.paths), self._runner.batch_size)


def rows_of(records: list[EpisodeRecord]) -> list[dict[str, float]]:
    """Return a table row per episode: seed, return, length, truncated, and the numbers of its info."""
    battles = any("battle_won" in record.info for record in records)
    rows = []
    for number, record in enumerate(records):
        row: dict[str, float] = {"episode": number, "seed": record.seed, "return": record.ret, "length": record.length}
        if battles:
            row["win"] = float(record.info.get("battle_won", 0))
        row["truncated"] = record.truncated
        rows.append(row | {key if key not in row else f"env_{key}": value for key, value in record.info.items()})
    return rows


def write_tables(rows: list[dict[str, float]], directory: Path) -> list[Path]:
    """Write evaluation.csv and evaluation.json and return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    paths = [directory / "evaluation.csv", directory / "evaluation.json"]
    write_text(paths[0], text.getvalue())
    write_json(paths[1], rows)
    return paths


def run_folder(run: Any) -> Path | None:
    """Return the folder that sacred writes this run to, or None if it writes none."""
    from sacred.observers import FileStorageObserver

    return next((Path(o.dir) for o in run.observers if isinstance(o, FileStorageObserver)), None)


def evaluate(parts: Parts, config: RunConfig, logger: Logger, run: Any, stop: StopRequest) -> None:
    """Play test_nepisode episodes, write their table, print the means, and save replays if they are wanted.

    An evaluation that ends early, by a signal or because games fail, keeps the table and the replays of what it played.

    Raises:
        UserError: save_replay with an env that has no replays, or one that cannot be saved.
        BrokenTooOften: an episode could not be played to its end.
        KeyboardInterrupt: `stop` was requested.
    """
    runner, log = parts.runner, logger.console_logger
    assert isinstance(runner, LocalRunner), "run.py builds one to evaluate"
    folder = run_folder(run) or Path(config.local_results_path) / "evaluations"
    replays = ReplaySaver(runner, parts.mac, Path(config.local_results_path) / "replays", wanted=config.save_replay)
    records: list[EpisodeRecord] = []

    def keep(batch: EpisodeBatch, new: list[EpisodeRecord]) -> None:
        records.extend(new)
        replays.after(batch, len(new))

    try:
        play(runner, config.test_nepisode, keep, stop, "evaluate")
        if records:
            _summarise(records, config.seed, logger, runner.t_env)
            replays.finish()
    except BrokenTooOften:
        replays.rescue(log)
        raise
    finally:
        if len(records) < config.test_nepisode:
            log.warning("%d of %d episodes were played", len(records), config.test_nepisode)
        if runner.restarts:
            logger.log_stat("env_restarts", runner.restarts, runner.t_env)
        if records:
            log.info("Episodes: %s", ", ".join(map(str, write_tables(rows_of(records), folder))))
        replays.report(len(records), log, run)
        if replays.paths:
            logger.keep_files(kept_replays(replays.paths, runner.t_env))
    if stop.requested:
        raise KeyboardInterrupt


def _summarise(records: list[EpisodeRecord], seed: int, logger: Logger, t_env: int) -> None:
    """Log the means of these episodes, and print them with their uncertainty."""
    rng = numpy_generator(seed, "bootstrap")
    logger.log_stats(statistics(records), t_env, prefix="test_")
    rows = rows_of(records)
    for key in ("return", "length", "win"):
        if key in rows[0]:
            values = np.array([row[key] for row in rows], dtype=np.float64)
            low, high = bootstrap_interval(values, rng)
            logger.console_logger.info(
                "%s: %.4f  [%.4f, %.4f] (mean and bootstrap 95%% interval over %d episodes)",
                key, values.mean(), low, high, len(values),
            )  # fmt: skip
