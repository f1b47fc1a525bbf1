"""The stand-in for StarCraft II, driven by unmodified pysc2: what it answers, and how battles go."""

from __future__ import annotations

import numpy as np
import pytest
from sc2_client import (
    ATTACK_ID,
    HEAL_ID,
    MOVE_ID,
    STOP_ID,
    create,
    debug_pb2,
    direct,
    error_pb2,
    kill,
    order,
    protocol,
    remote_controller,
    sc_pb,
    units,
)

from pymarl.envs.skirmish.scenario.maps import map_names
from sc2_standin.conformance import ROW, choose, make_skirmish
from sc2_standin.game import episode_seed
from sc2_standin.replay import play

pytestmark = pytest.mark.sc2
Status = protocol.Status


def battle(map_name: str = "3m", seed: int | None = 1):
    """Return the controller of a game that has begun."""
    controller = direct()
    create(controller, map_name, seed)
    return controller


def test_states_and_game_info():
    controller = direct()
    assert controller.status == Status.launched
    create(controller, "2c_vs_64zg")
    assert controller.status == Status.in_game
    info = controller.game_info().start_raw
    assert (info.map_size.x, info.map_size.y) == (32, 32)
    assert (info.playable_area.p0.x, info.playable_area.p1.x, info.playable_area.p1.y) == (0, 32, 32)
    assert (info.pathing_grid.bits_per_pixel, len(info.pathing_grid.data), len(info.terrain_height.data)) == (
        1,
        128,
        1024,
    )
    rows = np.unpackbits(np.frombuffer(info.pathing_grid.data, np.uint8)).reshape(32, 32)  # [y, x], from the south
    heights = np.frombuffer(info.terrain_height.data, np.uint8).reshape(32, 32)[::-1]
    skirmish = make_skirmish("2c_vs_64zg", {})
    np.testing.assert_array_equal(rows.T.astype(bool), skirmish.terrain.pathable)
    np.testing.assert_array_equal((heights.T / 255).astype(np.float32), skirmish.terrain.level)


@pytest.mark.parametrize("map_name", map_names())
def test_first_observation_shows_everybody(map_name):
    controller = battle(map_name)
    everybody = units(controller)
    skirmish = make_skirmish(map_name, {})
    skirmish.reset(ROW, np.zeros(1, np.uint64))
    table = skirmish.units[0]
    n = skirmish.map.n_agents
    allies = sorted(
        (u for u in everybody if u.owner == 1), key=lambda u: (u.unit_type, u.pos.x, u.pos.y)
    )  # as SMAC numbers them
    enemies = [u for u in everybody if u.owner == 2]
    assert (len(allies), len(enemies)) == (n, skirmish.map.n_enemies)
    assert [u.owner for u in everybody] == [1] * n + [2] * len(enemies)
    for unit, there in zip(allies + enemies, table, strict=True):
        kind = skirmish.kinds[there["kind"]]
        assert (unit.pos.x, unit.pos.y) == (there["x"], there["y"])
        assert (unit.health, unit.health_max) == (kind["health"], kind["health"])
        assert (unit.shield, unit.shield_max, unit.energy) == (kind["shield"], kind["shield"], kind["energy"])
        assert unit.weapon_cooldown == 0
    assert len({u.tag for u in everybody}) == len(everybody)
    ids = sorted({u.unit_type for u in allies})
    assert ids == list(range(1970, 1970 + len(ids)))  # SMAC counts from the smallest
    assert [u.unit_type for u in enemies] == skirmish.kinds["type_id"][table["kind"][n:]].tolist()


def test_creation_order_differs_from_agents_order():
    types = [u.unit_type - 1970 for u in units(battle("MMM"), 1)]
    assert sorted(types) != types  # marines, marauders, the medivac; agents begin with marauders


@pytest.mark.parametrize("map_name", ["3m", "MMM", "2s3z", "corridor", "so_many_baneling"])
def test_battles_are_those_of_skirmish(map_name):
    """Actions sent as SMAC sends them: every unit is where it is in skirmish's own battle, episode after episode."""
    seed = 11
    controller, skirmish = battle(map_name, seed), make_skirmish(map_name, {})
    generator, n = np.random.default_rng(seed), skirmish.map.n_agents
    for episode in range(4):
        skirmish.reset(ROW, np.array([episode_seed(seed, episode)], np.uint64))
        allies = sorted(units(controller, 1), key=lambda u: (u.unit_type, u.pos.x, u.pos.y))
        tags = [u.tag for u in allies + units(controller, 2)]
        over = False
        while not over:
            same_units(controller, tags, skirmish.units[0])
            actions = choose(skirmish.arrays.avail_actions[0], 0.9 * (episode % 2), generator)
            sent = [as_order(skirmish, agent, action, tags) for agent, action in enumerate(actions) if action > 0]
            result = controller.actions(sc_pb.RequestAction(actions=sent)).result
            assert list(result) == [error_pb2.Success] * len(sent)
            controller.step(8)
            skirmish.step(actions[None], ROW)
            over = bool(skirmish.arrays.terminated[0] or skirmish.arrays.truncated[0])
        same_units(controller, tags, skirmish.units[0])
        kill(controller, tags)
        controller.step(2)
        assert len(units(controller, 1)) == n


def as_order(skirmish, agent, action, tags):
    """Return what SMAC sends for an action."""
    unit = skirmish.units[0, agent]
    x, y = float(unit["x"]), float(unit["y"])
    if action == 1:
        return order(tags[agent], STOP_ID)
    if action < 6:
        dx, dy = [(0, 2), (0, -2), (2, 0), (-2, 0)][action - 2]
        return order(tags[agent], MOVE_ID, point=(x + dx, y + dy))
    if skirmish.map.healers and skirmish.kinds["heal"][unit["kind"]] > 0:
        return order(tags[agent], HEAL_ID, tags[action - 6])
    return order(tags[agent], ATTACK_ID, tags[skirmish.map.n_agents + action - 6])


