"""The one training loop: collect, insert, sample, train, test, log, save."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import torch

from pymarl.components.buffers.buffer import Clock
from pymarl.learners.train_result import TrainResult
from pymarl.run.config import RunConfig
from pymarl.run.parts import Parts
from pymarl.run.testing import Tests, due
from pymarl.run.tracked import kept_networks
from pymarl.runners.remote_runner import local_state
from pymarl.utils.checkpoint import (
    BUFFER_FILE,
    RUN_FILE,
    SavingFailed,
    files_of,
    has_buffer,
    load_state,
    prune,
    save_checkpoint,
    verify,
)
from pymarl.utils.errors import UserError
from pymarl.utils.files import writing_failed
from pymarl.utils.logging import EpisodeStats, Logger
from pymarl.utils.progress import duration
from pymarl.utils.seeding import global_state, set_global_state
from pymarl.utils.tensors import OTHER, misfit


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Make a UserError that names the file of whatever its contents lead to: they may be of any kind."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: its contents are not of this run ({reason or type(error).__name__}); {OTHER}"
        ) from error


class Stopwatch:
    """Seconds and units of work since the last reading, to log speeds."""

    def __init__(self) -> None:
        self.seconds = {"collect": 0.0, "train": 0.0, "test": 0.0}
        self.units = {"collect": 0, "train": 0, "test": 0}
        self._since = time.perf_counter()

    def add(self, what: str, started: float, units: int) -> None:
        """Add the time since `started` (perf_counter seconds) and the env steps or updates done in it."""
        self.seconds[what] += time.perf_counter() - started
        self.units[what] += units

    def read(self) -> dict[str, float]:
        """Return speeds since the last reading, in units per second, and the memory of all processes in GiB."""
        now = time.perf_counter()
        process = psutil.Process()
        memory = 0
        for part in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # games come and go
                memory += part.memory_info().rss
        speeds = {"steps_per_s": self.units["collect"] / max(now - self._since, 1e-9), "memory_gib": memory / 2**30}
        names = {"collect": "steps_per_s_collect", "train": "updates_per_s", "test": "steps_per_s_test"}
        for what, name in names.items():
            if self.units[what]:
                speeds[name] = self.units[what] / max(self.seconds[what], 1e-9)
        self.seconds, self.units = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0)
        self._since = now
        return speeds


class Training:
    """A training run between two episodes: its parts, its counters and when it last did what.

    Args:
        parts: built for `config`.
        config: keys of the loop.
        logger: takes the numbers.
        models: folder of this run's checkpoints.
    """

    def __init__(self, parts: Parts, config: RunConfig, logger: Logger, models: Path) -> None:
        self.parts, self.config, self.logger, self.models = parts, config, logger, models
        self.episode = 0
        self.gradient_steps = 0
        self.last_test_t = -1
        self.last_log_t = 0
        self.last_runner_log_t = -config.runner_log_interval
        self.last_learner_log_t = -config.learner_log_interval - 1
        self.last_save_t = 0
        self.saved_t: int | None = None  # of the newest checkpoint in `models`
        self.stats = EpisodeStats()
        self.tests = Tests(parts, config, logger, models)
        self.stopwatch = Stopwatch()
        self._summaries = 0

    def iterate(self) -> None:
        """Collect once, learn from it, and test, log and save where it is time to."""
        before = self.parts.runner.t_env
        self._collect()
        result = self._learn()
        t_env = self.parts.runner.t_env
        if result is not None and t_env - self.last_learner_log_t >= self.config.learner_log_interval:
            self.logger.log_stats(result.read(), t_env)
            self.last_learner_log_t = t_env
        self.episode += len(self.parts.runner.episodes)
        at = due(before, t_env, self.last_test_t, self.config.test_interval)
        if at is not None:
            self._test(at)
        if t_env - self.last_log_t >= self.config.log_interval:
            self._log()
        if self.config.save_model and (
            self.last_save_t == 0 or t_env - self.last_save_t >= self.config.save_model_interval
        ):
            self.try_save()

    def _collect(self) -> None:
        runner, started = self.parts.runner, time.perf_counter()
        before = runner.t_env
        batch = runner.run(test_mode=False)
        runner.run_ahead()  # also if this was the last one: the run may go on from its end
        self.parts.buffer.insert_episode_batch(batch)
        self.stopwatch.add("collect", started, runner.t_env - before)
        for record in runner.episodes:
            self.stats.add(record.ret, record.length, record.info)
        if runner.t_env - self.last_runner_log_t >= self.config.runner_log_interval:
            self.logger.log_stats(self.stats.flush(), runner.t_env)
            self.logger.log_stat("epsilon", self.parts.mac.action_selector.epsilon, runner.t_env)
            self.log_restarts()
            self.last_runner_log_t = runner.t_env

    def log_restarts(self) -> None:
        """Log how many episodes have broken, if that has changed."""
        runner = self.parts.runner
        if runner.restarts > (self.logger.last("env_restarts") or 0):
            self.logger.log_stat("env_restarts", runner.restarts, runner.t_env)

    def _learn(self) -> TrainResult | None:
        """Learn from what the buffer gives after this collect; None if that is nothing."""
        buffer, learner, runner = self.parts.buffer, self.parts.learner, self.parts.runner
        result, before, started = None, self.gradient_steps, time.perf_counter()
        for sample in buffer.samples(Clock(runner.t_env, self.episode + len(runner.episodes))):
            result = learner.train(sample.to(learner.device), runner.t_env, self.episode)
            buffer.feedback(sample, result)
            self.gradient_steps += result.gradient_steps
        if result is not None:
            self.stopwatch.add("train", started, self.gradient_steps - before)
        return result

    def _test(self, at: int) -> None:
        started = time.perf_counter()
        self.stopwatch.add("test", started, self.tests.test(at))
        self.last_test_t = self.parts.runner.t_env

    def _log(self) -> None:
        t_env = self.parts.runner.t_env
        self.logger.log_stat("episode", self.episode, t_env)
        self.logger.log_stat("gradient_steps", self.gradient_steps, t_env)
        speeds = self.stopwatch.read()
        self.logger.log_stats(speeds, t_env)
        self.logger.print_recent_stats(self.config.console_table)
        self.last_log_t = t_env
        self._summaries += 1
        to_do = self.config.t_max - t_env
        if self._summaries == 2 and to_do > 0:  # the first one's speed is a start's: kernels are compiled
            speed = max(speeds["steps_per_s"], 1e-9)
            self.logger.console_logger.info("About %s left, at %.0f env steps/s", duration(to_do / speed), speed)

    def headline(self) -> dict[str, str]:
        """Return what the progress line has room for: battles won and the return, of the last test if there was one."""
        shown = {}
        for name, key, how in (("won", "battle_won_mean", "{:.0%}"), ("return", "return_mean", "{:.2f}")):
            test, own = self.logger.last(f"test_{key}"), self.logger.last(key)
            if (value := own if test is None else test) is not None:
                shown[name] = how.format(value)
        return shown

    def save(self, *, buffer: bool = True) -> None:
        """Write a checkpoint, if there is none of this moment: `load` continues as if nothing had happened.

        Args:
            buffer: with the replay buffer, if the config says save_buffer.

        Raises:
            SavingFailed: the disk is full, or the system refuses for another reason; earlier checkpoints stay.
        """
        t_env, log = self.parts.runner.t_env, self.logger.console_logger
        if self.saved_t == t_env:
            return
        self.last_save_t = t_env
        episodes = self.parts.buffer.state_dict() if self.config.save_buffer and buffer else None
        state = self.state_dict() | {"env": self.parts.runner.get_env_info().sizes()}
        save_checkpoint(self.models / str(t_env), self.parts.learner.save_models, state, episodes)
        self.saved_t = t_env
        log.info("Saved %s", self.models / str(t_env))
        self.logger.keep_files(kept_networks(self.models / str(t_env), last=False))
        try:
            prune(self.models, self.config.keep_checkpoints)
        except OSError as error:
            log.warning("Old checkpoints stay: %s", writing_failed(self.models, error))

    def try_save(self) -> None:
        """Write a checkpoint, or say loudly that there is none: the run goes on without it."""
        try:
            self.save()
        except SavingFailed as error:
            self.logger.console_logger.error(
                "NO CHECKPOINT at t_env=%d: %s; make room, the earlier ones stay", self.parts.runner.t_env, error
            )

    def finish(self) -> None:
        """Save the last state of a run that keeps checkpoints, or with save_final its networks."""
        self.parts.learner.check_steps()
        if self.config.save_model or self.config.save_final:
            # A run that was stopped, and saved its buffer then, is to go on as exactly after this.
            self.save(buffer=self.config.save_model or has_buffer(self.models))

    def check(self, directory: Path) -> None:
        """Raise UserError if `load` could not go on from a checkpoint; the replay buffer is not kept in memory."""
        verify(directory, *files_of(directory))
        self.load(directory, keep_buffer=False, verified=True, trial=True)

    def load(self, directory: Path, *, keep_buffer: bool = True, verified: bool = False, trial: bool = False) -> None:
        """Continue from a checkpoint. Without its buffer.pt the replay buffer starts empty, and a warning says so.

        Args:
            directory: of the checkpoint.
            keep_buffer: False only checks that the replay buffer could be read.
            verified: its files were verified before.
            trial: the runner is one to try out, whatever that of the run is.

        Raises:
            UserError: a file is damaged, or what it holds is not of this run.
        """
        with _reading(directory / RUN_FILE):
            state = load_state(directory, verified=verified)
            self._load_state(state | {"runner": local_state(state["runner"])} if trial else state)
        if directory.parent == self.models:
            self.saved_t = self.parts.runner.t_env
        if BUFFER_FILE not in files_of(directory):
            self.logger.console_logger.warning("%s has no %s: the replay buffer starts empty", directory, BUFFER_FILE)
            return
        with _reading(directory / BUFFER_FILE):
            # From the file the buffer copies them: they are never twice in memory.
            episodes = load_state(directory, BUFFER_FILE, mmap=True, verified=verified)
            if keep_buffer:
                self.parts.buffer.load_state_dict(episodes)
            else:
                self.parts.buffer.check_state_dict(episodes)

    def _load_state(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        own = self.state_dict() | {"selector": {}}  # which looks at its own, as the learner at what is no tensor
        own["learner"] = {**own["learner"], "_extra_state": {}}
        state = {"tests": own["tests"], **state}  # of before there was such a thing
        if problem := misfit(own, {key: value for key, value in state.items() if key not in {"env", "format"}}):
            raise ValueError(problem)
        numbers = [*state["stats"]["returns"], *state["stats"]["sums"].values()]
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise ValueError("stats: expected numbers alone")
        self.parts.learner.load_state_dict(state["learner"])
        self.parts.runner.load_state_dict(state["runner"])
        self.parts.mac.action_selector.load_state_dict(state["selector"])
        self.stats.load_state_dict(state["stats"])
        self.tests.load_state_dict(state["tests"])
        self.logger.load_state_dict(state["logger"])
        if not isinstance(self.logger.info, dict):
            raise ValueError("logger: expected lists of numbers by name")
        set_global_state(state["global_rng"])
        for name in own["counters"]:
            setattr(self, name, state["counters"][name])

    def state_dict(self) -> dict[str, Any]:
        """Return all that the run depends on, beside the replay buffer."""
        counters = ("episode", "gradient_steps", "last_test_t", "last_log_t", "last_runner_log_t",
                    "last_learner_log_t", "last_save_t")  # fmt: skip
        return {
            "learner": self.parts.learner.state_dict(),
            "runner": self.parts.runner.state_dict(),
            "selector": self.parts.mac.action_selector.state_dict(),
            "stats": self.stats.state_dict(),
            "tests": self.tests.state_dict(),
            "logger": self.logger.state_dict(),
            "counters": {name: getattr(self, name) for name in counters},
            "global_rng": global_state(),
            "torch": str(torch.__version__),
        }
