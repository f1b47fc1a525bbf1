"""What is tried before sacred makes a run folder, so that a run that cannot start leaves nothing behind."""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from envs.batched import make_batched_env, needs_process
from envs.multiagentenv import BatchedEnv
from run.config import RunConfig
from run.parts import build_parts, load_networks
from utils.checkpoint import RUN_FILE, find_checkpoint
from utils.config import build_config
from utils.errors import UserError
from utils.layers import Layers

CONFIG_FILE = "config.json"
LARGEST_SEED = 2**64 - 1

# Keys that may change when a run goes on; any other change would make it another run.
FREE_ON_RESUME = frozenset(
    {"resume", "load_step", "t_max", "use_tensorboard", "local_results_path", "save_model", "save_model_interval",
     "keep_checkpoints", "save_buffer", "mongo_url", "mongo_db", "buffer_max_gib", "use_cuda", "buffer_cpu_only",
     "env_workers", "env_timeout", "max_restarts", "env_args.threads", "env_args.game_timeout", "env_args.replay_dir",
     "env_args.replay_prefix", "env_args.debug"}
)  # fmt: skip


def preflight(layers: Layers) -> None:
    """Build the whole run once around a single env, load what it asks for, and take one step in the env.

    An env that starts a game is only built, and asked whether it could save replays.

    Raises:
        UserError: the checkpoint is missing or of another run, a part cannot be built, or the env breaks its contract.
    """
    config = build_config(RunConfig, layers.values, layers.origin)
    if config.resume:
        find_checkpoint(config.resume, config.load_step, file=RUN_FILE)
    env = make_batched_env(
        config.env, config.env_args, 1, config.seed, layers.origin, in_process=False, timeout=config.env_timeout
    )
    try:
        if not needs_process(config.env):
            _try_step(env, config.env)
        if config.save_replay:
            _try_replay(env, config.env)
        quiet = logging.getLogger(f"{__name__}.quiet")
        quiet.disabled = True
        parts = build_parts(layers.values, config, env, quiet)
        if config.checkpoint_path:
            load_networks(parts.learner, config, find_checkpoint(config.checkpoint_path, config.load_step))
    finally:
        env.close()


def _try_step(env: BatchedEnv, name: str) -> None:
    """Start an episode and take a step. UserError if an agent has no action."""
    row = np.zeros(1, np.int64)
    env.reset(row, np.full(1, LARGEST_SEED, np.uint64))
    stuck = np.flatnonzero(~env.arrays.avail_actions[0].any(-1))
    if len(stuck):
        raise UserError(
            f"env {name!r}: agent {stuck[0]} has no available action after reset; get_avail_actions must leave one"
        )
    env.step(env.arrays.avail_actions.argmax(-1), row)


def _try_replay(env: BatchedEnv, name: str) -> None:
    """Save a replay and forget it. UserError if the env has none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            for path in env.save_replay(Path(folder)):
                path.unlink()  # env_args.replay_dir may lead it elsewhere
        except NotImplementedError as error:
            raise UserError(f"save_replay=True: env {name!r} has no replays") from error


def _dotted(values: dict[str, Any]) -> dict[str, Any]:
    """Return a config with the keys of env_args beside the others, as "env_args.<key>"."""
    env_args = {f"env_args.{key}": value for key, value in values["env_args"].items()}
    return {key: value for key, value in values.items() if key != "env_args"} | env_args


def check_resume(layers: Layers) -> None:
    """Give a resumed run the seed of the one it continues, and refuse other changes of its config.

    Raises:
        UserError: a key differs from the run that is resumed.
    """
    if not layers.values.get("resume"):
        return
    path = Path(str(layers.values["resume"])) / CONFIG_FILE
    if not path.is_file():
        raise UserError(f"resume={layers.values['resume']!r}: no {CONFIG_FILE} there; expected results/models/<token>")
    before: dict[str, Any] = json.loads(path.read_text())
    if layers.values.get("seed") is None:
        layers.add({"seed": before["seed"]}, str(path))
    free = FREE_ON_RESUME - ({"t_max"} if before.get("use_per") else set())  # per_beta rises over t_max
    had, now = _dotted(before), _dotted(json.loads(json.dumps(layers.values)))
    for key in sorted(now.keys() - free):
        if key not in had or had[key] != now[key]:
            raise UserError(
                f"resume: {key}={now[key]!r}, but the run had {had.get(key, 'no such key')!r}; "
                f"start it with the same --config, --env-config and `with` words"
            )
