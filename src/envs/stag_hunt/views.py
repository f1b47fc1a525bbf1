"""What agents and the runner get to see of stag hunt, compiled: observations, states and masks. See kernels.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymarl.envs.stag_hunt.arrays import AGENT, CATCH, HARE, STAG, STAY
from pymarl.utils.jit import inlined

UNSEEN = -1.0  # every feature of a cell outside of a cone


@inlined
def write_views(b: int, rules: Any, tables: Any, world: Any, out: Any) -> None:
    """Write state, avail_actions and obs of row b."""
    write_grid(b, rules, world, out.state[b], rules.n_feats)
    write_avail(b, rules, tables, world, out.avail_actions[b])
    if rules.observe_state:
        for a in range(rules.n_agents):
            write_grid(b, rules, world, out.obs[b, a], rules.n_feats + 1)
            out.obs[b, a, world.agents[b, a] * (rules.n_feats + 1) + rules.n_feats] = 1.0
    else:
        draw_canvas(b, rules, tables, world, 1)
        write_windows(b, rules, tables, world, out.obs)
        draw_canvas(b, rules, tables, world, 0)
    if rules.remove_frozen:
        for a in range(rules.n_agents):
            if world.frozen[b, a]:
                out.obs[b, a] = 0.0


@inlined
def write_grid(b: int, rules: Any, world: Any, grid: Any, n_feats: int) -> None:
    """Write the state, `n_feats` floats per cell: agents, stags, hares, and what else stays 0 in a state."""
    grid[:] = 0.0
    for a in range(rules.n_agents):
        at = world.agents[b, a]
        if world.cells[b, at] & AGENT:
            grid[at * n_feats] = 1.0
    for p in range(rules.n_prey):
        if world.alive[b, p]:
            grid[world.prey[b, p] * n_feats + (1 if p < rules.n_stags else 2)] = 1.0


@inlined
def write_avail(b: int, rules: Any, tables: Any, world: Any, avail: Any) -> None:
    """Write available actions: a frozen agent stays, nobody walks into a wall or catches without prey in reach."""
    for a in range(rules.n_agents):
        at = world.agents[b, a]
        free = not world.frozen[b, a]
        prey_in_reach = False
        for u in range(4):
            avail[a, u] = free and (rules.toroidal or tables.beside[at, u] >= 0)
            if not rules.directed or world.facing[b, a] == u:
                prey_in_reach |= (world.cells[b, tables.move_to[at, u]] & (STAG | HARE)) != 0
        avail[a, STAY] = True
        for u in range(CATCH, rules.n_actions):
            avail[a, u] = free
        if rules.capture_action:
            avail[a, CATCH] = free and prey_in_reach


@inlined
def draw_canvas(b: int, rules: Any, tables: Any, world: Any, on: int) -> None:
    """Draw what agents see on the canvas (on 1) or wipe it off (0). Nobody sees frozen agents, even if they block."""
    for a in range(rules.n_agents):
        if not world.frozen[b, a]:
            mark = a + 1 if rules.observe_ids else 1
            world.canvas[tables.canvas_at[world.agents[b, a]]] = np.float32(on * mark)
    for p in range(rules.n_prey):
        if world.alive[b, p]:
            kind = 0 if p < rules.n_stags else 1
            mark = p + 1 - kind * rules.n_stags if rules.observe_ids else 1
            world.canvas[np.uint32(tables.canvas_at[world.prey[b, p]] + 1 + kind)] = np.float32(on * mark)
    if rules.ghosts:
        mark = -1 if world.ghost[b] else 1
        world.canvas[tables.canvas_at[world.ghost_cell[b]] + rules.n_feats - 1] = np.float32(on * mark)


@inlined
def write_windows(b: int, rules: Any, tables: Any, world: Any, obs: Any) -> None:
    """Copy what each agent sees of the canvas: a window around it, or a cone in front of it."""
    n_rows, length, stride = tables.window[0], tables.window[1], tables.window[2]
    for a in range(rules.n_agents):
        start = tables.window_at[world.agents[b, a]]
        if rules.directed:
            cone = tables.cone[world.facing[b, a]]
            for i in range(cone.size):
                obs[b, a, i] = UNSEEN if cone[i] < 0 else world.canvas[start + cone[i]]
        else:
            for row in range(n_rows):
                for i in range(length):
                    obs[b, a, row * length + i] = world.canvas[start + row * stride + i]
