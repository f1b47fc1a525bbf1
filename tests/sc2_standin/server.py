"""The process that pysc2 launches: a websocket server with one client.

It listens before it imports what takes time, so that pysc2, which tries once a second, gets in at its second attempt.
It ends when the client asks for it or is gone, and on SIGTERM.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

from sc2_standin.faults import VARIABLE, Faults


def main(arguments: list[str]) -> int:
    """Serve the client that launched this process; `arguments` are those of StarCraft II."""
    options = dict(pairwise(arguments))
    data = Path(options["-dataDir"])
    faults = Faults(os.environ.get(VARIABLE, ""), data)
    if faults.in_launch():
        return 1
    with socket.create_server((options["-listen"], int(options["-port"])), backlog=1) as sock:
        serve_client(sock, faults)
    return 0


def serve_client(sock: socket.socket, faults: Faults) -> None:
    """Answer the first client until it is gone."""
    from websockets.sync.server import serve

    from sc2_standin.api import Api

    def handle(connection: Any) -> None:
        try:
            if connection.request.path == "/sc2api":
                converse(connection, Api(faults))
        finally:
            connection.close()
            # From another thread: the server waits for its handlers when it shuts down.
            threading.Thread(target=server.shutdown).start()

    # The client sends bytes as text frames, and is silent while it learns: no pings, which would go unanswered.
    with serve(handle, sock=sock, compression=None, ping_interval=None, max_size=None, close_timeout=1) as server:
        server.serve_forever()


def converse(connection: Any, api: Any) -> None:
    """Answer requests until the client is gone or asks the game to quit."""
    from websockets.exceptions import ConnectionClosed

    while True:
        try:
            answer = api.answer(connection.recv(decode=False))
            if api.fault:
                answer = fail(api.fault, connection)
            if answer is None:
                return
            connection.send(answer)
        except ConnectionClosed:
            return


def fail(kind: str, connection: Any) -> bytes | None:
    """Let the fault happen; return the bytes to answer with instead, None for none."""
    from s2clientprotocol import sc2api_pb2 as sc_pb

    if kind == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "cut":
        connection.socket.shutdown(socket.SHUT_RDWR)
        return None
    if kind in ("hang", "freeze"):
        if kind == "freeze":
            os.kill(os.getpid(), signal.SIGSTOP)  # SIGTERM waits until it goes on, which is never
        threading.Event().wait()
    wrong = sc_pb.Response(id=0, status=sc_pb.in_game)
    error = sc_pb.Response(status=sc_pb.in_game, error=["the stand-in was told to fail"])
    return {
        "garbage": b"\xff" * 64,
        "empty": b"",
        "wrong": wrong.SerializeToString(),
        "error": error.SerializeToString(),
    }[kind]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
