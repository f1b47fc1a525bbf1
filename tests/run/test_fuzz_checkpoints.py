"""Checkpoints that are damaged, foreign or put together wrongly: never loaded as if they were whole, one line each."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fuzz_kit import answer, tries
from pymarl import main
from pymarl.utils.checkpoint import steps_in

JOB = ["--config=qmix", "--env-config=one_step_matrix_game", "with", "seed=1", "t_max=12", "batch_size_run=2",
       "batch_size=4", "buffer_size=8", "test_nepisode=2", "test_interval=100", "save_model=True", "rnn_hidden_dim=4",
       "hypernet_embed=4", "mixing_embed_dim=2"]  # fmt: skip
FILES = ["agent.th", "mixer.th", "opt.th", "run.pt", "buffer.pt"]
FOREIGN: list[Callable[[Path], Any]] = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_text("hello"),
    lambda path: path.write_bytes(pickle.dumps({"a": 1})),
    lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18)),
    lambda path: torch.save([], path),
    lambda path: torch.save({}, path),
    lambda path: torch.save(torch.zeros(3), path),
    lambda path: torch.save({"fc1.weight": torch.zeros(2, 2)}, path),
    lambda path: torch.save({"fc1.weight": np.float64(1), "format": 1}, path),
    lambda path: torch.save({"format": 1}, path),
    lambda path: torch.save({"format": "1", "learner": None}, path),
    lambda path: torch.save(torch.nn.Linear(2, 2), path),
    lambda path: torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False),
    lambda path: (path.unlink(), path.mkdir()),
    lambda path: path.unlink(),
]  # fmt: skip
TEXTS = [
    "",
    "[]",
    "{}",
    "null",
    "3",
    "{",
    '{"seed": []}',
    '"x"',
    "[" * 5000,
    "\xff",
    '{"agent.th": 3}',
    '{"run.pt": {}}',
]
NAMES = ["²", "٣", "007", "-1", "1e3", "9" * 40, "x", "12 ", ".12", "0"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run's checkpoints."""
    directory = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        assert main.main(JOB) == 0
    (token,) = (directory / "results" / "models").iterdir()
    assert all((token / str(steps_in(token)[-1]) / name).is_file() for name in FILES)
    return token


def change_within(state: Any, data: st.DataObject) -> Any:
    """Return a nested state with one entry taken out or replaced by something of another kind."""
    if isinstance(state, (dict, list)) and state and data.draw(st.integers(0, 3)):
        key = data.draw(st.sampled_from(sorted(state, key=str) if isinstance(state, dict) else range(len(state))))
        copy = state.copy()
        if data.draw(st.booleans()):
            copy[key] = change_within(copy[key], data)
        else:
            del copy[key]
        return copy
    if isinstance(state, torch.Tensor) and data.draw(st.booleans()):
        return data.draw(st.sampled_from([state.double(), state[:0] if state.ndim else state, state.reshape(-1)]))
    return data.draw(
        st.sampled_from([None, 0, -1, 10**9, "x", "{}", [], {}, torch.zeros(0), torch.zeros(2, 2), 1.5, True])
    )


def damage(step: Path, data: st.DataObject) -> str | None:
    """Do something to a checkpoint; return the file in which one bit was flipped, if that is what was done."""
    name = data.draw(st.sampled_from(FILES), label="file")
    path, kind = step / name, data.draw(st.sampled_from(["flip", "cut", "foreign", "swap", "within", "json", "name"]))
    if kind == "flip":
        raw = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, 8 * len(raw) - 1))
        raw[bit // 8] ^= 1 << bit % 8
        path.write_bytes(raw)
        return name
    if kind == "cut":
        raw = path.read_bytes()
        path.write_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])
    elif kind == "foreign":
        data.draw(st.sampled_from(FOREIGN))(path)
    elif kind == "swap":
        path.write_bytes((step / data.draw(st.sampled_from(FILES))).read_bytes())
    elif kind == "within":
        torch.save(change_within(torch.load(path, weights_only=True), data), path)
    elif kind == "json":
        path = data.draw(st.sampled_from([step.parent / "config.json", step / "manifest.json"]))
        path.write_text(data.draw(st.sampled_from(TEXTS)), encoding="latin1")
    else:
        step.rename(step.with_name(data.draw(st.sampled_from(NAMES))))
    return None


@tries(40)
@given(st.data())
def test_a_damaged_checkpoint(whole: Path, tmp_path: Path, data: st.DataObject) -> None:
    token = tmp_path / "token"
    shutil.rmtree(token, ignore_errors=True)
    shutil.copytree(whole, token)
    step = token / str(steps_in(token)[-1])
    with_manifest = data.draw(st.booleans())
    if not with_manifest:
        (step / "manifest.json").unlink()
    flipped = damage(step, data)
    path = data.draw(st.sampled_from([token, step]))
    how, read = data.draw(st.sampled_from([
        (["resume=", "save_final=False"], FILES if with_manifest else ["run.pt", "buffer.pt"]),
        (["evaluate=True", "checkpoint_path="], FILES[:1]),
        (["checkpoint_path="], FILES[:3]),
    ]))  # fmt: skip
    words = [word + str(path) if word.endswith("=") else word for word in how]
    kept = tmp_path / "results"
    shutil.rmtree(kept, ignore_errors=True)
    code, _ = answer([*JOB[:2], "-u", *JOB[2:], *words], tmp_path)
    if flipped in read and code == 0:
        assert not with_manifest, f"a flipped bit of {flipped} was not seen"
        before = torch.load(whole / step.name / flipped, weights_only=True)
        assert same(before, torch.load(step / flipped, weights_only=True)), f"a flipped bit of {flipped} was loaded"


def same(one: Any, other: Any) -> bool:
    """Return whether two nested states hold the same numbers, bit for bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and bool((one == other).all())
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return json.dumps(one) == json.dumps(other)
