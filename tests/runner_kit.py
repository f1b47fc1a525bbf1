"""Runners built around an env and a fake mac, and what tests ask of the runner of whole parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pymarl.run.parts import Parts, episode_scheme
from pymarl.runners import REGISTRY
from pymarl.runners.local_runner import LocalRunner
from pymarl.runners.player import ActingMAC, Tell


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
    rollout_steps: int | None = None,
    tell: Tell = lambda reason: None,
) -> LocalRunner:
    """Return a runner that is set up; `in_process` overrules its class."""
    runner_class = REGISTRY[kind]
    if in_process is not None:
        runner_class = type(runner_class.__name__, (runner_class,), {"in_process": in_process})
    config = runner_class.Config(
        env=env, env_args=dict(env_args), seed=11, batch_size_run=batch_size, rollout_steps=rollout_steps,
        env_workers=env_workers, max_restarts=max_restarts, env_timeout=env_timeout,
    )  # fmt: skip
    runner: LocalRunner = runner_class(config, tell=tell)
    try:
        stores, hidden = ("probs",) if with_probs else (), None if rollout_steps is None else 0
        runner.setup(*episode_scheme(runner.get_env_info(), stores=stores, hidden=hidden), mac)
    except BaseException:
        runner.close_env()
        raise
    players = (runner._episodes, *([] if rollout_steps is None else [runner._piece_player()]))
    for player in players:
        player.pause_seconds = 0.0  # type: ignore[misc]
    return runner


def play(parts: Parts, *, test_mode: bool = False) -> dict[str, Tensor]:
    """Return a copy of what a run of a run's parts holds, up to its longest row."""
    batch = parts.runner.run(test_mode)
    slots = int(batch.lengths.max()) + 1
    data = {key: tensor if batch.fields[key].const else tensor[:, :slots] for key, tensor in batch.data.items()}
    return {key: tensor.clone() for key, tensor in data.items()} | {"lengths": batch.lengths.clone()}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Compare what `play` returns, bit for bit."""
    assert ours.keys() == theirs.keys()
    for key, tensor in ours.items():
        assert torch.equal(tensor, theirs[key]), key


def learn(parts: Parts) -> None:
    """Change the weights as an update does: in place."""
    with torch.no_grad():
        for parameter in parts.mac.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
