"""VMAS (Bettini et al. 2022): many copies of a scenario in one world of PyTorch tensors, with discrete actions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.keys import construct, import_for
from pymarl.envs.team import TeamEnv
from pymarl.envs.team_batch import TeamBatch
from pymarl.utils.errors import UserError, closest


class VmasEnv(TeamBatch):
    """A scenario of VMAS. `time_limit` is the only clock; every end of the scenario's own is terminated.

    All rows of a batch are copies in one world, which is one call for any number of them. Each row's start comes from
    its own seed. A scenario that draws again later, or at the start for all copies together, would make an episode
    depend on who else plays: it is refused, and plays with `one_world: False`, where each row has a world of its own.

    Args:
        config: see config/envs/vmas.yaml.
        batch_size: B.

    Raises:
        UserError: missing package, unknown scenario, options that it does not take, actions or observations of a kind
            that is not supported.
    """

    @dataclass(frozen=True, kw_only=True)
    class Config(TeamEnv.Config):
        one_world: bool

    def __init__(self, config: Config, batch_size: int) -> None:
        per_world = batch_size if config.one_world else 1
        self._worlds = [_World(config, per_world) for _ in range(batch_size // per_world)]
        self._one_world = config.one_world and batch_size > 1
        if self._one_world and not self._worlds[0].starts_as(_World(config, 1)):
            raise self._shared_chance("starts")
        self._seeds = [0] * batch_size
        self._played: list[list[NDArray[np.int64]]] = [[] for _ in range(batch_size)]
        self._stale = np.zeros(batch_size, np.bool_)
        sizes, obs_shapes = self._worlds[0].sizes, [obs.shape[1] for obs in self._worlds[0].look()]
        super().__init__(config, sizes, max(obs_shapes), None, batch_size)

    @staticmethod
    def _shared_chance(what: str) -> UserError:
        return UserError(
            f"env_args.one_world=True: the scenario {what} by chance that all rows of a batch share, so that an "
            "episode would depend on the others; write env_args.one_world=False"
        )

    def begin(self, rows: NDArray[np.int64], seeds: list[int]) -> None:
        """Start episodes."""
        for row, seed in zip(rows.tolist(), seeds, strict=True):
            self._seeds[row], self._played[row], self._stale[row] = seed, [], False
            self._start(row)
        self.show(rows, self._padded([world.look() for world in self._worlds])[rows])

    def _start(self, row: int) -> None:
        world, copy = divmod(row, self._worlds[0].copies)
        self._worlds[world].reset(copy, self._seeds[row])

    def advance(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Any, Any]:
        """Step the worlds that these rows are in, and return what becomes of the rows.

        A world steps all its copies, so that a row which is left out has moved on; it is played again when it is next.
        """
        if self._stale[rows].any():
            self._play_again(rows)
        obs, rewards, ended = self._step_worlds(actions, rows)
        for row in rows.tolist():
            self._played[row].append(actions[row].copy())
        self.show(rows, obs)
        return rewards, ended

    def _play_again(self, rows: NDArray[np.int64]) -> None:
        """Bring rows of the one world to where they stand, all at the same time: who has played less starts later."""
        longest = max(len(self._played[row]) for row in rows.tolist())
        actions = np.zeros((self.batch_size, self.info.n_agents), np.int64)
        for step in range(longest + 1):
            late = [row for row in rows.tolist() if len(self._played[row]) >= longest - step]
            for row in late:
                if len(self._played[row]) == longest - step:
                    self._start(row)
                if step < longest:
                    actions[row] = self._played[row][step - longest]
            if step < longest:
                self._step_worlds(actions, np.array(late))
        self._stale[rows] = False

    def _step_worlds(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        """Return observations, rewards and ends of these rows."""
        moves = np.zeros((self.batch_size, self.info.n_agents), np.float32)
        moves[rows] = actions[rows]
        copies = self._worlds[0].copies
        stepped = sorted({row // copies for row in rows.tolist()})
        results = [self._worlds[at].step(moves[at * copies : (at + 1) * copies]) for at in stepped]
        if self._one_world:
            self._stale |= ~np.isin(np.arange(self.batch_size), rows)
            if any(drew for *_, drew in results):
                raise self._shared_chance("goes on")
        places = np.searchsorted(stepped, rows // copies) * copies + rows % copies
        rewards, ended = (np.concatenate([result[at] for result in results])[places] for at in (1, 2))
        return self._padded([result[0] for result in results])[places], rewards, ended

    def _padded(self, seen: list[list[NDArray[np.float32]]]) -> NDArray[np.float32]:
        """Return the observations of these worlds' copies, [copies, N, O]."""
        obs = np.zeros((len(seen) * self._worlds[0].copies, self.info.n_agents, self.info.obs_shape), np.float32)
        for agent in range(self.info.n_agents):
            own = np.concatenate([world[agent] for world in seen])
            obs[:, agent, : own.shape[1]] = own
        return obs


