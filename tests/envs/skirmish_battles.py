"""Battles for tests of replays: a small simulation of its own, with everything that a viewer has to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import (
    AIR_LAYER,
    ATTACK,
    ATTACK_MOVE,
    BLAST,
    HEAL,
    KIND,
    MOVE,
    UNIT,
    Rules,
    Terrain,
)
from pymarl.envs.skirmish.replay.replay import frames_of, replay_meta

FIELDS = ("health", "shield", "radius", "speed", "reach", "damage", "period", "missile_speed")
STATS = {
    "marine": (45, 0, 0.375, 0.14, 5, 6, 14, 0),
    "marauder": (125, 0, 0.5625, 0.14, 6, 10, 24, 1.25),
    "medivac": (150, 0, 0.75, 0.17, 4, 0, 0, 0),
    "stalker": (80, 80, 0.625, 0.185, 6, 10, 23, 1.17),
    "zealot": (100, 50, 0.5, 0.14, 0.1, 16, 19, 0),
    "colossus": (200, 150, 1.0, 0.14, 6, 40, 35, 0),
    "zergling": (35, 0, 0.375, 0.185, 0.1, 5, 11, 0),
    "baneling": (30, 0, 0.375, 0.156, 0.25, 20, 13, 0),
}
STEP_MUL = 8


def make_kind(name: str) -> NDArray[np.void]:
    kind = np.zeros((), KIND)
    for key, value in zip(FIELDS, STATS[name], strict=True):
        kind[key] = value
    kind["hits"] = 1
    kind["separation"] = min(float(kind["radius"]), 0.75)
    kind["splash"] = {"baneling": BLAST, "colossus": 1}.get(name, 0)
    kind["splash_radius"] = 2.2 if name == "baneling" else 0.15
    if name == "medivac":
        kind["layer"], kind["heal"], kind["energy"], kind["energy_max"] = AIR_LAYER, 0.5625, 50, 200
        kind["reach"], kind["heal_reach"] = 0, 4
    if name == "colossus":
        kind["layer"] = 1
    return kind


def plain_terrain() -> Terrain:
    pathable = np.zeros((32, 32), np.bool_)
    pathable[:, 8:24] = True
    return Terrain(pathable, pathable.copy(), np.full((32, 32), 0.75, np.float32), np.zeros((1, 1), np.int32))


def cliff_terrain() -> Terrain:
    """Two levels with a cliff between them and a wall in the middle."""
    terrain = plain_terrain()
    terrain.pathable[14:18, 8:24] = terrain.climbable[15:17, 19:21] = False
    terrain.pathable[14:18, 10:13] = True
    terrain.level[16:] = 0.82
    terrain.pathable[6:8, 17:19] = terrain.climbable[6:8, 17:19] = False
    return terrain


@dataclass
class Battle:
    """Plays a battle in plain Python: units walk at the nearest opponent and fight it."""

    allies: list[str]
    enemies: list[str]
    n_steps: int = 60
    seed: int = 7
    terrain: Terrain = field(default_factory=plain_terrain)

    def __post_init__(self) -> None:
        self.names = sorted({*self.allies, *self.enemies})
        self.kinds = np.array([make_kind(name) for name in self.names])
        self.rng = np.random.default_rng(self.seed)
        unit_kinds = [self.names.index(name) for name in (*self.allies, *self.enemies)]
        self.kind = self.kinds[unit_kinds]
        self.units = np.zeros(len(unit_kinds), UNIT)
        self.units["kind"], self.units["target"], self.units["aim"] = unit_kinds, -1, -1
        for key in ("health", "shield", "energy"):
            self.units[key] = self.kind[key]
        n = len(self.allies)
        self.units["side"][n:] = 1
        for side, count, centre in ((0, n, 9.0), (1, len(self.enemies), 23.0)):
            rows = int(np.ceil(np.sqrt(count * 1.6)))
            place = np.arange(count)
            team = self.units[self.units["side"] == side]
            team["x"] = centre - (1 - 2 * side) * (place // rows - count // rows / 2) * 1.1
            team["y"] = 16 + (place % rows - (min(rows, count) - 1) / 2) * 1.05
            self.units[self.units["side"] == side] = team
        self.missiles: list[tuple[int, int, int]] = []

    def hurt(self, attacker: int, target: int) -> None:
        victims = [target]
        if self.kind[attacker]["splash"] == BLAST:
            self.units[attacker]["health"] = 0
            victims = self.near(attacker, 2.2)
        for unit in victims:
            damage = float(self.kind[attacker]["damage"])
            absorbed = min(damage, self.units[unit]["shield"])
            self.units["shield"][unit] -= absorbed
            self.units["health"][unit] = max(self.units[unit]["health"] - (damage - absorbed), 0)

    def near(self, unit: int, reach: float) -> list[int]:
        u = self.units
        distance = np.hypot(u["x"] - u["x"][unit], u["y"] - u["y"][unit])
        return list(np.nonzero((u["side"] != u["side"][unit]) & (u["health"] > 0) & (distance < reach))[0])

    def pick(self, unit: int) -> int:
        u, heals = self.units, self.kind[unit]["heal"] > 0
        wanted = (u["side"] == u["side"][unit]) == heals
        wanted &= (u["health"] > 0) & (np.arange(len(u)) != unit)
        if heals:
            wanted &= u["health"] < self.kind["health"]
        distance = np.where(wanted, np.hypot(u["x"] - u["x"][unit], u["y"] - u["y"][unit]), np.inf)
        return int(distance.argmin()) if wanted.any() else -1

    def act(self, loop: int, unit: int) -> None:
        me, kind = self.units[unit], self.kind[unit]
        target = self.pick(unit)
        me["aim"], me["cooldown"] = -1, me["cooldown"] - 1
        agent = me["side"] == 0
        me["order"] = MOVE if agent else ATTACK_MOVE
        me["goal_x"], me["goal_y"] = (me["x"] + 2, me["y"]) if agent else (9, 16)
        if target < 0:
            return
        dx, dy = self.units[target]["x"] - me["x"], self.units[target]["y"] - me["y"]
        distance = np.hypot(dx, dy)
        edge = distance - kind["radius"] - self.kind[target]["radius"]
        if distance < 9:
            me["aim"] = target
            me["order"] = (HEAL if kind["heal"] else ATTACK) if agent else ATTACK_MOVE
        if edge > kind["reach"]:
            speed = min(float(kind["speed"]), distance)
            me["x"], me["y"] = me["x"] + speed * dx / distance, me["y"] + speed * dy / distance
        elif kind["heal"] and me["energy"] > 0:
            self.fired[unit], me["energy"] = target, max(me["energy"] - 0.186, 0)
            health = self.units[target]["health"] + kind["heal"]
            self.units["health"][target] = min(health, self.kind[target]["health"])
        elif kind["damage"] and me["cooldown"] <= 0:
            me["cooldown"] = kind["period"] + self.rng.integers(-1, 3)
            flight = distance / kind["missile_speed"] if kind["missile_speed"] else 0
            self.fired[unit] = target
            self.missiles.append((loop + int(flight), unit, target))

    def push(self) -> None:
        u = self.units
        dx, dy = u["x"][:, None] - u["x"], u["y"][:, None] - u["y"]
        near = np.hypot(dx, dy) + np.eye(len(u)) * 99
        alive = u["health"] > 0
        same = (self.kind["layer"][:, None] == self.kind["layer"]) & alive & alive[:, None]
        overlap = np.maximum(self.kind["separation"][:, None] + self.kind["separation"] - near, 0) * same * 0.4
        u["x"] += (overlap * dx / near).sum(1)
        u["y"] = np.clip(u["y"] + (overlap * dy / near).sum(1), 8.5, 23.5)

    def play_loop(self, loop: int) -> None:
        self.fired = np.full(len(self.units), -1)
        for unit in self.rng.permutation(len(self.units)):
            if self.units[unit]["health"] > 0:
                self.act(loop, unit)
        for _due, attacker, target in [m for m in self.missiles if m[0] <= loop]:
            if self.units[target]["health"] > 0:
                self.hurt(attacker, target)
        self.missiles = [m for m in self.missiles if m[0] > loop]
        self.push()

    def choose(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32]]:
        """Return actions [N], avail [N, A] and values [N, A] that go with what units are about to do."""
        n, m = len(self.allies), len(self.enemies)
        avail = np.zeros((n, 6 + m), np.bool_)
        actions = np.zeros(n, np.int64)
        for unit in range(n):
            if self.units[unit]["health"] <= 0:
                avail[unit, 0] = True
                continue
            avail[unit, 1:6] = True
            heals = self.kind[unit]["heal"] > 0
            target = self.pick(unit) - (0 if heals else n)
            reachable = [k if heals else k - n for k in self.near(unit, 6.0)]
            avail[unit, [6 + k for k in reachable if 6 + k < 6 + m]] = True
            actions[unit] = 6 + target if 0 <= target < m and avail[unit, 6 + target] else 4
        value = self.rng.normal(4, 0.8, avail.shape).astype(np.float32)
        value[np.arange(n), actions] += 2 * (self.rng.random(n) < 0.9)
        return actions, avail, np.where(avail, value, -1e9).astype(np.float32)

    def play(self, values: bool = True) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """Return meta, frames and steps of a replay."""
        n, units, fired = len(self.allies), [self.units.copy()], [np.full(len(self.units), -1)]
        rows = []
        for step in range(self.n_steps):
            held = self.units["health"][n:].sum() + self.units["shield"][n:].sum()
            rows.append(self.choose())
            for loop in range(step * STEP_MUL + 1, (step + 1) * STEP_MUL + 1):
                self.play_loop(loop)
                units.append(self.units.copy())
                fired.append(self.fired)
            rows[-1] += (held - self.units["health"][n:].sum() - self.units["shield"][n:].sum(),)
            living = [(self.units["health"][self.units["side"] == side] > 0).any() for side in (0, 1)]
            if not all(living):
                break
        actions, avail, value, reward = (np.array(column) for column in zip(*rows, strict=True))
        steps = {"actions": actions, "avail": avail, "reward": reward / 20, "values": value}
        if not values:
            del steps["values"]
        result = "won" if living[0] and not living[1] else "lost" if living[1] and not living[0] else "truncated"
        return self.meta(result), frames_of(np.array(units), np.array(fired)), steps

    def meta(self, result: str) -> dict[str, Any]:
        n, m = len(self.allies), len(self.enemies)
        sizes = {"n_agents": n, "n_enemies": m, "n_actions": 6 + m, "step_mul": STEP_MUL, "width": 32, "height": 32}
        rules = Rules(**dict.fromkeys(Rules._fields, 0) | sizes)
        return replay_meta(
            map_name=f"{n}_vs_{m}",
            seed=2**63 + self.seed,
            result=result,
            rules=rules,
            terrain=self.terrain,
            kinds=self.kinds,
            names=self.names,
            unit_kinds=self.units["kind"],
        )


def marines(allies: int = 3, enemies: int = 3, **options: Any) -> Battle:
    return Battle(["marine"] * allies, ["marine"] * enemies, **options)


def mixed(**options: Any) -> Battle:
    """Everything at once: missiles, blows, a beam, shields, a healer and blasts, on two levels with a cliff."""
    allies = ["marauder", "marine", "marine", "marine", "medivac", "stalker", "zealot", "zealot", "colossus"]
    enemies = ["stalker", "stalker", "zealot", "zealot", *["zergling"] * 5, *["baneling"] * 4]
    return Battle(allies, enemies, terrain=cliff_terrain(), **options)
