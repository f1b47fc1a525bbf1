"""SMAC's battles without StarCraft II, for a whole batch of envs (Samvelyan et al., 2019, for the benchmark)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvArrays
from pymarl.envs.native.out import Out
from pymarl.envs.skirmish.battle import kernels
from pymarl.envs.skirmish.battle.arrays import UNIT
from pymarl.envs.skirmish.battle.features import layout
from pymarl.envs.skirmish.scenario.build import make_rules, make_scratch, make_world
from pymarl.envs.skirmish.scenario.kinds import kind_table
from pymarl.envs.skirmish.scenario.maps import load_map
from pymarl.envs.skirmish.scenario.terrain import make_terrain
from pymarl.envs.skirmish.scenario.units import load_units
from pymarl.envs.smac_options import SmacOptions
from pymarl.envs.smac_stats import smac_stats
from pymarl.envs.specs import EnvInfo, total_size
from pymarl.utils.config import PositiveInt
from pymarl.utils.errors import UserError

NO_FRAMES = np.zeros((0, 0), UNIT)
OK = -1


class Skirmish:
    """Two armies fight; agents command the units of one, scripted orders the other.

    Observations, states, masks, rewards and endings are SMAC's, with its options and their names; the battle is
    simulated here. docs/skirmish.md says what is simulated and what is not.

    The registry's `skirmish` is this class with replays on top: see replay/film.py.

    Args:
        config: see config/envs/skirmish.yaml.
        batch_size: B, number of envs.

    Raises:
        UserError: unknown map, or a map file that is wrong.
    """

    batched = True
    replay_of_episode = False

    @dataclass(frozen=True, kw_only=True)
    class Config(SmacOptions):
        unit_stats: Literal["liberty", "ladder"]
        replicate_quirks: bool
        threads: PositiveInt

    def __init__(self, config: Config, batch_size: int) -> None:
        for key in ("heuristic_ai", "heuristic_rest"):
            if vars(config)[key]:
                raise UserError(f"env_args.{key}=True: skirmish has no scripted agents; see benchmarks/baselines.py")
        self.config = config
        self.batch_size = batch_size
        self.map = load_map(config.map_name)
        units = load_units(config.unit_stats)
        self.kinds = kind_table(self.map, units)
        self.rules = make_rules(config, self.map, self.kinds, quirks=config.replicate_quirks)
        self.terrain = make_terrain(self.map)
        self._world = make_world(self.rules, self.map, self.kinds, self.terrain, batch_size)
        entities = layout(self.rules, self.kinds)
        self.info = EnvInfo(
            n_agents=self.rules.n_agents,
            n_actions=self.rules.n_actions,
            obs_shape=total_size(entities.obs),
            state_shape=total_size(entities.state),
            episode_limit=self.rules.episode_limit,
            entity_layout=entities,
        )
        self.arrays = EnvArrays.allocate(self.info, batch_size)
        scratch = make_scratch(self.rules, config.threads)
        self._packed = kernels.pack(self.rules, self.terrain, self.kinds, self._world, scratch, Out.of(self.arrays))
        self.seeds = np.zeros(batch_size, np.uint64)
        self._prepared = False
        self._pool = ThreadPoolExecutor(config.threads) if config.threads > 1 else None

    def reset(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Start the episode of `seeds[k]` in row `rows[k]`; writes obs, state and avail_actions of these rows."""
        if not self._prepared:
            self._prepared = True
            kernels.prepare(self._packed, NO_FRAMES)
        self.seeds[rows] = seeds
        kernels.reset_rows(rows, seeds, 0, self._packed)

    def step(self, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
        """Step the rows given with `actions[rows]`, actions being [B, N]; writes every array of these rows.

        Raises:
            ValueError: an action is not available, or an episode is over; its row has not been stepped then.
        """
        if self._pool is None or len(rows) < 2:
            refused = kernels.step_rows(rows, actions, NO_FRAMES, 0, self._packed)
        else:
            parts = np.array_split(rows, min(self.config.threads, len(rows)))
            jobs = [
                self._pool.submit(kernels.step_rows, part, actions, NO_FRAMES, lane, self._packed)
                for lane, part in enumerate(parts)
            ]
            refused = next((job.result() for job in jobs if job.result() != OK), OK)
        if refused != OK:
            self._refuse(refused, actions)

    def _refuse(self, refused: int, actions: NDArray[np.int64]) -> None:
        if refused < OK:
            raise ValueError(f"skirmish {self.config.map_name}: no episode is on in env {-2 - refused}; reset it first")
        row, agent = divmod(refused, self.info.n_agents)
        available = np.flatnonzero(self.arrays.avail_actions[row, agent]).tolist()
        raise ValueError(
            f"skirmish {self.config.map_name}: action {actions[row, agent]} of agent {agent} in env {row} is not "
            f"available; its mask allows {available}"
        )

    def episode_info(self, row: int) -> dict[str, Any]:
        """Return the info of the row's last step: SMAC's keys, and episode_limit when only the clock ended it."""
        won, allies, enemies = self._world.info[row].tolist()
        truncated = bool(self.arrays.truncated[row])
        return {"battle_won": bool(won), "dead_allies": allies, "dead_enemies": enemies, "episode_limit": truncated}

    def get_stats(self) -> list[dict[str, float]]:
        """Return SMAC's statistics of each row over all its episodes, see `smac_stats`."""
        rows = self._world.stats.tolist()
        return [smac_stats(won=won, games=games, timeouts=timeouts) for games, won, timeouts in rows]

    @property
    def units(self) -> NDArray[np.void]:
        """[B, N + M] UNIT, everybody as they are now; to be read, not written."""
        return self._world.units

    @property
    def spawn(self) -> NDArray[np.void]:
        """[N + M] UNIT, everybody as they are at the start of an episode."""
        return self._world.spawn

    @property
    def outcomes(self) -> NDArray[np.int64]:
        """[B, 3] battle_won, dead_allies and dead_enemies of each row's last step."""
        return self._world.info

    @property
    def steps(self) -> NDArray[np.int64]:
        """[B] env steps of each row's episode."""
        return self._world.steps

    def actions(self, row: int) -> NDArray[np.int16]:
        """Return [T, N], the actions of the row's episode so far."""
        return self._world.actions[row, : self._world.steps[row]]

    def get_state_dict(self) -> dict[str, NDArray[Any]]:
        """Return all that the episodes of all rows go on from, as copies, with what the runner reads."""
        return {name: array.copy() for name, array in self._kept().items()}

    def load_state_dict(self, state: dict[str, NDArray[Any]]) -> None:
        """Go on where `get_state_dict` was taken."""
        for name, array in self._kept().items():
            array[...] = state[name]

    def _kept(self) -> dict[str, NDArray[Any]]:
        return {**self._world._asdict(), **vars(self.arrays), "seeds": self.seeds}

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
