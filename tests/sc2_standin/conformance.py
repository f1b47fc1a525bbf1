"""Skirmish beside unmodified SMAC, which plays against the stand-in: same seeds, same actions, same numbers?

Float32 arrays are compared by their bits, rewards as float32 and, apart, as float64.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pymarl.envs.skirmish.battle.arrays import FIRST_TARGET, STOP
from pymarl.envs.skirmish.env import Skirmish
from pymarl.utils.config import build_config
from pymarl.utils.layers import merge
from sc2_standin.game import episode_seed

ROW = np.zeros(1, np.int64)
STEADY = 0.95
"""In every other episode agents stand and shoot at the first target with this chance: chance alone never wins."""

OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "step_mul": {"step_mul": 5},
    "move_amount": {"move_amount": 3},
    "difficulty": {"difficulty": "A"},
    "game_version": {"game_version": "4.10"},
    "continuing_episode": {"continuing_episode": True},
    "obs_all_health": {"obs_all_health": False, "obs_own_health": True},
    "obs_own_health": {"obs_all_health": False, "obs_own_health": False},
    "obs_last_action": {"obs_last_action": True},
    "obs_pathing_grid": {"obs_pathing_grid": True},
    "obs_terrain_height": {"obs_terrain_height": True},
    "obs_instead_of_state": {"obs_instead_of_state": True},
    "obs_timestep_number": {"obs_timestep_number": True},
    "state_last_action": {"state_last_action": False},
    "state_timestep_number": {"state_timestep_number": True},
    "reward_sparse": {"reward_sparse": True},
    "reward_only_positive": {"reward_only_positive": False},
    "reward_death_value": {"reward_death_value": 7},
    "reward_win": {"reward_win": 100},
    "reward_defeat": {"reward_defeat": -50},
    "reward_negative_scale": {"reward_only_positive": False, "reward_negative_scale": 0.3},
    "reward_scale": {"reward_scale": False},
    "reward_scale_rate": {"reward_scale_rate": 10},
    "replay_dir": {"replay_dir": "here", "replay_prefix": "this"},
    "debug": {"debug": True},
}
"""Each option of SMAC's constructor, not as by default. heuristic_ai is not here: skirmish refuses it."""


@dataclass
class Report:
    """What a comparison found.

    Attributes:
        differences: what differs -> in how many steps or resets.
        first: what differs -> where it did first.
        float64: steps whose rewards differ as float64.
    """

    map_name: str
    option: str
    episodes: int = 0
    steps: int = 0
    won: int = 0
    timeouts: int = 0
    seconds: float = 0.0
    differences: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    float64: int = 0

    def differ(self, what: str, where: str) -> None:
        """Note a difference."""
        self.differences[what] = self.differences.get(what, 0) + 1
        self.first.setdefault(what, where)


def make_skirmish(map_name: str, options: Mapping[str, Any]) -> Skirmish:
    """Return skirmish with SMAC's defaults and these options."""
    layers = merge(None, "skirmish", {"env_args": {"map_name": map_name, **options}})
    return Skirmish(build_config(Skirmish.Config, layers.values["env_args"], layers.origin, "env_args."), 1)


Script = Callable[[], NDArray[np.int64]]
"""Returns the agents' next actions, [N]."""


def compare(
    map_name: str, option: str, episodes: int, seed: int, make_script: Callable[[Skirmish], Script] | None = None
) -> Report:
    """Play episodes in both; SC2PATH must be the stand-in's.

    Args:
        map_name: of SMAC.
        option: key of OPTIONS.
        episodes: how many.
        seed: random_seed of the game, and of the actions.
        make_script: plays every other episode, if given.
    """
    from smac.env import StarCraft2Env

    start = time.perf_counter()
    report = Report(map_name, option)
    smac = StarCraft2Env(map_name=map_name, seed=seed, **OPTIONS[option])
    try:
        skirmish = make_skirmish(map_name, OPTIONS[option])
        script = make_script(skirmish) if make_script else None
        generator = np.random.default_rng(seed)
        for k in range(episodes):
            play_episode(smac, skirmish, k, seed, script or partial(stand, skirmish, generator), generator, report)
        compare_facts(smac, skirmish, report)
    finally:
        smac.close()
    report.seconds = time.perf_counter() - start
    return report


