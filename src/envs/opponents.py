"""Who plays the agents of MPE that do not learn: scripts, and networks that EPyMARL trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.utils.errors import UserError, one_line

Policy = Callable[[NDArray[Any]], int]
"""Observation of an opponent -> its action."""
STAY, LEFT, RIGHT, DOWN, UP = range(5)
OF_EPYMARL = (STAY, RIGHT, LEFT, UP, DOWN)
"""What the outputs of EPyMARL's networks mean: they learned in the first MPE, whose moves have another order."""
WALL = 0.7
"""From this distance of the middle on, prey is driven back: past 0.9 mpe2 punishes it."""


def stay(obs: NDArray[Any]) -> int:
    """Do nothing, as EPyMARL's FrozenTag."""
    return STAY


def random_moves(generator: np.random.Generator) -> Policy:
    """Return a policy that moves at random, as EPyMARL's RandomTag."""
    return lambda obs: int(generator.integers(5))


def towards(direction: NDArray[Any]) -> int:
    """Return the move along the longer side of a direction [2]."""
    axis = int(np.abs(direction).argmax())
    return ((LEFT, RIGHT), (DOWN, UP))[axis][int(direction[axis] > 0)]


def prey(n_adversaries: int, n_good: int) -> Policy:
    """Return simple_tag's prey: away from who chases it, the nearest most of all, and not out of the field."""

    def flee(obs: NDArray[Any]) -> int:
        place, others = obs[2:4], n_adversaries + n_good - 1
        first = len(obs) - 2 * others - 2 * (n_good - 1)  # behind come the velocities of the other prey
        chasers = obs[first : first + 2 * n_adversaries].reshape(-1, 2)  # [M, 2], seen from here
        distances = np.linalg.norm(chasers, axis=1, keepdims=True).clip(0.05)
        away = -(chasers / distances**3).sum(0)
        back = -np.sign(place) * (np.abs(place) - WALL).clip(0) * 50
        return towards(away + back)

    return flee


def guesser(n_good: int) -> Policy:
    """Return simple_adversary's adversary: to the landmark that any of the others is nearest to."""

    def guess(obs: NDArray[Any]) -> int:
        landmarks, others = obs[: -2 * n_good].reshape(-1, 2), obs[-2 * n_good :].reshape(-1, 2)
        apart = np.linalg.norm(landmarks[:, None] - others[None], axis=-1)  # [L, n_good]
        return towards(landmarks[apart.min(1).argmin()])

    return guess


def network(path: Path, obs_size: int) -> Policy:
    """Return the policy of a network that `python -m pymarl.tools.epymarl_opponent` wrote to a file.

    Raises:
        UserError: no such file, another kind of file, or a network for other observations.
    """
    names = [f"{layer}.{part}" for layer in ("fc1", "fc2", "fc3") for part in ("weight", "bias")]
    names += [f"in_fn.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    try:
        with np.load(path) as file:
            w = {name: np.asarray(file[name], np.float64) for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"env_args.opponent={str(path)!r}: expected scripted, frozen, random, or a file that "
            f"`python -m pymarl.tools.epymarl_opponent` wrote: {one_line(error)}"
        ) from error
    if w["fc1.weight"].shape[1] != obs_size:
        raise UserError(
            f"env_args.opponent={str(path)!r}: the network observes {w['fc1.weight'].shape[1]} numbers, the opponent "
            f"{obs_size}; EPyMARL's prey is for simple_tag, its adversary for simple_adversary, with default env_kwargs"
        )
    scale = w["in_fn.weight"] / np.sqrt(w["in_fn.running_var"] + 1e-5)  # BatchNorm1d in evaluation

    def act(obs: NDArray[Any]) -> int:
        hidden = (obs - w["in_fn.running_mean"]) * scale + w["in_fn.bias"]
        for layer in ("fc1", "fc2"):
            hidden = (w[f"{layer}.weight"] @ hidden + w[f"{layer}.bias"]).clip(0)
        return OF_EPYMARL[int((w["fc3.weight"] @ hidden + w["fc3.bias"]).argmax())]

    return act
