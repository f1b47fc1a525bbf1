"""What is tried before sacred makes a run folder, so that a run that cannot start leaves nothing behind."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import torch

from pymarl.run.allocation import refuse_too_large
from pymarl.run.config import Classes, RunConfig
from pymarl.run.parts import build_local_runner, build_parts, load_networks
from pymarl.run.training import Training
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.remote_runner import copy_to_send
from pymarl.utils.checkpoint import (
    RUN_FILE,
    find_checkpoint,
    is_newest,
    sole_writer,
)
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError
from pymarl.utils.files import why_no_folder
from pymarl.utils.layers import Layers
from pymarl.utils.logging import Logger
from pymarl.utils.network_folder import steps_of


def preflight(layers: Layers, results: Path) -> None:
    """Build the whole run once around a single env, load what it asks for, and take one step in the env.

    An env that starts a game is only built, and asked whether it could save replays.

    Args:
        layers: the merged keys.
        results: the folder in which sacred makes that of the run.

    Raises:
        UserError: results cannot be written, the checkpoint is missing, damaged or of another run, a part cannot be
            built, or the env breaks its contract.
    """
    config = build_config(RunConfig, layers.values, layers.origin)
    quiet = _quiet()
    _check_results(config, results)
    step = _checkpoint_to_resume(config, quiet) if config.resume else None
    runner = build_local_runner(layers.values, layers.origin, quiet, trial=True)
    try:
        runner.try_out()
        refuse_too_large(layers.values, config, runner)
        parts = build_parts(layers.values, config, runner, quiet)
        remote = config.async_collect or Classes.of(layers.values).runner.local is not None
        if remote and not (config.evaluate or config.save_replay):  # which play here
            copy_to_send(parts.mac, torch.Generator())
        if config.save_replay:
            _try_replay(runner)
        if config.checkpoint_path:
            checkpoint = find_checkpoint(config.checkpoint_path, config.load_step)
            load_networks(parts.learner, layers.values, config, runner.get_env_info(), checkpoint)
            _check_t_max(config, checkpoint)
        if step is not None:
            Training(parts, config, Logger(quiet), step.parent).check(step)
    finally:
        runner.close_env()


def try_env(layers: Layers) -> None:
    """Build a single env of a run, and close it. UserError if it cannot be built, as for a map that it has not."""
    build_local_runner(layers.values, layers.origin, _quiet(), trial=True).close_env()


def _quiet() -> logging.Logger:
    quiet = logging.getLogger(f"{__name__}.quiet")
    quiet.disabled = True
    return quiet


def _check_t_max(config: RunConfig, checkpoint: Path) -> None:
    """Raise UserError if a run that is to train on from a checkpoint would end before its first step."""
    played = steps_of(checkpoint)
    if played > config.t_max and not (config.evaluate or config.save_replay):
        raise UserError(
            f"t_max={config.t_max}: the networks of {config.checkpoint_path} have been trained for {played} env steps, "
            f"from which t_max counts on; write a larger one, such as t_max={played + 100_000}"
        )


def _check_results(config: RunConfig, results: Path) -> None:
    """Raise UserError if a folder that the run writes to cannot be made."""
    root = Path(config.local_results_path)
    evaluates = config.evaluate or config.save_replay
    wanted = {results: True, root / "models": not evaluates, root / "tb_logs": config.use_tensorboard,
              root / "replays": config.save_replay}  # fmt: skip
    for folder in (folder for folder, needed in wanted.items() if needed):
        if reason := why_no_folder(folder):
            raise UserError(
                f"local_results_path={config.local_results_path!r}: cannot write to {folder}, for {reason}; "
                f"move that out of the way or name another folder"
            )


def _checkpoint_to_resume(config: RunConfig, quiet: logging.Logger) -> Path:
    """Return the checkpoint that a run goes on from. UserError if another one is writing where it would."""
    taken = None
    try:
        with sole_writer(Path(config.resume), quiet.warning):
            pass
    except UserError as error:
        taken = error
    step = find_checkpoint(config.resume, config.load_step, file=RUN_FILE)
    if taken is not None and is_newest(step):
        raise taken
    return step


def _try_replay(runner: LocalRunner) -> None:
    """Save a replay and forget it. UserError if the env has none."""
    with tempfile.TemporaryDirectory() as folder:
        for path in runner.save_replay(Path(folder)):
            path.unlink()  # env_args.replay_dir may lead it elsewhere
