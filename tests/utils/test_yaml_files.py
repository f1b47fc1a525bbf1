"""YAML files: what is a number, what a key may be, and errors with their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from pymarl.utils.errors import UserError
from pymarl.utils.yaml_files import compose, entries_of, read_yaml


def test_scientific_notation_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1e-4\nb: 2E5\nc: 1.5e3\nd: e5\n")
    assert read_yaml(path) == {"a": 0.0001, "b": 200000.0, "c": 1500.0, "d": "e5"}


def test_a_key_given_twice_alike_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("optimizer: adam\noptimizer: adam\n")
    assert read_yaml(path) == {"optimizer": "adam"}


def test_merges_lie_under_the_own_keys_however_often_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nown: &own {<<: *base, b: 3}\nagain: *own\n")
    assert read_yaml(path)["own"] == read_yaml(path)["again"] == {"a": 1, "b": 3}
    own = entries_of(path, compose(path))["own"][1]
    for _ in range(2):
        assert {key: value.value for key, (_, value) in entries_of(path, own).items()} == {"a": "1", "b": "3"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: !!bool maybe\n", ":2: no bool: 'maybe'"),
        ("a: 1\nb: !!timestamp x\n", ":2: no timestamp: "),
        ("a: {b: 1,\n  b: 2}\n", ":2: key 'b' is given twice, as 1 and 2; keep one"),
        ("a: 1\nb: {<<: {2: 3}}\n", ":2: expected a name before the colon"),
        ("a: 1\nb: [\n", ":3: not YAML: "),
        ("a: &a [*a]\n", ":1: more than 100000 items, or an alias that holds itself"),
        ("", ":1: the file is empty"),
    ],
)
def test_errors_have_a_line(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}{expected}")
