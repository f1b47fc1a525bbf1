"""Slips in a config are told without torch, and nothing that is right is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pymarl.envs import REGISTRY as ENVS
from pymarl.run.config import RunConfig, keys_of_all_parts
from pymarl.run.quick import declared_keys, quick_check
from pymarl.utils.config import config_keys
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge, shipped_files
from pymarl.utils.yaml_files import read_yaml

SRC = Path(__file__).resolve().parents[2] / "src"

SLIPS = {
    "--config=qmx": "no config 'qmx'",
    "--config=qmix with lrr=0.1": "unknown key 'lrr'; did you mean 'lr'?",
    "--config=qmix with lr=fast": "lr='fast': expected float",
    "--config=qmix with seed=-1": "seed=-1: expected int",
    "--config=qmix with double_q=false": "write double_q=False",
    "--config=qmix with learner=q_lerner": "did you mean 'q_learner'?",
    "--config=qmix --env-config=skirmish with env_args.map_nam=3m": "did you mean 'env_args.map_name'?",
    "--config=qmix --env-config=skirmish with map_name=3m": "did you mean 'env_args.map_name'?",
}


def test_they_are_told_before_torch_is_there(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(SRC)!r}); from pymarl import main\n"
    code += f"heavy = {{'torch', 'numba'}}\nfor line in {list(SLIPS)!r}:\n"
    code += "    print(main.main(line.split()), *(heavy & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["1"] * len(SLIPS)
    for line, said in zip(done.stderr.splitlines(), SLIPS.values(), strict=True):
        assert line.startswith("error: ")
        assert said in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in ("algs", "envs") for name in shipped_files(kind)])
def test_what_is_shipped_passes(kind: str, name: str) -> None:
    alg, env = (name, "skirmish") if kind == "algs" else ("qmix", name)
    # As files of the user's own, whose every key is looked at.
    layers = merge(alg, env, {})
    layers.origin = dict.fromkeys(layers.origin, "with")
    quick_check(layers)


def test_parts_of_the_users_own_are_left_to_the_whole_check() -> None:
    quick_check(merge("qmix", "skirmish", {"agent": "own:Agent", "own_key": 3}))
    with pytest.raises(UserError, match="unknown key 'own_key'"):
        quick_check(merge("qmix", "skirmish", {"own_key": 3}))


def test_the_sources_declare_what_the_parts_do() -> None:
    declared = declared_keys()
    real = keys_of_all_parts()
    for key, kind in config_keys(RunConfig).items():
        real.setdefault(key, []).append(kind)
    networks = {key for key, kinds in real.items() if key not in declared}
    assert networks == {"mixer", "critic", "central_agent", "central_mixer", "state_value"}, (
        "which learners name, not Configs"
    )
    unknown = [key for key, kinds in declared.items() if key in real and Any in kinds]
    assert len(unknown) < 5, unknown
    for key in declared.keys() & real.keys():
        assert all(kind in declared[key] or Any in declared[key] for kind in real[key]), key


@pytest.mark.parametrize("env", ENVS)
def test_an_envs_file_has_all_its_keys(env: str) -> None:
    assert set(read_yaml(shipped_files("envs")[env])["env_args"]) == set(config_keys(ENVS[env]))
