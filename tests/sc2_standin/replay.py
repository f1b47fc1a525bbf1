"""The stand-in's replays: a private format, which only `play` here reads.

A file is MAGIC, a line of JSON with the map's name and the random seed of the game, and, compressed by zlib, every
request since then that changed anything (action, step, debug): 4 bytes for its length, least significant first, and the
message. The game is deterministic, so that is all it takes. Like the game's own replays, it holds all episodes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sc2_standin.game import Game

MAGIC = b"StarCraft II stand-in replay 1\n"
KEPT = ("action", "step", "debug")


class Recorder:
    """Collects what a replay holds."""

    def __init__(self) -> None:
        self._head = b""
        self._body = bytearray()

    def start(self, map_name: str, random_seed: int) -> None:
        """Begin with a new game."""
        self._head = json.dumps({"map": map_name, "random_seed": random_seed}).encode() + b"\n"
        self._body.clear()

    def note(self, name: str, request: bytes) -> None:
        """Keep a request if it changed anything."""
        if name in KEPT:
            self._body += len(request).to_bytes(4, "little") + request

    def replay(self) -> bytes:
        """Return the file."""
        return MAGIC + self._head + zlib.compress(self._body)


def play(replay: bytes) -> Iterator[Game]:
    """Play a replay; yield the game, always the same object, after the start and after each request.

    Raises:
        ValueError: it is none.
    """
    from pathlib import Path

    from s2clientprotocol import sc2api_pb2 as sc_pb

    from sc2_standin.api import Api
    from sc2_standin.faults import Faults

    if not replay.startswith(MAGIC):
        raise ValueError("not a replay of the stand-in")
    head, _, packed = replay[len(MAGIC) :].partition(b"\n")
    meta, body = json.loads(head), zlib.decompress(packed)
    api = Api(Faults("", Path()))
    create = sc_pb.RequestCreateGame(random_seed=meta["random_seed"])
    create.local_map.map_path, create.local_map.map_data = meta["map"], b"-"
    create.player_setup.add(type=sc_pb.Participant)
    create.player_setup.add(type=sc_pb.Computer)
    join = sc_pb.RequestJoinGame(options=sc_pb.InterfaceOptions(raw=True))
    for request in (sc_pb.Request(create_game=create), sc_pb.Request(join_game=join)):
        api.answer(request.SerializeToString())
    assert api.game is not None
    yield api.game
    at = 0
    while at < len(body):
        end = at + 4 + int.from_bytes(body[at : at + 4], "little")
        api.answer(body[at + 4 : end])
        at = end
        yield api.game
