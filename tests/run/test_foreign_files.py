"""The algorithm files of PyMARL2, EPyMARL and PyMARL, byte for byte: they say what ours of the same name say, and run.

Each checkout that an environment variable names (PYMARL2_DIR, EPYMARL_DIR, PYMARL_DIR) is gone through.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from test_algorithms import train

from pymarl.run.config import Classes, read_keys
from pymarl.run.foreign import take_foreign
from pymarl.utils.errors import UserError
from pymarl.utils.layers import merge, shipped_files

OURS = {"PYMARL2_DIR": "", "EPYMARL_DIR": "epymarl/", "PYMARL_DIR": None}
"""Variable -> the folder of src/config/algs that has files with a checkout's names and values."""
FILES = [
    (variable, path)
    for variable in OURS
    if variable in os.environ
    for path in sorted(Path(os.environ[variable], "src", "config", "algs").glob("*.yaml"))
]
NONE = pytest.param("", Path(), marks=pytest.mark.skip(reason=f"none of {', '.join(OURS)} names a checkout"))
IN_OURS_ALONE = {"EPYMARL_DIR": {"name"}}
"""Keys whose values are ours: where results go."""

NOT_SO_HERE = {"ippo": {"batch_size"}, "lica": {"batch_size"}, "epymarl/maddpg": {"others_actions"},
               "epymarl/maddpg_ns": {"others_actions"}}  # fmt: skip
"""Keys of our file of a name that are others than PyMARL2's on purpose; its `Differs:` says why."""

each_file = pytest.mark.parametrize(
    ("variable", "path"), FILES or [NONE], ids=[f"{path.parents[3].name}-{path.stem}" for _, path in FILES] or None
)


def values_of(alg: str) -> dict[str, Any]:
    layers = merge(alg, "stag_hunt", {"seed": 1})
    take_foreign(layers)
    return layers.values


@each_file
def test_it_says_what_ours_says(variable: str, path: Path) -> None:
    name = f"{OURS[variable]}{path.stem}"
    if name not in shipped_files("algs"):
        pytest.skip("we have none of this name and origin")
    ours, theirs = values_of(name), values_of(str(path))
    keys = read_keys(Classes.of(ours)) - IN_OURS_ALONE.get(variable, set())
    keys -= NOT_SO_HERE.get(name, set())
    assert {key: theirs[key] for key in keys} == {key: ours[key] for key in keys}


@each_file
def test_it_trains(variable: str, path: Path, tmp_path: Path) -> None:
    try:
        Classes.of(values_of(str(path)))
    except UserError as error:
        if not str(error).startswith("unknown "):
            raise
        pytest.skip(str(error).split(";")[0].split(" (")[0])
    training = train(str(path), tmp_path)
    assert training.gradient_steps > 0
