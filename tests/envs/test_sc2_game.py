"""Games that are watched: they die with their process, answer in time, and say what became of them. Needs pysc2."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pysc2", reason="needs pysc2: ./install_sc2.sh")

import portpicker
import psutil
from sc2_client import create, protocol, remote_controller, run_configs

from process_kit import exists
from pymarl.envs.sc2 import game
from pymarl.utils.errors import message_line
from sc2_standin.faults import VARIABLE
from sc2_standin.fixtures import sc2path  # noqa: F401

pytestmark = [pytest.mark.sc2, pytest.mark.usefixtures("sc2path")]
ROOT = Path(__file__).parents[2]


@contextmanager
def started(folder: Path, timeout: int = 30) -> Iterator[Any]:
    """Start a game as smac does; yields its process."""
    (folder / "games").mkdir(exist_ok=True)
    with game.RunConfig.chosen(game.Launch(folder / "games", timeout)):
        process = run_configs.get().start(window_size=(1920, 1200), want_rgb=False)
    try:
        yield process
    finally:
        process.close()
        assert not list((folder / "games").iterdir())


def step_for_ever(controller: Any) -> None:
    """Do as smac does until all units are there."""
    while True:
        controller.step(1)


def test_pysc2_chooses_ours_only_while_it_is_told_to(tmp_path: Path) -> None:
    assert type(run_configs.get()) is not game.RunConfig
    with game.RunConfig.chosen(game.Launch(tmp_path, 30)):
        assert type(run_configs.get()) is game.RunConfig
    assert type(run_configs.get()) is not game.RunConfig


def test_a_game_plays_and_ends(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        create(process.controller)
        process.controller.step(8)
        assert process.controller.observe().observation.game_loop == 8
        pid = process.pid
        assert exists(pid)
        assert process.exit_reason() == ""
    assert not exists(pid)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("crash", "was killed by SIGKILL"),
        ("freeze", "longer than env_args.game_timeout=1 s"),
        ("garbage", "the answer cannot be read"),
        ("wrong", "different id"),
    ],
)
def test_whatever_goes_wrong_is_a_failure_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    monkeypatch.setenv(VARIABLE, f"{fault}@2")
    with started(tmp_path, timeout=30) as process:
        create(process.controller)
        process.controller.step(8)
        process.controller._client._timeout = 1
        process.controller.restart_deadline()
        with pytest.raises((protocol.ConnectionError, protocol.ProtocolError)) as caught:
            process.controller.step(8)
        assert isinstance(caught.value, game.FAILURES)
        assert said in message_line(caught.value) + process.exit_reason()
        pid, begin = process._proc.pid, time.monotonic()
        process.kill()
        assert time.monotonic() - begin < 1
        assert not exists(pid)


def test_a_text_frame_is_no_answer(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        process.controller._client._sock.recv = lambda: "text"
        with pytest.raises(protocol.ConnectionError, match="cannot be read"):
            process.controller.ping()


def test_asking_for_ever_ends_too(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        create(process.controller)
        process.controller._client._timeout = 1
        process.controller.restart_deadline()
        with pytest.raises(protocol.ConnectionError, match="game_timeout=1 s"):
            step_for_ever(process.controller)
        process.controller.restart_deadline()
        process.controller.step(1)


def test_a_game_that_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "launch@1")
    with (
        pytest.raises(remote_controller.ConnectError, match="did not start; the game ended with code 1"),
        started(tmp_path),
    ):
        pass
    assert not list((tmp_path / "games").iterdir())


def test_a_port_that_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # it never answers
        monkeypatch.setattr(portpicker, "pick_unused_port", lambda: taken.getsockname()[1])
        with pytest.raises(remote_controller.ConnectError, match=r"the game ended with code 1.*in use"):  # noqa: SIM117
            with started(tmp_path, timeout=1):
                pass
    assert not list((tmp_path / "games").iterdir())


def same_port(monkeypatch: pytest.MonkeyPatch, process: Any) -> None:
    """Let the next game choose the port of this one, as may happen between a port's choice and its use."""
    monkeypatch.setattr(portpicker, "pick_unused_port", lambda: process.port)


def test_a_game_never_plays_in_anothers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own").mkdir()
    with started(tmp_path) as other:
        same_port(monkeypatch, other)
        with pytest.raises(remote_controller.ConnectError, match=r"another process answers.*ended with code 1.*in use"):  # noqa: SIM117
            with started(tmp_path / "own"):
                pass
        assert not list((tmp_path / "own" / "games").iterdir())


def test_a_game_that_is_gone_is_noticed_even_if_another_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any) -> Any:
        raise psutil.AccessDenied

    (tmp_path / "own").mkdir()
    monkeypatch.setattr(psutil.Process, "net_connections", denied)
    monkeypatch.setattr(game.Process, "check", lambda _: None)  # as if the game had taken its time to end
    with started(tmp_path) as other:
        same_port(monkeypatch, other)
        with started(tmp_path / "own") as process:
            process._proc.wait()
            process.controller.ping()
            monkeypatch.undo()
            with pytest.raises(protocol.ConnectionError, match="the game's process is gone"):
                process.check()
            process.kill()


def test_a_full_disk_is_a_failure_and_nothing_else_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(game.tempfile, "TemporaryFile", full)
    monkeypatch.setattr(sys, "unraisablehook", lambda said: print(said, file=sys.stderr))
    with pytest.raises(OSError, match="No space left"), started(tmp_path):
        pass
    gc.collect()
    assert capsys.readouterr().err == ""


HOST = """
import sys, time
from pathlib import Path
import sc2_standin
from pymarl.envs.sc2 import game
from absl import flags
from pysc2 import run_configs
flags.FLAGS(["host"])
with game.RunConfig.chosen(game.Launch(Path(sys.argv[1]), 30)):
    process = run_configs.get().start(window_size=(1, 1), want_rgb=False)
print(process.pid, flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
def test_a_game_dies_with_its_process_after_kill_9(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert host.stdout is not None
    pid = int(host.stdout.readline())
    host.stdout.close()
    assert exists(pid)
    host.send_signal(signal.SIGKILL)
    host.wait()
    deadline = time.monotonic() + 5
    while exists(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not exists(pid)