class _World:
    """One of VMAS's envs, which is `copies` copies of a scenario, with random numbers of its own.

    VMAS keeps one state of all generators for all envs of a process, in a list of their class.
    """

    def __init__(self, config: VmasEnv.Config, copies: int) -> None:
        self.copies, self._key = copies, config.key
        self._env = make_env(config, copies)
        self._shared: list[Any] = type(self._env).vmas_random_state
        self._chance = list(self._shared)
        spaces = list(self._env.action_space)
        for agent, space in enumerate(spaces):
            if not hasattr(space, "n"):
                raise UserError(f"env_args.key={config.key!r}: agent {agent} acts in {space}, expected a Discrete")
        self.sizes = [int(space.n) for space in spaces]

    def reset(self, copy: int, seed: int) -> None:
        """Start the episode of this seed in a copy."""
        self._env.seed(seed)
        self._env.reset_at(copy, return_observations=False)
        self._chance = list(self._shared)

    def starts_as(self, alone: _World) -> bool:
        """Tell whether a copy starts as it does alone, by the same draws."""
        seen = []
        for world in (self, alone):
            world.reset(0, seed=1)
            seen.append([obs[0] for obs in world.look()])
        return _same_chance(self._chance, alone._chance) and all(map(np.array_equal, *seen))

    def look(self) -> list[NDArray[np.float32]]:
        """Return each agent's observations [copies, O]."""
        self._shared[:] = self._chance
        (obs,) = self._env.get_from_scenario(
            get_observations=True, get_rewards=False, get_infos=False, get_dones=False, dict_agent_names=False
        )
        self._chance = list(self._shared)
        return [self._plain(agent, each) for agent, each in enumerate(obs)]

    def _plain(self, agent: int, obs: Any) -> NDArray[np.float32]:
        if isinstance(obs, dict):
            raise UserError(
                f"env_args.key={self._key!r}: agent {agent} observes a dict of {sorted(obs)}, expected one tensor"
            )
        return np.asarray(obs.numpy(), np.float32).reshape(self.copies, -1)

    def step(self, moves: NDArray[np.float32]) -> tuple[Any, Any, Any, bool]:
        """Return observations, rewards [copies, N], ends [copies], and whether there was chance in it."""
        self._shared[:] = self._chance
        chosen = [moves[:, agent : agent + 1] for agent in range(len(self.sizes))]
        obs, rewards, ended, *_ = self._env.step(chosen)
        before, self._chance = self._chance, list(self._shared)
        seen = [self._plain(agent, each) for agent, each in enumerate(obs)]
        paid = np.stack([each.numpy().reshape(self.copies) for each in rewards], axis=1)
        return seen, paid, ended.numpy(), not _same_chance(before, self._chance)


def _same_chance(before: list[Any], after: list[Any]) -> bool:
    """Tell whether no generator was drawn from: torch's, NumPy's, Python's."""
    (torch_was, numpy_was, python_was), (torch_is, numpy_is, python_is) = before, after
    same = numpy_was[2] == numpy_is[2] and np.array_equal(numpy_was[1], numpy_is[1])
    return same and bool(torch_was.equal(torch_is)) and python_was == python_is


def make_env(config: VmasEnv.Config, copies: int) -> Any:
    """Return VMAS's env.

    Raises:
        UserError: missing package, unknown scenario, options that it does not take.
    """
    vmas = import_for(config.key, "vmas")
    (folder,) = import_for(config.key, "vmas.scenarios").__path__
    known = sorted({file.stem for file in Path(folder).rglob("*.py")} - {"__init__"})
    if config.key not in known:
        raise UserError(f"env_args.key={config.key!r}: VMAS has no such scenario{closest(config.key, known)}")
    return construct(
        config.key,
        config.env_kwargs,
        lambda: vmas.make_env(
            config.key,
            num_envs=copies,
            continuous_actions=False,
            max_steps=None,
            seed=0,
            terminated_truncated=True,
            **config.env_kwargs,
        ),
    )
