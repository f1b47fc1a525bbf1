"""What an env says of itself: facts as plain data, open to every folder like utils.

Whatever has to know a shape derives it from `EnvInfo.fields`: the arrays that runner and env share, the scheme of a
batch, the conformance check.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

SIZES = ("n_agents", "n_actions", "obs_shape", "state_shape", "episode_limit", "n_rewards")
"""The numbers of an EnvInfo, on which networks depend."""

Role = Literal["observation", "action", "result"]


@dataclass(frozen=True)
class Discrete:
    """Actions numbered from 0 to n - 1."""

    n: int
    shape: ClassVar[tuple[int, ...]] = ()
    dtype: ClassVar[type[np.generic]] = np.int64


@dataclass(frozen=True)
class Box:
    """Actions of real numbers from `low` to `high`, in this shape."""

    low: float
    high: float
    shape: tuple[int, ...]
    dtype: ClassVar[type[np.generic]] = np.float32


@dataclass(frozen=True)
class Block:
    """A part of a flat observation or state: `count` entities with `width` features each, one behind the other."""

    name: str
    count: int
    width: int

    @property
    def size(self) -> int:
        """Return how many places it takes."""
        return self.count * self.width


def total_size(blocks: Iterable[Block]) -> int:
    """Return how many places blocks take together."""
    return sum(block.size for block in blocks)


def block_slices(blocks: Iterable[Block]) -> dict[str, slice]:
    """Return where each block lies, by its name."""
    slices, start = {}, 0
    for block in blocks:
        slices[block.name] = slice(start, start + block.size)
        start += block.size
    return slices


@dataclass(frozen=True, kw_only=True)
class EntityLayout:
    """What an observation and the state are made of, for networks that look at entities one by one.

    Networks take what is in "enemies" and "allies" of an observation for entities, and all other blocks for the own.

    Attributes:
        obs: blocks of an agent's observation, in order. SMAC's: move, enemies, allies (the other agents, in order),
            own, and timestep where it is observed.
        state: blocks of the state, in order. SMAC's: allies (all agents), enemies, then last_actions and timestep where
            they are in it; or obs alone, where the state is all observations in a row.
        first_target: the action that aims at the first entity of "enemies"; the next ones aim at the others in order.
            The number of actions, if none aims at an entity.
        healers: places of an observation. Where one of them is not 0, the agent is a healer (SMAC's Medivacs), which
            aims at agents with the same actions: at agent k with first_target + k.
    """

    obs: tuple[Block, ...]
    state: tuple[Block, ...]
    first_target: int
    healers: tuple[int, ...] = ()

    def problem(self, n_actions: int) -> str:
        """Return what of the targets does not fit, as the end of a sentence; "" if all does."""
        counts = {block.name: block.count for block in self.obs}
        last = self.first_target + counts.get("enemies", 0)
        if not 0 <= self.first_target <= n_actions or (self.first_target < n_actions < last):
            return f"first_target={self.first_target} and {last - self.first_target} enemies, but n_actions={n_actions}"
        if self.first_target < n_actions and "enemies" not in counts:
            return f"first_target={self.first_target}, but no block of enemies; write first_target={n_actions}"
        if self.healers and not (
            "allies" in counts and 0 <= min(self.healers) <= max(self.healers) < total_size(self.obs)
        ):
            return f"healers={self.healers}, expected places of an observation that has a block of allies"
        return ""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One of the values that env and policy exchange in a step.

    Attributes:
        name: in EnvArrays and in a batch's scheme.
        role: "observation" is seen before acting, and once more behind the last step; "result" comes of a step.
        shape: in one env, agents first if each has its own; () is a single value.
        dtype: in the arrays that an env writes.
        per_agent: each agent has its own.
        stored: batches of episodes keep it.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    dtype: type[np.generic]
    per_agent: bool = False
    stored: bool = True

    @property
    def vshape(self) -> tuple[int, ...]:
        """Return the shape of one owner's entry, as PyMARL's schemes have it: a single value is (1,)."""
        return (self.shape[1:] if self.per_agent else self.shape) or (1,)


@dataclass(frozen=True, kw_only=True)
class EnvInfo:
    """What an env says of itself: facts, not config.

    Attributes:
        n_agents: N, number of agents.
        n_actions: A, size of the largest action set; an agent with fewer masks the rest. With a `box`: its length.
        obs_shape: O, length of one agent's flat observation.
        state_shape: S, length of the flat state.
        episode_limit: largest number of env steps in an episode.
        n_rewards: R, 1 if the team has one reward, N if each agent has its own.
        box: bounds and shape of an agent's action, if it is continuous.
        entity_layout: what observations and state are made of, if the env can tell.
    """

    n_agents: int
    n_actions: int
    obs_shape: int
    state_shape: int
    episode_limit: int
    n_rewards: int = 1
    box: Box | None = None
    entity_layout: EntityLayout | None = None

    @property
    def action_space(self) -> Discrete | Box:
        """Return what one agent chooses from."""
        return self.box or Discrete(self.n_actions)

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """All that env and policy exchange in a step: the one list from which every other is derived."""
        n, space = self.n_agents, self.action_space
        return (
            Field(name="obs", role="observation", shape=(n, self.obs_shape), dtype=np.float32, per_agent=True),
            Field(name="state", role="observation", shape=(self.state_shape,), dtype=np.float32),
            Field(name="avail_actions", role="observation", shape=(n, self.n_actions), dtype=np.bool_, per_agent=True),
            Field(name="actions", role="action", shape=(n, *space.shape), dtype=space.dtype, per_agent=True),
            Field(name="reward", role="result", shape=(self.n_rewards,), dtype=np.float64),
            Field(name="terminated", role="result", shape=(), dtype=np.bool_),
            Field(name="truncated", role="result", shape=(), dtype=np.bool_, stored=False),
            Field(name="broken", role="result", shape=(), dtype=np.bool_, stored=False),
        )

    def with_role(self, *roles: Role) -> tuple[Field, ...]:
        """Return the fields that have one of these roles."""
        return tuple(field for field in self.fields if field.role in roles)

    def sizes(self) -> dict[str, int]:
        """Return the SIZES by name: what a checkpoint says of its env."""
        return {name: vars(self)[name] for name in SIZES}

    def problem(self) -> str:
        """Return what does not fit together, as the end of a sentence that names the env; "" if all does."""
        layout = self.entity_layout
        if self.n_rewards not in (1, self.n_agents):
            return f"has {self.n_rewards} rewards, expected 1 for the team or one for each of {self.n_agents} agents"
        if self.box is not None and math.prod(self.box.shape) != self.n_actions:
            return f"has actions of shape {self.box.shape}, but n_actions={self.n_actions}"
        if layout is not None and total_size(layout.obs) != self.obs_shape:
            return f"has an entity layout of {total_size(layout.obs)} features, but obs_shape={self.obs_shape}"
        if layout is not None and total_size(layout.state) != self.state_shape:
            return f"has an entity layout of {total_size(layout.state)} features, but state_shape={self.state_shape}"
        if layout is not None and (problem := layout.problem(self.n_actions)):
            return f"has an entity layout with {problem}"
        return ""
