"""Requests of the StarCraft II API in, responses out."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from s2clientprotocol import error_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from pymarl.envs.skirmish.scenario.maps import map_names
from sc2_standin.faults import Faults
from sc2_standin.game import ATTACK_ID, BARE_MAPS, FIRST_ALLY_TYPE, HEAL_ID, MOVE_ID, RL_TYPES, STOP_ID, Game, Refused
from sc2_standin.replay import Recorder

VALID = {
    "ping": ("launched", "init_game", "in_game"),
    "create_game": ("launched", "in_game"),
    "join_game": ("launched", "init_game"),
    "game_info": ("in_game",),
    "observation": ("in_game",),
    "action": ("in_game",),
    "step": ("in_game",),
    "debug": ("in_game",),
    "data": ("in_game",),
    "save_replay": ("in_game",),
}
"""States in which a request is answered."""

STOCK_NAMES = {
    48: "Marine", 51: "Marauder", 54: "Medivac", 73: "Zealot", 74: "Stalker", 4: "Colossus", 105: "Zergling",
    9: "Baneling", 107: "Hydralisk", 98: "SpineCrawler",
}  # fmt: skip
ABILITIES = ((STOP_ID, "stop", "S", 3665), (MOVE_ID, "move", "M", 3794), (ATTACK_ID, "attack", "A", 3674))
"""Number, name, hotkey, and the general ability that it belongs to."""


class Api:
    """One client's view of the game.

    Args:
        faults: asked in every step.

    Attributes:
        fault: kind of the fault that the last request meets, or "".
    """

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.fault = ""
        self.status = "launched"
        self.game: Game | None = None
        self._created = ("", 0)
        self._recorder = Recorder()

    def answer(self, data: bytes) -> bytes | None:
        """Return the response to a request; None when there is none, because the game is to quit."""
        self.fault = ""
        request = sc_pb.Request.FromString(data)
        name = request.WhichOneof("request")
        if name == "quit":
            return None
        response = sc_pb.Response(id=request.id)
        handler: Callable[[Any, Any], None] | None = getattr(self, f"_{name}", None) if name in VALID else None
        if handler is None:
            response.error.append(f"{name}: the stand-in does not know this request")
        elif self.status not in VALID[name]:
            response.error.append(f"{name}: not in state {self.status}")
        else:
            try:
                part = getattr(response, name)
                part.SetInParent()
                handler(getattr(request, name), part)
                self._recorder.note(name, data)
            except Refused as error:
                response.error.append(str(error))
        response.status = sc_pb.Status.Value(self.status)
        return response.SerializeToString()

    def _ping(self, request: Any, response: Any) -> None:
        response.game_version, response.data_version = "4.10.0.75689", "B89B5D6FA7CBF6452E721311BFBC6CB2"
        response.data_build = response.base_build = 75689

    def _create_game(self, request: Any, response: Any) -> None:
        path = PurePosixPath(request.local_map.map_path)
        if not request.local_map.map_data:
            response.error, response.error_details = sc_pb.ResponseCreateGame.InvalidMapData, "there is no map"
            return
        if path.stem not in (*map_names(), *BARE_MAPS):
            response.error, response.error_details = sc_pb.ResponseCreateGame.InvalidMapPath, f"no map {path.stem}"
            return
        players = [setup.type for setup in request.player_setup]
        if players != [sc_pb.Participant, sc_pb.Computer] or request.realtime:
            response.error, response.error_details = sc_pb.ResponseCreateGame.InvalidPlayerSetup, "not one against AI"
            return
        seed = request.random_seed if request.HasField("random_seed") else int.from_bytes(os.urandom(4), "little")
        self._created = (path.stem, seed)
        self.status = "init_game"

    def _join_game(self, request: Any, response: Any) -> None:
        if self.status != "init_game" or not request.options.raw:
            response.error, response.error_details = sc_pb.ResponseJoinGame.InvalidOptions, "raw data only"
            return
        self.game = Game(*self._created)
        self._recorder.start(*self._created)
        response.player_id = 1
        self.status = "in_game"

    def _game_info(self, request: Any, response: Any) -> None:
        terrain = self.game.terrain
        width, height = terrain.pathable.shape
        response.map_name, response.local_map_path = self.game.map_name, f"SMAC_Maps/{self.game.map_name}.SC2Map"
        response.options.raw = True
        raw = response.start_raw
        raw.map_size.x, raw.map_size.y = width, height
        raw.playable_area.p0.x = raw.playable_area.p0.y = 0
        raw.playable_area.p1.x, raw.playable_area.p1.y = width, height
        # One bit per cell, row 0 in the south; heights are bytes, row 0 in the north: so SMAC reads them.
        _image(raw.pathing_grid, 1, np.packbits(terrain.pathable.T), terrain)
        _image(raw.terrain_height, 8, np.rint(terrain.level * 255).astype(np.uint8)[:, ::-1].T, terrain)

    def _observation(self, request: Any, response: Any) -> None:
        response.observation.game_loop = self.game.loop
        response.observation.player_common.player_id = 1
        add_units(self.game, response.observation.raw_data.units)

    def _action(self, request: Any, response: Any) -> None:
        commands = [_read_command(action.action_raw.unit_command) for action in request.actions]
        orders = [(tag, *rest) for tags, *rest in commands for tag in tags]
        taken = self.game.order(orders)
        at = 0
        for tags, *_ in commands:
            success = bool(tags) and all(taken[at : at + len(tags)])
            response.result.append(error_pb2.Success if success else error_pb2.Error)
            at += len(tags)

    def _step(self, request: Any, response: Any) -> None:
        self.fault = self.faults.in_step()
        self.game.step(request.count)
        response.simulation_loop = self.game.loop

    def _debug(self, request: Any, response: Any) -> None:
        for command in request.debug:
            kind = command.WhichOneof("command")
            if kind == "kill_unit":
                self.game.kill(list(command.kill_unit.tag))
            elif kind == "create_unit":
                unit = command.create_unit
                for _ in range(unit.quantity):
                    self.game.create(unit.unit_type, unit.owner, unit.pos.x, unit.pos.y)
            elif kind != "draw":  # there is no picture to draw on
                raise Refused(f"debug {kind}: the stand-in does not know this command")

    def _data(self, request: Any, response: Any) -> None:
        response.MergeFrom(static_data())

    def _save_replay(self, request: Any, response: Any) -> None:
        response.data = self._recorder.replay()


def _image(image: Any, bits: int, values: Any, terrain: Any) -> None:
    image.bits_per_pixel = bits
    image.size.x, image.size.y = terrain.pathable.shape
    image.data = values.tobytes()


def _read_command(command: Any) -> tuple[list[int], int, int, tuple[float, float] | None]:
    """Return the tags, the ability, the target's tag or 0, and the point or None of a unit_command."""
    point = None
    if command.HasField("target_world_space_pos"):
        point = (command.target_world_space_pos.x, command.target_world_space_pos.y)
    target = command.target_unit_tag if command.HasField("target_unit_tag") else 0
    return list(command.unit_tags), command.ability_id, target, point


