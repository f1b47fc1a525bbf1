"""What an env says of the blocks in its observations and state is what stands there."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skirmish_arena import ROW, make, random_actions
from skirmish_maps import ALL_MAPS

from pymarl.envs.batched import make_batched_env
from pymarl.envs.sc2.env import SC2v2Env
from pymarl.envs.sc2.installation import package_problem
from pymarl.envs.skirmish.battle.arrays import Rules
from pymarl.envs.skirmish.battle.features import layout
from pymarl.envs.skirmish.env import Skirmish
from pymarl.envs.specs import Block, EntityLayout, block_slices, total_size
from pymarl.utils.layers import merge
from sc2_standin.fixtures import sc2path  # noqa: F401

SIGHT = 9.0
SHOWN = [
    "obs_all_health", "obs_own_health", "obs_last_action", "obs_pathing_grid", "obs_terrain_height",
    "obs_instead_of_state", "obs_timestep_number", "state_last_action", "state_timestep_number", "replicate_quirks",
]  # fmt: skip
"""Options that decide what is shown."""


def cut(flat: NDArray[Any], blocks: tuple[Block, ...]) -> dict[str, NDArray[Any]]:
    """Return a flat observation or state as [count, width] per block."""
    places = block_slices(blocks)
    return {block.name: flat[places[block.name]].reshape(block.count, block.width) for block in blocks}


def layout_of(env: Skirmish) -> EntityLayout:
    assert env.info.entity_layout is not None
    return env.info.entity_layout


def check_obs(env: Skirmish, agent: int, last: NDArray[np.int64]) -> int:
    """Compare an agent's blocks with the battle; return how many units it saw."""
    units, n = env.units[0], env.info.n_agents
    me, avail, entities = units[agent], env.arrays.avail_actions[0, agent], layout_of(env)
    seen = cut(env.arrays.obs[0, agent], entities.obs)
    if env.config.obs_timestep_number:
        assert seen["timestep"] == np.float32(env.steps[0] / env.info.episode_limit)
    if me["health"] <= 0:
        return 0
    assert seen["move"][0, :4].tolist() == avail[2:6].tolist()
    if env.config.obs_own_health or env.config.obs_all_health:
        assert seen["own"][0, 0] == np.float32(me["health"] / env.kinds[me["kind"]]["health"])
    heals = env.rules.healers and env.kinds[me["kind"]]["heal"] > 0
    if me["health"] > 0:
        assert env.arrays.obs[0, agent][list(entities.healers)].any() == heals
    others = [("enemies", n + e, e) for e in range(len(units) - n)]
    others += [("allies", u, k) for k, u in enumerate(u for u in range(n) if u != agent)]
    count = 0
    for side, u, k in others:
        other, row = units[u], seen[side][k]
        way = np.array([other["x"] - me["x"], other["y"] - me["y"]])
        if other["health"] <= 0 or np.hypot(*way) >= SIGHT:
            assert not row.any()
            continue
        np.testing.assert_allclose(row[1:4], np.array([np.hypot(*way), *way]) / SIGHT, rtol=1e-5, atol=1e-7)
        if side == "enemies" and not heals:
            assert row[0] == avail[entities.first_target + k]
        if side == "allies" and env.config.obs_last_action:
            assert row[-env.info.n_actions :].tolist() == np.eye(env.info.n_actions)[last[u]].tolist()
        if env.config.obs_all_health:
            assert row[4] == np.float32(other["health"] / env.kinds[other["kind"]]["health"])
        count += 1
    return count


def check_state(env: Skirmish, last: NDArray[np.int64]) -> None:
    units, n = env.units[0], env.info.n_agents
    state = cut(env.arrays.state[0], layout_of(env).state)
    if env.config.obs_instead_of_state:
        assert np.array_equal(state["obs"], env.arrays.obs[0])
        return
    share = np.float32(np.maximum(units["health"], 0) / env.kinds["health"][units["kind"]])
    alive = units["health"] > 0
    assert np.array_equal(state["allies"][:, 0], share[:n])
    assert np.array_equal(state["enemies"][:, 0], share[n:])
    y = np.where(alive, (units["y"] - env.rules.height / 2) / env.rules.height, 0)
    np.testing.assert_allclose(state["allies"][:, 3], y[:n], rtol=1e-5)
    np.testing.assert_allclose(state["enemies"][:, 2], y[n:], rtol=1e-5)
    if env.config.state_last_action:
        assert np.array_equal(state["last_actions"], np.eye(env.info.n_actions)[last])
    if env.config.state_timestep_number:
        assert state["timestep"] == np.float32(env.steps[0] / env.info.episode_limit)


def play(env: Skirmish, steps: int) -> int:
    """Play with random actions and compare every step; return how many units the agents saw."""
    generator, count = np.random.default_rng(0), 0
    env.reset(ROW, np.array([3], np.uint64))
    for _ in range(steps):
        last = random_actions(env, generator)[0]
        env.step(last[None], ROW)
        check_state(env, last)
        count += sum(check_obs(env, agent, last) for agent in range(env.info.n_agents))
        if env.arrays.terminated[0]:
            break
    return count


@ALL_MAPS
def test_skirmish_shows_the_blocks_that_it_says(name: str) -> None:
    env = make(map_name=name)
    assert play(env, 25) > 0
    env.close()


@pytest.mark.parametrize("option", SHOWN)
def test_every_option_moves_the_blocks_with_it(option: str) -> None:
    for name in ("MMM", "2s3z", "2s_vs_1sc"):
        plain = make(map_name=name)
        value = not vars(plain.config)[option]
        shown = {"state_timestep_number": True, "obs_timestep_number": option == "replicate_quirks"} | {option: value}
        env = make(map_name=name, **shown)
        assert play(env, 25) > 0
        plain.close()
        env.close()


