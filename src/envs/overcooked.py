"""Overcooked-AI (Carroll et al. 2019): two cooks in a small kitchen make and serve soups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.keys import construct, import_for
from pymarl.envs.multiagentenv import MultiAgentEnv
from pymarl.utils.config import NonNegativeFloat, PositiveInt
from pymarl.utils.errors import UserError, closest

KEY = "overcooked"


class OvercookedEnv(MultiAgentEnv):
    """A layout of Overcooked-AI, which has no end but the clock: every episode is truncated.

    Actions: north, south, east, west, stay, interact. An observation is the package's lossless encoding, flat: 26
    layers of the kitchen, one's own first. The state is the first cook's observation: it holds all there is. The game
    itself has no chance; with `random_start` the cooks start anywhere.

    Args:
        config: see config/envs/overcooked.yaml.
        seed: of the episodes that `reset` starts without a seed of their own.

    Raises:
        UserError: missing package, unknown layout, or one that is not for two cooks.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config:
        map_name: str
        time_limit: PositiveInt
        random_start: bool
        shaped_reward: NonNegativeFloat
        common_reward: bool

    def __init__(self, config: Config, seed: int) -> None:
        self.config = config
        self._game = make_game(config.map_name)
        self._moves = import_for(KEY, "overcooked_ai_py.mdp.actions").Action.ALL_ACTIONS
        self.n_agents = 2
        self.n_rewards = 1 if config.common_reward else 2
        self.episode_limit = config.time_limit
        self._size = int(np.prod(self._game.get_lossless_state_encoding_shape()))
        self._places = self._game.get_valid_joint_player_positions()
        self._generator = np.random.default_rng(seed)
        self._served = 0.0

    def reset(self, seed: int | None = None) -> None:
        """Start the episode of `seed`, or the next one."""
        if seed is not None:
            self._generator = np.random.default_rng(seed)
        self._state = self._game.get_standard_start_state()
        if self.config.random_start:
            places = self._places[int(self._generator.integers(len(self._places)))]
            self._state = type(self._state).from_player_positions(
                places, bonus_orders=self._game.start_bonus_orders, all_orders=self._game.start_all_orders
            )
        self._served = 0.0
        self._look()

    def step(self, actions: Any) -> tuple[float | NDArray[np.float64], bool, dict[str, Any]]:
        """Take one step; `served` in the last info is the game's own reward of the episode, 20 for a usual soup."""
        self._state, said = self._game.get_state_transition(
            self._state, [self._moves[int(action)] for action in actions]
        )
        served = np.array(said["sparse_reward_by_agent"], np.float64)
        own = served + self.config.shaped_reward * np.array(said["shaped_reward_by_agent"], np.float64)
        self._served += float(served.sum())
        self._look()
        over = self._state.timestep >= self.episode_limit
        return float(own.sum()) if self.n_rewards == 1 else own, over, {"episode_limit": over, "served": self._served}

    def _look(self) -> None:
        layers = self._game.lossless_state_encoding(self._state, self.episode_limit)
        self._obs = np.array(layers, np.float32).reshape(2, self._size)

    def get_obs(self) -> NDArray[np.float32]:
        """Return [2, O] observations."""
        return self._obs.copy()

    def get_state(self) -> NDArray[np.float32]:
        """Return [O], the first cook's observation."""
        return self._obs[0].copy()

    def get_avail_actions(self) -> NDArray[np.bool_]:
        """Return [2, 6]: all, always."""
        return np.ones((2, len(self._moves)), np.bool_)

    def get_obs_size(self) -> int:
        """Return O, 26 numbers for each cell."""
        return self._size

    def get_state_size(self) -> int:
        """Return O."""
        return self._size

    def get_total_actions(self) -> int:
        """Return 6."""
        return len(self._moves)


def make_game(layout: str) -> Any:
    """Return the package's game. UserError: missing package, unknown layout, or one that is not for two cooks."""
    module = import_for(KEY, "overcooked_ai_py.mdp.overcooked_mdp")
    folder = Path(import_for(KEY, "overcooked_ai_py.static").LAYOUTS_DIR)
    known = sorted(file.stem for file in folder.glob("*.layout"))
    if layout not in known:
        raise UserError(f"env_args.map_name={layout!r}: Overcooked-AI has no such layout{closest(layout, known)}")
    game = construct(layout, {}, lambda: module.OvercookedGridworld.from_layout_name(layout))
    if game.num_players != 2:
        raise UserError(f"env_args.map_name={layout!r}: the layout is for {game.num_players} cooks, expected 2")
    return game
