"""Runners built around an env and a fake mac."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from components.transforms import OneHot
from envs.multiagentenv import EnvInfo
from runners import REGISTRY
from runners.runner import ActingMAC, Runner
from runners.seeds import EpisodeSeeds


def describe(info: EnvInfo, with_probs: bool = False) -> tuple[dict[str, Any], dict[str, int], dict[str, Any]]:
    """Return scheme, groups and preprocess."""
    scheme: dict[str, Any] = {
        "state": {"vshape": info.state_shape},
        "obs": {"vshape": info.obs_shape, "group": "agents"},
        "actions": {"vshape": (1,), "group": "agents", "dtype": torch.uint8},
        "avail_actions": {"vshape": (info.n_actions,), "group": "agents", "dtype": torch.bool},
        "reward": {"vshape": (1,)},
        "terminated": {"vshape": (1,), "dtype": torch.bool},
    }
    if with_probs:
        scheme["probs"] = {"vshape": (info.n_actions,), "group": "agents"}
    return scheme, {"agents": info.n_agents}, {"actions": ("actions_onehot", [OneHot(info.n_actions)])}


def make_runner(
    kind: str,
    env: str,
    env_args: Mapping[str, Any],
    mac: ActingMAC,
    batch_size: int = 1,
    env_workers: int | None = None,
    max_restarts: int = 0,
    in_process: bool | None = None,
    with_probs: bool = False,
) -> Runner:
    """Return a runner that is set up; `in_process` overrules its class."""
    runner_class = REGISTRY[kind]
    if in_process is not None:
        runner_class = type(runner_class.__name__, (runner_class,), {"in_process": in_process})
    config = runner_class.Config(batch_size_run=batch_size, env_workers=env_workers, max_restarts=max_restarts)
    batched = runner_class.make_env(config, env, env_args, 3, {})
    try:
        runner: Runner = runner_class(config, batched, EpisodeSeeds(11))
        runner.setup(*describe(runner.get_env_info(), with_probs), mac)
    except BaseException:
        batched.close()
        raise
    return runner
