"""The units in which a critic learns values: the env's, or those of statistics of what it has learned."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from pymarl.components.running_stats import RunningStats, Stats, TotalStats
from pymarl.envs.specs import EnvInfo
from pymarl.modules.critics.critic import Critic
from pymarl.utils.errors import UserError


def value_stats(config: Any, info: EnvInfo) -> Stats | None:
    """Return the statistics whose units a critic learns in; None: the env's.

    Args:
        config: has normalise_values, popart and standardise_returns.
        info: of the env.

    Raises:
        UserError: they contradict each other.
    """
    if config.normalise_values and config.standardise_returns:
        raise UserError(
            "normalise_values=True and standardise_returns=True: two ways to give values other units; keep one"
        )
    if config.popart and not config.normalise_values:
        raise UserError("popart=True keeps what a critic says when its units change; write normalise_values=True, too")
    if config.normalise_values:
        return RunningStats()
    return TotalStats((info.n_agents,)) if config.standardise_returns else None


def in_env_units(values: Tensor, stats: Stats | None) -> Tensor:
    """Return a critic's values [B, T, N] in the units of rewards."""
    return values if stats is None else stats.denormalise(values)


def in_new_units(
    said: Tensor, returns: Tensor, mask: Tensor, stats: Stats | None, *, rescaled: Iterable[Critic]
) -> tuple[Tensor, Tensor]:
    """Take returns into the statistics, and give what a critic learns from in the units of these.

    Args:
        said: [B, T, N], the critic's outputs under the statistics so far.
        returns: [B, T-1, N], in the env's units.
        mask: [B, T-1, 1] in {0, 1}: which returns count.
        stats: of the critic.
        rescaled: critics that shall go on saying the same in the env's units (PopArt; van Hasselt et al. 2016,
            arXiv:1602.07714). Those that are not among them say what the new statistics make of their outputs.

    Returns:
        What the critic says of the same slots now, and the returns.
    """
    if stats is None:
        return said, returns
    values, mean, std = stats.denormalise(said), stats.mean.clone(), stats.std.clone()
    stats.update(returns, mask.squeeze(-1) if stats.shape else mask)
    for critic in rescaled:
        critic.rescale(mean, std, stats.mean, stats.std)
        said = stats.normalise(values)
    return said, stats.normalise(returns)
