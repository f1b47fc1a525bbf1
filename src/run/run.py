"""One run: build the parts, then train or evaluate. One loop serves every algorithm."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from pymarl.run.absolute import play_absolute
from pymarl.run.allocation import memory_as_user_error
from pymarl.run.config import RunConfig
from pymarl.run.evaluate import evaluate, run_folder
from pymarl.run.notices import result_line, start_line
from pymarl.run.parts import Parts, build_local_runner, build_parts, build_runner, load_networks
from pymarl.run.tracked import Tracked, kept_networks
from pymarl.run.training import Training
from pymarl.utils.checkpoint import (
    CONFIG_FILE,
    RUN_FILE,
    SavingFailed,
    add_run,
    find_checkpoint,
    is_newest,
    sole_writer,
    steps_in,
)
from pymarl.utils.config import build_config, plain
from pymarl.utils.errors import UserError, one_line
from pymarl.utils.files import write_json, writing_failed
from pymarl.utils.interrupts import StopRequest
from pymarl.utils.logging import Logger
from pymarl.utils.memory import keep_freed_memory
from pymarl.utils.network_folder import steps_of
from pymarl.utils.observers import RunFolder
from pymarl.utils.progress import Progress
from pymarl.utils.redact import redacted


def run(_run: Any, _config: Mapping[str, Any], _log: logging.Logger) -> None:
    """Train, or evaluate a checkpoint, as the merged config says.

    Args:
        _run: sacred's run.
        _config: the merged keys, checked by `pymarl.run.config.check`.
        _log: sacred's logger.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP; a checkpoint has been saved.
    """
    flat: dict[str, Any] = plain(_config)
    config = build_config(RunConfig, flat, {})
    torch.set_flush_denormal(True)  # values that decay towards 0 would make the CPU crawl
    keep_freed_memory()
    with StopRequest() as stop:
        _run_parts(flat, config, Logger(_log), _run, stop)


def _run_parts(flat: dict[str, Any], config: RunConfig, logger: Logger, run: Any, stop: StopRequest) -> None:
    """Build the parts, train or evaluate with them, and close them."""
    log = logger.console_logger
    lower = "batch_size_run or the sizes in env_args"
    with memory_as_user_error(lower, cap=False):  # which worker processes and games would inherit
        playing = config.evaluate or config.save_replay
        runner = build_local_runner(flat, {}, log) if playing else build_runner(flat, config, log)
    with memory_as_user_error(lower):
        parts = build_parts(flat, config, runner, log)
    try:
        if config.checkpoint_path:
            step = find_checkpoint(config.checkpoint_path, config.load_step)
            log.info("Loading model from %s", step)
            if anew := load_networks(parts.learner, flat, config, parts.runner.get_env_info(), step):
                log.info("%s", anew)
            parts.runner.t_env = steps_of(step)
        if playing:
            logger.setup_sacred(run)
            with Tracked(flat, config, logger) as tracked, stop.deferred():
                tracked.begin(run_folder(run), None, parts.runner.t_env)
                evaluate(parts, config, logger, run, stop)
        else:
            _train(parts, flat, config, logger, run, stop)
    finally:
        parts.runner.close_env()


def _train(parts: Parts, flat: dict[str, Any], config: RunConfig, logger: Logger, run: Any, stop: StopRequest) -> None:
    """Train to t_max, from the start or from where `resume` left off."""
    log = logger.console_logger
    step = find_checkpoint(config.resume, config.load_step, file=RUN_FILE) if config.resume else None
    models = _models_folder(flat, config, step)
    with sole_writer(models, log.warning), Tracked(flat, config, logger) as tracked:
        try:
            training = Training(parts, config, logger, models)
            if step is not None:
                training.load(step)
                log.info("Going on from %s", step)
            _record(run, models, step, log.warning)
            training.tests.begin(run_folder(run))
            logger.setup_sacred(run)
            tracked.begin(run_folder(run), models, parts.runner.t_env)
            log.info("%s", start_line(flat, parts.learner.device, run_folder(run)))
            log.info("Beginning training for %d timesteps; models in %s", config.t_max, models)
            _loop(training, stop)
            networks = None if training.saved_t is None else models / str(training.saved_t)
            if networks is not None:
                logger.keep_files(kept_networks(networks, last=True))
            tests = training.tests
            log.info("%s", result_line(tests.evaluations, parts.runner.t_env, tests.seconds, networks))
        finally:
            if not steps_in(models):
                shutil.rmtree(models, ignore_errors=True)


def _models_folder(flat: dict[str, Any], config: RunConfig, step: Path | None) -> Path:
    """Return where the run's checkpoints go. A run that goes on from an older one than the newest gets a new folder,
    beside what came of it the first time.
    """
    if step is not None and is_newest(step):
        return step.parent
    parent = Path(config.local_results_path) / "models"
    try:
        models = new_folder(parent, config.name)
        write_json(models / CONFIG_FILE, redacted(flat))
    except OSError as error:
        raise UserError(writing_failed(parent, error)) from error
    return models


def _record(run: Any, models: Path, step: Path | None, warn: Callable[[str], None]) -> None:
    """Let the run's folder and its token name each other."""
    try:
        add_run(models, run_folder(run), step, warn)
        for observer in run.observers:
            if isinstance(observer, RunFolder):
                observer.add(models=str(models.absolute()))
    except OSError as error:
        raise UserError(writing_failed(models, error)) from error


def _loop(training: Training, stop: StopRequest) -> None:
    """Train to t_max, or until a stop is requested; the last state is saved."""
    runner, config = training.parts.runner, training.config
    progress = Progress(config.t_max, initial=runner.t_env)
    try:
        with stop.deferred():
            while runner.t_env <= config.t_max:
                training.iterate()
                if stop.requested:
                    training.save()
                    raise KeyboardInterrupt
                progress.update(runner.t_env, training.headline())
        training.finish()
        if config.absolute_episodes:
            with stop.deferred():
                play_absolute(training.tests, training.models, stop)
    except SavingFailed:
        raise
    except Exception:  # what was learned until then is not lost
        _rescue(training)
        raise
    finally:
        training.log_restarts()
        training.tests.finish()
        progress.close()


def _rescue(training: Training) -> None:
    """Save what a run has learned that fails; whatever keeps it from that, the failure itself is told."""
    try:
        training.try_save()
    except Exception as error:
        training.logger.console_logger.error("NO CHECKPOINT: %s", one_line(error))


def new_folder(parent: Path, name: str) -> Path:
    """Return a folder name that no other run has: <name>__<time>, counted up if two start within a second."""
    token = f"{name}__{datetime.now():%Y-%m-%d_%H-%M-%S}"
    parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("", *(f"_{number}" for number in range(2, 1000))):
        folder = parent / (token + suffix)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{parent / token}: a thousand runs started in one second")
