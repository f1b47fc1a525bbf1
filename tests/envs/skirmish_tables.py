"""Helpers for tests of what skirmish shows and pays: units stand where a test puts them, nothing is simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.native.out import Out
from pymarl.envs.skirmish.battle.arrays import Rules, Terrain, World
from pymarl.envs.skirmish.battle.features import layout, write_observations
from pymarl.envs.skirmish.battle.rewards import before_step, settle
from pymarl.envs.skirmish.env import Skirmish
from pymarl.envs.skirmish.scenario.build import make_rules, make_world
from pymarl.envs.skirmish.scenario.kinds import kind_names, kind_table
from pymarl.envs.skirmish.scenario.maps import load_map
from pymarl.envs.skirmish.scenario.terrain import make_terrain
from pymarl.envs.skirmish.scenario.units import load_units
from pymarl.envs.specs import total_size
from pymarl.utils.config import build_config
from pymarl.utils.jit import outlined
from pymarl.utils.layers import merge

FIELDS = ("x", "y", "health", "shield", "energy", "cooldown")


@outlined
def show_row(b: int, env: Any) -> None:
    rules, kinds, world = Rules(*env[0]), env[2], World(*env[3])
    write_observations(b, rules, Terrain(*env[1]), kinds, world, Out(*env[4]))


@outlined
def hold_row(b: int, env: Any) -> None:
    before_step(b, Rules(*env[0]), World(*env[3]))


@outlined
def settle_row(b: int, env: Any) -> None:
    world = World(*env[3])
    settle(b, Rules(*env[0]), env[2], world, Out(*env[4]), world.info)


class Tables:
    """One row of a batch of `rows`, in which tables of units follow each other."""

    def __init__(
        self, map_name: str, terrain: Terrain | None = None, limit: int | None = None, rows: int = 1, **options: Any
    ) -> None:
        layers = merge(None, "skirmish", {"env_args": {"map_name": map_name, **options}})
        config = build_config(Skirmish.Config, layers.values["env_args"], layers.origin, "env_args.")
        spec = load_map(map_name)
        self.kinds = kind_table(spec, load_units("liberty"))
        self.names = kind_names(spec)
        rules = make_rules(config, spec, self.kinds, quirks=config.replicate_quirks)
        self.rules = rules if limit is None else rules._replace(episode_limit=limit)
        self.terrain = terrain or make_terrain(spec)
        self.world = make_world(self.rules, spec, self.kinds, make_terrain(spec), rows)
        self.world.steps[:] = 0
        self.row = rows - 1
        n, a = rules.n_agents, rules.n_actions
        self.out = Out(  # what is not written shows
            np.full((rows, n, total_size(layout(rules).obs)), np.nan, np.float32),
            np.full((rows, total_size(layout(rules).state)), np.nan, np.float32),
            np.ones((rows, n, a), np.bool_),
            np.full((rows, 1), np.nan),
            np.ones(rows, np.bool_),
            np.ones(rows, np.bool_),
        )
        world, out = tuple(self.world), tuple(self.out)
        self.env = tuple(self.rules), tuple(self.terrain), self.kinds, world, out
        self.units = self.world.units[self.row]
        self.units[:] = self.world.spawn
        self.show()

    def put(self, table: NDArray[Any]) -> None:
        """Set x, y, health, shield, energy and cooldown of all units, [N + M, 6]."""
        for k, name in enumerate(FIELDS):
            self.units[name] = table[:, k]

    def show(self) -> None:
        """Write obs, state and avail_actions."""
        self.out.obs[self.row] = self.out.state[self.row] = np.nan
        self.out.avail_actions[self.row] = True
        show_row(self.row, self.env)

    def hold(self) -> None:
        """Begin a step."""
        hold_row(self.row, self.env)

    def settle(self) -> float:
        """End a step; return the reward."""
        self.world.steps[self.row] += 1
        settle_row(self.row, self.env)
        return float(self.out.reward[self.row, 0])

    @property
    def end(self) -> tuple[bool, bool]:
        """(terminated, truncated)."""
        return bool(self.out.terminated[self.row]), bool(self.out.truncated[self.row])

    @property
    def obs(self) -> NDArray[np.float32]:
        return self.out.obs[self.row]

    @property
    def state(self) -> NDArray[np.float32]:
        return self.out.state[self.row]

    @property
    def avail(self) -> NDArray[np.bool_]:
        return self.out.avail_actions[self.row]
