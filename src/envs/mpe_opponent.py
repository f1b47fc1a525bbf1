"""MPE's simple_tag and simple_adversary with one side that does not learn, as EPyMARL's pretrained wrappers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pymarl.envs import opponents
from pymarl.envs.pettingzoo import PettingZooEnv
from pymarl.envs.team import TeamEnv
from pymarl.utils.errors import UserError

OPPONENTS = {"mpe2:simple_tag_v3": "agent_", "mpe2:simple_adversary_v3": "adversary_"}
"""Key -> how the names of those begin that the opponent plays."""
NEIGHBOURS = ("num_agent_neighbors", "num_landmark_neighbors")
"""Options with which an observation is laid out otherwise."""


class MpeOpponentEnv(PettingZooEnv):
    """The team's side of a game of MPE: three chasers of simple_tag, or two good agents of simple_adversary.

    The state is the team's observations in a row; the opponent's observation and reward are not shown.

    Args:
        config: see config/envs/mpe_opponent.yaml.
        seed: of the first episode that `reset` starts without a seed of its own.

    Raises:
        UserError: another key, an unknown opponent; and as `PettingZooEnv`.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(TeamEnv.Config):
        opponent: str

    def make(self, config: Any) -> Any:
        """Return the parallel env of the team alone."""
        if config.key not in OPPONENTS:
            raise UserError(f"env_args.key={config.key!r}: expected one of {', '.join(OPPONENTS)}")
        return Opposed(super().make(config), config)


class Opposed:
    """A parallel env in which the agents of one side are played, and not shown."""

    def __init__(self, env: Any, config: MpeOpponentEnv.Config) -> None:
        self._env, self._config = env, config
        prefix = OPPONENTS[config.key]
        self._played = [name for name in env.possible_agents if name.startswith(prefix)]
        self.possible_agents = [name for name in env.possible_agents if name not in self._played]
        self.observation_space, self.action_space = env.observation_space, env.action_space
        self._generator = np.random.default_rng(0)  # the first reset brings the state of its seed
        self._policy = self._make_policy()

    def _make_policy(self) -> opponents.Policy:
        known = {
            "frozen": lambda: opponents.stay,
            "random": lambda: opponents.random_moves(self._generator),
            "scripted": self._script,
        }
        if self._config.opponent in known:
            return known[self._config.opponent]()
        size = self.observation_space(self._played[0]).shape[0]
        return opponents.network(Path(self._config.opponent), size)

    def _script(self) -> opponents.Policy:
        for option in NEIGHBOURS:
            if self._config.env_kwargs.get(option) is not None:
                raise UserError(
                    f"env_args.env_kwargs.{option}={self._config.env_kwargs[option]!r}: the scripted opponent sees "
                    "everyone; leave it out, or write env_args.opponent=random"
                )
        if self._config.key == "mpe2:simple_tag_v3":
            return opponents.prey(len(self.possible_agents), len(self._played))
        return opponents.guesser(len(self.possible_agents))

    @property
    def agents(self) -> list[str]:
        """Return those of the team that are in the game."""
        return [name for name in self._env.agents if name not in self._played]

    def _shown(self, entries: Mapping[str, Any]) -> dict[str, Any]:
        return {name: entry for name, entry in entries.items() if name not in self._played}

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode, the opponent's chance included."""
        if seed is not None:
            self._generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
        self._obs, infos = self._env.reset(seed=seed, options=options)
        return self._shown(self._obs), self._shown(infos)

    def step(self, moves: Mapping[str, int]) -> tuple[dict[str, Any], ...]:
        """Step with the team's moves and the opponent's."""
        theirs = {name: self._policy(self._obs[name]) for name in self._env.agents if name in self._played}
        self._obs, *parts = self._env.step({**moves, **theirs})
        return tuple(self._shown(part) for part in (self._obs, *parts))

    def close(self) -> None:
        """Close the env."""
        self._env.close()