def sizes(rules: Rules) -> tuple[int, int]:
    """Return O and S, counted as SMAC's get_obs_size and get_state_size do, and its second place for the time."""
    n, m, bits = rules.n_agents, rules.n_enemies, rules.type_bits
    ally, enemy = 4 + bits, 4 + bits
    own = bits + rules.obs_timestep_number
    if rules.obs_all_health:
        ally += 1 + rules.ally_shields
        enemy += 1 + rules.enemy_shields
    if rules.obs_all_health or rules.obs_own_health:
        own += 1 + rules.ally_shields
    ally += rules.n_actions * rules.obs_last_action
    move = 4 + 8 * rules.obs_pathing_grid + 9 * rules.obs_terrain_height
    obs = move + m * enemy + (n - 1) * ally + own + (rules.obs_timestep_number and rules.quirks)
    if rules.obs_instead_of_state:
        return obs, n * obs
    state = n * (4 + rules.ally_shields + bits) + m * (3 + rules.enemy_shields + bits)
    return obs, state + n * rules.n_actions * rules.state_last_action + rules.state_timestep_number


@ALL_MAPS
def test_blocks_sum_to_the_sizes_with_all_options(name: str) -> None:
    env, checked = make(map_name=name), 0
    assert (env.info.obs_shape, env.info.state_shape) == sizes(env.rules)
    for values in itertools.product((False, True), repeat=len(SHOWN)):
        rules = env.rules._replace(**dict(zip([*SHOWN[:-1], "quirks"], values, strict=True)))
        entities = layout(rules)
        assert (total_size(entities.obs), total_size(entities.state)) == sizes(rules)
        assert [block.name for block in entities.obs][:4] == ["move", "enemies", "allies", "own"]
        checked += 1
    assert checked == 1024


def test_blocks_of_3m_by_hand() -> None:
    entities = layout_of(make(map_name="3m"))
    assert entities == EntityLayout(
        obs=(Block("move", 1, 4), Block("enemies", 3, 5), Block("allies", 2, 5), Block("own", 1, 1)),
        state=(Block("allies", 3, 4), Block("enemies", 3, 3), Block("last_actions", 3, 9)),
        first_target=6,
    )
    assert block_slices(entities.obs)["allies"] == slice(19, 29)


def test_places_that_mark_healers_by_hand() -> None:
    """MMM: health, then marauder, marine, medivac; 3m has no healer, and no quirk moves the place."""
    assert layout_of(make(map_name="3m")).healers == ()
    for options, place in (
        ({}, 3),
        ({"obs_own_health": False, "obs_all_health": False}, 2),
        ({"obs_timestep_number": True}, 3),
    ):
        for quirks in (False, True):
            entities = layout_of(make(map_name="MMM", replicate_quirks=quirks, **options))
            assert entities.healers == (block_slices(entities.obs)["own"].start + place,)


STARCRAFT: list[tuple[str, dict[str, Any], int]] = [
    ("sc2", {"map_name": "MMM", "obs_timestep_number": True, "state_timestep_number": True}, 6),
    ("sc2", {"map_name": "2s3z", "obs_timestep_number": True, "obs_instead_of_state": True}, 6),
    ("sc2v2", {"map_name": "10gen_protoss", "obs_timestep_number": True, "obs_own_pos": False}, 6),
    ("sc2v2", {"map_name": "10gen_terran", "conic_fov": True, "num_fov_actions": 8, "fully_observable": True}, 14),
]


@pytest.mark.sc2
@pytest.mark.usefixtures("sc2path")
@pytest.mark.parametrize(("name", "options", "first_target"), STARCRAFT)
def test_starcraft_shows_the_blocks_that_it_says(name: str, options: dict[str, Any], first_target: int) -> None:
    missing = package_problem({"sc2": "smac", "sc2v2": "smacv2"}[name]) or package_problem("pysc2")
    if missing:
        pytest.skip(str(missing))
    layers = merge(None, name, {"env_args": options})
    env = make_batched_env(name, layers.values["env_args"], 1, 0, layers.origin, in_process=False)
    try:
        entities = env.info.entity_layout
        assert entities is not None
        assert entities.first_target == first_target
        env.reset(ROW, np.array([1], np.uint64))
        assert not env.arrays.broken[0]  # the package's own rows fit in
        obs, state, avail = env.arrays.obs[0], env.arrays.state[0], env.arrays.avail_actions[0]
        blocks = [cut(row, entities.obs) for row in obs]
        assert [b["move"][0, :4].tolist() for b in blocks] == avail[:, 2:6].tolist()
        if "obs_instead_of_state" not in options:
            shares = cut(state, entities.state)
            assert [shares[side][:, 0].min() for side in ("allies", "enemies")] == [1, 1]  # nobody is hurt yet
        assert bool(entities.healers) == (options["map_name"] in ("MMM", "10gen_terran"))
        if entities.healers:  # the last of three types
            (mark,), start = entities.healers, block_slices(entities.obs)["own"].start
            kinds = {tuple(row[mark - 2 : mark + 1].tolist()) for row in obs}
            assert kinds <= {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
            assert mark - start == (3 if name == "sc2" else blocks[0]["own"].shape[1] - 1)
        allies = [b["allies"] for b in blocks]
        assert all(set(rows[:, 0].tolist()) <= {0, 1} for rows in allies)
        assert any(rows[:, 0].any() for rows in allies)
    finally:
        env.close()


def test_smacv2_that_observes_the_time_alone_has_no_layout() -> None:
    env = SC2v2Env.__new__(SC2v2Env)
    env.config = SimpleNamespace(obs_starcraft=False)  # type: ignore[assignment]
    assert env._layout(None) is None
