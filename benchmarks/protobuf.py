"""Compare protobuf's backends on what one env step of StarCraft II costs outside the game.

    python benchmarks/protobuf.py --peer-python OTHER_VENV/bin/python

This interpreter and the peer (a venv with pysc2 and another protobuf, like 3.20.3) take turns, `--rounds` times, each
time in a new process. The game is a canned answer of full size, handed to unmodified pysc2 in place of a websocket.
In us of CPU time per env step: `messages` are smac's three requests built and serialized, and three responses parsed;
`copies` is the deepcopy of all units and the search for each unit by its tag, which smac does after a step; `smac` is a
whole env step of unmodified smac (step, obs, state, avail_actions), where that is installed.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from pymarl.utils import protobuf

MAPS = {"3m": (3, 3), "MMM2": (10, 12), "27m_vs_30m": (27, 30)}  # allies, enemies
PARTS = ("messages", "copies", "both", "smac")


def unit(pb: Any, index: int, owner: int, moved: int) -> Any:
    """Return a unit with the fields that the game sets for an own or enemy fighter with an order."""
    common, raw = pb
    x, y = 8.3 + 11.7 * (owner - 1) + 0.013 * moved, 10.1 + 0.37 * index
    made = raw.Unit(
        display_type=1, alliance=owner * 3 - 2, tag=4294967296 + owner * 1048576 + index * 262144, owner=owner,
        unit_type=1970 if owner == 1 else 48, facing=0.7853981, radius=0.375, build_progress=1.0, cloak=3,
        detect_range=0.0, radar_range=0.0, is_selected=False, is_on_screen=True, is_blip=False, is_powered=False,
        is_active=True, attack_upgrade_level=0, armor_upgrade_level=0, shield_upgrade_level=0, health=45.0 - moved,
        health_max=45.0, shield=0.0, shield_max=0.0, energy=0.0, energy_max=0.0, is_flying=False, is_burrowed=False,
        is_hallucination=False, weapon_cooldown=4.5712890625, engaged_target_tag=4295229440, cargo_space_taken=0,
    )  # fmt: skip
    made.pos.CopyFrom(common.Point(x=x, y=y, z=8.0))
    order = made.orders.add(ability_id=23, target_unit_tag=4295229440)
    order.target_world_space_pos.CopyFrom(common.Point(x=y, y=x, z=8.0))
    return made


def responses(n_allies: int, n_enemies: int) -> list[dict[str, bytes]]:
    """Return two sets of serialized responses by the name of their request: the game before and after a step."""
    from s2clientprotocol import common_pb2, raw_pb2, sc2api_pb2

    sets = []
    for moved in (0, 1):
        statuses = {
            "ping": 1,
            "create_game": 2,
            "join_game": 3,
            "game_info": 3,
            "action": 3,
            "step": 3,
            "observation": 3,
        }
        answer = {name: sc2api_pb2.Response(status=status) for name, status in statuses.items()}
        answer["action"].action.result.extend([1] * n_allies)
        answer["step"].step.simulation_loop = 800 + 8 * moved
        start = answer["game_info"].game_info.start_raw
        start.map_size.x = start.map_size.y = start.playable_area.p1.x = start.playable_area.p1.y = 32
        start.pathing_grid.CopyFrom(common_pb2.ImageData(bits_per_pixel=1, data=b"\xff" * 128))
        start.terrain_height.CopyFrom(common_pb2.ImageData(bits_per_pixel=8, data=b"\xbf" * 1024))
        seen = answer["observation"].observation.observation
        seen.game_loop = 800 + 8 * moved
        common = dict.fromkeys(sc2api_pb2.PlayerCommon.DESCRIPTOR.fields_by_name, n_allies)
        seen.player_common.CopyFrom(sc2api_pb2.PlayerCommon(**common))
        for name, count in (("visibility", 1024), ("creep", 128)):
            getattr(seen.raw_data.map_state, name).CopyFrom(common_pb2.ImageData(bits_per_pixel=8, data=b"\2" * count))
        seen.raw_data.player.camera.CopyFrom(common_pb2.Point(x=16.0, y=16.0, z=8.0))
        for owner, n_units in ((1, n_allies), (2, n_enemies)):
            units = [unit((common_pb2, raw_pb2), index, owner, moved) for index in range(n_units)]
            seen.raw_data.units.extend(units)
        for echo in seen.raw_data.units[:n_allies]:  # the game repeats the actions it has run
            command = raw_pb2.ActionRawUnitCommand(ability_id=23, target_unit_tag=echo.tag, unit_tags=[echo.tag])
            answer["observation"].observation.actions.add().action_raw.unit_command.CopyFrom(command)
        sets.append({name: message.SerializeToString() for name, message in answer.items()})
    return sets


class CannedSocket:
    """A websocket whose other end answers at once, with the same bytes for the same kind of request."""

    def __init__(self, sets: list[dict[str, bytes]]) -> None:
        from s2clientprotocol import sc2api_pb2

        fields = sc2api_pb2.Request.DESCRIPTOR.fields_by_name
        # A request starts with the tag of its field: number * 8 + 2, in one byte up to 15, else in two.
        tags = {name: fields[name].number * 8 + 2 for name in sets[0]}
        self.starts = {
            bytes([tag]) if tag < 128 else bytes([tag % 128 + 128, tag // 128]): n for n, tag in tags.items()
        }
        self.sets, self.sock = sets, self

    def getpeername(self) -> tuple[str, int]:
        return ("canned", 0)

    def send(self, data: bytes) -> None:
        self.name = self.starts[data[:1] if data[0] < 128 else data[:2]]
        if self.name == "step":
            self.sets.reverse()

    def recv(self) -> bytes:
        return self.sets[0][self.name]

    def close(self) -> None:
        pass


def controller(sets: list[dict[str, bytes]]) -> Any:
    """Return pysc2's RemoteController, connected to canned answers."""
    from absl import flags
    from pysc2.lib import remote_controller

    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["protobuf.py"])
    with mock.patch("websocket.create_connection", return_value=CannedSocket(sets)):
        return remote_controller.RemoteController("canned", 0, timeout_seconds=8)


