"""Compiled rules of stag hunt.

Positions are flat cell numbers, row * width + column. `cells` holds one bit per kind of entity in a cell, so that
"is the way blocked" is one AND. Row b of every array is env b, and no row reads another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pymarl.envs.native.out import Out
from pymarl.envs.native.rng import below, mix, shuffle, uniform
from pymarl.envs.stag_hunt.arrays import AGENT, CATCH, DOWN, FIRST_LOOK, HARE, STAG, STAY, UP, Rules, Tables, World
from pymarl.envs.stag_hunt.views import write_views
from pymarl.utils.jit import Compiled, inlined, kernel
from pymarl.utils.stamp import source_stamp

SOURCES = (Path(__file__).parent, Path(__file__).parent.parent / "native")
STAMP = source_stamp(*SOURCES)


@inlined
def place(b: int, bit: int, row: int, width: int, into: Any, start: int, stop: int, world: Any) -> None:
    """Put entities start..stop-1 on random free cells, of one row unless row < 0."""
    height = world.cells.shape[1] // width
    for i in range(start, stop):
        while True:
            r = below(world.rng, b, height) if row < 0 else row
            at = r * width + below(world.rng, b, width)
            if world.cells[b, at] == 0:
                break
        world.cells[b, at] = bit
        into[b, i] = at


@inlined
def move_agents(b: int, actions: Any, rules: Any, tables: Any, world: Any) -> float:
    """Move the free agents one by one in random order; return the reward for collisions."""
    reward = 0.0
    shuffle(world.rng, b, world.order, rules.n_agents)
    for i in range(rules.n_agents):
        a = world.order[i]
        if world.frozen[b, a]:
            continue
        u = actions[b, a]
        slips = rules.slope > 0 and uniform(world.rng, b) < rules.slope and u == UP
        if not slips:
            here = world.agents[b, a]
            there = tables.move_to[here, u] if u < STAY else here
            # An agent that stays meets its own mark: like PyMARL2's, it "collides" if agents block agents.
            if world.cells[b, there] & rules.agent_block:
                reward += rules.reward_collision
            else:
                world.cells[b, here] &= ~AGENT
                world.cells[b, there] |= AGENT
                world.agents[b, a] = there
        if rules.look_actions:
            if u >= FIRST_LOOK:
                world.facing[b, a] = u - FIRST_LOOK
        elif u < STAY:
            world.facing[b, a] = u
    return reward


@inlined
def step_prey(b: int, actions: Any, rules: Any, tables: Any, world: Any) -> tuple[float, int]:
    """Catch or move the prey one by one in random order; return the reward and the number of captures."""
    reward, captures = 0.0, 0
    count_catching(b, actions, rules, world, 1)
    shuffle(world.rng, b, world.order, rules.n_prey)
    for i in range(rules.n_prey):
        p = world.order[i]
        if not world.alive[b, p]:
            continue
        kind = 0 if p < rules.n_stags else 1
        n_free, near, catching = look_around(b, world.prey[b, p], tables, world)
        if rules.capture_action:
            captured = catching >= tables.needed[kind]
            if catching > 0 and not captured:
                reward += rules.miscapture
        else:
            captured = n_free <= tables.max_free[kind]
        if captured and (near or not rules.prevent_cannibalism):
            captures += 1
            reward += tables.reward[kind] * (rules.ghosts_mul if world.ghost[b] else 1.0)
            capture(b, p, kind, actions, rules, tables, world)
        elif n_free > 0:
            move_prey(b, p, kind, n_free, rules, tables, world)
    count_catching(b, actions, rules, world, 0)
    return reward, captures


@inlined
def count_catching(b: int, actions: Any, rules: Any, world: Any, on: int) -> None:
    """Count the free agents that try to catch in `catching` of their cell (on 1), or clear the count (0)."""
    for a in range(rules.n_agents):
        if actions[b, a] == CATCH:
            at = world.agents[b, a]
            world.catching[at] = on * (world.catching[at] + (not world.frozen[b, a]))


@inlined
def look_around(b: int, at: int, tables: Any, world: Any) -> tuple[int, bool, int]:
    """List the free moves from `at` in `free`; return their number, whether an agent is in the way of a move, and
    how many agents beside `at` try to catch. Nobody catches across the edge of a torus."""
    n_free, seen, catching = 0, 0, 0
    for u in range(4):
        there = world.cells[b, tables.move_to[at, u]]
        world.free[n_free] = u
        n_free += there == 0
        seen |= there
        beside = tables.beside[at, u]
        if beside >= 0:
            catching += world.catching[beside]
    return n_free, (seen & AGENT) != 0, catching


@inlined
def capture(b: int, p: int, kind: int, actions: Any, rules: Any, tables: Any, world: Any) -> None:
    """Remove prey p and freeze the agents that caught it."""
    at = world.prey[b, p]
    world.alive[b, p] = False
    world.cells[b, at] &= ~(STAG if kind == 0 else HARE)
    if not rules.capture_freezes:
        return
    for a in range(rules.n_agents):
        if world.frozen[b, a] or (rules.capture_action and actions[b, a] != CATCH):
            continue
        here = world.agents[b, a]
        caught = here == at and rules.n_actions > CATCH
        for u in range(4):
            caught |= tables.beside[at, u] == here
        if caught:
            world.frozen[b, a] = True
            if actions[b, a] == CATCH:
                world.catching[here] -= 1
            if rules.remove_frozen:
                world.cells[b, here] &= ~AGENT


@inlined
def move_prey(b: int, p: int, kind: int, n_free: int, rules: Any, tables: Any, world: Any) -> None:
    """Let prey p rest or take one of its `n_free` free moves. An agent on top of it chases it off."""
    at = world.prey[b, p]
    alone = (world.cells[b, at] & AGENT) == 0
    if alone and tables.p_rest[kind] > 0 and uniform(world.rng, b) < tables.p_rest[kind]:
        return
    u = world.free[below(world.rng, b, n_free)]
    slips = rules.slope > 0 and uniform(world.rng, b) < rules.slope
    if slips and alone and u == (DOWN if kind == 0 else UP):
        return
    bit = STAG if kind == 0 else HARE
    there = tables.move_to[at, u]
    world.cells[b, at] &= ~bit
    world.cells[b, there] |= bit
    world.prey[b, p] = there


@inlined
def start(b: int, seed: Any, rules: Any, tables: Any, world: Any) -> None:
    """Place everybody for the episode of `seed` in row b."""
    world.rng[b] = mix(seed)
    world.steps[b] = 0
    world.cells[b, :] = 0
    world.frozen[b, :] = False
    world.alive[b, :] = True
    place(b, AGENT, rules.agent_row, rules.width, world.agents, 0, rules.n_agents, world)
    place(b, STAG, rules.stag_row, rules.width, world.prey, 0, rules.n_stags, world)
    place(b, HARE, rules.hare_row, rules.width, world.prey, rules.n_stags, rules.n_prey, world)
    if rules.directed:
        for a in range(rules.n_agents):
            world.facing[b, a] = below(world.rng, b, 4)
    world.ghost_cell[b] = tables.corners[below(world.rng, b, 4) if rules.ghosts_random_corner else 0]
    world.ghost[b] = rules.ghosts and uniform(world.rng, b) >= rules.ghosts_prob


@inlined
def first_refused(rows: Any, actions: Any, rules: Any, out: Any) -> Any:
    """Return row * N + agent of the first action that is not available, or -1."""
    for k in range(rows.size):
        b = rows[k]
        for a in range(rules.n_agents):
            u = actions[b, a]
            if u < 0 or u >= rules.n_actions or not out.avail_actions[b, a, u]:
                return b * rules.n_agents + a
    return -1


def pack(rules: Rules, tables: Tables, world: World, out: Out) -> tuple[tuple[Any, ...], ...]:
    """Return the env as the kernels take it. Plain tuples, because numba looks at a named one for 2 us per field."""
    return tuple(rules), tuple(tables), tuple(world), tuple(out)


def compile_kernels(stamp: str) -> Any:
    """Return the kernels reset_rows and step_rows; `stamp` keeps numba's cache as new as the source."""

    @kernel
    def reset_rows(rows: Any, seeds: Any, env: Any) -> None:
        """Start the episodes of `seeds` in `rows`; `env` is what `pack` returns."""
        stamp  # noqa: B018
        rules, tables, world, out = Rules(*env[0]), Tables(*env[1]), World(*env[2]), Out(*env[3])
        for k in range(rows.size):
            b = rows[k]
            start(b, seeds[k], rules, tables, world)
            out.reward[b, 0] = 0.0
            out.terminated[b] = out.truncated[b] = False
            write_views(b, rules, tables, world, out)

    @kernel
    def step_rows(rows: Any, actions: Any, env: Any) -> int:
        """Step `rows`; return -1, or what `first_refused` says: nothing is stepped then."""
        stamp  # noqa: B018
        rules, tables, world, out = Rules(*env[0]), Tables(*env[1]), World(*env[2]), Out(*env[3])
        refused = first_refused(rows, actions, rules, out)
        if refused != -1:
            return refused
        for k in range(rows.size):
            b = rows[k]
            reward = rules.reward_time + move_agents(b, actions, rules, tables, world)
            gain, captures = step_prey(b, actions, rules, tables, world)
            world.steps[b] += 1
            if rules.ghosts:
                world.ghost[b] = uniform(world.rng, b) >= rules.ghosts_prob
            over = captures > 0 and rules.capture_terminal
            over = over or not world.alive[b].any() or world.frozen[b].all()
            out.reward[b, 0] = reward + gain
            out.terminated[b] = over
            # PyMARL2 calls every end on the last step a time limit; a true end there is one like any other.
            out.truncated[b] = not over and world.steps[b] >= rules.episode_limit
            write_views(b, rules, tables, world, out)
        return -1

    return reset_rows, step_rows


reset_rows, step_rows = compile_kernels(STAMP)


def prepare(env: Any) -> None:
    """Compile the kernels for `pack`'s env unless that has been done, and say so; nothing is played."""
    if step_rows.signatures:
        return
    with Compiled("stag_hunt", step_rows, *SOURCES).once("stag_hunt", "about 10 seconds") as needed:
        if needed:
            reset_rows(np.zeros(0, np.int64), np.zeros(0, np.uint64), env)
            step_rows(np.zeros(0, np.int64), np.zeros((0, 0), np.int64), env)
