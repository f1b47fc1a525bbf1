"""The env around the battles of skirmish: options, seeds, resume, errors, statistics, replays, and sanity."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skirmish_arena import ROW, STOP, TARGET, Arena, make, random_actions
from skirmish_maps import ALL_MAPS, SMAC

from pymarl.envs.check import check_env
from pymarl.envs.single import make_env
from pymarl.envs.skirmish.env import Skirmish
from pymarl.envs.skirmish.replay.replay import read_replay

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from sanity import check_map

OPTIONS: list[dict[str, Any]] = [
    {"unit_stats": "ladder"}, {"replicate_quirks": False}, {"threads": 2}, {"step_mul": 4}, {"move_amount": 1},
    {"move_amount": 1.5}, {"difficulty": "A"}, {"game_version": "4.6.2"}, {"continuing_episode": True},
    {"obs_all_health": False}, {"obs_all_health": False, "obs_own_health": False}, {"obs_last_action": True},
    {"obs_pathing_grid": True}, {"obs_terrain_height": True}, {"obs_instead_of_state": True},
    {"obs_timestep_number": True}, {"obs_timestep_number": True, "replicate_quirks": False},
    {"state_last_action": False}, {"state_timestep_number": True}, {"reward_sparse": True},
    {"reward_only_positive": False}, {"reward_death_value": 20}, {"reward_win": 100}, {"reward_defeat": -10},
    {"reward_only_positive": False, "reward_negative_scale": 1}, {"reward_scale": False}, {"reward_scale_rate": 1},
    {"replay_dir": "x"}, {"replay_prefix": "x"}, {"debug": True},
]  # fmt: skip


def play(env: Skirmish, seeds: list[int], rows: list[int], one_by_one: bool = False) -> list[list[bytes]]:
    """Play the episodes of `seeds` in `rows`; return what each showed, step by step."""
    generator, a = np.random.default_rng(0), env.arrays
    active = np.array(rows)
    env.reset(active, np.array(seeds, np.uint64))
    seen: dict[int, list[bytes]] = {row: [] for row in rows}
    while active.size:
        actions = random_actions(env, generator)
        for part in [active[i : i + 1] for i in range(active.size)] if one_by_one else [active]:
            env.step(actions, part)
        for row in active.tolist():
            shown = (a.obs, a.state, a.avail_actions, a.reward, a.terminated, a.truncated)
            seen[row].append(b"".join(array[row].tobytes() for array in shown) + env._world.units[row].tobytes())
        active = active[~(a.terminated | a.truncated)[active]]
    return [seen[row] for row in rows]


@pytest.mark.parametrize("options", OPTIONS, ids=[",".join(f"{k}={v}" for k, v in o.items()) for o in OPTIONS])
def test_every_option_plays(options: dict[str, Any]) -> None:
    env = make(2, map_name="2s3z", **options)
    (trace, _) = play(env, [3, 4], [0, 1])
    assert 5 < len(trace) <= 120
    for array in (env.arrays.obs, env.arrays.state, env.arrays.reward):
        assert np.isfinite(array).all()
    assert env.arrays.obs.shape == (2, 5, env.info.obs_shape)
    env.close()


def test_all_options_are_covered() -> None:
    keys = {key for options in OPTIONS for key in options}
    assert keys == set(Skirmish.Config.__dataclass_fields__) - {"map_name", "heuristic_ai", "heuristic_rest"}


@pytest.mark.parametrize("name", ["2s3z", "MMM"])
def test_an_episode_is_its_seeds_alone(name: str) -> None:
    (expected,) = play(make(1, map_name=name), [5], [0])
    checked = 0
    for batch, threads in ((1, 2), (3, 1), (3, 2), (16, 1), (16, 2)):
        env = make(batch, map_name=name, threads=threads)
        order = np.random.default_rng(batch).permutation(batch).tolist()
        for one_by_one in (False, True):
            seen = play(env, [5, *range(100, 99 + batch)], order, one_by_one)
            assert seen[0] == expected
            assert all(trace != expected for trace in seen[1:])
            checked += 1
        env.close()
    assert checked == 10


def test_resumes_in_mid_episode() -> None:
    first, second = make(3, map_name="1c3s5z"), make(3, map_name="1c3s5z")
    rows, generator = np.arange(3), np.random.default_rng(7)
    first.reset(rows, np.array([1, 2, 3], np.uint64))
    for _ in range(12):
        first.step(random_actions(first, generator), rows)
    state = first.get_state_dict()
    assert first._world.beams["loop"].shape == (3, 2)
    expected = []
    draws = generator.bit_generator.state
    for _ in range(20):
        first.step(random_actions(first, generator), rows)
        expected.append(first.arrays.obs.tobytes() + first.arrays.reward.tobytes() + first._world.units.tobytes())
    generator.bit_generator.state = draws
    second.load_state_dict(state)
    assert np.array_equal(second.seeds, [1, 2, 3])
    for k in range(20):
        second.step(random_actions(second, generator), rows)
        shown = second.arrays.obs.tobytes() + second.arrays.reward.tobytes() + second._world.units.tobytes()
        assert shown == expected[k]


def test_an_illegal_action_is_named() -> None:
    env = make(3, map_name="3m")
    rows = np.arange(3)
    env.reset(rows, np.arange(3).astype(np.uint64))
    before = env._world.units.copy()
    for action in (0, 6, -1, 9):
        actions = np.ones((3, 3), np.int64)
        actions[2, 1] = action
        with pytest.raises(ValueError, match="not available") as caught:
            env.step(actions, rows)
        for word in ("3m", f"action {action} ", "agent 1 ", "env 2 ", "[1, 2, 3, 4, 5]"):
            assert word in str(caught.value)
    assert np.array_equal(env._world.units, before)


def win_at_once(env: Skirmish) -> float:
    """Let agents shoot enemies that cannot shoot, with a better aim than they have; return the return."""
    env.reset(ROW, np.array([1], np.uint64))
    units, n = env._world.units[0], env.info.n_agents
    units["x"][:n], units["x"][n:] = 14, 18
    units["y"][:n] = units["y"][n:] = 14 + np.arange(n)
    units["health"][:n] = 1e6
    total = 0.0
    for _ in range(env.info.episode_limit):
        env.arrays.avail_actions[:] = True
        alive = np.flatnonzero(units["health"][n:] > 0)
        env.step(np.full((1, n), TARGET + alive[0]), ROW)
        total += float(env.arrays.reward[0, 0])
        if env.arrays.terminated[0]:
            break
    assert env.episode_info(0) == {
        "battle_won": True, "dead_allies": 0, "dead_enemies": n, "episode_limit": False,
    }  # fmt: skip
    return total


def test_a_perfect_win_totals_twenty() -> None:
    assert win_at_once(make(map_name="3m")) == pytest.approx(20)
    assert win_at_once(make(map_name="8m", reward_scale_rate=7)) == pytest.approx(7)
    assert win_at_once(make(map_name="3m", reward_scale=False)) == pytest.approx(365)


def test_statistics_count() -> None:
    env = make(map_name="3m")
    assert env.get_stats()[0] == {
        "battles_won": 0, "battles_game": 0, "battles_draw": 0, "win_rate": 0, "timeouts": 0, "restarts": 0,
    }  # fmt: skip
    win_at_once(env)
    env.reset(ROW, np.array([1], np.uint64))
    while not env.arrays.terminated[0]:  # lost
        env.step(np.where(env.arrays.avail_actions[..., 0], 0, STOP), ROW)
    assert not env.episode_info(0)["battle_won"]
    env.reset(ROW, np.array([1], np.uint64))
    env._world.units["x"][0, 3:] = env._world.units["goal_x"][0, 3:] = 31
    while not env.arrays.truncated[0]:  # nobody meets anybody
        env.step(np.full((1, 3), STOP), ROW)
    assert env.steps[0] == 60
    assert env.get_stats()[0] == {
        "battles_won": 1, "battles_game": 3, "battles_draw": 1, "win_rate": 1 / 3, "timeouts": 1, "restarts": 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["MMM2", "bane_vs_bane", "1c3s5z"])
def test_a_replay_is_what_was_played(name: str, tmp_path: Path) -> None:
    env = make(2, map_name=name)
    rows, generator, rewards, seen = np.arange(2), np.random.default_rng(2), [], []
    env.reset(rows, np.array([2**64 - 1, 8], np.uint64))
    while not (env.arrays.terminated | env.arrays.truncated)[0]:
        env.step(random_actions(env, generator), rows[:1])
        rewards.append(env.arrays.reward[0, 0])
        seen.append(env._world.units[0].copy())
    units = np.array(seen)
    (path,) = env.save_replay(
        tmp_path, values=np.zeros((1, len(rewards), *env.arrays.avail_actions.shape[1:]), np.float32)
    )
    replay = read_replay(path)
    assert len(replay.steps["actions"]) == len(rewards)
    assert np.array_equal(replay.steps["reward"], np.array(rewards, replay.steps["reward"].dtype))
    for key in ("x", "y", "health", "shield", "energy"):
        frames = replay.frames[key]
        assert np.array_equal(frames[8::8], units[key].astype(frames.dtype)), key
    assert replay.meta["seed"] == "ffffffffffffffff"
    assert replay.meta["result"] in ("won", "lost")
    assert np.array_equal(env._world.units[0], units[-1])  # filming leaves the env alone


@pytest.mark.parametrize("name", ["MMM", "so_many_baneling"])
def test_check_env_is_content(name: str) -> None:
    env = make_env("skirmish", {"map_name": name}, seed=0)
    report = check_env(env, steps=100)
    assert report.steps >= 100
    assert report.repeated >= 1
    env.close()


def test_the_ladder_differs(tmp_path: Path) -> None:
    """A stalker kills a zealot: 10 a hit each 24 loops, or 13 each 30 (29.92 up)."""
    lives = []
    for stats in ("liberty", "ladder"):
        arena = Arena(tmp_path, ["stalker"], ["zealot"], unit_stats=stats)
        arena.all_kinds(speed=0)
        arena.place({0: (10, 16), 1: (15, 16)})
        frames = arena.attack(100, (0, 1))
        lives.append(sorted(set((frames["health"] + frames["shield"])[:, 1].tolist()), reverse=True))
    assert lives == [[150, 140, 130, 120, 110], [150, 137, 124, 111, 99]]


@ALL_MAPS
def test_sanity_of_random_episodes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    report = check_map(name, episodes=6, num_envs=6, seed=list(SMAC).index(name))
    print(report)
    assert report.episodes == 6
    assert report.steps > 60
    assert not report.faults, f"{report}"


def test_sanity_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Skirmish.step

    def fault(change: Any) -> list[str]:
        def broken(self: Skirmish, actions: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
            step(self, actions, rows)
            change(self)

        monkeypatch.setattr(Skirmish, "step", broken)
        return list(check_map("corridor", episodes=2, num_envs=2, seed=1, most_faults=1).faults)

    def set_obs(env: Skirmish) -> None:
        env.arrays.obs[0, 0, 0] = np.nan

    def set_place(env: Skirmish) -> None:
        env._world.units["x"][1, 3] = 1.5

    def set_life(env: Skirmish) -> None:
        env._world.units["health"][0, 0] = 101

    def set_mask(env: Skirmish) -> None:
        env.arrays.avail_actions[1, 2, :] = False

    def set_reward(env: Skirmish) -> None:
        env.arrays.reward[0] = 30

    words = {set_obs: "not finite", set_place: "in a wall", set_life: "life", set_mask: "mask", set_reward: "reward"}
    for change, word in words.items():
        assert word in " ".join(fault(change)), word


def test_a_step_after_the_end_or_before_the_start_is_refused() -> None:
    env = make(map_name="3m", batch_size=2)
    rows = np.arange(2)
    with pytest.raises(ValueError, match="no episode is on in env 0; reset it first"):
        env.step(np.zeros((2, 3), np.int64), rows)
    env.reset(rows, np.arange(2).astype(np.uint64))
    generator = np.random.default_rng(0)
    while not (ended := env.arrays.terminated | env.arrays.truncated).any():
        env.step(random_actions(env, generator), rows)
    over = int(np.flatnonzero(ended)[0])
    before = env.actions(over).copy()
    with pytest.raises(ValueError, match=f"skirmish 3m: no episode is on in env {over}; reset it first"):
        env.step(random_actions(env, generator), np.array([over]))
    assert (env.actions(over) == before).all()
    assert sum(stats["battles_game"] for stats in env.get_stats()) == ended.sum()
