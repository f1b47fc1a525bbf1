"""What the packages' own sizes say of their observations and states."""

from __future__ import annotations

from typing import Any

from pymarl.envs.smac_layout import smac_layout
from pymarl.envs.smac_options import SmacOptions
from pymarl.envs.specs import EntityLayout


def game_layout(options: SmacOptions, game: Any) -> EntityLayout:
    """Return the layout of an env of smac or smacv2.

    With obs_timestep_number, smac counts one place in the agent's own block, which stays 0, and appends another: its
    observations are one longer than its `get_obs_size` says.
    """
    n_enemies, enemy = game.get_obs_enemy_feats_size()
    _, ally = game.get_obs_ally_feats_size()
    own = int(game.get_obs_own_feats_size())
    return smac_layout(
        options,
        n_agents=int(game.n_agents),
        n_enemies=int(n_enemies),
        n_actions=int(game.get_total_actions()),
        first_target=int(game.n_actions_no_attack),
        obs_widths=(int(game.get_obs_move_feats_size()), int(enemy), int(ally), own),
        state_widths=(int(game.get_ally_num_attributes()), int(game.get_enemy_num_attributes())),
        healers=_marks_of_healers(options, game, own),
    )


def _marks_of_healers(options: SmacOptions, game: Any, own: int) -> list[int]:
    """Return where an agent's own block says that it is a Medivac: the last of the unit types, which end the block.

    They do but for the place for the time that smac counts there.
    """
    if game.map_type not in ("MMM", "terran_gen"):
        return []
    return [own - 1 - int(options.obs_timestep_number and game.map_type == "MMM")]
