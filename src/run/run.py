"""One run: build the parts, then train or evaluate. One loop serves every algorithm."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from envs.worker_process import EnvError, EnvUserError
from run.allocation import memory_as_user_error
from run.config import RunConfig
from run.evaluate import evaluate
from run.parts import Parts, build_parts, load_networks, make_env
from run.preflight import CONFIG_FILE
from run.training import Training
from runners.runner import BrokenTooOften
from utils.checkpoint import RUN_FILE, find_checkpoint, load_state, steps_in
from utils.config import build_config, plain
from utils.files import write_json
from utils.interrupts import StopRequest
from utils.logging import Logger
from utils.memory import keep_freed_memory
from utils.progress import Progress
from utils.redact import redacted


def run(_run: Any, _config: Mapping[str, Any], _log: logging.Logger) -> None:
    """Train, or evaluate a checkpoint, as the merged config says.

    Args:
        _run: sacred's run.
        _config: the merged keys, checked by `run.config.check`.
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
    with memory_as_user_error("batch_size_run or the sizes in env_args"):
        parts = build_parts(flat, config, make_env(flat, config), log)
    try:
        if config.checkpoint_path:
            step = find_checkpoint(config.checkpoint_path, config.load_step)
            log.info("Loading model from %s", step)
            load_networks(parts.learner, config, step)
            parts.runner.t_env = int(step.name) if step.name.isdigit() else 0
        if config.evaluate or config.save_replay:
            logger.setup_sacred(run)
            with stop.deferred():
                evaluate(parts, config, logger, run, stop)
        else:
            _train(parts, flat, config, logger, run, stop)
    finally:
        parts.runner.close_env()


def _train(parts: Parts, flat: dict[str, Any], config: RunConfig, logger: Logger, run: Any, stop: StopRequest) -> None:
    """Train to t_max, from the start or from where `resume` left off."""
    results = Path(config.local_results_path)
    step = find_checkpoint(config.resume, config.load_step, file=RUN_FILE) if config.resume else None
    if step is not None and step.name == str(steps_in(step.parent)[-1]):
        models = step.parent
    else:  # a new run; or one that goes on from an older checkpoint, beside what came of it the first time
        models = new_folder(results / "models", config.name)
        write_json(models / CONFIG_FILE, redacted(flat))
    training = Training(parts, config, logger, models)
    if step is not None:
        training.load(load_state(step), step)
        logger.console_logger.info("Going on from %s", step)
    logger.setup_sacred(run)
    if config.use_tensorboard:
        logger.setup_tb(results / "tb_logs" / models.name)
    logger.console_logger.info("Beginning training for %d timesteps; models in %s", config.t_max, models)
    progress = Progress(config.t_max, initial=parts.runner.t_env)
    try:
        with stop.deferred():
            while parts.runner.t_env <= config.t_max:
                training.iterate()
                if stop.requested:
                    training.save()
                    raise KeyboardInterrupt
                progress.update(parts.runner.t_env, training.headline())
        training.finish()
    except (EnvError, EnvUserError, BrokenTooOften):  # what was learned until then is not lost
        training.save()
        raise
    finally:
        training.log_restarts()
        progress.close()
    logger.console_logger.info("Finished Training")


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
