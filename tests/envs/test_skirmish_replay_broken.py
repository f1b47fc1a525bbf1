"""Replay files that are damaged, foreign or made to harm: one line each, and what is read can be shown."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skirmish_battles import marines

from pymarl.envs.skirmish.replay.page import render_page
from pymarl.envs.skirmish.replay.painter import Painter
from pymarl.envs.skirmish.replay.replay import Replay, read_replay, save_replay
from pymarl.tools.replay import main
from pymarl.utils.errors import UserError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_replay(tmp_path_factory.mktemp("whole") / "battle.npz", *marines(n_steps=4).play())


def entries_of(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def rewritten(whole: Path, path: Path, meta: dict[str, Any] | bytes, /, **arrays: Any) -> Path:
    """Write a replay with another meta and other arrays; None takes an array out."""
    text = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
    entries = entries_of(whole) | {"meta": np.frombuffer(text, np.uint8)} | arrays
    np.savez(path, **{name: array for name, array in entries.items() if array is not None})
    return path


def meta_of(whole: Path) -> dict[str, Any]:
    return dict(json.loads(bytes(entries_of(whole)["meta"])))


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        read_replay(path)
    line = str(error.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert len(line) < 600 + len(str(path))
    return line


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "1"}, "replay format '1', expected 1"),
        ({"format": None}, "replay format None"),
        ({"width": 10**9}, "meta.width=1000000000: expected int >= 1 and <= 256"),
        ({"n_agents": "3"}, "meta.n_agents='3': expected int"),
        ({"n_enemies": -3}, "meta.n_enemies=-3"),
        ({"step_mul": 0}, "meta.step_mul=0"),
        ({"result": "?"}, "meta.result='?'"),
        ({"kinds": [{}]}, "meta.kinds[0] has no 'name'"),
        ({"kinds": []}, "there are 0 kinds"),
        ({"kinds": [7]}, "meta.kinds=[7]"),
        ({"unit_kinds": [0, 0, 0, 0, 0, 99]}, "unit_kinds up to 99, but there are 1 kinds"),
        ({"ground": ["x"]}, "ground is not 32 rows for 32 cells"),
        ({"levels": ["zz" * 32] * 32}, "levels is not 32 rows"),
        ({"actions": ["stop"]}, "avail has shape"),
        ({"actions": "stop"}, "meta.actions='stop'"),
        ({"map": ["3m"]}, "meta.map=['3m']"),
        ({"more": float("nan")}, "NaN in meta"),
    ],
)
def test_foreign_meta(whole: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    assert says in refused(rewritten(whole, tmp_path / "a.npz", meta_of(whole) | change))


@pytest.mark.parametrize("key", ["kinds", "width", "ground", "unit_kinds", "map", "step_mul", "actions"])
def test_missing_keys(whole: Path, tmp_path: Path, key: str) -> None:
    meta = meta_of(whole)
    del meta[key]
    assert f"meta has no '{key}'" in refused(rewritten(whole, tmp_path / "a.npz", meta))


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"3", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format": 1' + b"0" * 9999]
)
def test_meta_that_is_no_json_object(whole: Path, tmp_path: Path, text: bytes) -> None:
    refused(rewritten(whole, tmp_path / "a.npz", text))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("meta", lambda a: a.astype(np.float64), "meta is float64"),
        ("frame_x", lambda a: a.astype(np.float64), "x is float64, expected float32"),
        ("frame_x", lambda a: a.astype("U9"), "x is <U9"),
        ("frame_x", lambda a: a.astype(complex), "x is complex128"),
        ("frame_x", lambda a: a.astype(object), "frame_x.npy is not the object array"),
        ("frame_x", lambda a: a * np.float32("nan"), "x has numbers outside of 0 to 32"),
        ("frame_y", lambda a: a + np.float32(1e9), "y has numbers outside"),
        ("frame_health", lambda a: a * np.float32("inf"), "health has numbers outside"),
        ("frame_target", lambda a: a + np.int16(600), "target has numbers outside of -1 to 5"),
        ("frame_fired", lambda a: a - np.int16(9), "fired has numbers outside"),
        ("frame_order", lambda a: a + np.int8(50), "order has numbers outside"),
        ("step_actions", lambda a: a + np.int16(99), "actions has numbers outside"),
        ("step_reward", lambda a: a[:, None], "reward has shape"),
        ("frame_x", lambda a: a[:, :2], "x has shape"),
        ("frame_x", lambda a: np.float32(1), "x has shape"),
        ("step_actions", lambda a: np.int16(1), ""),
        ("frame_x", lambda a: None, "missing ['x']"),
        ("meta", lambda a: None, "meta"),
        ("other", lambda a: np.zeros(1), "unknown entries ['other']"),
    ],
)
def test_foreign_arrays(whole: Path, tmp_path: Path, name: str, change: Callable[[Any], Any], says: str) -> None:
    changed = change(entries_of(whole).get(name))
    assert says in refused(rewritten(whole, tmp_path / "a.npz", meta_of(whole), **{name: changed}))


def test_claims_are_checked_before_anything_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pymarl.envs.skirmish.replay.replay_check.LARGEST", 10**7)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)})
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("meta.npy", header.getvalue())
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"frame_{number}.npy", bytes(600_000))
    tracemalloc.start()
    assert "meta.npy is not the float32 array" in refused(tmp_path / "huge.npz")
    assert "0.0 GiB unpacked, more than" in refused(tmp_path / "bomb.npz")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def read_or_refuse(path: Path) -> Replay | None:
    """Return a replay, None if it is refused as it should be."""
    try:
        return read_replay(path)
    except UserError:
        refused(path)
        return None


def test_mutations_are_refused_or_can_be_shown(whole: Path, tmp_path: Path) -> None:
    """Flip, cut and swap bytes, of the file and of its meta alone."""
    rng, data, meta = random.Random(7), whole.read_bytes(), json.dumps(meta_of(whole)).encode()
    path, read = tmp_path / "a.npz", 0
    for number in range(150):
        spoilt = bytearray(meta if number % 2 else data)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(spoilt))
            spoilt[at] = rng.choice(b'0919-"[]{},.:nulltrue ') if number % 2 else rng.randrange(256)
        if number % 5 == 0:
            del spoilt[rng.randrange(len(spoilt)) :]
        path.write_bytes(spoilt) if number % 2 == 0 else rewritten(whole, path, bytes(spoilt))
        replay = read_or_refuse(path)
        read += replay is not None
        if replay is not None and read < 6:
            render_page([replay])
            Painter(replay, 64).paint(3.0)
    assert 0 < read < 75


def test_the_command_writes_only_what_it_can(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.gif").mkdir()
    (tmp_path / "link.html").symlink_to(whole)
    for option, name, says in (
        ("--gif", "a.png", "expected a name that ends in .gif"),
        ("--mp4", "a", "expected a name that ends in .mp4"),
        ("--out", "a.txt", "expected a name that ends in .html or .htm"),
        ("--gif", "folder.gif", "a folder; expected the name of a file"),
        ("--html", "link.html", "a replay itself; name another file"),
        ("--html", "file/a.html", "file"),
    ):
        assert main([str(whole), option, str(tmp_path / name)]) == 1
        line = capsys.readouterr().err
        assert says in line
        assert line.startswith("error: ")
        assert line.count("\n") == 1
    assert main([str(whole), "--html", str(tmp_path / "new" / "a.html")]) == 0
