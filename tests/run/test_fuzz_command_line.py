"""Config keys with values that nobody expects, and command lines of words in any order: one line, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz_kit import VALUES, answer, change_bytes, tries
from pymarl import run
from pymarl.envs import REGISTRY as ENVS
from pymarl.run.config import RunConfig
from pymarl.utils.config import config_keys
from pymarl.utils.layers import CONFIG
from pymarl.utils.yaml_files import read_yaml

ENVIRONMENTS = ("one_step_matrix_game", "stag_hunt", "skirmish", "gymma")
KEYS = sorted(set(read_yaml(CONFIG / "default.yaml")) | set(config_keys(RunConfig)))
"""All keys that are not an env's."""
SIZES = ["batch_size_run=1", "runner=episode", "buffer_size=8", "batch_size=4", "t_max=10", "seed=1"]
"""Small, so that a config that is well is quickly built."""
WORDS = [
    "--config=qmix", "--config=vdn", "--config", "--env-config=stag_hunt", "--env-config=one_step_matrix_game",
    "--env-config", "qmix", "with", "with", "seed=1", "t_max=5", "=", "--", "-", "--print-config", "--help", "-h",
    "--sacred-help", "-u", "-c", "-q", "-l", "-l DEBUG", "-P", "-P 3", "--name=x", "-b", "-d", "-D", "-e", "-f", "-F",
    "-m", "-t", "-S", "-C no", "-C", "--loglevel=42", "--priority=x", "print_config", "save_config", "--unobserved",
    "print_dependencies", "print_named_configs", "my_main", "env_args.n_agents=3", "resume=", "name=",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(run.REGISTRY._entries, "default", "fuzz_kit:no_run")


def keys_of(env: str) -> list[str]:
    return [*KEYS, *(f"env_args.{key}" for key in config_keys(ENVS[env]))]


@tries(150)
@given(st.data())
def test_a_key_with_any_value(tmp_path: Path, data: st.DataObject) -> None:
    env = data.draw(st.sampled_from(ENVIRONMENTS))
    given_keys = data.draw(st.lists(st.sampled_from(keys_of(env)), min_size=1, max_size=3, unique=True))
    words = [f"{key}={data.draw(VALUES)}" for key in given_keys]
    answer(["-u", "--config=qmix", f"--env-config={env}", "with", *SIZES, *words], tmp_path)


@tries(60)
@given(words=st.lists(st.sampled_from(WORDS) | VALUES, min_size=1, max_size=7))
def test_words_in_any_order(tmp_path: Path, words: list[str]) -> None:
    answer(words, tmp_path)


@tries(60)
@given(st.data())
def test_a_yaml_file_with_any_bytes(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(change_bytes((CONFIG / "algs" / "qmix.yaml").read_bytes(), data))
    answer(["-u", f"--config={path}", "--env-config=one_step_matrix_game", "with", *SIZES], tmp_path)
