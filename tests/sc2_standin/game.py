"""The game behind the API: skirmish's engine on a map, from its creation to the end of the process.

Episode k of a game with random seed s is skirmish's episode of seed `episode_seed(s, k)`. When a request to step begins
with nobody alive, SMAC's maps put both armies back at its end. So the first observation of an episode shows loop 0 of
it, and what dies together in one step is seen dead.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.native.out import Out
from pymarl.envs.skirmish.battle.arrays import ALLY, ATTACK, HEAL, IDLE, MOVE
from pymarl.envs.skirmish.battle.kernels import pack
from pymarl.envs.skirmish.scenario.build import SAME_NAME, make_rules, make_scratch, make_world
from pymarl.envs.skirmish.scenario.kinds import kind_names, kind_table
from pymarl.envs.skirmish.scenario.maps import Ground, Group, Height, MapSpec, load_map
from pymarl.envs.skirmish.scenario.terrain import make_terrain
from pymarl.envs.skirmish.scenario.units import load_units
from sc2_standin import kernels

STOP_ID, MOVE_ID, ATTACK_ID, HEAL_ID = 4, 16, 23, 386
"""Abilities."""

FIRST_ALLY_TYPE = 1970
"""Number of the first unit type that a map defines; the others follow in SMAC's order."""

BARE_MAPS = ("32x32_flat",)
"""Maps of SMACv2: no units but those that a debug request creates, and nobody comes back."""

RL_TYPES = ("baneling", "colossus", "hydralisk", "marauder", "marine", "medivac", "stalker", "zealot", "zergling")
"""The unit types that SMACv2's maps define, in the order of their numbers."""

ATTACK_EVERY = 8
"""Loops after which a trigger of SMACv2's maps sends idle enemies to the nearest ally."""

SLOTS, RECYCLES = 0x4000, 18
"""A tag is the number of the unit's place in memory, shifted by 18 bits, and how often the place has been used."""

FLAT = Ground(
    size=(32, 32),
    ground=((0, 32, 0, 32),),
    cliffs=(),
    heights=(Height(area=(0, 32, 0, 32), z=8.0, where=""),),
    where="",
)
"""The ground of a bare map."""

NO_OUT = Out(*(np.zeros((1, 1, 1), t) for t in (np.float32, np.float32, np.bool_, np.float64, np.bool_, np.bool_)))


class Refused(Exception):
    """The stand-in does not do this."""


def episode_seed(random_seed: int, episode: int) -> int:
    """Return skirmish's seed of an episode, counted from 0, of a game created with `random_seed`."""
    return (random_seed << 32) + episode


@dataclass(frozen=True)
class Shown:
    """What an observation shows of a unit and does not change: one entry per unit."""

    index: list[int]  # in the world
    owner: list[int]
    unit_type: list[int]
    health_max: list[float]
    shield_max: list[float]
    energy_max: list[float]
    radius: list[float]


