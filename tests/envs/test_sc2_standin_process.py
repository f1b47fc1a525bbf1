"""The stand-in as a process: launched by unmodified pysc2 through SC2PATH, how it ends, and how it fails on command."""

from __future__ import annotations

import signal
import socket
import time

import pytest
from google.protobuf.message import DecodeError
from sc2_client import create, kill, launched, protocol, remote_controller, run_configs, units

from sc2_standin.faults import VARIABLE, Faults, parse
from sc2_standin.fixtures import sc2path
from sc2_standin.install import make_sc2path

pytestmark = pytest.mark.sc2
__all__ = ["sc2path"]


def ended(process, seconds=5.0):
    """Return the exit status of the game; wait for it."""
    return process._proc.wait(seconds)


def step_until_fault(controller, most=10):
    """Step; return the number of the step that failed, and the type of what it raised."""
    for k in range(1, most + 1):
        try:
            controller.step(8)
        except Exception as error:
            return k, type(error)
    return 0, None


def test_pysc2_finds_launches_and_quits_it(sc2path, monkeypatch):
    assert run_configs.get(version="4.10").version.build_version == 75689
    with launched(monkeypatch) as process:
        controller = process.controller
        create(controller)
        for _ in range(3):
            controller.step(8)
        kill(controller, [u.tag for u in units(controller)])
        controller.step(2)
        assert len(units(controller)) == 6
        assert controller.save_replay()
        start, proc = time.monotonic(), process._proc
        process.close()
        assert time.monotonic() - start < 2
        assert proc.returncode is not None


def test_ends_without_a_client(sc2path, monkeypatch):
    with launched(monkeypatch) as process:
        create(process.controller)
        process.controller._client._sock.sock.shutdown(socket.SHUT_RDWR)  # as when the client is killed
        assert ended(process) == 0


def test_a_port_in_use_ends_it(sc2path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(remote_controller.websocket, "create_connection", _refuse)
        monkeypatch.setattr("portpicker.pick_unused_port", lambda: taken.getsockname()[1])
        with pytest.raises(remote_controller.ConnectError), launched(monkeypatch):
            pass


def _refuse(*args, **kwargs):
    raise ConnectionRefusedError


def test_crash_told_by_the_installation(tmp_path, monkeypatch):
    folder = make_sc2path(tmp_path / "game", maps=["3m"], faults="crash@3")
    assert [path.name for path in (folder / "Maps" / "SMAC_Maps").iterdir()] == ["3m.SC2Map"]
    monkeypatch.setenv("SC2PATH", str(folder))
    monkeypatch.delenv(VARIABLE, raising=False)
    with launched(monkeypatch) as process:
        create(process.controller)
        assert step_until_fault(process.controller) == (3, protocol.ConnectionError)
        assert ended(process) == -signal.SIGKILL


def test_cut(sc2path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "cut@3")
    with launched(monkeypatch) as process:
        create(process.controller)
        assert step_until_fault(process.controller) == (3, protocol.ConnectionError)
        assert ended(process) == 0


def test_answers_that_are_wrong(sc2path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "garbage@2,wrong@4,empty@5,error@6")
    with launched(monkeypatch) as process:
        create(process.controller)
        assert step_until_fault(process.controller) == (2, DecodeError)
        assert step_until_fault(process.controller) == (2, protocol.ConnectionError)
        assert step_until_fault(process.controller) == (1, protocol.ProtocolError)
        assert step_until_fault(process.controller) == (1, protocol.ProtocolError)
        assert step_until_fault(process.controller, 3) == (0, None)
        assert process.controller.observe().observation.game_loop == 72  # they were steps, whatever it answered


@pytest.mark.parametrize("fault", ["hang", "freeze"])
def test_no_answer(sc2path, monkeypatch, fault):
    monkeypatch.setenv(VARIABLE, f"{fault}@3")
    with launched(monkeypatch) as process:
        create(process.controller)
        process.controller.step(8)
        process.controller.step(8)
        process.controller._client._sock.settimeout(0.3)
        assert step_until_fault(process.controller) == (1, protocol.ConnectionError)
        process._proc.terminate()
        if fault == "hang":
            assert ended(process) == -signal.SIGTERM
        else:
            time.sleep(0.3)
            assert process._proc.poll() is None
            process._proc.kill()


def test_a_launch_that_fails(sc2path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "launch@1")
    with pytest.raises(remote_controller.ConnectError), launched(monkeypatch):
        pass
    with launched(monkeypatch) as process:
        create(process.controller)


def test_faults_are_counted(tmp_path):
    def steps(faults, n):
        return {k: kind for k in range(1, n + 1) if (kind := faults.in_step())}

    once = "crash@3,cut@5"
    assert steps(Faults(once, tmp_path), 6) == {3: "crash", 5: "cut"}
    assert steps(Faults(once, tmp_path), 6) == {}  # another process of the same SC2PATH
    every = "every:garbage@3"
    assert steps(Faults(every, tmp_path), 7) == {3: "garbage", 6: "garbage"}
    assert steps(Faults(every, tmp_path), 4) == {3: "garbage"}
    assert [Faults("every:launch@2", tmp_path).in_launch() for _ in range(4)] == [False, True, False, True]
    assert not Faults("", tmp_path).in_launch()


@pytest.mark.parametrize("text", ["crash", "crash@", "crash@0", "explode@3", "often:crash@3", "crash@3;cut@5"])
def test_what_is_no_fault(text):
    with pytest.raises(ValueError, match="expected KIND@N"):
        parse(text)
