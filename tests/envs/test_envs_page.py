"""docs/envs.md names every env that ships, and its commands are ones that the quick check takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pymarl.run.quick import quick_check
from pymarl.utils.layers import merge, shipped_files

TEXT = (Path(__file__).parents[2] / "docs" / "envs.md").read_text()
COMMANDS = re.findall(r"python src/main.py --config=(\S+) --env-config=(\w+)((?: with)?[^`\n]*)", TEXT)


def test_every_env_is_on_the_page() -> None:
    assert set(shipped_files("envs")) <= set(re.findall(r"`(\w+)`", TEXT))


@pytest.mark.parametrize(("alg", "env", "words"), COMMANDS)
def test_its_commands_are_taken(alg: str, env: str, words: str) -> None:
    updates = dict(word.split("=", 1) for word in words.split()[1:])
    own = {key.removeprefix("env_args."): value for key, value in updates.items() if key.startswith("env_args.")}
    rest = {key: int(value) if value.isdigit() else value for key, value in updates.items() if "." not in key}
    layers = merge(alg, env, {**rest, **({"env_args": own} if own else {})})
    quick_check(layers)
    assert len(COMMANDS) > 10
