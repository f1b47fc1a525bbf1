"""Signals that ask a run to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from pymarl.utils import interrupts
from pymarl.utils.interrupts import StopRequest


@pytest.fixture(autouse=True)
def _same_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(interrupts, "_forget_terminal", lambda: None)
    before = {number: signal.getsignal(number) for number in StopRequest.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_request_interrupts_at_once(number: signal.Signals) -> None:
    with StopRequest() as stop, stop.deferred():
        os.kill(os.getpid(), number)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    with StopRequest(), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_a_closed_terminal_is_one_request_however_often_it_is_told() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with StopRequest() as stop:
        with stop.deferred():
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGHUP)
            assert stop.requested
        os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)  # would end this process


def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.requested