def add_units(game: Game, units: Any) -> None:
    """Append everybody alive to raw_data.units, in order of creation."""
    if not len(game.units):
        return
    shown = game.shown
    columns = [game.units[key].tolist() for key in ("x", "y", "health", "shield", "energy", "cooldown")]
    for i in shown.index:
        x, y, health, shield, energy, cooldown = (column[i] for column in columns)
        if health <= 0:
            continue
        unit = units.add(
            display_type=raw_pb2.Visible, alliance=raw_pb2.Self if shown.owner[i] == 1 else raw_pb2.Enemy,
            tag=game.tags[i], unit_type=shown.unit_type[i], owner=shown.owner[i], radius=shown.radius[i],
            build_progress=1.0, health=health, health_max=shown.health_max[i], weapon_cooldown=cooldown,
        )  # fmt: skip
        unit.pos.x, unit.pos.y, unit.pos.z = x, y, 8.0
        if shown.shield_max[i] > 0:
            unit.shield, unit.shield_max = shield, shown.shield_max[i]
        if shown.energy_max[i] > 0:
            unit.energy, unit.energy_max = energy, shown.energy_max[i]


@functools.cache
def static_data() -> Any:
    """Return what the game knows of unit types, abilities and upgrades: SMACv2 counts unit types."""
    data = sc_pb.ResponseData()
    last = FIRST_ALLY_TYPE + len(RL_TYPES)
    rl_names = {FIRST_ALLY_TYPE + i: f"{name.capitalize()}_RL" for i, name in enumerate(RL_TYPES)}
    names = STOCK_NAMES | rl_names
    for number in range(last):
        data.units.add(unit_id=number, name=names.get(number, f"Unit{number}"), available=number in names)
    for number, name, hotkey, general in ABILITIES:
        data.abilities.add(ability_id=number, link_name=name, hotkey=hotkey, remaps_to_ability_id=general)
    data.abilities.add(ability_id=HEAL_ID, link_name="MedivacHeal", hotkey="E")
    data.upgrades.add(upgrade_id=0, name="Null")
    return data
