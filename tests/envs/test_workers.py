"""Worker processes: the same episodes as in-process, clear errors, and nothing left behind however things end."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import numpy as np
import pytest

from pymarl.envs.adapter import constructor_seeds
from pymarl.envs.batched import SerialEnvs, make_batched_env
from pymarl.envs.multiagentenv import ReplayError
from pymarl.envs.workers.worker import STEP
from pymarl.envs.workers.worker_envs import EnvError, WorkerEnvs
from pymarl.utils.child import Channel
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge
from worker_kit import nothing_left, play, start

ROOT = Path(__file__).parents[2]
__all__ = ["nothing_left"]
pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["RandomWalk", "FiveValues", "SeededOnce"])
def test_workers_play_the_episodes_of_the_serial_env(kind: str, workers: int) -> None:
    serial, parallel = start(SerialEnvs, kind, 4), start(WorkerEnvs, kind, 4, workers)
    assert len(parallel._processes) == workers
    for seeds in ([5, 6, 7, 8], [2**64 - 1, 0, 9, 10]):
        expected, played = play(serial, seeds), play(parallel, seeds)
        assert len(expected) > 4
        np.testing.assert_equal(played, expected)
    assert parallel.get_stats() == serial.get_stats()
    assert len({stats["constructor_seed"] for stats in parallel.get_stats()}) == 4
    parallel.close()


def test_there_is_a_worker_per_core_and_at_most_one_per_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 5, 9}, raising=False)
    for batch_size, expected in ((2, [[0], [1]]), (8, [[0, 1], [2, 3, 4], [5, 6, 7]])):
        env = WorkerEnvs("fake_envs:RandomWalk", {}, batch_size, 1, {}, None)
        assert [list(process.rows) for process in env._processes] == expected
        assert len(env._processes) == len(expected)
        env.close()
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    env = WorkerEnvs("fake_envs:RandomWalk", {}, 4, 1, {}, None)
    assert len(env._processes) == 2
    env.close()


def test_one_message_per_worker_and_step_carries_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    env = start(WorkerEnvs, batch_size=4, workers=2)
    env.reset(np.arange(4), np.arange(4, dtype=np.uint64))
    sent = []
    send = Channel.send
    monkeypatch.setattr(Channel, "send", lambda *message: (sent.append(message[1:]), send(*message)))
    env.step(np.zeros((4, 2), np.int64), np.array([0, 2, 3]))
    env.step(np.zeros((4, 2), np.int64), np.array([2]))
    assert sent == [(STEP, [0]), (STEP, [2, 3]), (STEP, [2])]
    env.close()


def test_a_long_message_arrives_whole() -> None:
    ours, theirs = (Channel(end) for end in socket.socketpair())
    long = {"text": "x" * 100_000}  # more than is read at once, less than the socket holds
    ours.send(STEP, long)
    try:
        assert theirs.receive() == (STEP, long)
    finally:
        ours.close()
        theirs.close()


def test_a_real_env_plays_the_same_in_workers() -> None:
    """Level-based foraging draws its levels from Gymnasium's generator, which only `reset` seeds."""
    pytest.importorskip("pymarl.envs.gymma", reason="the env gymma is not here")
    pytest.importorskip("lbforaging", reason="needs the package lbforaging")
    updates = {"env_args": {"key": "lbforaging:Foraging-8x8-2p-3f-v3"}}
    env_args = merge(None, "gymma", updates).values["env_args"]
    serial, workers = SerialEnvs("gymma", env_args, 3, 1, {}), WorkerEnvs("gymma", env_args, 3, 1, {}, 2)
    for seeds in ([5, 6, 7], [2**64 - 1, 0, 1]):
        expected, played = play(serial, seeds), play(workers, seeds)
        assert len(expected) > 10
        np.testing.assert_equal(played, expected)
    serial.close()
    workers.close()


def test_an_episode_depends_on_its_seed_alone() -> None:
    one, three = start(SerialEnvs, batch_size=1), start(SerialEnvs, batch_size=3)
    one.reset(np.array([0]), np.array([7], np.uint64))
    three.reset(np.array([0, 1, 2]), np.array([5, 6, 7], np.uint64))
    np.testing.assert_array_equal(one.arrays.obs[0], three.arrays.obs[2])
    assert (three.arrays.obs[0] != three.arrays.obs[2]).any()


