"""Runners built around an env and a fake mac."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymarl.run.parts import episode_scheme
from pymarl.runners import REGISTRY
from pymarl.runners.runner import ActingMAC, Runner
from pymarl.runners.seeds import EpisodeSeeds


def make_runner(
    kind: str,
    env: str,
    env_args: Mapping[str, Any],
    mac: ActingMAC,
    batch_size: int = 1,
    env_workers: int | None = None,
    max_restarts: int = 0,
    env_timeout: float | None = None,
    in_process: bool | None = None,
    with_probs: bool = False,
) -> Runner:
    """Return a runner that is set up; `in_process` overrules its class."""
    runner_class = REGISTRY[kind]
    if in_process is not None:
        runner_class = type(runner_class.__name__, (runner_class,), {"in_process": in_process})
    config = runner_class.Config(
        batch_size_run=batch_size, env_workers=env_workers, max_restarts=max_restarts, env_timeout=env_timeout
    )
    batched = runner_class.make_env(config, env, env_args, 3, {})
    try:
        runner: Runner = runner_class(config, batched, EpisodeSeeds(11))
        runner.pause_seconds = 0.0
        runner.setup(*episode_scheme(runner.get_env_info(), probs=with_probs), mac)
    except BaseException:
        batched.close()
        raise
    return runner
