"""The options of the envs that play StarCraft II."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pymarl.envs.smac_options import SmacOptions
from pymarl.utils.config import PositiveInt
from pymarl.utils.errors import UserError


@dataclass(frozen=True, kw_only=True)
class StarCraftOptions(SmacOptions):
    """See config/envs/sc2.yaml for their meaning."""

    game_timeout: PositiveInt
    seed: int | None
    game_version: Any

    def __post_init__(self) -> None:
        """Raise UserError for what the packages would misunderstand."""
        super().__post_init__()
        if self.seed is not None:
            raise UserError(
                f"env_args.seed={self.seed} would give every game the same seed; write seed={self.seed}: "
                "the run's seed gives each game its own"
            )
        if not (self.game_version is None or isinstance(self.game_version, str)):
            key = "env_args.game_version"
            raise UserError(
                f"{key}={self.game_version!r}: expected text or None, and for YAML 4.10 is the number 4.1; "
                f"write {key}=\"'4.10'\" on the command line, game_version: '4.10' in a file"
            )
        if (self.obs_pathing_grid or self.obs_terrain_height) and not isinstance(self.move_amount, int):
            raise UserError(
                f"env_args.move_amount={self.move_amount!r}: with obs_pathing_grid or obs_terrain_height the packages "
                f"need a whole number of cells; write move_amount={max(1, round(self.move_amount))}"
            )
