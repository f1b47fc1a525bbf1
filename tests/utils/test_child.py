"""The channel between a process and its child."""

from __future__ import annotations

import socket
import threading

import pytest

from pymarl.utils.child import Channel, ChannelClosed


def test_messages_come_one_by_one_however_many_are_there() -> None:
    ours, theirs = map(Channel, socket.socketpair())
    ours.send(b"a", 1)
    ours.send(b"b", [2] * 100)
    ours.send(b"c")
    assert [theirs.receive() for _ in range(3)] == [(b"a", 1), (b"b", [2] * 100), (b"c", None)]
    large = bytes(5_000_000)
    sender = threading.Thread(target=lambda: [ours.send(b"d", large), ours.send(b"e", "small")])
    sender.start()
    assert [theirs.receive() for _ in range(2)] == [(b"d", large), (b"e", "small")]
    sender.join()
    ours.send(b"f")
    ours.close()
    assert theirs.receive() == (b"f", None)
    with pytest.raises(ChannelClosed):
        theirs.receive()
    with pytest.raises(ChannelClosed):
        theirs.send(b"g")