class Game:
    """A game.

    Args:
        map_name: a map of SMAC or SMACv2.
        random_seed: see `episode_seed`.

    Attributes:
        loop: game loops since the start.
        episode: times that armies have been put on the map, -1 before the first.
        units: UNIT records in skirmish's order, agents first.
        shown: of all units, dead or not, in order of creation.
        tags: by unit.
    """

    def __init__(self, map_name: str, random_seed: int) -> None:
        self.map_name, self.random_seed = map_name, random_seed
        self.bare = map_name in BARE_MAPS
        self.loop, self.episode = 0, -1
        self._waiting: list[tuple[str, int, float, float]] = []
        spec = bare_spec([]) if self.bare else load_map(map_name)
        self.terrain = make_terrain(spec)
        self.units = np.zeros(0)
        self.tags: list[int] = []
        self._by_tag: dict[int, int] = {}
        if not self.bare:
            self._load(spec)
            self._begin()

    def _load(self, spec: MapSpec) -> None:
        """Build the world of a map."""
        self.kinds = kind_table(spec, load_units("liberty"))
        options = dict.fromkeys(SAME_NAME, 0) | {"step_mul": 8, "reward_scale": False}
        rules: Any = make_rules(SimpleNamespace(**options), spec, self.kinds, quirks=True)  # type: ignore[arg-type]
        world = make_world(rules, spec, self.kinds, self.terrain, 1)
        self.units, self.n_agents = world.units[0], spec.n_agents
        self._env = pack(rules, self.terrain, self.kinds, world, make_scratch(rules, 1), NO_OUT)
        self.shown = show(spec, self.kinds, world.spawn)

    def _begin(self) -> None:
        """Put the units on the map."""
        self.episode += 1
        kernels.begin(np.uint64(episode_seed(self.random_seed, self.episode)), self._env)
        used = (self.episode + 1) % (1 << RECYCLES)
        self.tags = [0] * len(self.units)
        for place, index in enumerate(self.shown.index):
            self.tags[index] = (SLOTS + 1 + place << RECYCLES) | used
        self._by_tag = {tag: index for index, tag in enumerate(self.tags)}

    def find(self, tag: int) -> int:
        """Return the index of the living unit with a tag, or -1."""
        index = self._by_tag.get(tag, -1)
        return index if index >= 0 and self.units["health"][index] > 0 else -1

    def order(self, orders: list[tuple[int, int, int, tuple[float, float] | None]]) -> list[bool]:
        """Give orders (tag, ability, tag of the target or 0, point or None); return which the game takes."""
        taken = [self._command(*order) for order in orders]
        rows = [row for row in taken if row is not None]
        if rows:
            kernels.tell(np.array(rows, np.float64), self._env)
        return [row is not None for row in taken]

    def _command(
        self, tag: int, ability: int, target_tag: int, point: tuple[float, float] | None
    ) -> tuple[float, ...] | None:
        """Return an order as the kernel takes it; None if the unit cannot carry it out."""
        index, target = self.find(tag), self.find(target_tag)
        if index < 0 or index >= self.n_agents:
            return None
        unit = self.units[index]
        here = (float(unit["x"]), float(unit["y"]))
        if ability == STOP_ID:
            return (index, IDLE, -1, *here)
        if ability == MOVE_ID and point is not None:
            return (index, MOVE, -1, *point)
        if ability == ATTACK_ID and target >= self.n_agents:
            return (index, ATTACK, target, *here)
        if ability == HEAL_ID and 0 <= target < self.n_agents and self.kinds["heal"][unit["kind"]] > 0:
            return (index, HEAL, target, *here)
        return None

    def kill(self, tags: list[int]) -> None:
        """Let units die; tags of nobody are nobody's."""
        indices = [index for index in map(self.find, tags) if index >= 0]
        if indices:
            kernels.kill(np.array(indices, np.int64), self._env)

    def create(self, unit_type: int, owner: int, x: float, y: float) -> None:
        """Put a unit on a bare map in the next step.

        Raises:
            Refused: it is not a map for that, there is no such unit, or others fight already.
        """
        stock = {units.type_id: name for name, units in load_units("liberty").items()}
        offset = unit_type - FIRST_ALLY_TYPE
        name = RL_TYPES[offset] if 0 <= offset < len(RL_TYPES) else stock.get(unit_type)
        if not self.bare or name is None or owner not in (1, 2) or self.alive():
            raise Refused(f"create_unit of type {unit_type} for player {owner}: only on an empty {BARE_MAPS[0]}")
        self._waiting.append((name, owner, x, y))

    def alive(self) -> bool:
        """Tell whether anybody is alive."""
        return bool(self.units.size) and bool((self.units["health"] > 0).any())

    def step(self, loops: int) -> None:
        """Play game loops."""
        if self._waiting and not self.alive():
            self._load(bare_spec(self._waiting))
            self._waiting = []
            self._begin()
        first, self.loop = self.loop, self.loop + loops
        if self.alive():
            kernels.play(first, self.loop, ATTACK_EVERY if self.bare else 0, self._env)
        elif not self.bare:
            self._begin()


def bare_spec(created: list[tuple[str, int, float, float]]) -> MapSpec:
    """Return a flat map on which units (type, owner, x, y) hunt each other.

    A unit stands on its point or, where another has been put, as near to it as there is room.
    """
    allies, enemies = (
        tuple(
            Group(type=name, count=1, at=(x, y), where="create_unit") for name, side, x, y in created if side == owner
        )
        for owner in (1, 2)
    )
    return MapSpec(
        name=BARE_MAPS[0], races=("terran", "terran"), limit=1, map_type="mixed", allies=allies, enemies=enemies,
        enemy_order="hunt", enemy_goal=(), terrain=FLAT, where="create_unit", ally_types=RL_TYPES, enemy_types=(),
        healers=False,
    )  # fmt: skip


def show(spec: MapSpec, kinds: NDArray[np.void], spawn: NDArray[np.void]) -> Shown:
    """Return what observations show of the units, in order of creation: the types of a side as the map lists them."""
    names = kind_names(spec)
    listed = [names.index(group.type) for group in spec.allies]
    allies = sorted(range(spec.n_agents), key=lambda i: listed.index(spawn["kind"][i]))
    index = [*allies, *range(spec.n_agents, len(spawn))]
    table = kinds[spawn["kind"]]
    types = [
        FIRST_ALLY_TYPE + spec.ally_types.index(names[unit["kind"]]) if unit["side"] == ALLY else int(kind["type_id"])
        for unit, kind in zip(spawn, table, strict=True)
    ]
    return Shown(
        index=index,
        owner=[1 if unit["side"] == ALLY else 2 for unit in spawn],
        unit_type=types,
        health_max=table["health"].tolist(),
        shield_max=table["shield"].tolist(),
        energy_max=table["energy_max"].tolist(),
        radius=table["radius"].tolist(),
    )
