"""What observations and states of SMAC's battles are made of, for every env that plays them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pymarl.envs.specs import Block, EntityLayout, block_slices, total_size


class Shown(Protocol):
    """The options of SMAC that decide which blocks there are."""

    @property
    def obs_timestep_number(self) -> bool: ...
    @property
    def obs_instead_of_state(self) -> bool: ...
    @property
    def state_last_action(self) -> bool: ...
    @property
    def state_timestep_number(self) -> bool: ...


def smac_layout(
    options: Shown,
    *,
    n_agents: int,
    n_enemies: int,
    n_actions: int,
    first_target: int,
    obs_widths: tuple[int, int, int, int],
    state_widths: tuple[int, int],
    healers: Sequence[int] = (),
) -> EntityLayout:
    """Return the layout of SMAC's observations and state.

    Args:
        options: which blocks there are.
        n_agents, n_enemies, n_actions: N, M and A.
        first_target: the action that aims at enemy 0.
        obs_widths: features of move, of one enemy, of one ally and of own, in an observation.
        state_widths: features of one ally and of one enemy, in the state.
        healers: places in the own block that mark agents whose targets are agents.
    """
    move, enemy, ally, own = obs_widths
    timestep = Block("timestep", 1, 1)
    obs = [
        Block("move", 1, move),
        Block("enemies", n_enemies, enemy),
        Block("allies", n_agents - 1, ally),
        Block("own", 1, own),
        *[timestep] * options.obs_timestep_number,
    ]
    state = [
        Block("allies", n_agents, state_widths[0]),
        Block("enemies", n_enemies, state_widths[1]),
        *[Block("last_actions", n_agents, n_actions)] * options.state_last_action,
        *[timestep] * options.state_timestep_number,
    ]
    if options.obs_instead_of_state:
        state = [Block("obs", n_agents, total_size(obs))]
    marks = tuple(block_slices(obs)["own"].start + place for place in healers)
    return EntityLayout(obs=tuple(obs), state=tuple(state), first_target=first_target, healers=marks)
