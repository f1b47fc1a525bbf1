"""What the kernels of stag hunt work on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

AGENT, STAG, HARE = 1, 2, 4
"""Bits of a cell."""

RIGHT, DOWN, LEFT, UP, STAY, CATCH, FIRST_LOOK = range(7)
"""Actions; FIRST_LOOK + k turns to direction k."""


class Rules(NamedTuple):
    """The options, as numbers. `agent_block` is an OR of AGENT, STAG and HARE."""

    n_agents: int
    n_stags: int
    n_prey: int
    n_actions: int
    n_feats: int
    episode_limit: int
    width: int
    agent_block: int
    agent_row: int
    stag_row: int
    hare_row: int
    toroidal: bool
    capture_action: bool
    capture_freezes: bool
    remove_frozen: bool
    capture_terminal: bool
    prevent_cannibalism: bool
    directed: bool
    look_actions: bool
    observe_ids: bool
    observe_state: bool
    ghosts: bool
    ghosts_random_corner: bool
    ghosts_prob: float
    ghosts_mul: float
    slope: float
    reward_time: float
    reward_collision: float
    miscapture: float


class Tables(NamedTuple):
    """What does not change: K = height * width cells; kind 0 is a stag, 1 a hare.

    Places are unsigned, because numba tests whether a signed index is negative.

    Attributes:
        move_to: [K, 4] cell that a move ends in; the own cell at a wall, the far side in a torus.
        beside: [K, 4] neighbouring cell, -1 outside of the world, also in a torus.
        needed: [2] agents that have to catch together, per kind.
        max_free: [2] free neighbours up to which a prey is caught without a catch action, per kind.
        p_rest: [2] chance that a prey rests, per kind.
        reward: [2] reward of a capture, per kind.
        canvas_at: [K] offset of a cell in the canvas: the world with the observation's margin, as flat floats.
        window_at: [K] offset in the canvas at which the window of an agent in this cell starts.
        window: (rows, floats per row, floats from one canvas row to the next).
        cone: [4, O] offset from `window_at` of each seen feature per facing, -1 if unseen; [4, 0] if not directed.
        corners: [4] corner cells, row by row.
    """

    move_to: NDArray[np.uint32]
    beside: NDArray[np.int32]
    needed: NDArray[np.int64]
    max_free: NDArray[np.int64]
    p_rest: NDArray[np.float64]
    reward: NDArray[np.float64]
    canvas_at: NDArray[np.uint32]
    window_at: NDArray[np.uint32]
    window: NDArray[np.int32]
    cone: NDArray[np.int32]
    corners: NDArray[np.int32]


class World(NamedTuple):
    """The state of B envs, and scratch space (canvas, order, free, catching) that all of them share."""

    cells: NDArray[np.uint8]  # [B, K]
    agents: NDArray[np.uint32]  # [B, N] cell
    frozen: NDArray[np.bool_]  # [B, N]
    facing: NDArray[np.int8]  # [B, N] RIGHT..UP
    prey: NDArray[np.uint32]  # [B, P] cell; stags first
    alive: NDArray[np.bool_]  # [B, P]
    rng: NDArray[np.uint64]  # [B] splitmix64 state
    ghost: NDArray[np.bool_]  # [B] a capture now counts ghosts_mul times its reward
    ghost_cell: NDArray[np.int32]  # [B] corner that shows `ghost`
    steps: NDArray[np.int64]  # [B]
    canvas: NDArray[np.float32]
    order: NDArray[np.int64]  # [max(N, P)]
    free: NDArray[np.int64]  # [5] the free moves of a prey
    catching: NDArray[np.int64]  # [K] free agents in a cell that try to catch in this step
