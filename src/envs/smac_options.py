"""The options that SMAC's StarCraft2Env has, for every env that plays its battles (oxwhirl/smac at d6aab33)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pymarl.utils.config import PositiveFloat, PositiveInt
from pymarl.utils.errors import UserError
from pymarl.utils.files import as_file_name


@dataclass(frozen=True, kw_only=True)
class SmacOptions:
    """See config/envs/sc2.yaml for their meaning."""

    map_name: str
    step_mul: PositiveInt
    move_amount: PositiveFloat
    difficulty: Literal["1", "2", "3", "4", "5", "6", "7", "8", "9", "A"]
    game_version: str | None
    continuing_episode: bool
    obs_all_health: bool
    obs_own_health: bool
    obs_last_action: bool
    obs_pathing_grid: bool
    obs_terrain_height: bool
    obs_instead_of_state: bool
    obs_timestep_number: bool
    state_last_action: bool
    state_timestep_number: bool
    reward_sparse: bool
    reward_only_positive: bool
    reward_death_value: float
    reward_win: float
    reward_defeat: float
    reward_negative_scale: float
    reward_scale: bool
    reward_scale_rate: PositiveFloat
    replay_dir: str
    replay_prefix: str
    heuristic_ai: bool
    heuristic_rest: bool
    debug: bool

    def __post_init__(self) -> None:
        """Raise UserError if replays could leave their folder."""
        if self.replay_prefix and as_file_name(self.replay_prefix) != self.replay_prefix:
            raise UserError(
                f"env_args.replay_prefix={self.replay_prefix!r}: expected the beginning of a file's name; "
                f"write env_args.replay_prefix={as_file_name(self.replay_prefix)!r}, and the folder as replay_dir"
            )
