"""Options of stag hunt that its YAML leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stag_world import (
    CATCH,
    DOWN,
    LEFT,
    LOOK_RIGHT,
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

from pymarl.utils.errors import UserError


def test_one_agent_catches_a_hare() -> None:
    env = situation(agents=[(4, 3), (4, 5)], stags=[(0, 0)], hares=[(4, 4)])
    assert act(env, [CATCH, STAY]) == 1
    assert env._world.frozen[0].tolist() == [True, False]
    assert env._world.alive[0].tolist() == [True, False]


def test_the_third_feature_is_hares() -> None:
    env = situation(agents=[(4, 4)], stags=[(4, 5)], hares=[(3, 4)])
    assert np.argwhere(window(env, 0)).tolist() == [[1, 2, 2], [2, 2, 0], [2, 3, 1]]


def test_without_a_catch_action_a_surrounded_stag_is_caught() -> None:
    ring = [(3, 4), (4, 3), (5, 4), (4, 5)]
    args: dict[str, Any] = {"capture_action": False, "reward_time": -0.5}
    assert act(situation(agents=ring, stags=[(4, 4)], **args), [STAY] * 4) == 9.5
    assert act(situation(agents=ring[:3], stags=[(4, 4)], **args), [STAY] * 3) == -0.5
    assert make_stag_hunt(capture_action=False).info.n_actions == 5


def test_prey_corners_prey_only_if_cannibalism_is_allowed() -> None:
    place: dict[str, Any] = {"agents": [(9, 9)], "stags": [(0, 0)], "hares": [(0, 1), (1, 0)]}
    args: dict[str, Any] = {"capture_action": False, "capture_conditions": [0, -1]}
    assert act(situation(**place, **args), [STAY]) == 0
    assert act(situation(**place, **args, prevent_cannibalism=False), [STAY]) == 10


def test_agents_need_not_freeze() -> None:
    env = situation(agents=[(4, 3), (4, 5)], stags=[(4, 4), (0, 0)], capture_freezes=False)
    assert act(env, [CATCH, CATCH]) == 10
    assert not env._world.frozen.any()
    assert env.arrays.obs[0].any(axis=1).all()


def test_frozen_agents_that_stay_in_the_world_block_unseen() -> None:
    env = situation(agents=[(4, 3), (4, 5), (4, 2)], stags=[(4, 4), (0, 0)], remove_frozen=False)
    act(env, [CATCH, CATCH, STAY])
    act(env, [STAY, STAY, RIGHT])
    assert places(env, env._world.agents)[2] == (4, 2)
    assert env.arrays.state[0].reshape(10, 10, 3)[4, 3, 0] == 1
    assert np.argwhere(window(env, 2)).tolist() == [[2, 2, 0]]  # sees itself alone
    assert env.arrays.obs[0, 0].any()  # a frozen agent goes on observing, but not itself
    assert window(env, 0)[2, 2, 0] == 0


def test_the_first_capture_may_end_the_episode() -> None:
    env = situation(agents=[(4, 3), (4, 5), (9, 9)], stags=[(4, 4), (0, 0)], capture_terminal=True)
    act(env, [STAY, STAY, STAY])
    assert not env.arrays.terminated[0]
    act(env, [CATCH, CATCH, STAY])
    assert env.arrays.terminated[0]


def test_a_torus_has_no_edge_for_walking() -> None:
    env = situation(agents=[(0, 0), (9, 9)], stags=[(5, 5)], toroidal=True)
    assert env.arrays.avail_actions[0, :, :5].all()
    act(env, [LEFT, RIGHT])
    assert places(env, env._world.agents) == [(0, 9), (9, 0)]
    act(env, [STAY, DOWN])
    assert places(env, env._world.agents) == [(0, 9), (0, 0)]
    act(env, [UP, STAY])
    assert places(env, env._world.agents) == [(9, 9), (0, 0)]


def test_nobody_catches_across_the_edge_of_a_torus() -> None:
    env = situation(agents=[(0, 4), (9, 3)], stags=[(9, 4)], toroidal=True, miscapture_punishment=-3)
    assert env.arrays.avail_actions[0, :, CATCH].all()  # as in PyMARL2, which lets it try
    assert act(env, [CATCH, CATCH]) == -3


def test_agents_walk_over_what_does_not_block_them() -> None:
    env = situation(agents=[(4, 3), (4, 2)], stags=[(4, 4)], agent_move_block=[0], reward_collision=-1.0)
    assert act(env, [RIGHT, STAY]) == -1  # PyMARL2 counts staying as a collision, and so do we
    assert places(env, env._world.agents) == [(4, 4), (4, 2)]
    assert places(env, env._world.prey)[0] in [(3, 4), (5, 4), (4, 3), (4, 5)]  # chased off, though it wants to rest


def test_walls_are_seen() -> None:
    env = situation(agents=[(0, 1)], stags=[(9, 9)], observe_walls=True)
    expected = np.zeros((5, 5))
    expected[:2] = expected[:, 0] = -1
    expected[2, 2] = 1
    assert np.array_equal(window(env, 0)[..., 0], expected)
    env = situation(agents=[(0, 1)], stags=[(9, 9)], observe_walls=True, observe_one_hot=True)
    assert np.array_equal(window(env, 0)[..., 3], expected == -1)
    assert not window(env, 0)[..., 4].any()


def test_ids_are_seen() -> None:
    env = situation(agents=[(4, 4), (4, 3)], stags=[(0, 0), (3, 4)], hares=[(5, 4)], observe_ids=True)
    seen = window(env, 0)
    assert [seen[2, 2, 0], seen[2, 1, 0], seen[1, 2, 1], seen[3, 2, 2]] == [1, 2, 2, 1]


def test_the_state_as_observation() -> None:
    env = situation(agents=[(4, 4), (4, 3)], stags=[(0, 0)], observe_state=True)
    seen = env.arrays.obs[0, 1].reshape(10, 10, 4)
    assert np.array_equal(seen[..., :3], env.arrays.state[0].reshape(10, 10, 3))
    assert np.argwhere(seen[..., 3]).tolist() == [[4, 3]]


def test_a_cone_is_what_lies_in_front() -> None:
    agents, stags = [(4, 4)], [(2, 4), (3, 4), (4, 6), (5, 4)]
    env = situation(agents=agents, stags=stags, directed_observations=True)
    assert env.info.n_actions == 10
    cone = env.arrays.obs[0, 0].reshape(3, 3, 3)  # facing up: three cells two steps off, one cell one step off
    assert cone[0, :, 1].tolist() == [0, 1, 0]
    assert cone[1, :, 1].tolist() == [-1, 1, -1]
    assert (cone[2] == -1).all()
    act(env, [LOOK_RIGHT])
    cone = env.arrays.obs[0, 0].reshape(3, 3, 3)
    assert cone[:, 2, 1].tolist() == [0, 1, 0]
    assert cone[1, 1, 1] == 0
    assert (cone[:, 0] == -1).all()
    assert not env.arrays.avail_actions[0, 0, CATCH]  # the stags beside it are not in front of it
    act(env, [LOOK_RIGHT + DOWN])
    assert env.arrays.avail_actions[0, 0, CATCH]


def test_a_wide_cone_has_its_diagonals() -> None:
    args: dict[str, Any] = {"directed_observations": True, "directed_cone_narrow": False}
    env = situation(agents=[(4, 4)], stags=[(2, 2), (3, 3)], directed_exta_actions=False, **args)
    cone = env.arrays.obs[0, 0].reshape(5, 5, 3)[..., 1]
    assert cone[:3].tolist() == [[1, 0, 0, 0, 0], [-1, 1, 0, 0, -1], [-1, -1, 0, -1, -1]]
    assert (cone[3:] == -1).all()
    assert env.info.n_actions == 6
    act(env, [DOWN])  # who walks looks where it goes
    assert (env.arrays.obs[0, 0].reshape(5, 5, 3)[:2] == -1).all()


def test_ghosts_turn_the_reward_and_show_in_the_corner() -> None:
    for prob, sign in ((0.0, -1), (1.0, 1)):  # the chance that prey are no ghosts
        place: dict[str, Any] = {"agents": [(1, 1), (1, 3)], "stags": [(1, 2)]}
        env = situation(**place, random_ghosts=True, random_ghosts_prob=prob, random_ghosts_mul=-0.5)
        assert window(env, 0)[1, 1, 3] == sign
        assert act(env, [CATCH, CATCH]) == (10 if sign == 1 else -5)


def test_the_corner_of_the_ghosts_changes_between_episodes() -> None:
    env = make_stag_hunt(64, random_ghosts=True, random_ghosts_indicator=True)
    reset(env)
    assert set(env._world.ghost_cell.tolist()) == {0, 9, 90, 99}
    assert 16 < env._world.ghost.sum() < 48


def test_mountains() -> None:
    env = make_stag_hunt(16, mountain_spawn=True, mountain_agent_row=5, n_hare=3, n_stags=4, mountain_slope=1.0)
    reset(env)
    assert (env._world.agents // 10 == 5).all()
    assert (env._world.prey[:, :4] // 10 == 0).all()
    assert (env._world.prey[:, 4:] // 10 == 9).all()
    env.step(np.full((16, 8), UP), np.arange(16))
    assert (env._world.agents // 10 == 5).all()  # too steep
    assert (env._world.prey[:, :4] // 10 == 0).all()  # and stags do not come down


def test_resting_prey_stays() -> None:
    env, generator = make_stag_hunt(4, p_stags_rest=1.0, capture_action_conditions=[9, 1]), np.random.default_rng(0)
    reset(env)
    before = env._world.prey.copy()
    for _ in range(20):
        env.step(random_actions(env, generator), np.arange(4))
    assert np.array_equal(env._world.prey, before)


@pytest.mark.parametrize(
    ("env_args", "message"),
    [
        ({"state_as_graph": True}, "state_as_graph=True: stag_hunt supports only False"),
        ({"intersection_unknown": True}, "intersection_unknown=True: stag_hunt supports only False"),
        ({"n_stags": 0}, "expected at least one prey"),
        ({"world_shape": [3, 5]}, r"world_shape=\[3, 5\]: too small for 8 agents, 8 stags"),
        ({"mountain_spawn": True}, "too small"),
        ({"mountain_agent_row": 10}, "expected a row below 10"),
        ({"directed_observations": True, "agent_obs": [2, 3]}, "needs a square window"),
        ({"directed_observations": True, "agent_obs": [0, 0]}, "n >= 1"),
        ({"agent_move_block": [3]}, "agent_move_block"),
        ({"p_stags_rest": 1.5}, "p_stags_rest=1.5: expected float >= 0 and <= 1"),
        ({"toroidal": "yes"}, "toroidal='yes': expected bool"),
    ],
)
def test_what_cannot_be_is_refused(env_args: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_stag_hunt(**env_args)
