"""Scripted agents for skirmish, compiled: what a few simple rules win says how hard a map is.

They act through the agents' masks, but may look at the whole battle: where everybody is, life, shields, cooldowns.

- random: any available action, with equal chances.
- attack_nearest: attack the nearest enemy; out of range of it, move towards it.
- focus_fire: attack the enemy in range with the least life and shields, of several the nearest; with nobody in range,
  move towards the nearest.
- kite: units that outrange the nearest enemy shoot when their weapon is ready and step away from who is close until
  then; who would be reached while it shoots goes on running if it is faster, or if a friend is free to shoot. Others
  play focus_fire.

Healers heal the ally in range with the least life that is wounded, in all scripts but random; with none in range they
stay close to the nearest ally that is wounded, or fights. Who is kept from moving on by friends that fight moves out
sideways.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pymarl.envs import native
from pymarl.envs.batched import make_batched_env
from pymarl.envs.native.rng import below
from pymarl.envs.skirmish import battle
from pymarl.envs.skirmish.battle.arrays import BIOLOGICAL, FIRST_TARGET, NO_OP, STOP
from pymarl.envs.skirmish.env import Skirmish
from pymarl.utils.errors import UserError
from pymarl.utils.jit import inlined, kernel, outlined
from pymarl.utils.layers import merge
from pymarl.utils.stamp import source_stamp
from scripted_moves import FAR, away, square, towards

POLICIES = ("random", "attack_nearest", "focus_fire", "kite")
RANDOM, ATTACK_NEAREST, FOCUS_FIRE, KITE = range(len(POLICIES))

OUTRANGE = 2.0  # reach beyond an enemy's from which kiting is worth it: more than the way of a step, cells
READY = 2.0  # a weapon that may shoot within so many loops is ready
CLOSE = 4.0  # enemies are run from up to this gap from edge to edge, cells
ESCORT = 3.0  # how near healers stay, cells

STAMP = source_stamp(Path(native.__file__).parent, Path(battle.__file__).parent, Path(__file__).parent)


def is_sensible(policy: str, env: Skirmish) -> bool:
    """Tell whether a policy makes sense on a map: kiting takes a unit that outranges an enemy that walks and fights."""
    if policy != "kite":
        return True
    kinds, kind = env.kinds, env.spawn["kind"]
    allies, enemies = kinds[kind[: env.rules.n_agents]], kinds[kind[env.rules.n_agents :]]
    armed, walking = allies[allies["damage"] > 0], enemies[(enemies["damage"] > 0) & (enemies["speed"] > 0)]
    return bool(len(walking)) and bool(armed["reach"].max() > walking["reach"].min() + OUTRANGE)


class Script:
    """Chooses the actions of all agents of a batch.

    Args:
        env: whose battles are fought.
        policy: one of POLICIES.
    """

    def __init__(self, env: Skirmish, policy: str) -> None:
        self._policy = POLICIES.index(policy)
        self._env = env
        self._rng = np.zeros(env.batch_size, np.uint64)
        self._actions = np.zeros((env.batch_size, env.info.n_agents), np.int64)

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Begin the episodes of `seeds` in `rows`: random actions are the seed's alone, whatever the batch."""
        self._rng[rows] = ~seeds  # the env's own stream begins at the seed

    def act(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return actions [B, N], new ones in `rows`; the array is the script's own."""
        env = self._env
        sides = env.rules.n_agents, env.rules.step_mul, env.rules.healers
        ground = env.terrain.pathable, env.terrain.climbable, env.terrain.waypoint
        units = env.units
        choose(rows, self._policy, sides, ground, units, env.kinds, env.arrays.avail_actions, self._rng, self._actions)
        return self._actions


def make_env(map_name: str, batch_size: int, unit_stats: str = "liberty") -> Skirmish:
    """Return skirmish with the options of its config file. SystemExit in one line if there is no such map."""
    layers = merge("qmix", "skirmish", {"env_args": {"map_name": map_name, "unit_stats": unit_stats}})
    try:
        return cast(
            Skirmish, make_batched_env("skirmish", layers.values["env_args"], batch_size, 0, layers.origin, True)
        )
    except UserError as error:
        raise SystemExit(f"error: {error}") from error


@dataclass
class Turn:
    """What has just happened to some rows of a batch: their episodes began, or else they took a step."""

    rows: NDArray[np.int64]
    episode: NDArray[np.int64]  # [B] number of each row's episode
    began: bool
    ended: NDArray[np.int64]  # rows whose episodes this step ended


def battles(env: Skirmish, policy: str, seeds: NDArray[np.uint64]) -> Iterator[Turn]:
    """Play one episode of each seed to its end, as many at a time as the env has rows; yield after resets and steps.

    Episode k of the seeds is the same battle whatever the batch size.
    """
    script, n = Script(env, policy), len(seeds)
    rows = fresh = np.arange(min(env.batch_size, n))
    episode = np.arange(env.batch_size)
    following, none = len(rows), np.zeros(0, np.int64)
    while len(rows):
        if len(fresh):
            env.reset(fresh, seeds[episode[fresh]])
            script.reset(fresh, seeds[episode[fresh]])
            yield Turn(fresh, episode, True, none)
        env.step(script.act(rows), rows)
        ended = rows[env.arrays.terminated[rows] | env.arrays.truncated[rows]]
        yield Turn(rows, episode, False, ended)
        fresh, spent = ended[: n - following], ended[n - following :]
        episode[fresh] = np.arange(following, following + len(fresh))
        following += len(fresh)
        rows = np.setdiff1d(rows, spent)


@inlined
def pick_random(b: Any, avail: Any, rng: Any) -> Any:
    """Return any of an agent's available actions."""
    n = 0
    for u in range(avail.size):
        n += avail[u]
    k = below(rng, b, n)
    for u in range(avail.size):
        if avail[u]:
            if k == 0:
                return u
            k -= 1
    return NO_OP


@outlined
def nearest_enemy(units: Any, kinds: Any, agent: Any, n_agents: Any, armed: Any) -> int:
    """Return the nearest living enemy that the agent's weapon can hit, or that could hit back if `armed`; or -1."""
    me = units[agent]
    mine = kinds[me.kind]
    found, least = -1, FAR
    for i in range(n_agents, units.size):
        theirs = kinds[units[i].kind]
        relevant = theirs.targets & mine.planes if armed else mine.targets & theirs.planes
        if units[i].health > 0 and relevant and square(me, units[i]) < least:
            found, least = i, square(me, units[i])
    return found


@outlined
def weakest_enemy(units: Any, kinds: Any, agent: Any, n_agents: Any, avail: Any) -> int:
    """Return the enemy in range with the least life and shields, of several the nearest; or -1."""
    me = units[agent]
    mine = kinds[me.kind]
    found, least, nearest = -1, FAR, FAR
    for i in range(n_agents, units.size):
        enemy = units[i]
        if not avail[FIRST_TARGET + i - n_agents] or not mine.targets & kinds[enemy.kind].planes:
            continue
        held, distance = enemy.health + enemy.shield, square(me, enemy)
        if held < least or (held == least and distance < nearest):
            found, least, nearest = i, held, distance
    return found


@inlined
def fight(ground: Any, units: Any, kinds: Any, agent: Any, n_agents: Any, avail: Any, weakest: Any) -> Any:
    """Return attack_nearest's or, with `weakest`, focus_fire's action."""
    target = nearest_enemy(units, kinds, agent, n_agents, False)
    if target < 0:
        return STOP
    if avail[FIRST_TARGET + target - n_agents]:
        if weakest:
            target = weakest_enemy(units, kinds, agent, n_agents, avail)
        return FIRST_TARGET + target - n_agents
    return towards(ground, units, kinds, agent, n_agents, units[target].x, units[target].y, avail)


@inlined
def gap(units: Any, kinds: Any, one: Any, other: Any) -> Any:
    """Return how far a unit is out of an enemy's weapon range, cells."""
    kind, theirs = kinds[units[one].kind], kinds[units[other].kind]
    return math.sqrt(square(units[one], units[other])) - kind.radius - theirs.radius - theirs.reach


@outlined
def anybody_free(units: Any, kinds: Any, agent: Any, n_agents: Any, far: Any) -> bool:
    """Tell whether another agent's unit with a weapon is out of all enemies' range, by `far` cells."""
    for i in range(n_agents):
        if i != agent and units[i].health > 0 and kinds[units[i].kind].damage > 0:
            threat = nearest_enemy(units, kinds, i, n_agents, True)
            if threat < 0 or gap(units, kinds, i, threat) > far:
                return True
    return False


@inlined
def hit_and_run(ground: Any, units: Any, kinds: Any, agent: Any, n_agents: Any, step_mul: Any, avail: Any) -> Any:
    """Return kite's action."""
    me = units[agent]
    mine = kinds[me.kind]
    threat = nearest_enemy(units, kinds, agent, n_agents, True)
    if threat >= 0:
        theirs = kinds[units[threat].kind]
        distance, way = gap(units, kinds, agent, threat), theirs.speed * step_mul
        if distance < CLOSE and mine.reach > theirs.reach + OUTRANGE and way > 0:
            run = me.cooldown > READY
            if not run and distance < way:
                run = mine.speed > theirs.speed or anybody_free(units, kinds, agent, n_agents, way)
            if run:
                return away(ground, units, kinds, agent, n_agents, mine.speed * step_mul, avail)
    return fight(ground, units, kinds, agent, n_agents, avail, True)


@inlined
def tend(ground: Any, units: Any, kinds: Any, agent: Any, n_agents: Any, avail: Any) -> Any:
    """Return a healer's action."""
    me = units[agent]
    patient, least = -1, FAR
    friend, nearest, hurt = -1, FAR, False
    for i in range(n_agents):
        other = units[i]
        kind = kinds[other.kind]
        if i == agent or other.health <= 0 or not kind.attributes & BIOLOGICAL or kind.heal > 0:
            continue
        wounded, distance = other.health < kind.health, square(me, other)
        if wounded and avail[FIRST_TARGET + i] and other.health < least:
            patient, least = i, other.health
        if (wounded and not hurt) or (wounded == hurt and distance < nearest):
            friend, nearest, hurt = i, distance, wounded
    if patient >= 0:
        return FIRST_TARGET + patient
    if friend >= 0 and nearest > ESCORT * ESCORT:
        return towards(ground, units, kinds, agent, n_agents, units[friend].x, units[friend].y, avail)
    return STOP


def compile_choose(stamp: str) -> Any:
    """Return the kernel `choose`; `stamp` keeps numba's cache as new as what it calls."""

    @kernel
    def choose(
        rows: Any, policy: Any, sides: Any, ground: Any, units: Any, kinds: Any, avail: Any, rng: Any, actions: Any
    ) -> None:
        """Write the actions of all agents in `rows`."""
        stamp  # noqa: B018
        n_agents, step_mul, healers = sides
        for k in range(rows.size):
            b = rows[k]
            for agent in range(n_agents):
                mask, row = avail[b, agent], units[b]
                if row[agent].health <= 0:
                    actions[b, agent] = NO_OP
                elif policy == RANDOM:
                    actions[b, agent] = pick_random(b, mask, rng)
                elif healers and kinds[row[agent].kind].heal > 0:
                    actions[b, agent] = tend(ground, row, kinds, agent, n_agents, mask)
                elif policy == KITE:
                    actions[b, agent] = hit_and_run(ground, row, kinds, agent, n_agents, step_mul, mask)
                else:
                    weakest = policy == FOCUS_FIRE
                    actions[b, agent] = fight(ground, row, kinds, agent, n_agents, mask, weakest)

    return choose


choose = compile_choose(STAMP)
