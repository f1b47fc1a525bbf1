"""Random battles of skirmish, looked at after each env step: does anything happen that cannot?

    python benchmarks/sanity.py                                   10,000 episodes on each of SMAC's maps
    python benchmarks/sanity.py --maps 3m,corridor --episodes 500 --seed 3

Checked: finite numbers in obs, state and reward; everybody in the map and where its kind can stand; life, shields and
energy within what a kind has; the dead stay dead, and neither move nor act; every agent has an action, the dead only
no-op; rewards, dead and info agree; no more than the limit of steps. Exit code 1 if anything is wrong. Episode k of a
map has the seed that `--seed` and k make, whatever the batch size.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from pymarl.envs.skirmish.battle.arrays import AIR_LAYER
from pymarl.envs.skirmish.env import Skirmish
from pymarl.envs.skirmish.scenario.maps import map_names
from scripted import battles, make_env

SLACK = 1e-9


@dataclass
class Report:
    """What was played and what was wrong. `faults` are lines that name map, seed and step."""

    map_name: str
    seed: int
    episodes: int = 0
    steps: int = 0
    won: int = 0
    truncated: int = 0
    least: float = np.inf  # reward of a step
    most: float = -np.inf
    highest: float = -np.inf  # return
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{self.map_name}: seed {self.seed}, {self.episodes} episodes, {self.steps} steps, {self.won} won, "
            f"{self.truncated} truncated, reward of a step {self.least:.3f} to {self.most:.3f}, highest return "
            f"{self.highest:.2f}, {len(self.faults)} faults",
            *self.faults,
        ]
        return "\n".join(lines)


class Watcher:
    """Looks at the rows of an env after each step."""

    def __init__(self, env: Skirmish, seeds: NDArray[np.uint64], report: Report) -> None:
        self.env, self.report = env, report
        self.seeds = seeds
        self.before = env.units.copy()
        self.returns = np.zeros(env.batch_size)
        kind = env.kinds[env.spawn["kind"]]
        self.most = {"health": kind["health"], "shield": kind["shield"], "energy": kind["energy_max"]}
        self.flies, self.climbs = kind["layer"] == AIR_LAYER, kind["climbs"]
        enemies = kind[env.info.n_agents :]
        self.enemy_total = float((enemies["health"] + enemies["shield"]).sum())

    def begin(self, rows: NDArray[np.int64], seeds: NDArray[np.uint64]) -> None:
        """Note the start of episodes."""
        self.seeds[rows], self.returns[rows] = seeds, 0
        self.before[rows] = self.env.units[rows]
        self.look_at_places(rows)
        self.look_at_numbers(rows)

    def blame(self, rows: NDArray[np.int64], wrong: NDArray[np.bool_], what: str) -> None:
        """Add a fault for each row in which something is `wrong`, [rows] or [rows, ...]."""
        for k in np.flatnonzero(wrong.reshape(len(rows), -1).any(1)):
            row = int(rows[k])
            units = np.flatnonzero(wrong[k]).tolist() if wrong.ndim > 1 else ""
            where = f"{self.report.map_name}, episode seed {self.seeds[row]}, step {self.env.steps[row]}"
            self.report.faults.append(f"{where}: {what} {units}")

    def look(self, rows: NDArray[np.int64]) -> None:
        """Check what the last step of `rows` did."""
        now, before = self.env.units[rows], self.before[rows]
        self.look_at_places(rows)
        self.look_at_numbers(rows)
        self.look_at_the_dead(rows, now, before)
        self.look_at_rewards(rows, now, before)
        self.before[rows] = now

    def look_at_places(self, rows: NDArray[np.int64]) -> None:
        """Everybody alive is in the map, and on ground that carries it."""
        terrain, units = self.env.terrain, self.env.units[rows]
        width, height = terrain.pathable.shape
        alive, x, y = units["health"] > 0, units["x"], units["y"]
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        self.blame(rows, alive & ~inside, "outside of the map: units")
        u, v = np.clip(np.nan_to_num(x), 0, width - 1).astype(int), np.clip(np.nan_to_num(y), 0, height - 1).astype(int)
        stands = np.where(self.climbs, terrain.climbable[u, v], terrain.pathable[u, v]) | self.flies
        self.blame(rows, alive & inside & ~stands, "in a wall: units")

    def look_at_numbers(self, rows: NDArray[np.int64]) -> None:
        """Observations and state are finite, masks offer something, units hold what they can hold."""
        a, units, n = self.env.arrays, self.env.units[rows], self.env.info.n_agents
        for name, array in (("obs", a.obs[rows]), ("state", a.state[rows])):
            self.blame(rows, ~np.isfinite(array).reshape(len(rows), -1).all(1), f"{name} is not finite")
        self.blame(rows, ~a.avail_actions[rows].any(-1), "empty mask: agents")
        alive = units["health"][:, :n] > 0
        self.blame(rows, a.avail_actions[rows][:, :, 0] == alive, "no-op in the mask of the living, or not of the dead")
        for key, most in self.most.items():
            value = units[key]
            name = "life" if key == "health" else key
            self.blame(rows, ~((value >= 0) & (value <= most + SLACK)), f"{name} out of bounds: units")

    def look_at_the_dead(self, rows: NDArray[np.int64], now: NDArray[np.void], before: NDArray[np.void]) -> None:
        """Who was dead before the step is dead, where it was, and has done nothing."""
        dead = before["health"] <= 0
        self.blame(rows, dead & (now["health"] > 0), "risen from the dead: units")
        moved = (now["x"] != before["x"]) | (now["y"] != before["y"])
        self.blame(rows, dead & moved, "dead and moved: units")
        self.blame(rows, dead & (now["fired"] >= 0), "dead and acting: units")
        aimed = np.take_along_axis(before["health"], np.maximum(now["fired"], 0), axis=1)
        heals = self.env.kinds["heal"][now["kind"]] > 0
        self.blame(rows, (now["fired"] >= 0) & heals & (aimed <= 0), "healing the dead: units")

    def look_at_rewards(self, rows: NDArray[np.int64], now: NDArray[np.void], before: NDArray[np.void]) -> None:
        """A step pays what the enemies lost, computed anew, and the win; nobody plays on past the limit."""
        env, rules, a, n = self.env, self.env.rules, self.env.arrays, self.env.info.n_agents
        was, lives = before["health"][:, n:] > 0, now["health"][:, n:] > 0
        held = np.where(was, before["health"][:, n:] + before["shield"][:, n:], 0).sum(1)
        holds = np.where(lives, now["health"][:, n:] + now["shield"][:, n:], 0).sum(1)
        info = env.outcomes[rows]
        pays = np.abs(held - holds + rules.reward_death_value * (was & ~lives).sum(1)) + rules.reward_win * info[:, 0]
        reward = a.reward[rows, 0]
        self.returns[rows] += reward
        self.blame(rows, ~(np.abs(reward - pays / rules.reward_divisor) < 1e-6), "reward is not what was done")
        self.blame(rows, ~((reward >= 0) & (reward <= rules.reward_win + self.enemy_total)), "reward out of bounds")
        self.blame(rows, info[:, 1] != (now["health"][:, :n] <= 0).sum(1), "dead_allies is wrong")
        self.blame(rows, info[:, 2] != (~lives).sum(1), "dead_enemies is wrong")
        over = a.terminated[rows] | a.truncated[rows]
        self.blame(rows, a.terminated[rows] & a.truncated[rows], "both terminated and truncated")
        self.blame(rows, (env.steps[rows] >= rules.episode_limit) & ~over, "goes on after the limit")
        nobody = (now["health"][:, :n] <= 0).all(1) | ~lives.any(1)
        self.blame(rows, nobody & ~a.terminated[rows], "goes on with one side dead")
        self.report.least = min(self.report.least, float(reward.min()))
        self.report.most = max(self.report.most, float(reward.max()))


def check_map(map_name: str, episodes: int, num_envs: int, seed: int, most_faults: int = 10) -> Report:
    """Play random episodes on a map and report; stops early after `most_faults` faults."""
    env = make_env(map_name, min(num_envs, episodes))
    seeds = np.random.default_rng(seed).integers(2**64, size=episodes, dtype=np.uint64)
    report = Report(map_name, seed)
    watcher = Watcher(env, np.zeros(env.batch_size, np.uint64), report)
    for turn in battles(env, "random", seeds):
        if turn.began:
            watcher.begin(turn.rows, seeds[turn.episode[turn.rows]])
            continue
        watcher.look(turn.rows)
        report.steps += len(turn.rows)
        report.episodes += len(turn.ended)
        report.won += int(env.outcomes[turn.ended, 0].sum())
        report.truncated += int(env.arrays.truncated[turn.ended].sum())
        report.highest = max([report.highest, *watcher.returns[turn.ended].tolist()])
        if len(report.faults) >= most_faults:
            break
    env.close()
    return report


def main(argv: list[str]) -> int:
    """Check the maps; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", default="", help="comma-separated names or files; all of SMAC's if not given")
    parser.add_argument("--episodes", type=int, default=10_000, help="on each map")
    parser.add_argument("--num-envs", type=int, default=256, help="episodes that are played side by side")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    if options.episodes < 1 or options.num_envs < 1:
        parser.error("--episodes and --num-envs: at least 1")
    faults = 0
    for map_name in options.maps.split(",") if options.maps else map_names():
        begin = time.perf_counter()
        report = check_map(map_name, options.episodes, options.num_envs, options.seed)
        faults += len(report.faults)
        print(f"{report} ({time.perf_counter() - begin:.0f} s)", flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
