"""Stag hunt with its shipped options: situations worked out by hand, and what holds in every episode."""

from __future__ import annotations

import numpy as np
import pytest
from stag_world import (
    CATCH,
    DOWN,
    LEFT,
    RIGHT,
    STAY,
    UP,
    act,
    make_stag_hunt,
    places,
    random_actions,
    reset,
    situation,
    window,
)

from pymarl.envs.stag_hunt import StagHunt
from pymarl.utils.config import config_keys

PYMARL2_KEYS = """
map_name capture_action n_agents n_stags n_hare miscapture_punishment agent_obs agent_move_block capture_conditions
capture_action_conditions capture_freezes capture_terminal directed_observations directed_cone_narrow
directed_exta_actions episode_limit intersection_global_view intersection_unknown mountain_slope mountain_spawn
mountain_agent_row observe_state observe_walls observe_ids observe_one_hot p_stags_rest p_hare_rest
prevent_cannibalism print_caught_prey print_frozen_agents random_ghosts random_ghosts_prob random_ghosts_mul
random_ghosts_indicator remove_frozen reward_hare reward_stag reward_collision reward_time state_as_graph toroidal
world_shape
"""


def test_reads_the_keys_of_pymarl2() -> None:
    assert set(config_keys(StagHunt)) == set(PYMARL2_KEYS.split())


def test_shapes_are_pymarl2s() -> None:
    info = make_stag_hunt().info
    assert (info.n_agents, info.n_actions, info.obs_shape, info.state_shape, info.episode_limit) == (8, 6, 75, 300, 200)


def test_two_agents_catch_a_stag_and_leave_the_world() -> None:
    env = situation(agents=[(4, 3), (4, 5), (5, 6)], stags=[(4, 4), (0, 0)])
    assert env.arrays.avail_actions[0, :, CATCH].tolist() == [True, True, False]
    assert act(env, [CATCH, CATCH, STAY]) == 10
    state = env.arrays.state[0].reshape(10, 10, 3)
    assert np.argwhere(state).tolist() == [[0, 0, 1], [5, 6, 0]]  # the other stag, the third agent
    assert env.arrays.avail_actions[0].tolist() == [[u == STAY for u in range(6)]] * 2 + [[1, 1, 1, 1, 1, 0]]
    assert not env.arrays.obs[0, :2].any()  # although agent 2 is near
    assert env.arrays.obs[0, 2].any()
    assert not env.arrays.terminated[0]


def test_a_place_is_free_once_its_agent_has_left_the_world() -> None:
    env = situation(agents=[(4, 3), (4, 5), (4, 2)], stags=[(4, 4), (0, 0)])
    act(env, [CATCH, CATCH, STAY])
    act(env, [STAY, STAY, RIGHT])
    assert places(env, env._world.agents)[2] == (4, 3)
    act(env, [STAY, STAY, RIGHT])
    assert places(env, env._world.agents)[2] == (4, 4)


def test_one_agent_alone_is_punished_for_each_prey_it_misses() -> None:
    env = situation(agents=[(4, 3), (4, 5)], stags=[(4, 4), (4, 2)], miscapture_punishment=-2)
    assert act(env, [CATCH, STAY]) == -4
    assert env._world.alive[0].all()
    assert act(env, [STAY, CATCH]) == -2
    assert act(env, [STAY, STAY]) == 0


def test_a_third_agent_that_catches_is_frozen_as_well() -> None:
    env = situation(agents=[(4, 3), (4, 5), (3, 4), (5, 4)], stags=[(4, 4), (0, 0)])
    assert act(env, [CATCH, CATCH, CATCH, STAY]) == 10
    assert env._world.frozen[0].tolist() == [True, True, True, False]


def test_agents_that_caught_one_stag_cannot_catch_another_in_the_same_step() -> None:
    env = situation(agents=[(4, 4), (5, 5)], stags=[(4, 5), (5, 4)], miscapture_punishment=-2)
    assert act(env, [CATCH, CATCH]) == 10
    assert env._world.alive[0].sum() == 1
    assert env.arrays.terminated[0]  # nobody is left to hunt


def test_prey_takes_the_only_way_out_and_stays_if_there_is_none() -> None:
    free = {"p_stags_rest": 0.0}
    env = situation(agents=[(0, 1)], stags=[(0, 0)], **free)
    act(env, [STAY])
    assert places(env, env._world.prey) == [(1, 0)]
    env = situation(agents=[(0, 1), (1, 0)], stags=[(0, 0)], **free)
    assert act(env, [STAY, STAY]) == 0
    assert places(env, env._world.prey) == [(0, 0)]


def test_prey_moves_in_all_directions_alike() -> None:
    env, counts = situation(agents=[(9, 9)], stags=[(4, 4)], p_stags_rest=0.0, episode_limit=10**6), np.zeros(4)
    steps = 4000
    for _ in range(steps):
        before = int(env._world.prey[0, 0])
        act(env, [STAY])
        moved = int(env._world.prey[0, 0]) - before
        counts[[1, 10, -1, -10].index(moved)] += 1
        env._world.cells[0, env._world.prey[0, 0]], env._world.cells[0, 44], env._world.prey[0, 0] = 0, 2, 44
    assert np.abs(counts / steps - 0.25).max() < 0.03  # 4.4 standard deviations


def test_nobody_walks_into_anybody_or_off_the_grid() -> None:
    env = situation(agents=[(0, 0), (0, 1), (5, 5)], stags=[(1, 0), (5, 6)])
    assert env.arrays.avail_actions[0, 0, :4].tolist() == [True, True, False, False]  # no walls right and down
    act(env, [RIGHT, STAY, RIGHT])
    assert places(env, env._world.agents) == [(0, 0), (0, 1), (5, 5)]
    act(env, [DOWN, STAY, LEFT])
    assert places(env, env._world.agents) == [(0, 0), (0, 1), (5, 4)]


