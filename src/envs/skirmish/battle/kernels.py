"""What Python calls: whole batches of rows, compiled. No row reads another, and a row's episode is its seed's alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pymarl.envs.native.out import Out
from pymarl.envs.skirmish.battle.arrays import Rules, Scratch, Terrain, World
from pymarl.envs.skirmish.battle.engine import advance, start, take_action
from pymarl.envs.skirmish.battle.features import write_observations
from pymarl.envs.skirmish.battle.rewards import before_step, settle
from pymarl.utils.jit import Compiled, inlined, kernel
from pymarl.utils.stamp import source_stamp

SOURCES = (Path(__file__).parent, Path(__file__).parents[2] / "native")
STAMP = source_stamp(*SOURCES)

Packed = tuple[tuple[Any, ...], ...]


def pack(rules: Rules, terrain: Terrain, kinds: Any, world: World, scratch: Scratch, out: Out) -> Packed:
    """Return the env as the kernels take it. Plain tuples, because numba looks at a named one for 2 us per field."""
    return tuple(rules), tuple(terrain), (kinds,), tuple(world), tuple(scratch), tuple(out)


@inlined
def unpack(env: Any, lane: Any) -> Any:
    """Return rules, terrain, kinds, world, out of `pack`'s tuple, and a lane's scratch space."""
    scratch = Scratch(env[4][0][lane], env[4][1][lane], env[4][2][lane], env[4][3][lane])
    return Rules(*env[0]), Terrain(*env[1]), env[2][0], World(*env[3]), scratch, Out(*env[5])


@inlined
def give_orders(b: Any, actions: Any, rules: Any, kinds: Any, world: Any) -> None:
    """Hand the agents' actions, [N], to their units in row b."""
    before_step(b, rules, world)
    for agent in range(rules.n_agents):
        if actions[agent] > 0:
            take_action(rules, kinds, world.units[b], agent, actions[agent])
        world.last_action[b, agent] = actions[agent]
        world.actions[b, world.steps[b], agent] = actions[agent]
    world.steps[b] += 1


@inlined
def finish_step(b: Any, rules: Any, terrain: Any, kinds: Any, world: Any, out: Any) -> None:
    """Write what the agents and the runner get to see of the step."""
    settle(b, rules, kinds, world, out, world.info)
    if out.terminated[b] or out.truncated[b]:
        world.stats[b, 0] += 1
        world.stats[b, 1] += world.info[b, 0]
        world.stats[b, 2] += out.truncated[b]
    write_observations(b, rules, terrain, kinds, world, out)


@inlined
def first_refused(rows: Any, actions: Any, rules: Any, world: Any, out: Any) -> Any:
    """Return row * N + agent of the first action that is not available, -2 - row if no episode is on, or -1."""
    for k in range(rows.size):
        b = rows[k]
        if world.steps[b] < 0 or out.terminated[b] or out.truncated[b]:
            return -2 - b
        for agent in range(rules.n_agents):
            u = actions[b, agent]
            if u < 0 or u >= rules.n_actions or not out.avail_actions[b, agent, u]:
                return b * rules.n_agents + agent
    return -1


def compile_kernels(stamp: str) -> Any:
    """Return the kernels reset_rows and step_rows; `stamp` keeps numba's cache as new as the source."""

    @kernel
    def reset_rows(rows: Any, seeds: Any, lane: int, env: Any) -> None:
        """Start the episodes of `seeds` in `rows`; `env` is what `pack` returns."""
        stamp  # noqa: B018
        rules, terrain, kinds, world, _, out = unpack(env, lane)
        for k in range(rows.size):
            b = rows[k]
            start(b, seeds[k], rules, world)
            out.reward[b, 0] = 0.0
            out.terminated[b] = out.truncated[b] = False
            write_observations(b, rules, terrain, kinds, world, out)

    @kernel
    def step_rows(rows: Any, actions: Any, frames: Any, lane: int, env: Any) -> int:
        """Step `rows`; return -1, or what `first_refused` says: nothing is stepped then.

        `frames` [step_mul, N + M] gets the units of the last row after each loop; with length 0 it gets nothing.
        """
        stamp  # noqa: B018
        rules, terrain, kinds, world, scratch, out = unpack(env, lane)
        refused = first_refused(rows, actions, rules, world, out)
        if refused != -1:
            return refused
        for k in range(rows.size):
            b = rows[k]
            give_orders(b, actions[b], rules, kinds, world)
            for loop in range(rules.step_mul):
                advance(b, rules, terrain, kinds, world, scratch)
                if frames.size > 0:
                    for i in range(frames.shape[1]):
                        frames[loop, i] = world.units[b, i]
            finish_step(b, rules, terrain, kinds, world, out)
        return -1

    return reset_rows, step_rows


reset_rows, step_rows = compile_kernels(STAMP)


def prepare(env: Packed, no_frames: Any) -> None:
    """Compile the kernels for `pack`'s env unless that has been done, and say so; nothing is played."""
    if step_rows.signatures:
        return
    with Compiled("skirmish", step_rows, *SOURCES).once("skirmish", "about half a minute") as needed:
        if needed:
            reset_rows(np.zeros(0, np.int64), np.zeros(0, np.uint64), 0, env)
            step_rows(np.zeros(0, np.int64), np.zeros((0, 0), np.int64), no_frames, 0, env)
