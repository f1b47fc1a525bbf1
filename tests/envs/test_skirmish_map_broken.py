"""Map files of every broken sort: one line that names the file, and the key where there is one."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from skirmish_maps import OWN_MAP, Map

from pymarl.envs.skirmish.scenario.maps import load_map
from pymarl.utils.errors import UserError

BOMB = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        Map(str(path))
    line = str(error.value)
    assert str(path) in line
    assert "\n" not in line
    assert len(line) < 500 + len(str(path))
    return line


def line_of(path: Path) -> str | None:
    """Return why a map cannot be read, None if it can."""
    try:
        load_map(str(path))
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("limit: 90", "limit: 1" + "0" * 5000, "limit: no int: Exceeds"),
        ("limit: 90", "limit: 1" + "0" * 400, "limit="),
        ("limit: 90", "limit: 2020-13-45", "limit"),
        ("limit: 90", 'limit: !!int ""', "limit: no int: "),
        ("limit: 90", "limit: !!float []", "limit: expected a scalar node"),
        ("at: [12, 8]", "at: [!!int '', 8]", "at: no int: "),
        ("limit: 90", "limit: .nan", "limit=nan: expected int"),
        ("limit: 90", "limit: 1_000_000", "limit=1000000: expected int"),
        ("limit: 90", "limit: &x [*x]", "an alias that holds itself"),
        ("limit: 90", "limit: {a: 1, a: 2}", "is given twice"),
        ("limit: 90", "limit: " + "[" * 2000, "nested too deep"),
        ("limit: 90", "limit: \x07", "not YAML"),
        ("count: 2, at: [4.5", "count: 1000000000, at: [4.5", "count=1000000000: expected int >= 1 and <= 1000"),
        ("count: 2, at: [4.5", "count: -1, at: [4.5", "count=-1"),
        ("count: 2, at: [4.5", "count: 1.5, at: [4.5", "count=1.5: expected int"),
        ("count: 2, at: [4.5", "count: yes, at: [4.5", "count=True: expected int"),
        ("at: [12, 8]", "at: [.nan, 8]", "at=[nan, 8]"),
        ("at: [12, 8]", "at: [1e308, 8]", "at=[1e+308, 8]"),
        ("at: [12, 8]", "at: [.inf, 8]", "at=[inf, 8]"),
        ("[[4.5, 8]]", "[[1e308, 8]]", "enemy_goal=[1e+308, 8]"),
        ("size: [16, 16]", "size: [1000000000, 16]", "size=[1000000000, 16]: expected"),
        ("size: [16, 16]", "size: [0, 16]", "size=[0, 16]: expected"),
        ("heights: []", "heights: [{area: [0, 1, 0, 1], z: 1e300}]", "z=1e+300: expected float >= -16 and <= 16"),
        ("races: [terran, protoss]", "races: {terran: 1}", "races={'terran': 1}: expected"),
        ("map_type: mixed", "map_type: [mixed]", "map_type=['mixed']: expected str"),
        ("type: marine", "type: 5", "type=5: expected str"),
        ("terrain:\n", "terrain: &t\n  <<: *t\n", ""),
    ],
)
def test_wrong_values(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "bridge.yaml"
    assert old in OWN_MAP
    path.write_text(OWN_MAP.replace(old, new, 1))
    assert says in refused(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (OWN_MAP.encode("utf-16"), "is not UTF-8 text"),
        (b"\xff\x00", "is not UTF-8 text"),
        (b"[" * 2000, "nested too deep"),
        (b"{" * 2000, "nested too deep"),
        (b"- " * 2000, "nested too deep"),
        (b"a" * (2**20 + 1), "more than 1 MiB"),
        (BOMB.encode(), "more than 100000 items"),
        (b"a: 1\n---\nb: 2\n", "not YAML"),
        (b"? [a]\n: 1\n", "expected a name before the colon"),
        (b"!!python/object/apply:os.system [ls]\n", "expected `key: value` lines"),
        (b"null\n", "expected `key: value` lines"),
    ],
)
def test_files_that_are_no_map(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_bytes(content)
    assert says in refused(path)
    path.unlink()
    path.mkdir()
    assert "Is a directory" in refused(path)


def test_numbers_read_as_in_the_runs_files(tmp_path: Path) -> None:
    path = tmp_path / "bridge.yaml"
    path.write_text(OWN_MAP.replace("[[4.5, 8]]", "[[45e-1, 8]]"))
    assert load_map(str(path)).enemy_goal == load_map(str(path)).enemy_goal == ((4.5, 8.0),)


def test_mutations_are_maps_or_one_line(tmp_path: Path) -> None:
    rng, path, maps = random.Random(3), tmp_path / "bridge.yaml", 0
    words = ["&a ", "*a", "!!int ", "1e9", "-1", ".nan", "null", *"[]{}:-~|'\"\t\0é# "]
    digits = [at for at, character in enumerate(OWN_MAP) if character.isdigit()]
    for number in range(250):
        text = OWN_MAP
        for _ in range(rng.randint(1, 2)):
            at = rng.choice(digits) if number % 2 else rng.randrange(len(OWN_MAP))
            put = rng.choice("0123456789") if number % 2 else rng.choice(words)
            text = text[:at] + put + text[at + 1 :]
        path.write_text(text, encoding="utf-8")
        line = line_of(path)
        maps += line is None
        assert line is None or (str(path) in line and "\n" not in line)
    assert 25 < maps < 125