def play_episode(
    smac: Any, skirmish: Skirmish, k: int, seed: int, script: Script, generator: np.random.Generator, report: Report
) -> None:
    """Play the kth episode of a launch: by chance if k is even, by the script if it is odd."""
    smac.reset()
    skirmish.reset(ROW, np.array([episode_seed(seed, k)], np.uint64))
    report.episodes += 1
    compare_views(smac, skirmish, report, f"episode {k}, reset")
    terminated = False
    while not terminated:
        actions = script() if k % 2 else choose(np.array(smac.get_avail_actions(), bool), 0.0, generator)
        if not skirmish.arrays.avail_actions[0][np.arange(len(actions)), actions].all():
            break  # compare_views has said so
        timeouts = smac.timeouts
        reward, terminated, info = smac.step(actions.tolist())
        skirmish.step(actions[None], ROW)
        report.steps += 1
        where = f"episode {k}, step {int(skirmish.steps[0])}"
        compare_views(smac, skirmish, report, where)
        compare_step(skirmish, report, where, reward, terminated, info, smac.timeouts > timeouts)
        report.won += bool(info["battle_won"])
        report.timeouts += smac.timeouts > timeouts
        if skirmish.arrays.terminated[0] or skirmish.arrays.truncated[0]:
            break


def stand(skirmish: Skirmish, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return actions of agents that nearly always stand and shoot."""
    return choose(skirmish.arrays.avail_actions[0], STEADY, generator)


def choose(avail: NDArray[np.bool_], steady: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return random available actions, [N]; with chance `steady` of an agent, the first target or to stand still."""
    targets = avail[:, FIRST_TARGET:]
    stand = np.where(targets.any(1), FIRST_TARGET + targets.argmax(1), avail[:, STOP])  # 0, no-op, for the dead
    return np.where(generator.random(len(avail)) < steady, stand, (generator.random(avail.shape) * avail).argmax(-1))


def compare_views(smac: Any, skirmish: Skirmish, report: Report, where: str) -> None:
    """Compare observations, state and masks."""
    arrays = skirmish.arrays
    pairs = {
        "obs": (np.array(smac.get_obs()).astype(np.float32), arrays.obs[0]),
        "state": (np.asarray(smac.get_state()).astype(np.float32), arrays.state[0]),
        "avail_actions": (np.array(smac.get_avail_actions(), bool), arrays.avail_actions[0]),
    }
    for what, (theirs, ours) in pairs.items():
        if theirs.shape != ours.shape:
            report.differ(what, f"{where}: shape {theirs.shape} in SMAC, {ours.shape} in skirmish")
        elif theirs.tobytes() != ours.tobytes():
            at = tuple(int(i) for i in np.argwhere(theirs != ours)[0]) if (theirs != ours).any() else ()
            report.differ(what, f"{where}, {at}: {theirs[at]!r} in SMAC, {ours[at]!r} in skirmish")


def compare_step(
    skirmish: Skirmish, report: Report, where: str, reward: float, terminated: bool, info: dict[str, Any], late: bool
) -> None:
    """Compare what step returns; SMAC calls a time limit terminated, and tells it by its statistics."""
    arrays, ours = skirmish.arrays, skirmish.episode_info(0)
    mine = float(arrays.reward[0, 0])
    if np.float32(reward) != np.float32(mine):
        report.differ("reward", f"{where}: {reward!r} in SMAC, {mine!r} in skirmish")
    report.float64 += float(reward) != mine
    over = bool(arrays.terminated[0] or arrays.truncated[0])
    if bool(terminated) != over or late != bool(arrays.truncated[0]):
        report.differ("end", f"{where}: terminated {terminated}, timeout {late}; {over}, {arrays.truncated[0]}")
    ending = ours.pop("episode_limit")
    if report.option == "continuing_episode" and info.pop("episode_limit", False) != ending:
        report.differ("info", f"{where}: episode_limit")
    if info != ours:
        report.differ("info", f"{where}: {info} in SMAC, {ours} in skirmish")


def compare_facts(smac: Any, skirmish: Skirmish, report: Report) -> None:
    """Compare sizes and statistics of a whole launch."""
    theirs, ours = smac.get_env_info(), skirmish.info
    short = ("obs_shape", "state_shape") if "obs_timestep_number" in OPTIONS[report.option] else ()  # SMAC's quirk
    for key in ("state_shape", "obs_shape", "n_actions", "n_agents", "episode_limit"):
        if theirs[key] != getattr(ours, key) and key not in short:
            report.differ("env_info", f"{key}: {theirs[key]} in SMAC, {getattr(ours, key)} in skirmish")
    if smac.battles_game and smac.get_stats() != skirmish.get_stats()[0]:
        report.differ("stats", f"{smac.get_stats()} in SMAC, {skirmish.get_stats()[0]} in skirmish")


def use_standin(folder: Path) -> None:
    """Make the stand-in the game of this process."""
    import os

    from sc2_standin.install import make_sc2path

    os.environ["SC2PATH"] = str(make_sc2path(folder))
