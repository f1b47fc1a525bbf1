"""What smacv2 draws for each episode, by seed. Imports smacv2, so it is imported only by the process that plays."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from smacv2.env.starcraft2.distributions import Distribution, FixedDistribution
from smacv2.env.starcraft2.starcraft2 import CannotResetException
from smacv2.env.starcraft2.wrapper import StarCraftCapabilityEnvWrapper

__all__ = ["CannotResetException", "Draws"]


class Draws(StarCraftCapabilityEnvWrapper):
    """The half of smacv2's wrapper that draws teams and places; the other half only hands on to the env inside.

    Args:
        config: the wrapper's `capability_config`; it is filled in as the env wants it, see `config`.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = self.distribution_config = config
        self.env_key_to_distribution_map: dict[str, Any] = {}
        self._parse_distribution_config()
        distributions = list(self._all(self.env_key_to_distribution_map.values()))
        self._items = {d: copy.deepcopy(d.teams) for d in distributions if isinstance(d, FixedDistribution)}

    def seed(self, seed: int) -> None:
        """Let the next draw follow from `seed`. smacv2's own generators cannot be seeded from outside."""
        for number, distribution in enumerate(self._all(self.env_key_to_distribution_map.values())):
            if "rng" in vars(distribution):
                distribution.rng = np.random.default_rng([seed, number])
            if distribution in self._items:  # each draw shuffles the items themselves
                distribution.teams = copy.deepcopy(self._items[distribution])
        random.seed(seed)  # shuffles teams
        np.random.seed(seed)  # noqa: NPY002  prob_obs_enemy draws from it

    def draw(self) -> dict[str, Any]:
        """Return what the env's `reset` takes. ValueError if it holds no teams of the sizes that the config says."""
        drawn: dict[str, Any] = {}
        for distribution in self.env_key_to_distribution_map.values():
            drawn |= distribution.generate()
        for team, size in (("ally_team", "n_units"), ("enemy_team", "n_enemies")):
            if len(drawn["team_gen"].get(team, ())) != self.config[size]:
                raise ValueError(f"team_gen draws no {team} of {size}={self.config[size]} units")
        return drawn

    def _all(self, distributions: Any) -> Iterator[Any]:
        """Yield the distributions and those that they are made of."""
        for distribution in distributions:
            yield distribution
            yield from self._all([part for part in vars(distribution).values() if isinstance(part, Distribution)])
