"""Config files of the StarCraft II envs: PyMARL2's keys and values, and what is refused before anything starts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from pymarl.main import parse_updates
from pymarl.run.check import check
from pymarl.utils.errors import UserError
from pymarl.utils.layers import CONFIG, merge
from pymarl.utils.yaml_files import read_yaml

# Facts of PyMARL2's config/envs/sc2.yaml (hijkzzz/pymarl2 at 8ccac7c).
PYMARL2: dict[str, Any] = {
    "env": "sc2",
    "env_args": {
        "continuing_episode": False, "difficulty": "7", "game_version": None, "map_name": "3m", "move_amount": 2,
        "obs_all_health": True, "obs_instead_of_state": False, "obs_last_action": False, "obs_own_health": True,
        "obs_pathing_grid": False, "obs_terrain_height": False, "obs_timestep_number": False,
        "reward_death_value": 10, "reward_defeat": 0, "reward_negative_scale": 0.5, "reward_only_positive": True,
        "reward_scale": True, "reward_scale_rate": 20, "reward_sparse": False, "reward_win": 200, "replay_dir": "",
        "replay_prefix": "", "state_last_action": True, "state_timestep_number": False, "step_mul": 8, "seed": None,
        "heuristic_ai": False, "heuristic_rest": False, "debug": False,
    },
    "test_greedy": True, "test_nepisode": 32, "test_interval": 10000, "log_interval": 10000,
    "runner_log_interval": 10000, "learner_log_interval": 10000, "t_max": 2050000,
}  # fmt: skip


def checked(env: str, updates: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a run's config and the keys in it that nobody reads."""
    layers = merge("qmix", env, {"seed": 1, **updates})
    return layers.values, check(layers)


def test_the_shipped_file_says_what_pymarl2s_says() -> None:
    shipped = read_yaml(CONFIG / "envs" / "sc2.yaml")
    ours = {key: value for key, value in shipped.items() if key != "env_args"}
    assert ours == {key: value for key, value in PYMARL2.items() if key != "env_args"}
    assert shipped["env_args"] == PYMARL2["env_args"] | {"game_timeout": 120}


def test_pymarl2s_file_loads_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "sc2.yaml"
    file.write_text(yaml.safe_dump(PYMARL2))
    values, unread = checked(str(file), {})
    assert values["env_args"] == PYMARL2["env_args"] | {"game_timeout": 120}
    (note,) = unread
    assert note.startswith("test_greedy (of action selector")  # a notice: tests are always greedy here


@pytest.mark.parametrize("race", ["terran", "protoss", "zerg"])
def test_smacv2_takes_its_three_maps(race: str) -> None:
    values, unread = checked("sc2v2", {"env_args": {"map_name": f"10gen_{race}"}})
    assert values["env_args"]["capability_configs"][f"10gen_{race}"]["n_units"] == 5
    assert unread == []


def test_a_games_version_survives_the_command_line() -> None:
    """The message above tells the truth: what a shell makes of `env_args.game_version="'4.10'"`."""
    (word,) = shlex.split("""env_args.game_version="'4.10'" """)
    values, _ = checked("sc2", parse_updates([word]))
    assert values["env_args"]["game_version"] == "4.10"


@pytest.mark.parametrize(
    ("env", "env_args", "said"),
    [
        ("sc2", {"difficulty": 7}, "difficulty=7"),
        ("sc2", {"step_mul": 0}, "expected int >= 1"),
        ("sc2", {"capability_config": {}}, "unknown key 'env_args.capability_config'"),
        ("sc2", {"replay_prefix": "a/b"}, "replay_prefix='a/b': .*, and the folder as replay_dir"),
        ("sc2v2", {"prob_obs_enemy": 2}, "<= 1"),
        ("sc2", {"game_version": 4.1}, r"""4\.1: .*write env_args\.game_version="'4\.10'" on"""),
        ("sc2", {"map_name": "10gen_zerg"}, "map_name='10gen_zerg': it is SMACv2's, .*--env-config=sc2v2"),
        ("sc2v2", {"map_name": "3m"}, "map_name='3m': expected '10gen_terran' or .*SMAC's own .*--env-config=sc2$"),
        ("sc2v2", {"map_name": "10gen_teran"}, "did you mean '10gen_terran'"),
        ("sc2v2", {"conic_fovs": True}, "did you mean 'env_args.conic_fov'"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_starts(env: str, env_args: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        checked(env, {"env_args": env_args})
    assert "\n" not in str(caught.value)
