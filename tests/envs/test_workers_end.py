"""Worker processes end with the run, and their envs' own processes with them, however the run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from process_kit import exists
from pymarl.envs.workers.worker_envs import WorkerEnvs

ROOT = Path(__file__).parents[2]


def test_every_row_is_closed_though_others_fail_to(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    env = WorkerEnvs("fake_envs:WithGame", {"pid_file": str(tmp_path / "game"), "trouble": "close"}, 3, 1, {}, 1)
    games = [int(path.suffix[1:]) for path in tmp_path.iterdir()]
    assert len(games) == 3
    assert all(exists(game) for game in games)
    env.close()
    assert not [game for game in games if exists(game)]
    assert "planted fault in close" in capfd.readouterr().err


HOST = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell starts in the background
import numpy as np
from pymarl.envs.workers.worker_envs import WorkerEnvs
env = WorkerEnvs("fake_envs:WithGame", {"pid_file": sys.argv[1], "trouble": sys.argv[2]}, 3, 1, {}, int(sys.argv[3]))
env.reset(np.arange(3), np.arange(3, dtype=np.uint64))
print("ready", flush=True)
try:
    while True:
        env.step(np.zeros((3, 2), np.int64), np.arange(3))
        env.reset(np.arange(3), np.arange(3, dtype=np.uint64)) if sys.argv[2] == "" else None
except KeyboardInterrupt:
    env.close()
    print("closed", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("trouble", ["", "sleep"], ids=["stepping", "stuck_in_a_step"])
@pytest.mark.parametrize("workers", [1, 3])
def test_nothing_outlives_the_run(tmp_path: Path, how: signal.Signals, trouble: str, workers: int) -> None:
    script = tmp_path / "light.py"  # no __main__ guard: workers do not run the user's script again
    script.write_text(HOST)
    host = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "game"), trouble, str(workers)],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert host.stdout is not None
    assert host.stdout.readline() == "ready\n"
    started = list(tmp_path.glob("game.*"))
    pids = {int(path.suffix[1:]) for path in started} | {int(path.read_text()) for path in started}
    assert len(pids) == 3 + workers
    assert all(exists(pid) for pid in pids)
    time.sleep(0.3)
    os.killpg(host.pid, how) if how == signal.SIGINT else host.send_signal(how)
    out, err = host.communicate(timeout=20)
    deadline = time.monotonic() + 3
    while any(exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if exists(pid)]
    if how == signal.SIGINT:
        assert out == "closed\n"
    assert "Traceback" not in err