def messages(game: Any, n_agents: int) -> Any:
    """Do what an env step sends and receives; every second agent moves, the others attack. Return the observation."""
    from s2clientprotocol import common_pb2, raw_pb2, sc2api_pb2

    actions = []
    for agent in range(n_agents):
        if agent % 2:
            target: dict[str, Any] = {"target_unit_tag": 4295229440}
        else:
            target = {"target_world_space_pos": common_pb2.Point2D(x=8.3 + agent, y=10.1)}
        command = raw_pb2.ActionRawUnitCommand(
            ability_id=23 if agent % 2 else 16, unit_tags=[4296015872 + agent], queue_command=False, **target
        )
        actions.append(sc2api_pb2.Action(action_raw=raw_pb2.ActionRaw(unit_command=command)))
    game.actions(sc2api_pb2.RequestAction(actions=actions))
    game.step(8)
    return game.observe()


def copies(known: dict[int, Any], seen: Any) -> dict[int, Any]:
    """Copy all units, then find each by its tag in an observation that is one step newer."""
    copy.deepcopy(known)
    by_tag = {}
    for index, old in known.items():
        by_tag[index] = next((new for new in seen.observation.raw_data.units if new.tag == old.tag), old)
    return by_tag


def smac_step(map_name: str, sets: list[dict[str, bytes]]) -> Callable[[], None] | None:
    """Return a function that makes one env step of unmodified smac on canned answers; None where smac is missing."""
    try:
        from smac.env import StarCraft2Env
        from smac.env.starcraft2 import starcraft2
    except ImportError:
        return None
    process = mock.Mock(controller=controller(sets))
    config = mock.Mock(start=lambda **_: process, map_data=lambda path: b"")
    env = StarCraft2Env(map_name=map_name)
    with mock.patch.object(starcraft2.run_configs, "get", return_value=config):
        env.reset()
    env.episode_limit = 10**9  # canned fighters never die

    def step() -> None:
        env.step([max(index for index, can in enumerate(row) if can) for row in env.get_avail_actions()])
        env.get_obs(), env.get_state(), env.get_avail_actions()

    return step


def per_call(function: Callable[[], object], seconds: float) -> float:
    """Return the median CPU time of a call, in us: nothing here waits, and other processes do not count."""
    times = []
    end = time.perf_counter() + seconds
    function()
    while time.perf_counter() < end or len(times) < 5:
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return statistics.median(times) * 1e6


def measure(map_name: str, seconds: float) -> dict[str, Any]:
    """Return us per env step of each part, and the size of an observation."""
    from s2clientprotocol import sc2api_pb2

    n_allies, n_enemies = MAPS[map_name]
    sets = responses(n_allies, n_enemies)
    game = controller(list(sets))
    game.create_game(sc2api_pb2.RequestCreateGame()), game.join_game(sc2api_pb2.RequestJoinGame())
    seen = messages(game, n_allies)
    known = dict(enumerate(seen.observation.raw_data.units))
    newer = messages(game, n_allies)
    result: dict[str, Any] = {"bytes": len(sets[0]["observation"])}
    result["messages"] = per_call(lambda: messages(game, n_allies), seconds)
    result["copies"] = per_call(lambda: copies(known, newer), seconds)
    result["both"] = result["messages"] + result["copies"]
    step = smac_step(map_name, list(sets))
    result["smac"] = per_call(step, seconds) if step else None
    return result


def child(python: str, seconds: float) -> dict[str, Any]:
    """Measure all maps with another interpreter."""
    command = [python, __file__, "--child", "--seconds", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    return json.loads(done.stdout.splitlines()[-1])


def show(mine: list[dict[str, Any]], peers: list[dict[str, Any]]) -> None:
    """Print medians over the rounds, and the median ratio of a round."""
    print(f"this: protobuf {mine[0]['version']}" + (f"; peer: protobuf {peers[0]['version']}" if peers else ""))
    print(f"{'map':<12}{'obs bytes':>10}  {'part':<9}{'this us':>9}{'peer us':>9}{'ratio':>7}")
    for name in MAPS:
        for part in PARTS:
            here = [one[name][part] for one in mine if one[name][part] is not None]
            there = [one[name][part] for one in peers if one[name][part] is not None]
            if not here:
                continue
            line = f"{name:<12}{mine[0][name]['bytes']:>10}  {part:<9}{statistics.median(here):>9.0f}"
            if there:
                ratio = statistics.median([b / a for a, b in zip(here, there, strict=True)])
                line += f"{statistics.median(there):>9.0f}{ratio:>7.1f}"
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer-python", help="interpreter of a venv with another protobuf")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        protobuf.use_fast_backend()
        import google.protobuf

        found: dict[str, Any] = {"version": f"{google.protobuf.__version__} ({protobuf.backend()})"}
        print(json.dumps(found | {name: measure(name, args.seconds) for name in MAPS}))
        return
    mine, peers = [], []
    for _ in range(args.rounds):
        mine.append(child(sys.executable, args.seconds))
        if args.peer_python:
            peers.append(child(args.peer_python, args.seconds))
    show(mine, peers)


if __name__ == "__main__":
    main()