def test_two_agents_race_for_one_cell() -> None:
    winners = []
    for seed in range(40):
        env = situation(agents=[(4, 3), (4, 5)], stags=[(9, 9)])
        env._world.rng[0] = seed
        act(env, [RIGHT, LEFT])
        winners.append(places(env, env._world.agents).index((4, 4)))
    assert 8 < sum(winners) < 32


def test_window_in_a_corner() -> None:
    env = situation(agents=[(0, 0), (1, 2), (0, 3)], stags=[(2, 0), (3, 0)])
    expected = np.zeros((5, 5, 3), np.float32)
    expected[2, 2, 0] = 1  # the agent itself
    expected[3, 4, 0] = 1  # agent 1, one down and two right; agent 2 is too far to the right
    expected[4, 2, 1] = 1  # the near stag
    assert np.array_equal(window(env, 0), expected)


def test_an_end_on_the_last_step_is_terminated() -> None:
    env = situation(agents=[(4, 3), (4, 5)], stags=[(4, 4)], episode_limit=2)
    act(env, [STAY, STAY])
    assert not env.arrays.terminated[0]
    assert not env.arrays.truncated[0]
    act(env, [CATCH, CATCH])
    assert (env.arrays.terminated[0], env.arrays.truncated[0]) == (True, False)
    assert env.episode_info(0) == {"episode_limit": False}


def test_the_clock_truncates() -> None:
    env = situation(agents=[(4, 3), (4, 5)], stags=[(4, 4)], episode_limit=2)
    act(env, [STAY, STAY])
    act(env, [CATCH, STAY])
    assert (env.arrays.terminated[0], env.arrays.truncated[0]) == (False, True)
    assert env.episode_info(0) == {"episode_limit": True}


def test_the_largest_return_is_40() -> None:
    stags = [(1, 1), (1, 7), (7, 1), (7, 7)]
    agents = [(row, column + side) for row, column in stags for side in (-1, 1)]
    env = situation(agents=agents, stags=[*stags, (4, 4), (4, 5), (5, 4), (5, 5)])
    assert act(env, [CATCH] * 8) == 40
    assert env.arrays.terminated[0]


@pytest.mark.parametrize("action", [UP, CATCH, 6, -1])
def test_an_action_that_is_not_available_is_refused(action: int) -> None:
    env = situation(agents=[(9, 9), (0, 0)], stags=[(9, 8)])
    with pytest.raises(ValueError, match=f"action {action} of agent 1 in env 0 is not available"):
        act(env, [STAY, action])


def play(env: StagHunt, first_seed: int, steps: int) -> list[np.ndarray]:
    """Return everything that row -1 shows in `steps` steps of random actions, which depend on that row alone."""
    reset(env, first_seed)
    seen, generator = [], np.random.default_rng(0)
    rows = np.arange(env.batch_size)
    for _ in range(steps):
        own = generator.random(env.arrays.avail_actions.shape[1:]) * env.arrays.avail_actions[-1]
        actions = np.full((env.batch_size, env.info.n_agents), STAY)
        actions[-1] = own.argmax(-1)
        env.step(actions, rows)
        a = env.arrays
        seen += [a.obs[-1].copy(), a.state[-1].copy(), a.avail_actions[-1].copy(), a.reward[-1:].copy()]
    return seen


def test_an_episode_depends_on_its_seed_alone() -> None:
    alone = play(make_stag_hunt(1), first_seed=7, steps=100)
    again = play(make_stag_hunt(1), first_seed=7, steps=100)
    in_batch = play(make_stag_hunt(5), first_seed=3, steps=100)  # the last row has seed 7
    other = play(make_stag_hunt(1), first_seed=8, steps=100)
    assert all(np.array_equal(a, b) for a, b in zip(alone, again, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(alone, in_batch, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(alone, other, strict=True))


def test_only_the_rows_named_are_stepped() -> None:
    env = make_stag_hunt(3)
    reset(env)
    before = [array.copy() for array in vars(env.arrays).values()]
    env.step(np.full((3, 8), STAY), np.array([1]))
    for old, new in zip(before, vars(env.arrays).values(), strict=True):
        assert np.array_equal(old[[0, 2]], new[[0, 2]])
    assert not np.array_equal(before[1][1], env.arrays.state[1])  # eight stags hardly all stay where they were


def test_nothing_is_lost_or_doubled_in_random_episodes() -> None:
    env, generator = make_stag_hunt(8), np.random.default_rng(1)
    reset(env)
    rows, returns, captures = np.arange(8), np.zeros(8), 0
    for step in range(200):
        env.step(random_actions(env, generator), rows)
        returns += env.arrays.reward[:, 0]
        world, state = env._world, env.arrays.state.reshape(8, 100, 3)
        assert np.array_equal(state[..., 0].sum(1), (~world.frozen).sum(1))
        assert np.array_equal(state[..., 1].sum(1), world.alive.sum(1))
        assert state.sum(2).max() == 1  # never two in one cell
        assert np.array_equal(world.cells, (state * [1, 2, 4]).sum(2))  # nobody leaves a mark behind
        captures = int((~world.alive).sum())
        assert returns.sum() == 10 * captures
        assert (world.frozen.sum(1) >= 2 * (~world.alive).sum(1)).all()
        assert (world.steps == step + 1).all()
    assert captures > 3  # it was worth looking
    assert env.arrays.truncated.all()
