"""JaxMARL's envs (SMAX, MPE, Overcooked, Hanabi, ...) through their step function, a whole batch in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.keys import construct, import_for
from pymarl.envs.team import TeamEnv
from pymarl.envs.team_batch import TeamBatch
from pymarl.utils.errors import UserError, closest

OWN_CLOCKS = ("max_steps", "num_inner_steps")
"""Attributes by which env classes count steps themselves; at the end they say done as if the game were over."""
MASKS = ("get_avail_actions", "get_legal_moves")
STATE = "world_state"
"""The entry of the observations that is the state; SMAX has it."""


class JaxMarlEnv(TeamBatch):
    """A JaxMARL env with discrete actions, all rows of the batch under one `vmap`.

    An episode's key comes from its seed, and a step's key from the episode's key and the step's number. So an episode
    follows from its seed and its actions, and can be played again from its middle. `time_limit` is the only clock: an
    env's own is set past it. There is no automatic reset.

    Args:
        config: see config/envs/jaxmarl.yaml.
        batch_size: B.

    Raises:
        UserError: missing package, unknown key or map, options that the env does not take, actions of real numbers.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(TeamEnv.Config):
        map_name: str | None

    def __init__(self, config: Config, batch_size: int) -> None:
        self._env = make_env(config)
        self._agents = list(self._env.agents)
        sizes = [n_actions(config.key, self._env, agent) for agent in self._agents]
        self._pure = _Functions(config.key, self._env, self._agents, max(sizes))
        obs, state, avail = self._pure.shapes()
        for agent, (size, space) in enumerate(zip(avail, sizes, strict=True)):
            if size is not None and size != space:
                raise UserError(
                    f"env_args.key={config.key!r}: agent {agent} has {space} actions, but a mask of {size} entries"
                )
        super().__init__(config, sizes, obs, state, batch_size)
        self._keys = self._pure.keys([0] * batch_size)
        self._states, *_ = self._pure.reset(self._keys)

    def begin(self, rows: NDArray[np.int64], seeds: list[int]) -> None:
        """Start episodes."""
        drawn = np.zeros(self.batch_size, np.int64)
        drawn[rows] = seeds
        keys = self._pure.keys(drawn.tolist())
        fresh, *seen = self._pure.reset(keys)
        self._keys, self._states = self._pure.chosen(self._mask(rows), (keys, fresh), (self._keys, self._states))
        for row in rows.tolist():
            self._won[row] = {}
        self._see(rows, seen)

    def advance(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Any, Any]:
        """Step all rows in one call, and keep what becomes of those given."""
        moves = np.zeros((self.batch_size, self.info.n_agents), np.int32)
        moves[rows] = actions[rows]
        after, rewards, ended, *seen = self._pure.step(self._keys, self._states, self._steps, moves)
        self._states = self._pure.chosen(self._mask(rows), after, self._states)
        self._see(rows, seen)
        rewards, ended = np.asarray(rewards)[rows], np.asarray(ended)[rows]
        if hasattr(self._env, "won_battle_bonus"):  # SMAX
            for row, won in zip(rows.tolist(), (ended & self._won_battles()[rows]).tolist(), strict=True):
                self._won[row] = {"battle_won": won}
        return rewards, ended

    def _won_battles(self) -> NDArray[np.bool_]:
        """Return [B], whether all enemies and not all allies are dead: where SMAX pays its bonus, whatever that is."""
        states = self._states.state if hasattr(self._states, "state") else self._states  # with a scripted enemy, or not
        alive, allies = np.asarray(states.unit_alive), self._env.num_allies
        return np.asarray(~alive[:, allies:].any(axis=1) & alive[:, :allies].any(axis=1))

    def _mask(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        mask = np.zeros(self.batch_size, np.bool_)
        mask[rows] = True
        return mask

    def _see(self, rows: NDArray[np.int64], seen: list[Any]) -> None:
        obs, state, avail = (None if each is None else np.asarray(each)[rows] for each in seen)
        self.show(rows, obs, state, avail)


class _Functions:
    """An env's pure functions for a whole batch, compiled. Keys, env states and numbers of steps come with an axis [B].

    Args:
        key: the env's name.
        env: JaxMARL's.
        agents: its agents, in the order of ours.
        n_actions: length of the longest mask.
    """

    def __init__(self, key: str, env: Any, agents: list[str], n_actions: int) -> None:
        jax = import_for(key, "jax")
        jnp = jax.numpy
        self._jax, self._jnp = jax, jnp
        self._env, self._agents, self._n_actions = env, agents, n_actions
        obs, state = jax.eval_shape(env.reset, jax.random.PRNGKey(0))
        if not isinstance(obs, Mapping) or any(agent not in obs for agent in agents):
            raise UserError(f"env_args.key={key!r}: its observations are not a dict with an entry for each agent")
        self._masks = next((name for name in MASKS if self._has_mask(name, state)), None)
        self.keys = jax.jit(lambda seeds: jax.vmap(jax.random.PRNGKey)(jnp.asarray(seeds)))
        self.reset = jax.jit(jax.vmap(self._reset))
        self.step = jax.jit(jax.vmap(self._step))
        self.chosen = jax.jit(self._chosen)

    def _has_mask(self, name: str, state: Any) -> bool:
        """Tell whether the env has this method; the base class of all raises."""
        if not hasattr(self._env, name):
            return False
        try:
            self._jax.eval_shape(getattr(self._env, name), state)
        except NotImplementedError:
            return False
        return True

    def shapes(self) -> tuple[int, int | None, list[int | None]]:
        """Return the lengths of the longest observation, of the env's state (None: it has none), of each mask."""

        def first(key: Any) -> Any:
            obs, state = self._env.reset(key)
            return obs, None if self._masks is None else getattr(self._env, self._masks)(state)

        obs, masks = self._jax.eval_shape(first, self._jax.random.PRNGKey(0))
        size = max(int(np.prod(obs[agent].shape)) for agent in self._agents)
        own = int(np.prod(obs[STATE].shape)) if STATE in obs else None
        return size, own, [None if masks is None else int(np.prod(masks[agent].shape)) for agent in self._agents]

    def _reset(self, key: Any) -> tuple[Any, ...]:
        obs, state = self._env.reset(self._jax.random.fold_in(key, 0))
        return state, *self._seen(obs, state)

    def _step(self, key: Any, state: Any, steps: Any, moves: Any) -> tuple[Any, ...]:
        """Return the next state, rewards [N], whether the game is over, and what is seen."""
        actions = {agent: moves[at] for at, agent in enumerate(self._agents)}
        own = self._jax.random.fold_in(key, steps + 1)
        obs, state, rewards, dones, _ = self._env.step_env(own, state, actions)
        paid = self._jnp.stack([self._jnp.asarray(rewards[agent]).reshape(()) for agent in self._agents])
        return state, paid, dones["__all__"], *self._seen(obs, state)

    def _seen(self, obs: Mapping[str, Any], state: Any) -> tuple[Any, Any, Any]:
        """Return observations [N, O], the env's own state or None, and masks [N, A] or None."""
        masks = None
        if self._masks is not None:
            masks = self._rows(getattr(self._env, self._masks)(state), self._n_actions) > 0
        size = max(obs[agent].size for agent in self._agents)
        return self._rows(obs, size), obs[STATE].reshape(-1) if STATE in obs else None, masks

    def _rows(self, entries: Mapping[str, Any], size: int) -> Any:
        """Return the agents' entries as rows of floats, padded with zeros."""
        flat = [entries[agent].reshape(-1).astype(self._jnp.float32) for agent in self._agents]
        return self._jnp.stack([self._jnp.pad(row, (0, size - row.size)) for row in flat])

    def _chosen(self, mask: Any, new: Any, old: Any) -> Any:
        """Return `new` in the rows of the mask [B], `old` elsewhere."""

        def choose(a: Any, b: Any) -> Any:
            return self._jnp.where(mask.reshape(-1, *[1] * (a.ndim - 1)), a, b)

        return self._jax.tree.map(choose, new, old)


def n_actions(key: str, env: Any, agent: Any) -> int:
    """Return how many actions an agent has. UserError if they are not numbered."""
    space = env.action_space(agent)
    if not hasattr(space, "n"):
        raise UserError(
            f"env_args.key={key!r}: agent {agent!r} acts in a {type(space).__name__}, only discrete actions are "
            "supported"
        )
    return int(space.n)


def make_env(config: JaxMarlEnv.Config) -> Any:
    """Return JaxMARL's env, its own clock set past ours.

    Raises:
        UserError: missing package, unknown key or map, options that the env does not take.
    """
    jaxmarl = import_for(config.key, "jaxmarl")
    if config.key not in jaxmarl.registered_envs:
        raise UserError(
            f"env_args.key={config.key!r}: JaxMARL has no such env{closest(config.key, jaxmarl.registered_envs)}"
        )
    for clock in OWN_CLOCKS:
        if clock in config.env_kwargs:
            raise UserError(
                f"env_args.env_kwargs.{clock}={config.env_kwargs[clock]!r}: write env_args.time_limit instead"
            )
    options = dict(config.env_kwargs)
    if config.map_name is not None:
        options["scenario"] = find_map(config.key, config.map_name)
    env = construct(config.key, config.env_kwargs, lambda: jaxmarl.make(config.key, **options))
    set_clock(env, config.time_limit)
    return env


def find_map(key: str, name: str) -> Any:
    """Return SMAX's scenario of this map. UserError if there is none."""
    if "SMAX" not in key:
        raise UserError(
            f"env_args.map_name={name!r}: only SMAX has maps; write env_args.map_name=null with env_args.key={key}"
        )
    maps = import_for(key, "jaxmarl.environments.smax.smax_env").MAP_NAME_TO_SCENARIO
    if name not in maps:
        raise UserError(f"env_args.map_name={name!r}: SMAX has no such map{closest(name, maps)}")
    return maps[name]


def set_clock(env: Any, time_limit: int) -> None:
    """Set an env's own clock past `time_limit`, also where the env is wrapped into another."""
    while env is not None:
        for clock in OWN_CLOCKS:
            if clock in vars(env):
                setattr(env, clock, max(int(vars(env)[clock]), time_limit + 1))
        env = vars(env).get("_env")
