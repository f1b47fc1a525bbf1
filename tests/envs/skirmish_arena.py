"""An env whose world a test arranges: units where it puts them, kinds and rules changed, played loop by loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.env import Skirmish
from pymarl.envs.skirmish.replay.film import SkirmishWithReplays
from pymarl.envs.skirmish.scenario.kinds import kind_names
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge

GRID = 4096
ROW = np.zeros(1, np.int64)
STOP, NORTH, SOUTH, EAST, WEST, TARGET = range(1, 7)
IDLE, MOVE, ATTACK, HEAL, ATTACK_MOVE, HUNT = range(6)


def make(batch_size: int = 1, **options: Any) -> SkirmishWithReplays:
    """Return the env with its shipped options and these."""
    layers = merge(None, "skirmish", {"env_args": options})
    config = build_config(SkirmishWithReplays.Config, layers.values["env_args"], layers.origin, "env_args.")
    return SkirmishWithReplays(config, batch_size)


def random_actions(env: Skirmish, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return [B, N] available actions; every row gets the same draw, so its actions do not depend on other rows."""
    avail = env.arrays.avail_actions
    return (generator.random(avail.shape[1:]) * avail).argmax(-1)


class Arena:
    """One battle. Unit numbers: allies first, in the order given, then enemies. Units of a type stand together.

    Args:
        folder: where the map file goes.
        allies: names of unit types.
        enemies: the same.
        order: the enemies' scripted order.
        goal: of attack_move, one point or two.
        delay: random delay of attacks, loops.
        size, ground, cliffs: of the map; units are created around `camps`.
    """

    def __init__(
        self,
        folder: Path,
        allies: Sequence[str],
        enemies: Sequence[str],
        *,
        order: str = "none",
        goal: Sequence[Sequence[float]] = (),
        delay: tuple[float, float] = (0.0, 0.0),
        size: tuple[int, int] = (32, 32),
        ground: Sequence[Sequence[int]] | None = None,
        cliffs: Sequence[Sequence[int]] = (),
        camps: tuple[tuple[float, float], tuple[float, float]] = ((8, 16), (24, 16)),
        **options: Any,
    ) -> None:
        ground = ground or [(0, size[0], 0, size[1])]
        lines = ["races: [terran, terran]", "limit: 9000", "map_type: mixed"]
        for side, names, camp in zip(("allies", "enemies"), (allies, enemies), camps, strict=True):
            lines.append(f"{side}:")
            for name, group in groupby(names):
                lines.append(f"  - {{type: {name}, count: {len(list(group))}, at: {list(camp)}}}")
        lines += [f"enemy_order: {order}", f"enemy_goal: {[list(point) for point in goal]}", "terrain:"]
        lines += [f"  size: {list(size)}", f"  ground: {[list(r) for r in ground]}"]
        lines += [f"  cliffs: {[list(r) for r in cliffs]}", "  heights: []"]
        path = folder / "arena.yaml"
        path.write_text("\n".join(lines) + "\n")
        self.env = make(map_name=str(path), **{"step_mul": 1, **options})
        self.n_allies = len(allies)
        self.change_rules(delay_low=delay[0], delay_high=delay[1])
        self.names = [*allies, *enemies]
        self.reset()
        known = kind_names(self.env.map)
        assert [known[kind] for kind in self.units["kind"]] == self.names

    def reset(self, seed: int = 0) -> None:
        """Put all units at the start."""
        self.env.reset(ROW, np.array([seed], np.uint64))

    def change_rules(self, **values: Any) -> None:
        """Replace entries of Rules."""
        self.env.rules = self.env.rules._replace(**values)
        self._pack(0, tuple(self.env.rules))

    def own_kind(self, unit: int, **values: Any) -> None:
        """Give a unit a kind of its own that differs in `values`."""
        kinds = self.env.kinds
        added = kinds[[self.units[unit]["kind"]]].copy()
        for key, value in values.items():
            added[key] = value
        self.units[unit]["kind"] = len(kinds)
        self.env.kinds = np.concatenate([kinds, added])
        self._pack(2, (self.env.kinds,))

    def _pack(self, place: int, part: tuple[Any, ...]) -> None:
        packed = self.env._packed
        self.env._packed = (*packed[:place], part, *packed[place + 1 :])

    @property
    def units(self) -> NDArray[np.void]:
        """[N + M] UNIT, live."""
        return self.env._world.units[0]

    def kind(self, unit: int) -> np.void:
        """Return the KIND record of a unit, live."""
        return self.env.kinds[self.units[unit]["kind"]]

    def all_kinds(self, **values: Any) -> None:
        """Change every kind."""
        for key, value in values.items():
            self.env.kinds[key] = value

    def place(self, places: Mapping[int, tuple[float, float]]) -> None:
        """Put units somewhere, on the grid of 1/4096 cells."""
        for unit, (x, y) in places.items():
            self.units[unit]["x"], self.units[unit]["y"] = round(x * GRID) / GRID, round(y * GRID) / GRID

    def play(self, loops: int = 1, actions: Mapping[int, int] | None = None) -> NDArray[np.void]:
        """Give agents actions, legal or not, and play; return [loops, N + M] UNIT after each loop."""
        frames = np.zeros((loops, len(self.units)), self.units.dtype)
        given = np.zeros((1, self.n_allies), np.int64)
        for agent, action in (actions or {}).items():
            given[0, agent] = action
        for loop in range(loops):
            self.env.arrays.avail_actions[:] = True
            self.env.arrays.terminated[:] = False  # the simulation goes on when a side is gone
            self.env.step(given, ROW)
            frames[loop] = self.units
            given[:] = 0
        return frames

    def attack(self, loops: int, *pairs: tuple[int, int]) -> NDArray[np.void]:
        """Order allies to attack enemies, (ally, unit number of the enemy), and play."""
        return self.play(loops, {ally: TARGET + enemy - self.n_allies for ally, enemy in pairs})


def gap(one: np.void, other: np.void) -> float:
    """Return the distance of two units' centres."""
    return float(np.hypot(one["x"] - other["x"], one["y"] - other["y"]))
