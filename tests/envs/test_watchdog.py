"""A call of an env that never returns ends the run, and its error says which call it was and where it stood."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from process_kit import exists
from pymarl.envs.adapter import constructor_seeds
from pymarl.envs.batched import SerialEnvs
from pymarl.envs.workers.worker_envs import EnvError, WorkerEnvs
from worker_kit import children, nothing_left, play

__all__ = ["nothing_left"]
pytestmark = pytest.mark.usefixtures("nothing_left")
ROOT = Path(__file__).parents[2]
FUNCTIONS = {"loop": "loop_in_python", "c_loop": "loop_in_c", "c_wait": "wait_in_c", "retry": "retry_for_ever"}
WHAT = {-1: "its start", 0: "its reset", 3: "step 3 of its episode"}


@pytest.mark.parametrize(
    ("trouble", "at"), [("loop", -1), ("loop", 0), ("loop", 3), ("c_loop", 3), ("c_wait", 3), ("retry", 0)]
)
def test_in_a_worker(trouble: str, at: int) -> None:
    bad = constructor_seeds(1, 3)[1]
    env_args = {"bad_seed": bad, "trouble": trouble, "at": at}
    with pytest.raises(EnvError) as caught:
        play(WorkerEnvs("fake_envs:OneBadRow", env_args, 3, 1, {}, 2, timeout=0.5), [5, 6, 9])
    assert str(caught.value) == (
        f"env 'fake_envs:OneBadRow' has not come back from {WHAT[at]} in row 1 within env_timeout=0.5 seconds; "
        "mend what it waits for, or raise env_timeout"
    )
    details = caught.value.details
    assert details.count(f"in {FUNCTIONS[trouble]}") == 1
    assert details.index("in _misbehave") < details.index(f"in {FUNCTIONS[trouble]}")
    assert "CALLED[self.trouble]()" in details
    assert str(ROOT / "src") not in details


def test_a_stopped_worker_does_not_say_where_it_stood() -> None:
    env = WorkerEnvs("fake_envs:RandomWalk", {"trouble": "sleep", "at": 1}, 1, 1, {}, 1, timeout=0.3)
    env.reset(np.array([0]), np.array([5], np.uint64))
    pid = env._processes[0].pid
    env._clock[0] = time.monotonic()  # as in a step
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(EnvError, match="has not come back from step 1 ") as caught:
        env.step(np.zeros((1, 2), np.int64), np.array([0]))
    assert caught.value.details == "It does not say where it stood."
    assert not exists(pid)


def test_time_between_calls_and_many_short_calls_do_not_count() -> None:
    env = WorkerEnvs("fake_envs:Promptly", {"seconds": 0.3}, 4, 1, {}, 1, timeout=0.8)
    rows = np.arange(4)
    env.reset(rows, rows.astype(np.uint64))
    time.sleep(1)
    env.step(np.zeros((4, 2), np.int64), rows)  # 1.2 s for all of them
    env.close()


def test_an_env_with_a_limit_of_its_own_keeps_it() -> None:
    env = WorkerEnvs("fake_envs:Promising", {"seconds": 0.8}, 1, 1, {}, 1, revive=True, timeout=1.0)
    env._timeout = 0.2
    env.reset(np.array([0]), np.array([5], np.uint64))
    env.step(np.zeros((1, 2), np.int64), np.array([0]))
    assert not env.arrays.broken.any()
    env.close()


def play_in_this_process(env_args: dict[str, Any]) -> None:
    env = SerialEnvs("fake_envs:RandomWalk", env_args, 1, 1, {}, 0.4)
    try:
        play(env, [1])
    finally:
        env.close()


@pytest.mark.parametrize(("trouble", "at"), [("loop", -1), ("loop", 0), ("loop", 3), ("c_wait", 3), ("retry", 0)])
def test_in_this_process(trouble: str, at: int) -> None:
    before = signal.getsignal(signal.SIGUSR2)
    with pytest.raises(EnvError) as caught:
        play_in_this_process({"trouble": trouble, "at": at})
    assert str(caught.value) == (
        f"env 'fake_envs:RandomWalk' has not come back from {WHAT[at]} in row 0 within env_timeout=0.4 seconds; "
        "mend what it waits for, or raise env_timeout"
    )
    details = caught.value.details
    assert details.index("in _misbehave") < details.index(f"in {FUNCTIONS[trouble]}")
    assert str(ROOT / "src") not in details
    assert signal.getsignal(signal.SIGUSR2) == before


def test_short_calls_in_this_process_go_on() -> None:
    env = SerialEnvs("fake_envs:Promptly", {"seconds": 0.2}, 1, 1, {}, 0.5)
    env.reset(np.array([0]), np.array([5], np.uint64))
    for _ in range(4):
        env.step(np.zeros((1, 2), np.int64), np.array([0]))
    env.close()
    env.close()


def test_close_that_never_returns_is_said_and_left(capfd: pytest.CaptureFixture[str]) -> None:
    env = SerialEnvs("fake_envs:RandomWalk", {"trouble": "stuck_close"}, 2, 1, {}, 0.4)
    env.close()
    said = capfd.readouterr().err
    assert "warning: env 'fake_envs:RandomWalk' has not come back from its close in row 1" in said
    assert "in loop_in_python" in said


HOST = """
import sys
import numpy as np
from pymarl.envs.batched import SerialEnvs
env = SerialEnvs("fake_envs:RandomWalk", {"trouble": sys.argv[1], "at": 2}, 1, 1, {}, 0.4)
env.reset(np.arange(1), np.arange(1, dtype=np.uint64))
print("ready", flush=True)
for _ in range(3):
    env.step(np.zeros((1, 2), np.int64), np.arange(1))
"""


def host(trouble: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOST, trouble],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_c_code_that_holds_this_process_is_told_and_the_process_killed() -> None:
    process = host("c_loop")
    _, said = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    assert "error: env 'fake_envs:RandomWalk' has not come back from step 2 of its episode in row 0" in said
    assert "in loop_in_c" in said
    assert "killed without a checkpoint" in said


def test_while_the_process_is_suspended_its_time_stands_still() -> None:
    process = host("sleep")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.4)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "EnvError: env 'fake_envs:RandomWalk' has not come back from step 2" in said


def test_the_one_who_looks_on_ends_with_this_process() -> None:
    process = host("sleep")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (looking,) = (int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 2
    while exists(looking) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not exists(looking)
    assert looking not in children()
