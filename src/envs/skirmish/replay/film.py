"""Replays: an episode follows from its seed and its actions, so it is played once more to be written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.multiagentenv import EnvArrays
from pymarl.envs.native.out import Out
from pymarl.envs.skirmish.battle import kernels
from pymarl.envs.skirmish.battle.arrays import UNIT, World
from pymarl.envs.skirmish.env import Skirmish
from pymarl.envs.skirmish.replay.replay import frames_of, replay_meta, replay_path, save_replay
from pymarl.envs.skirmish.scenario.build import make_scratch, make_world
from pymarl.envs.skirmish.scenario.kinds import kind_names

ROW = np.zeros(1, np.int64)


class SkirmishWithReplays(Skirmish):
    """Skirmish as the registry has it; see `Skirmish` for arguments and errors."""

    replay_of_episode = True

    def save_replay(
        self, directory: Path, rows: int | None = None, values: NDArray[np.float32] | None = None
    ) -> list[Path]:
        """Write a replay of each row's episode, as far as it has been played; see replay.py.

        Args:
            directory: where the files go, unless env_args.replay_dir says otherwise; made if missing.
            rows: only of the first so many rows.
            values: [rows, T, N, A] what the policy thought of each action, shown by the viewer.

        Returns:
            The files; a row without a step has none.
        """
        config = self.config
        folder = Path(config.replay_dir) if config.replay_dir else directory
        paths = []
        for row in range(self.batch_size if rows is None else rows):
            if self.steps[row] <= 0:
                continue
            meta, frames, steps = replay_episode(self, int(self.seeds[row]), self.actions(row))
            if values is not None:
                steps["values"] = values[row, : len(steps["actions"])]
            path = replay_path(folder, config.replay_prefix or config.map_name, int(self.seeds[row]))
            paths.append(save_replay(path, meta, frames, steps))
        return paths


def replay_episode(
    env: Skirmish, seed: int, actions: NDArray[np.int16]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Play the episode of `seed` with actions [T, N] again; return meta, frames and steps as replay.py takes them."""
    rules = env.rules
    world = make_world(rules, env.map, env.kinds, env.terrain, 1)
    a = EnvArrays.allocate(env.info, 1)
    packed = kernels.pack(rules, env.terrain, env.kinds, world, make_scratch(rules, 1), Out.of(a))
    n_steps, n_units = len(actions), rules.n_agents + rules.n_enemies
    units = np.zeros((n_steps * rules.step_mul + 1, n_units), UNIT)
    reward = np.zeros(n_steps)
    avail = np.zeros((n_steps, rules.n_agents, rules.n_actions), np.bool_)
    kernels.reset_rows(ROW, np.array([seed], np.uint64), 0, packed)
    units[0] = world.units[0]
    for t in range(n_steps):
        avail[t] = a.avail_actions[0]
        loops = slice(t * rules.step_mul + 1, (t + 1) * rules.step_mul + 1)
        kernels.step_rows(ROW, actions[t : t + 1].astype(np.int64), units[loops], 0, packed)
        reward[t] = a.reward[0, 0]
    names = kind_names(env.map)
    meta = replay_meta(
        map_name=env.config.map_name,
        seed=seed,
        result=_result(a, world),
        rules=rules,
        terrain=env.terrain,
        kinds=env.kinds,
        names=names,
        unit_kinds=units[0]["kind"],
    )
    return meta, frames_of(units, units["fired"]), {"actions": actions, "reward": reward, "avail": avail}


def _result(arrays: EnvArrays, world: World) -> str:
    won, dead_allies, dead_enemies = world.info[0].tolist()
    if won:
        return "won"
    if arrays.truncated[0]:
        return "truncated"
    if not arrays.terminated[0]:
        return "unfinished"
    return "draw" if world.units.shape[1] == dead_allies + dead_enemies else "lost"
