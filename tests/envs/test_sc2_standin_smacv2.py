"""What SMACv2 asks of the stand-in beyond SMAC: a bare map, units created on it, enemies that follow."""

from __future__ import annotations

import numpy as np
import pytest
from sc2_client import (
    ATTACK_ID,
    HEAL_ID,
    MOVE_ID,
    STOP_ID,
    create,
    create_units,
    debug_pb2,
    direct,
    kill,
    protocol,
    units,
)

pytestmark = pytest.mark.sc2


def bare():
    """Return the controller of a game that has begun on SMACv2's map."""
    controller = direct()
    create(controller, "32x32_flat")
    return controller


def test_data_numbers_the_unit_types_of_smacv2():
    data = bare().data()
    assert len(data.units) - 9 == 1970
    names = [data.units[1970 + k] for k in range(9)]
    assert names == sorted(names)
    assert names[0] == "Baneling_RL"
    assert {STOP_ID, MOVE_ID, ATTACK_ID, HEAL_ID} <= set(data.abilities)
    assert all(ability.hotkey == ability.hotkey.lower() for ability in data.abilities.values())
    assert data.upgrades


def test_bare_map_creates_units_and_brings_nobody_back():
    controller = bare()
    assert units(controller) == []
    controller.step(2)
    assert units(controller) == []
    create_units(controller, [1974, 1974, 1975], 1, (8, 16))
    create_units(controller, [48, 54, 51], 2, (24, 16))
    controller.step(1)
    born = units(controller)
    assert [(u.unit_type, u.owner) for u in born] == [(1974, 1), (1974, 1), (1975, 1), (48, 2), (54, 2), (51, 2)]
    places = {(u.pos.x, u.pos.y) for u in born if u.unit_type == 1974}
    assert len(places) == 2  # nobody stands on another
    assert (8, 16) in places
    distance = abs(born[3].pos.x - 8)
    for _ in range(6):
        controller.step(8)
    assert abs(units(controller, 2)[0].pos.x - 8) < distance - 3  # enemies come
    with pytest.raises(protocol.ProtocolError, match="only on an empty"):
        create_units(controller, [48], 2, (24, 16))
    kill(controller, [u.tag for u in units(controller)])
    controller.step(2)
    assert units(controller) == []
    create_units(controller, [1970], 1, (8, 16))
    create_units(controller, [48], 2, (24, 16))
    controller.step(1)
    assert units(controller)[0].tag not in {u.tag for u in born}


def test_created_enemies_follow_who_runs_away():
    """SMACv2's maps send idle enemies to the nearest ally again and again; healers, too."""
    controller = bare()
    create_units(controller, [1974], 1, (2, 2))
    create_units(controller, [54, 105], 2, (30, 30))
    for _ in range(40):
        controller.step(8)
    ally, enemies = units(controller, 1), units(controller, 2)
    assert not ally  # the zergling got it
    assert all(np.hypot(u.pos.x - 2, u.pos.y - 2) < 8 for u in enemies)


def test_drawing_and_empty_requests_change_nothing():
    controller = bare()
    controller.debug(debug_pb2.DebugCommand(draw=debug_pb2.DebugDraw()))
    controller.debug([])
    assert units(controller) == []