@pytest.mark.parametrize("in_process", [True, False])
def test_truncated_and_terminated_are_never_both_true(in_process: bool) -> None:
    seen = set()
    for name, env_args in (("RandomWalk", {}), ("FiveValues", {"both": True})):
        env = make_batched_env(f"fake_envs:{name}", env_args, 2, 1, {}, in_process)
        for seed in range(12):
            play(env, [2 * seed, 2 * seed + 1])
            seen |= {(name, *end) for end in zip(env.arrays.terminated, env.arrays.truncated, strict=True)}
        env.close()
    ends = ((True, False), (False, True))
    assert seen == {(name, *end) for name in ("RandomWalk", "FiveValues") for end in ends}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_only_the_given_rows_are_written(workers: int) -> None:
    env = start(WorkerEnvs, batch_size=3, workers=workers)
    env.reset(np.arange(3), np.arange(3, dtype=np.uint64))
    before = [array.copy() for array in vars(env.arrays).values()]
    env.step(np.zeros((3, 2), np.int64), np.array([0, 2]))
    for array, old in zip(vars(env.arrays).values(), before, strict=True):
        np.testing.assert_array_equal(array[1], old[1])
    assert (env.arrays.obs[[0, 2]] != before[0][[0, 2]]).all()
    env.close()


EXCEPTIONS = {
    "raise": "ZeroDivisionError: planted fault",
    "reset_connection": "ConnectionResetError: the game hung up",
    "exit": "it ended the program by sys.exit(7)",
    "deep": "RecursionError: maximum recursion depth exceeded",
    "memory": "MemoryError",
}


@pytest.mark.parametrize(("at", "action"), [(-1, "start"), (0, "reset"), (3, "step")])
@pytest.mark.parametrize("trouble", EXCEPTIONS)
@pytest.mark.parametrize("kind", [SerialEnvs, WorkerEnvs])
def test_an_exception_is_one_line_with_the_envs_own_lines_below(kind: type, trouble: str, at: int, action: str) -> None:
    with pytest.raises(EnvError) as caught:
        play(start(kind, batch_size=1, trouble=trouble, at=at), [1])
    line = f"env 'fake_envs:RandomWalk' failed in row 0 during {action}: {EXCEPTIONS[trouble]}"
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    details = caught.value.details
    assert "in _misbehave" in details
    assert str(ROOT / "src") not in details
    assert "Traceback" not in details


def test_a_keyboard_interrupt_in_a_worker_is_the_envs_own() -> None:
    with pytest.raises(EnvError, match="during step: KeyboardInterrupt"):
        play(start(WorkerEnvs, batch_size=1, trouble="interrupt"), [1])


@pytest.mark.parametrize(("at", "action"), [(-1, "start"), (0, "reset"), (3, "step")])
@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_names_the_row_within_its_worker(workers: int, at: int, action: str) -> None:
    seeds = constructor_seeds(1, 4)
    with pytest.raises(EnvError, match=f"in row 2 during {action}: ZeroDivisionError: planted fault"):
        play(start(WorkerEnvs, "OneBadRow", 4, workers, bad_seed=seeds[2], trouble="raise", at=at), [1, 2, 4, 3])


TROUBLES = {
    "user": "map 'x' is missing; download it",
    "shape": "get_obs returned shape (1, 4) of float32, expected shape (2, 4)",
    "ragged": "get_obs returned list of unequal rows, expected shape (2, 4)",
    "nan": "get_obs returned nan at (1, 2)",
    "mask": "get_avail_actions leaves agent 1 no action",
}


@pytest.mark.parametrize("kind", [SerialEnvs, WorkerEnvs])
@pytest.mark.parametrize("trouble", sorted(TROUBLES))
def test_what_the_user_can_mend_is_one_line(kind: type, trouble: str) -> None:
    for at in (0, 2):
        with pytest.raises(UserError) as caught:
            play(start(kind, trouble=trouble, at=at), [1, 2])
        assert TROUBLES[trouble] in str(caught.value)
        assert "\n" not in str(caught.value)
        assert trouble == "user" or "'fake_envs:RandomWalk'" in str(caught.value)


