"""StarCraft II itself, through the unmodified packages smac and smacv2, which are imported in the constructor."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymarl.envs.multiagentenv import EpisodeBroken
from pymarl.envs.sc2.installation import FLAT_MAPS, MAPS
from pymarl.envs.sc2.starcraft import StarCraftEnv
from pymarl.envs.specs import EntityLayout
from pymarl.utils.config import NonNegativeInt, PositiveFloat, PositiveInt, Probability
from pymarl.utils.errors import UserError, closest

UNITS = {
    "10gen_terran": ("marine", "marauder", "medivac"),
    "10gen_protoss": ("stalker", "zealot", "colossus"),
    "10gen_zerg": ("zergling", "hydralisk", "baneling"),
}
"""SMACv2's map -> the unit types that observations can tell apart (get_unit_type_id)."""
SIZES = ("n_units", "n_enemies")
PER_UNIT = ("health", "attack")


class SC2Env(StarCraftEnv):
    """SMAC (Samvelyan et al., 2019); the package is that of github.com/oxwhirl/smac. See `StarCraftEnv`."""

    package = "smac"

    @dataclass(frozen=True, kw_only=True)
    class Config(StarCraftEnv.Config):
        def __post_init__(self) -> None:
            super().__post_init__()
            if self.map_name in FLAT_MAPS:
                raise UserError(
                    f"env_args.map_name={self.map_name!r}: it is SMACv2's, which --env-config=sc2v2 plays; "
                    "here write one of SMAC's, such as 3m"
                )

    def _env_class(self) -> tuple[type, Any, Any]:
        from smac.env.starcraft2 import maps, starcraft2

        return starcraft2.StarCraft2Env, maps.get_map_params, maps.smac_maps.get_smac_map_registry


class SC2v2Env(StarCraftEnv):
    """SMACv2 (Ellis et al., 2023): teams and places are drawn anew for each episode. See `StarCraftEnv`.

    An episode's seed decides what is drawn for it.
    """

    package = "smacv2"
    launches = 3
    config: Config

    @dataclass(frozen=True, kw_only=True)
    class Config(StarCraftEnv.Config):
        capability_config: dict[str, Any]
        capability_configs: dict[str, Any]
        obs_own_pos: bool
        obs_starcraft: bool
        conic_fov: bool
        num_fov_actions: PositiveInt
        use_unit_ranges: bool
        min_attack_range: PositiveFloat
        kill_unit_step_mul: NonNegativeInt
        fully_observable: bool
        prob_obs_enemy: Probability
        action_mask: bool

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.map_name not in FLAT_MAPS:
                of_smac = "; SMAC's own maps are played by --env-config=sc2" if self.map_name in MAPS else ""
                raise UserError(
                    f"env_args.map_name={self.map_name!r}: expected {' or '.join(map(repr, FLAT_MAPS))}"
                    f"{of_smac or closest(self.map_name, FLAT_MAPS)}"
                )

    def _env_class(self) -> tuple[type, Any, Any]:
        from smacv2.env.starcraft2 import maps, starcraft2

        return starcraft2.StarCraft2Env, maps.get_map_params, maps.smac_maps.get_smac_map_registry

    def _describe(self) -> None:
        from pymarl.envs.sc2.draws import Draws

        if self.config.obs_instead_of_state:
            raise UserError("env_args.obs_instead_of_state=True: smacv2 does not implement it; write False")
        wanted = capability_config(self.config.map_name, self.config.capability_config, self.config.capability_configs)
        try:
            self._draws = Draws(copy.deepcopy(wanted))
            self._draws.seed(0)
            self._draws.draw()
            self._options["capability_config"] = self._draws.config
            super()._describe()
        except (LookupError, TypeError, ValueError, AssertionError) as error:  # the package checks nothing
            raise UserError(f"env_args.capability_config={wanted}: smacv2 cannot use it: {error!r}") from error

    def _layout(self, game: Any) -> EntityLayout | None:
        return super()._layout(game) if self.config.obs_starcraft else None

    def _begin(self, seed: int) -> None:
        from pymarl.envs.sc2.draws import CannotResetException

        self._draws.seed(seed)
        for _ in range(self.launches):
            if self._game is None:
                self._game = self._make(seed)
            try:
                self._game.reset(self._draws.draw())
                return
            except CannotResetException:
                self._end_game()  # going on with it would add the enemies' life to max_reward for each try it made
        raise EpisodeBroken(f"the game did not create the units of {self.launches} drawn teams")


def capability_config(map_name: str, given: Mapping[str, Any], of_maps: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is drawn for each episode: the map's, the map's with some changes, or `given`.

    Args:
        map_name: key of `of_maps`.
        given: a whole one (n_units, n_enemies and team_gen with its dist_type), or what changes in the map's.
        of_maps: map -> its own.
    """
    key = "capability_config" if given else f"capability_configs.{map_name}"
    team = given.get("team_gen")
    is_whole = {*SIZES, "team_gen"} <= given.keys() and not (isinstance(team, Mapping) and "dist_type" not in team)
    whole = given if is_whole else _changed(of_maps.get(map_name, {}), given)
    if not all(type(whole.get(size)) is int and whole[size] > 0 for size in SIZES):
        raise UserError(f"env_args.{key}={dict(whole)}: it needs n_units and n_enemies, ints from 1")
    if "team_gen" not in whole:
        raise UserError(f"env_args.{key}={dict(whole)}: it needs team_gen, without which there are no units")
    _check_drawn(f"env_args.{key}", whole, map_name)
    return copy.deepcopy(dict(whole))


def _changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with changes, also in the dicts that it holds."""
    both = {k: _changed(base[k], v) for k, v in changes.items() if isinstance(v, Mapping) and k in base}
    return {**base, **changes, **both}


def _check_drawn(key: str, whole: Mapping[str, Any], map_name: str) -> None:
    """Refuse what smacv2 accepts and then fails with, or does not play as it says. UserError."""
    drawn = {name: part for name, part in whole.items() if isinstance(part, Mapping)}
    known, units = UNITS[map_name], drawn.get("team_gen", {}).get("unit_types", ())
    if not isinstance(units, (list, tuple)):
        raise UserError(f"{key}: team_gen.unit_types={units!r}: expected a list, such as [{', '.join(known)}]")
    for unit in units:
        if unit not in known:
            raise UserError(
                f"{key}: team_gen.unit_types holds {unit!r}, which {map_name} has not"
                f"{closest(unit, known) or '; it has ' + ', '.join(known)}"
            )
    for name, part in drawn.items():
        if part.get("test_mode"):
            raise UserError(
                f"{key}: {name}.test_mode=True would take its items in turn, but here an episode's seed decides what "
                "is drawn for it; write test_mode=False"
            )
        if name in PER_UNIT and part.get("dist_type") == "per_agent_uniform":
            raise UserError(
                f"{key}: smacv2 cannot draw {name} with dist_type='per_agent_uniform' under numpy 2.4, as it "
                "stores arrays of one number as numbers; write dist_type='fixed', test_mode=False and "
                "items=[[0.1, 0.3, ...], ...], lists with a number per agent to choose from"
            )
