"""Worker processes that die, hang or cannot be started: what they were playing is broken, and they come back."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymarl.envs.adapter import constructor_seeds
from pymarl.envs.batched import SerialEnvs
from pymarl.envs.workers.worker_envs import WorkerEnvs
from worker_kit import nothing_left, start

__all__ = ["nothing_left"]
pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize(("workers", "lost"), [(4, [1]), (2, [2, 3]), (1, [0, 1, 2, 3])])
def test_a_killed_worker_is_started_again_if_asked(workers: int, lost: list[int]) -> None:
    env = WorkerEnvs("fake_envs:RandomWalk", {}, 4, 1, {}, workers, revive=True)
    others = [row for row in range(4) if row not in lost]
    rows, actions = np.arange(4), np.zeros((4, 2), np.int64)
    env.reset(rows, np.array([5, 6, 7, 8], np.uint64))
    assert not env.arrays.broken.any()
    victim = env._processes[min(1, workers - 1)].pid
    os.kill(victim, signal.SIGKILL)
    env.step(actions, rows)
    assert np.flatnonzero(env.arrays.broken).tolist() == lost
    assert not (env.arrays.terminated | env.arrays.truncated)[lost].any()
    assert all(f"(process {victim}) was killed by SIGKILL" in env.episode_info(row)["broken"] for row in lost)
    env.reset(np.array(lost), np.array(lost, np.uint64))
    assert not env.arrays.broken.any()
    fresh = start(SerialEnvs, batch_size=4)
    fresh.reset(np.array(lost), np.array(lost, np.uint64))
    fresh.reset(np.array(others, np.int64), np.array([5, 6, 7, 8], np.uint64)[others])
    fresh.step(actions, np.array(others, np.int64))
    fresh.step(actions, rows)
    env.step(actions, rows)
    for name, array in vars(env.arrays).items():
        np.testing.assert_array_equal(array, vars(fresh.arrays)[name], name)
    env.close()


def test_a_worker_that_is_not_asked_may_die_too() -> None:
    """What its env held of the episode that has ended is lost, so it is broken like one that was going on."""
    env = WorkerEnvs("fake_envs:RandomWalk", {}, 3, 1, {}, 3, revive=True)
    actions = np.zeros((3, 2), np.int64)
    env.reset(np.arange(3), np.arange(3, dtype=np.uint64))
    victim = env._processes[1]
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait(5)
    for _ in range(2):
        env.step(actions, np.array([0, 2]))
    assert env.arrays.broken.tolist() == [False, True, False]
    assert "SIGKILL" in env.episode_info(1)["broken"]
    env.reset(np.array([1]), np.array([7], np.uint64))
    env.step(actions, np.arange(3))
    assert not env.arrays.broken.any()
    env.close()


def test_a_worker_that_dies_after_its_reply_has_lost_its_episodes() -> None:
    env = WorkerEnvs("fake_envs:Slow", {}, 3, 1, {}, 2, revive=True)  # rows 0 | 1, 2; row 0 is slow
    env.reset(np.arange(3), np.arange(3, dtype=np.uint64))
    threading.Timer(0.5, env._processes[1]._process.kill).start()
    env.step(np.zeros((3, 2), np.int64), np.arange(3))
    assert env.arrays.broken.tolist() == [False, True, True]
    assert not (env.arrays.terminated | env.arrays.truncated)[1:].any()
    env.close()


@pytest.mark.parametrize("deaths", [1, 2])
@pytest.mark.parametrize("polite", [False, True])
def test_a_worker_that_dies_at_its_start_is_tried_again_when_its_rows_are_reset(
    tmp_path: Path, deaths: int, polite: bool
) -> None:
    env = WorkerEnvs("fake_envs:DiesAtStart", {"curses": str(tmp_path), "polite": polite}, 2, 1, {}, 2, revive=True)
    rows, actions, seeds = np.arange(2), np.zeros((2, 2), np.int64), np.array([5, 6], np.uint64)
    env.reset(rows, seeds)
    for death in range(deaths):
        (tmp_path / str(death)).touch()
    os.kill(env._processes[1].pid, signal.SIGKILL)
    env.step(actions, rows)
    assert env.arrays.broken.tolist() == [False, True]
    assert re.search(r"was killed by SIGKILL.* during step$", env.episode_info(1)["broken"])
    env.step(actions, rows[:1])  # the other row plays on, and nobody is started
    assert len(list(tmp_path.iterdir())) == deaths - 1
    if deaths == 2:
        env.reset(rows[1:], seeds[1:])
        assert env.arrays.broken.tolist() == [False, True]
        said = "the map is not there" if polite else "exited with code 7 during start"
        assert said in env.episode_info(1)["broken"]
    env.reset(rows[1:], seeds[1:])
    env.step(actions, rows)
    assert not env.arrays.broken.any()
    env.close()


@pytest.mark.parametrize("how", ["sleeps", "stopped"])
def test_a_worker_that_does_not_answer_in_time_is_replaced(how: str) -> None:
    trouble = "sleep" if how == "sleeps" else ""
    env = WorkerEnvs("fake_envs:Promising", {"trouble": trouble, "at": 2}, 2, 1, {}, 2, revive=True)
    rows, actions, seeds = np.arange(2), np.zeros((2, 2), np.int64), np.array([5, 6], np.uint64)
    env.reset(rows, seeds)
    env.step(actions, rows)
    if how == "stopped":
        os.kill(env._processes[1].pid, signal.SIGSTOP)
    env.step(actions, rows)
    assert env.arrays.broken.tolist() == [how == "sleeps", True]
    assert re.search(r"row 1 \(process \d+\) has not answered for [2-9] s during step", env.episode_info(1)["broken"])
    env.reset(rows, seeds)
    env.step(actions, rows)
    assert not env.arrays.broken.any()
    env.close()


def test_a_worker_that_cannot_be_started_breaks_the_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: Any, **__: Any) -> Any:
        raise OSError(12, "Cannot allocate memory")

    env = WorkerEnvs("fake_envs:RandomWalk", {}, 2, 1, {}, 2, revive=True)
    rows, actions, seeds = np.arange(2), np.zeros((2, 2), np.int64), np.array([5, 6], np.uint64)
    env.reset(rows, seeds)
    os.kill(env._processes[1].pid, signal.SIGKILL)
    with monkeypatch.context() as patch:
        patch.setattr("pymarl.utils.child.subprocess.Popen", no_memory)
        env.step(actions, rows)
        env.reset(rows[1:], seeds[1:])
        assert env.arrays.broken.tolist() == [False, True]
        assert "the worker of row 1 could not be started: Cannot allocate memory" in env.episode_info(1)["broken"]
    env.reset(rows[1:], seeds[1:])
    env.step(actions, rows)
    assert not env.arrays.broken.any()
    env.close()


@pytest.mark.timeout(40)
def test_a_worker_that_hangs_at_a_restart_is_down(tmp_path: Path) -> None:
    """Without env_timeout, what its envs promise of a reset holds for the start too."""
    env = WorkerEnvs("fake_envs:HangsAtRestart", {"folder": str(tmp_path)}, 1, 1, {}, 1, revive=True)
    rows, actions, seeds = np.arange(1), np.zeros((1, 2), np.int64), np.array([5], np.uint64)
    env.reset(rows, seeds)
    os.kill(env._processes[0].pid, signal.SIGKILL)
    env.step(actions, rows)
    assert env.arrays.broken.all()
    env.reset(rows, seeds)  # tried again, in vain
    assert re.search(r"has not answered for 5 s during start$", env.episode_info(0)["broken"])
    next(tmp_path.iterdir()).unlink()
    env.reset(rows, seeds)
    assert not env.arrays.broken.any()
    env.close()


def test_a_revived_env_does_not_play_its_first_episodes_again() -> None:
    env = WorkerEnvs("fake_envs:SeededOnce", {}, 2, 1, {}, 1, revive=True)
    rows, shown = np.arange(2), []
    for _ in range(3):
        env.reset(rows, np.zeros(2, np.uint64))
        shown.append(env.arrays.obs.tobytes())
        os.kill(env._processes[0].pid, signal.SIGKILL)
        env.step(np.zeros((2, 2), np.int64), rows)
        assert env.arrays.broken.all()
    assert len(set(shown)) == 3
    env.close()


def test_while_one_is_replaced_others_may_answer() -> None:
    bad = constructor_seeds(1, 3)[0]
    env = WorkerEnvs("fake_envs:Promising", {"seconds": 1.2, "bad_seed": bad}, 3, 1, {}, 2, revive=True)
    rows = np.arange(3)  # 0 | 1, 2, which together may take 3 s
    env.reset(rows, np.arange(3, dtype=np.uint64))
    env.step(np.zeros((3, 2), np.int64), rows)
    assert env.arrays.broken.tolist() == [True, False, False]
    env.close()
