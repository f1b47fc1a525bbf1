"""Maps and replays of skirmish that are damaged or foreign: one line each."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from skirmish_maps import OWN_MAP

from fuzz_kit import change_bytes, only_user_errors, tries
from pymarl.envs.single import make_env
from pymarl.envs.skirmish.replay.page import write_page
from pymarl.envs.skirmish.replay.replay import read_replay

ODD: list[Any] = [
    None, True, 0, -1, 1, 2.5, 10**9, 10**30, float("nan"), float("inf"), "", "x", "marine", "../x", [], {}, [1],
    [None], [[0, 1]], {"a": 1}, [1e9, 1e9], [-1, -1], [4.5, 8], "\u202e", [[[[]]]],
]  # fmt: skip


def change_within(value: Any, data: st.DataObject) -> Any:
    """Return a nested value with one entry replaced, taken out or added."""
    if isinstance(value, (dict, list)) and value and data.draw(st.integers(0, 4)):
        copy = value.copy()
        key = data.draw(st.sampled_from(sorted(copy) if isinstance(copy, dict) else range(len(copy))))
        kind = data.draw(st.sampled_from(["within", "within", "within", "out", "twice"]))
        if kind == "within":
            copy[key] = change_within(copy[key], data)
        elif kind == "out":
            del copy[key]
        elif isinstance(copy, dict):
            copy[data.draw(st.sampled_from(["x", "type", "count", "size"]))] = data.draw(st.sampled_from(ODD))
        else:
            copy.append(copy[key])
        return copy
    return data.draw(st.sampled_from(ODD))


@tries(150)
@given(st.data())
def test_a_map_with_odd_entries(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "own.yaml"
    if data.draw(st.integers(0, 3)):
        path.write_text(yaml.safe_dump(change_within(yaml.safe_load(OWN_MAP), data)), encoding="utf-8")
    else:
        path.write_bytes(change_bytes(OWN_MAP.encode(), data))
    with only_user_errors():
        env = make_env("skirmish", {"map_name": str(path)}, seed=0)
        try:
            env.reset(seed=1)
            env.step(np.asarray(env.get_avail_actions()).argmax(1))
        finally:
            env.close()


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the replay of a short battle."""
    env: Any = make_env("skirmish", {"map_name": "3m"}, seed=0)
    env.reset(seed=1)
    for _ in range(5):
        env.step(np.asarray(env.get_avail_actions()).argmax(1))
    (path,) = env.save_replay(tmp_path_factory.mktemp("replays"))
    env.close()
    return Path(path)


def change_entry(array: Any, data: st.DataObject) -> Any:
    """Return an entry of a replay that has become another."""
    return data.draw(st.sampled_from([
        array[:0], array[:1], array[1:], np.concatenate([array, array]), array.astype(np.float64) * np.nan,
        array.astype("U8"), np.array(None, dtype=object), array.reshape(-1), np.float32(3), np.full_like(array, 127),
        -array if array.dtype != np.bool_ else array,
    ]))  # fmt: skip


@tries(150)
@given(st.data())
def test_a_replay_with_odd_entries(tmp_path: Path, replay: Path, data: st.DataObject) -> None:
    path = tmp_path / "odd.npz"
    with np.load(replay) as file:
        entries = dict(file)
    kind = data.draw(st.sampled_from(["bytes", "meta", "entry", "out", "zip"]))
    if kind == "meta":
        meta = change_within(json.loads(entries["meta"].tobytes()), data)
        entries["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    elif kind == "entry":
        key = data.draw(st.sampled_from(sorted(entries)))
        entries[key] = change_entry(entries[key], data)
    elif kind == "out":
        del entries[data.draw(st.sampled_from(sorted(entries)))]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(data.draw(st.sampled_from(["meta.npy", "x"])), data.draw(st.binary(max_size=9)))
    else:
        np.savez_compressed(path, **entries)
    if kind == "bytes":
        raw = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.sampled_from([1, 1, 20, 10**6]))] = data.draw(st.binary(max_size=3))
        path.write_bytes(bytes(raw))
    with only_user_errors():
        read = read_replay(path)
        assert read.n_loops >= 0
        write_page([read], tmp_path / "page.html")


def test_a_replay_that_is_whole_is_read(replay: Path) -> None:
    assert read_replay(replay).n_loops > 0
