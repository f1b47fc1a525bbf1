"""A game launched and driven by unmodified pysc2, for tests of the stand-in. They import pysc2's modules from here."""

from __future__ import annotations

import sc2_standin  # noqa: F401  # isort: skip  # first: it chooses protobuf's backend
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from absl import flags
from pysc2 import run_configs
from pysc2.lib import protocol, remote_controller
from s2clientprotocol import common_pb2, debug_pb2, error_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from sc2_standin.api import Api
from sc2_standin.faults import Faults

__all__ = ["debug_pb2", "error_pb2", "protocol", "remote_controller", "run_configs", "sc_pb"]

if not flags.FLAGS.is_parsed():
    flags.FLAGS(["tests"])

STOP_ID, MOVE_ID, ATTACK_ID, HEAL_ID = 4, 16, 23, 386
PATIENCE = 0.05
"""Seconds between two attempts to connect; pysc2 takes a second."""


class Wire:
    """A websocket's ends put together: what is sent is answered by the stand-in in this process."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.answers: list[bytes | None] = []
        self.sock = SimpleNamespace(getpeername=lambda: ("here", 0))

    def send(self, data: bytes) -> None:
        self.answers.append(self.api.answer(data))

    def recv(self) -> bytes | None:
        return self.answers.pop(0)

    def close(self) -> None:
        pass


def direct(folder: Path = Path(), faults: str = "") -> remote_controller.RemoteController:
    """Return pysc2's controller of a stand-in without a process or a connection."""
    controller = remote_controller.RemoteController.__new__(remote_controller.RemoteController)
    controller._client = protocol.StarcraftProtocol(Wire(Api(Faults(faults, folder))))
    controller._last_obs = None
    controller.ping()
    return controller


@contextmanager
def launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Launch the game of SC2PATH as SMAC does; yields pysc2's process, closed at the end."""
    monkeypatch.setattr(remote_controller, "time", SimpleNamespace(sleep=lambda seconds: time.sleep(PATIENCE)))
    process = run_configs.get().start(window_size=(1920, 1200), want_rgb=False)
    try:
        yield process
    finally:
        process.close()


def create(controller: Any, map_name: str = "3m", seed: int | None = 1) -> None:
    """Create and join a game as SMAC does."""
    local_map = sc_pb.LocalMap(map_path=f"SMAC_Maps/{map_name}.SC2Map", map_data=b"-" * 15_000)
    request = sc_pb.RequestCreateGame(local_map=local_map, realtime=False, random_seed=seed)
    request.player_setup.add(type=sc_pb.Participant)
    request.player_setup.add(type=sc_pb.Computer, race=common_pb2.Terran, difficulty=sc_pb.VeryHard)
    controller.create_game(request)
    options = sc_pb.InterfaceOptions(raw=True, score=False)
    controller.join_game(sc_pb.RequestJoinGame(race=common_pb2.Terran, options=options))


def units(controller: Any, owner: int = 0) -> list[Any]:
    """Return the units of a player, 0 for both."""
    found = controller.observe().observation.raw_data.units
    return [unit for unit in found if owner in (0, unit.owner)]


def order(tag: int, ability: int, target: int | None = None, point: tuple[float, float] | None = None) -> Any:
    """Return an action for one unit."""
    place = common_pb2.Point2D(x=point[0], y=point[1]) if point else None
    command = raw_pb2.ActionRawUnitCommand(
        ability_id=ability, unit_tags=[tag], target_unit_tag=target, target_world_space_pos=place, queue_command=False
    )
    return sc_pb.Action(action_raw=raw_pb2.ActionRaw(unit_command=command))


def kill(controller: Any, tags: Sequence[int]) -> None:
    """Kill units."""
    controller.debug(debug_pb2.DebugCommand(kill_unit=debug_pb2.DebugKillUnit(tag=tags)))


def create_units(controller: Any, types: Sequence[int], owner: int, at: tuple[float, float]) -> None:
    """Create one unit of each type at a point, as SMACv2 does."""
    place = common_pb2.Point2D(x=at[0], y=at[1])
    made = [debug_pb2.DebugCreateUnit(unit_type=t, owner=owner, pos=place, quantity=1) for t in types]
    controller.debug([debug_pb2.DebugCommand(create_unit=unit) for unit in made])