def same_units(controller, tags, table):
    """Assert that the living are those of the table, exactly."""
    seen = {u.tag: (u.pos.x, u.pos.y, u.health, u.shield, u.energy, u.weapon_cooldown) for u in units(controller)}
    fields = ("x", "y", "health", "shield", "energy", "cooldown")
    alive = zip(tags, table[list(fields)].tolist(), strict=True)
    assert seen == {tag: pytest.approx(row, rel=1e-7, abs=0) for tag, row in alive if row[2] > 0}


def test_respawn_with_new_tags_at_the_end_of_the_step_that_began_empty():
    controller = battle()
    before = {u.tag for u in units(controller)}
    at = {(u.pos.x, u.pos.y) for u in units(controller)}
    kill(controller, list(before))
    assert units(controller) == []
    controller.step(2)
    after = {u.tag for u in units(controller)}
    assert len(after) == 6
    assert not before & after
    assert {(u.pos.x, u.pos.y) for u in units(controller)} == at  # loop 0 of the episode
    kill(controller, list(before))  # stale tags are nobody's
    kill(controller, [])
    assert len(units(controller)) == 6


def test_nobody_comes_back_while_anybody_lives():
    controller = battle()
    kill(controller, [u.tag for u in units(controller, 1)])
    controller.step(8)
    assert [u.owner for u in units(controller)] == [2, 2, 2]


def test_orders_that_the_game_refuses():
    controller = battle("MMM")
    mine, theirs = units(controller, 1), units(controller, 2)
    medivac = next(u for u in mine if u.energy_max > 0)
    marine = mine[0]
    refused = [
        order(theirs[0].tag, STOP_ID),  # not ours
        order(5, STOP_ID),  # nobody
        order(marine.tag, ATTACK_ID, marine.tag),
        order(marine.tag, HEAL_ID, mine[1].tag),
        order(medivac.tag, HEAL_ID, theirs[0].tag),
        order(marine.tag, 999),
    ]
    assert list(controller.actions(sc_pb.RequestAction(actions=refused)).result) == [error_pb2.Error] * 6
    assert list(controller.actions(sc_pb.RequestAction()).result) == []
    controller.step(8)
    assert (units(controller, 1)[0].pos.x, units(controller, 1)[0].pos.y) == (marine.pos.x, marine.pos.y)


def test_same_seed_same_battles_and_other_seeds_others():
    def course(seed):
        controller = battle("3m", seed)
        return [(controller.step(8), [u.weapon_cooldown for u in units(controller)])[1] for _ in range(20)]

    assert course(5) == course(5)
    assert course(5) != course(6)
    assert course(None) != course(None)


def test_loops_are_counted():
    controller = battle()
    assert controller.observe().observation.game_loop == 0
    assert controller.step(8).simulation_loop == 8
    controller.step()
    assert controller.observe().observation.game_loop == 9


def test_requests_in_the_wrong_state_and_unknown_ones():
    controller = direct()
    client = controller._client
    for request in ({"step": sc_pb.RequestStep(count=1)}, {"observation": sc_pb.RequestObservation()}):
        with pytest.raises(protocol.ProtocolError, match="not in state launched"):
            client.send(**request)
    create(controller)
    with pytest.raises(protocol.ProtocolError, match="not in state in_game"):
        client.send(join_game=sc_pb.RequestJoinGame())
    with pytest.raises(protocol.ProtocolError, match="does not know"):
        client.send(available_maps=sc_pb.RequestAvailableMaps())
    with pytest.raises(protocol.ProtocolError, match="does not know"):
        controller.debug(debug_pb2.DebugCommand(end_game=debug_pb2.DebugEndGame()))
    assert len(units(controller)) == 6  # and goes on


def test_games_that_cannot_be_created():
    controller = direct()
    with pytest.raises(remote_controller.RequestError, match="InvalidMapData"):
        controller.create_game(sc_pb.RequestCreateGame(local_map=sc_pb.LocalMap(map_path="SMAC_Maps/3m.SC2Map")))
    with pytest.raises(remote_controller.RequestError, match="InvalidPlayerSetup"):
        controller.create_game(
            sc_pb.RequestCreateGame(local_map=sc_pb.LocalMap(map_path="SMAC_Maps/3m.SC2Map", map_data=b"-"))
        )
    with pytest.raises(remote_controller.RequestError, match="InvalidMapPath"):
        create(controller, "4m")


def test_replay_holds_all_episodes():
    controller = battle("2s3z", 3)
    generator = np.random.default_rng(0)
    for _ in range(2):
        for _ in range(30):
            moves = [
                order(u.tag, MOVE_ID, point=(u.pos.x + dx, u.pos.y))
                for u, dx in zip(units(controller, 1), generator.uniform(-2, 2, 5), strict=False)
            ]
            controller.actions(sc_pb.RequestAction(actions=moves))
            controller.step(8)
        kill(controller, [u.tag for u in units(controller)])
        controller.step(2)
    end = [(u.tag, u.pos.x, u.pos.y, u.health) for u in units(controller)]
    replay = controller.save_replay()
    games = list(play(replay))
    assert (games[-1].map_name, games[-1].loop, games[-1].episode) == ("2s3z", 2 * 242, 2)
    left = games[-1].units[games[-1].shown.index]
    tags = [games[-1].tags[i] for i in games[-1].shown.index]
    assert list(zip(tags, *(left[key].tolist() for key in ("x", "y", "health")), strict=True)) == end
    with pytest.raises(ValueError, match="not a replay"):
        list(play(b"something else"))