@pytest.mark.parametrize("kind", [SerialEnvs, WorkerEnvs])
def test_a_bad_start_is_one_line_too(kind: type) -> None:
    with pytest.raises(UserError, match="cannot be seeded"):
        start(kind, "Unseeded")
    with pytest.raises(UserError, match=r"does not accept these env_args.*'colour'"):
        start(kind, colour=3)
    with pytest.raises(UserError, match="no 'Nothing'"):
        start(kind, "Nothing")
    with pytest.raises(UserError, match=r"'episode_limit'\] is 0, expected 1 to 2147483647"):
        start(kind, episode_limit=0)


@pytest.mark.parametrize(("trouble", "expected"), [("gone", "exited with code 9"), ("segfault", "killed by SIGSEGV")])
def test_a_worker_that_ends_by_itself_is_noticed(trouble: str, expected: str) -> None:
    with pytest.raises(EnvError, match=f"{expected}.* during step"):
        play(start(WorkerEnvs, trouble=trouble), [1, 2])


@pytest.mark.parametrize(("workers", "where"), [(4, "row 1"), (2, "rows 2 to 3")])
def test_a_killed_worker_is_noticed(workers: int, where: str) -> None:
    env = start(WorkerEnvs, batch_size=4, workers=workers, trouble="sleep")
    victim = env._processes[1].pid
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(EnvError, match=f"{where} \\(process {victim}\\) was killed by SIGKILL"):
        play(env, [1, 2, 3, 4])
    with pytest.raises(RuntimeError, match="closed"):
        env.get_stats()


@pytest.mark.parametrize("kind", [SerialEnvs, WorkerEnvs])
@pytest.mark.parametrize("at", [0, 2])
def test_a_broken_episode_is_neither_terminated_nor_truncated(kind: type, at: int) -> None:
    env = start(kind, "OneBadRow", bad_seed=constructor_seeds(1, 2)[1], trouble="broken", at=at)
    rows = np.arange(2)
    env.reset(rows, np.array([5, 6], np.uint64))
    for _ in range(at):
        assert not env.arrays.broken.any()
        env.step(np.zeros((2, 2), np.int64), rows)
    assert env.arrays.broken.tolist() == [False, True]
    assert not env.arrays.terminated[1]
    assert not env.arrays.truncated[1]
    assert env.episode_info(1) == {"broken": "the game is gone"}
    env.close()


def test_an_env_with_its_own_process_never_runs_in_ours() -> None:
    for in_process, workers, expected in ((True, None, 3), (False, None, 3), (False, 2, 2)):
        env = make_batched_env("fake_envs:OwnProcess", {}, 3, 1, {}, in_process, workers)
        assert len(env._processes) == expected
        env.close()


def test_replays_and_close() -> None:
    env = start(WorkerEnvs)
    with pytest.raises(UserError, match="has no replays"):
        env.save_replay(Path("."))
    env.close()
    env.close()


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_replay_files_come_back(tmp_path: Path, workers: int) -> None:
    env = start(WorkerEnvs, "WithReplays", 3, workers)
    assert env.save_replay(tmp_path) == [tmp_path / f"{seed}.txt" for seed in constructor_seeds(1, 3)]
    assert len(list(tmp_path.iterdir())) == 3
    env.close()


@pytest.mark.parametrize("kind", [SerialEnvs, WorkerEnvs])
def test_replays_beside_one_that_cannot_be_saved_are_named(kind: type, tmp_path: Path) -> None:
    seeds = constructor_seeds(1, 3)
    env = start(kind, "BadReplay", 3, bad_seed=seeds[1])
    with pytest.raises(ReplayError, match="no room for the replay") as caught:
        env.save_replay(tmp_path)
    assert caught.value.saved == [tmp_path / f"{seed}.txt" for seed in (seeds[0], seeds[2])]
    env.close()


def test_workers_import_no_torch() -> None:
    env = start(WorkerEnvs)
    for process in env._processes:
        assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
    env.close()
