"""What is tried before sacred makes a run folder, so that a run that cannot start leaves nothing behind."""

from __future__ import annotations

import json
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
    CONFIG_FILE,
    RUN_FILE,
    find_checkpoint,
    is_newest,
    read_config,
    sole_writer,
    steps_in,
)
from pymarl.utils.config import build_config
from pymarl.utils.errors import UserError
from pymarl.utils.files import why_no_folder
from pymarl.utils.layers import Layers
from pymarl.utils.logging import Logger
from pymarl.utils.redact import redacted
from pymarl.utils.runs import FREE_ON_RESUME, dotted


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
    quiet = logging.getLogger(f"{__name__}.quiet")
    quiet.disabled = True
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
        if step is not None:
            Training(parts, config, Logger(quiet), step.parent).check(step)
    finally:
        runner.close_env()


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


def check_resume(layers: Layers) -> None:
    """Give a resumed run the seed of the one it continues, and refuse other changes of its config.

    Raises:
        UserError: a key differs from the run that is resumed.
    """
    if not layers.values.get("resume"):
        return
    resume = str(layers.values["resume"])
    before = read_config(_token(resume))
    if layers.values.get("seed") is None:
        layers.add({"seed": before["seed"]}, str(Path(resume) / CONFIG_FILE))
    free = FREE_ON_RESUME - ({"t_max"} if before.get("buffer") == "prioritized" else set())  # per_beta rises over t_max
    had, now = dotted(before), dotted(json.loads(json.dumps(redacted(layers.values))))
    for key in sorted(now.keys() - free):
        if key not in had or had[key] != now[key]:
            raise UserError(
                f"resume: {key}={now[key]!r}, but the run had {had.get(key, 'no such key')!r}; "
                f"start it with the same --config, --env-config and `with` words"
            )
    for key in sorted(had.keys() - now.keys() - free):
        if key.startswith("env_args."):  # of an own env, for which no file has defaults
            raise UserError(f"resume: the run had {key}={had[key]!r}, and this one has no such key; write it, too")


def _token(resume: str) -> Path:
    """Return the folder that `resume` names, if a run writes its checkpoints there."""
    token, hint = Path(resume), "expected results/models/<token>"
    try:
        if (token / CONFIG_FILE).is_file():
            return token
        for folder in (token.parent, token.parent.parent):  # one checkpoint, or a file of one
            if (folder / CONFIG_FILE).is_file() and steps_in(folder):
                hint = f"write resume={folder}, with load_step=<env steps> for a checkpoint that is not the newest"
    except (OSError, ValueError) as error:
        hint = str(error)
    raise UserError(f"resume={resume!r}: no {CONFIG_FILE} there; {hint}")
