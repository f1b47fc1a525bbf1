"""Env sc2v2: unmodified smacv2 against the stand-in. It plays in worker processes: smac may be imported in this one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pymarl.envs.sc2.env import capability_config
from pymarl.envs.sc2.installation import package_problem
from pymarl.envs.workers.worker_envs import WorkerEnvs
from pymarl.utils.errors import UserError
from pymarl.utils.layers import CONFIG, merge
from pymarl.utils.yaml_files import read_yaml
from sc2_standin.faults import VARIABLE
from sc2_standin.fixtures import sc2path  # noqa: F401

MISSING = package_problem("smacv2") or package_problem("pysc2")
needs_smacv2 = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
OF_MAPS = read_yaml(CONFIG / "envs" / "sc2v2.yaml")["env_args"]["capability_configs"]
SIZES, TEAMS = {"n_units": 5, "n_enemies": 5}, OF_MAPS["10gen_terran"]["team_gen"]
FIXED = {"dist_type": "fixed", "test_mode": False}


@contextmanager
def running(batch_size: int = 1, **options: Any) -> Iterator[WorkerEnvs]:
    """Yield the env with its shipped options but these."""
    layers = merge(None, None, {"env": "sc2v2", "env_args": options})
    env = WorkerEnvs("sc2v2", layers.values["env_args"], batch_size, 0, layers.origin, 1)
    try:
        yield env
    finally:
        env.close()


def reset(env: WorkerEnvs, seed: int) -> np.ndarray:
    """Start the episode of a seed in each row; return what the rows show."""
    rows = np.arange(env.batch_size)
    env.reset(rows, np.full(env.batch_size, seed, np.uint64))
    return np.concatenate([env.arrays.obs.reshape(env.batch_size, -1), env.arrays.state], 1)


def step(env: WorkerEnvs, generator: np.random.Generator) -> bool:
    """Step row 0 at random; return whether its episode is over."""
    avail = env.arrays.avail_actions
    env.step((generator.random(avail.shape) * avail).argmax(-1), np.arange(1))
    return bool(env.arrays.terminated[0] or env.arrays.truncated[0])


@needs_smacv2
@pytest.mark.sc2
@pytest.mark.usefixtures("sc2path")
@pytest.mark.parametrize("race", ["terran", "protoss", "zerg", "fixed"])
def test_an_episodes_seed_decides_what_is_drawn(race: str) -> None:
    options: dict[str, Any] = {"map_name": f"10gen_{race}"}
    if race == "fixed":  # smacv2 shuffles the items themselves
        health = {**FIXED, "items": [[0.1, 0.2, 0.3, 0.4, 0.5], [0.15, 0.25, 0.35, 0.45, 0.55]], "observe": True}
        options = {"capability_config": {**OF_MAPS["10gen_terran"], "health": health}}
    with running(batch_size=2, **options) as env:
        assert env.info.n_agents == 5
        first = reset(env, 5)
        other = reset(env, 6)
        again = reset(env, 5)
    assert np.array_equal(first, again)
    assert np.array_equal(first[0], first[1])  # two games in one process draw alike
    assert not np.array_equal(first, other)


@needs_smacv2
@pytest.mark.sc2
@pytest.mark.usefixtures("sc2path")
def test_episodes_end_break_and_go_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, "crash@60")
    generator, whole = np.random.default_rng(0), 0
    with running(capability_config={"n_units": 3, "n_enemies": 4}, obs_timestep_number=True) as env:
        assert (env.info.n_agents, env.info.n_actions) == (3, 10)
        for episode in range(4):
            reset(env, episode)
            for _ in range(env.info.episode_limit):
                over = step(env, generator)
                if over or env.arrays.broken[0]:
                    break
            assert over != env.arrays.broken[0]
            assert env.arrays.broken[0] == ("broken" in env.episode_info(0))
            whole += over
        (stats,) = env.get_stats()
        assert (whole, stats["battles_game"], stats["restarts"]) == (3, 3, 1)
        (path,) = env.save_replay(tmp_path)
        assert path.stat().st_size > 0


@needs_smacv2
@pytest.mark.sc2
@pytest.mark.usefixtures("sc2path")
@pytest.mark.parametrize("name", ["health", "attack"])
def test_what_is_written_instead_of_per_agent_uniform_plays(name: str) -> None:
    fixed = {**FIXED, "items": [[0.1] * 5, [0.4] * 5], "observe": True}
    with running(capability_config={**OF_MAPS["10gen_terran"], name: fixed}) as env:
        reset(env, 0)
        for _ in range(5):
            step(env, np.random.default_rng(0))
        assert not env.arrays.broken[0]


@needs_smacv2
@pytest.mark.sc2
@pytest.mark.usefixtures("sc2path")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"map_name": "3m"}, "expected '10gen_terran'"),
        ({"obs_instead_of_state": True}, "smacv2 does not implement it"),
        ({"capability_config": {**SIZES, "team_gen": {"dist_type": "weighed"}}}, "'weighed'"),
        ({"capability_config": {**SIZES, "team_gen": {**TEAMS, "weights": [0.5, 0.6, 0.1]}}}, "do not sum to 1"),
        (
            {"capability_config": {**SIZES, "team_gen": {**FIXED, "items": [["marine"] * 5]}}},
            "no ally_team of n_units=5",
        ),
        (
            {"capability_config": {**SIZES, "n_enemies": 6, "team_gen": {**TEAMS, "dist_type": "all_teams"}}},
            "enemy_team",
        ),
    ],
)
def test_bad_options_are_refused_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught, running(**options):
        pass
    assert "\n" not in str(caught.value)


def test_what_is_drawn_is_the_maps_or_the_users() -> None:
    of_map = OF_MAPS["10gen_zerg"]
    assert capability_config("10gen_zerg", {}, OF_MAPS) == of_map
    more = capability_config("10gen_zerg", {"n_units": 10, "n_enemies": 11}, OF_MAPS)
    assert more == {**of_map, "n_units": 10, "n_enemies": 11}
    own = {"n_units": 2, "n_enemies": 2, "team_gen": {"dist_type": "all_teams", "unit_types": ["zergling"]}}
    assert capability_config("10gen_zerg", own, OF_MAPS) == own
    assert capability_config("10gen_zerg", {"start_positions": {"p": 1.0}}, OF_MAPS) == {
        **of_map, "start_positions": {**of_map["start_positions"], "p": 1.0}
    }  # fmt: skip
    assert capability_config("10gen_zerg", {"team_gen": {"weights": [0.2, 0.4, 0.4]}}, OF_MAPS) == {
        **of_map, "team_gen": {**of_map["team_gen"], "weights": [0.2, 0.4, 0.4]}
    }  # fmt: skip
    for wrong, said in [({"n_units": 0}, "from 1"), ({"n_units": None}, "n_units")]:
        with pytest.raises(UserError, match=said):
            capability_config("10gen_zerg", wrong, OF_MAPS)
    for name in ("health", "attack"):
        drawn = {"dist_type": "per_agent_uniform", "lower_bound": [0.1], "upper_bound": [0.5], "observe": True}
        with pytest.raises(UserError, match=f"cannot draw {name} .*write dist_type='fixed'"):
            capability_config("10gen_zerg", {**of_map, name: drawn}, OF_MAPS)
    with pytest.raises(UserError, match="team_gen"):
        capability_config("10gen_zerg", {"n_units": 2, "n_enemies": 2, "start_positions": {}}, {})
    for unit, said in [("zerglin", "did you mean 'zergling'"), ("marine", "it has zergling, hydralisk, baneling")]:
        with pytest.raises(UserError, match=f"unit_types holds '{unit}', which 10gen_zerg has not; {said}"):
            capability_config("10gen_zerg", {**own, "team_gen": {"unit_types": [unit]}}, OF_MAPS)
    with pytest.raises(UserError, match=r"team_gen\.unit_types='marine': expected a list"):
        capability_config("10gen_terran", {"team_gen": {"unit_types": "marine"}}, OF_MAPS)
    turns = {"dist_type": "fixed", "test_mode": True, "items": [[0.1, 0.2]]}
    with pytest.raises(UserError, match=r"attack\.test_mode=True"):
        capability_config("10gen_zerg", {**own, "attack": turns}, OF_MAPS)


def test_the_numbers_are_smacv2s() -> None:
    """As in smacv2/examples/configs/sc2_gen_*.yaml at 577ab5a."""
    weights = {
        "terran": {"marine": 0.45, "marauder": 0.45, "medivac": 0.1},
        "protoss": {"stalker": 0.45, "zealot": 0.45, "colossus": 0.1},
        "zerg": {"zergling": 0.45, "baneling": 0.1, "hydralisk": 0.45},
    }
    alone = {"terran": ["medivac"], "protoss": None, "zerg": ["baneling"]}
    assert set(OF_MAPS) == {f"10gen_{race}" for race in weights}
    for race, expected in weights.items():
        drawn = OF_MAPS[f"10gen_{race}"]
        team = drawn["team_gen"]
        assert (drawn["n_units"], drawn["n_enemies"], team["dist_type"]) == (5, 5, "weighted_teams")
        assert dict(zip(team["unit_types"], team["weights"], strict=True)) == expected
        assert team.get("exception_unit_types") == alone[race]
        assert drawn["start_positions"] == {"dist_type": "surrounded_and_reflect", "p": 0.5, "map_x": 32, "map_y": 32}
