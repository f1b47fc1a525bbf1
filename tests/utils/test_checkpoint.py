"""Checkpoint folders: manifests, damage of each sort, full disks, leftovers, and one writer."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pymarl.utils import checkpoint
from pymarl.utils.checkpoint import (
    BUFFER_FILE,
    MANIFEST,
    SavingFailed,
    add_run,
    find_checkpoint,
    load_file,
    load_state,
    prune,
    save_checkpoint,
    sole_writer,
    steps_in,
    verify,
)
from pymarl.utils.errors import UserError
from pymarl.utils.tensors import misfit, save_tensors, tensor_bytes

STATE = {"a": torch.arange(1000.0), "b": [1, "x"]}


def save_models(directory: Path) -> None:
    save_tensors(STATE, directory / "agent.th")


def save(token: Path, step: int, *, buffer: bool = True) -> Path:
    token.mkdir(exist_ok=True)
    (token / "config.json").write_text("{}")
    save_checkpoint(token / str(step), save_models, {"x": torch.ones(5000)}, STATE if buffer else None)
    return token / str(step)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_has_a_manifest_of_its_files(tmp_path: Path) -> None:
    step = save(tmp_path / "token", 800)
    assert names(step) == ["agent.th", BUFFER_FILE, MANIFEST, "run.pt"]
    assert sorted(json.loads((step / MANIFEST).read_text())) == ["agent.th", BUFFER_FILE, "run.pt"]
    verify(step, "agent.th", BUFFER_FILE, "run.pt")
    assert torch.equal(load_file(step, "agent.th")["a"], STATE["a"])
    assert load_state(step)["x"].sum() == 5000


def test_every_flipped_byte_is_seen(tmp_path: Path) -> None:
    """With a manifest wherever it is, without one where the archive's own checksums reach: all of the contents."""
    step = save(tmp_path / "token", 800)
    path, good = step / "agent.th", (step / "agent.th").read_bytes()
    for at in range(0, len(good), 97):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        with pytest.raises(UserError, match=r"agent\.th: damaged"):
            verify(step, "agent.th")
    (step / MANIFEST).unlink()
    for at in range(0, len(good), 97):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        try:
            loaded = load_file(step, "agent.th")
        except UserError:
            continue
        assert torch.equal(loaded["a"], STATE["a"])
        assert loaded["b"] == STATE["b"]


def test_cut_files(tmp_path: Path) -> None:
    step = save(tmp_path / "token", 800)
    good = (step / "agent.th").read_bytes()
    for size in (0, 3, 500, len(good) - 1):
        (step / "agent.th").write_bytes(good[:size])
        with pytest.raises(UserError, match=rf"{size} bytes, expected the {len(good)}"):
            verify(step, "agent.th")
        (step / MANIFEST).replace(step / "aside")
        with pytest.raises(UserError, match=r"agent\.th: "):
            load_file(step, "agent.th")
        (step / "aside").replace(step / MANIFEST)


def test_swapped_foreign_and_listed_files(tmp_path: Path) -> None:
    step = save(tmp_path / "token", 800)
    (step / "mixer.th").write_bytes((step / "agent.th").read_bytes())
    with pytest.raises(UserError, match=r"mixer\.th: not in manifest\.json"):
        verify(step, "mixer.th")
    (step / MANIFEST).write_text('{"agent.th": 3}')
    with pytest.raises(UserError, match=r"manifest\.json: damaged"):
        verify(step, "agent.th")
    (step / MANIFEST).write_text("[]")
    with pytest.raises(UserError, match=r"manifest\.json: broken \(expected a JSON object"):
        verify(step, "agent.th")


def test_files_of_old_pytorch_load(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "agent.th", _use_new_zipfile_serialization=False)
    assert torch.equal(load_file(tmp_path, "agent.th")["a"], STATE["a"])


def test_prune_keeps_checkpoints_whole(tmp_path: Path) -> None:
    steps = [save(tmp_path / "token", step) for step in (400, 800, 1200)]
    prune(tmp_path / "token", 2)
    assert steps_in(tmp_path / "token") == [800, 1200]
    assert names(steps[1]) == ["agent.th", MANIFEST, "run.pt"]
    verify(steps[1], *json.loads((steps[1] / MANIFEST).read_text()))
    verify(steps[2], BUFFER_FILE)


def test_prune_keeps_the_newest_replay_buffer(tmp_path: Path) -> None:
    """A run that is stopped saves its buffer, one that ends its networks alone: the first can be gone on with."""
    token = tmp_path / "token"
    save(token, 400)
    save(token, 800)
    save(token, 1200, buffer=False)
    prune(token, 1)
    assert steps_in(token) == [800, 1200]
    verify(token / "800", BUFFER_FILE)


def test_prune_passes_by_damaged_manifests(tmp_path: Path) -> None:
    token = tmp_path / "token"
    step = save(token, 400)
    save(token, 800)
    (step / MANIFEST).write_text("xx")
    prune(token, 0)
    assert not (step / BUFFER_FILE).exists()


@pytest.mark.parametrize("text", ["[{", "{}", "3", "\xff"])
def test_a_damaged_list_of_runs_is_begun_anew(text: str, tmp_path: Path) -> None:
    warnings: list[str] = []
    (tmp_path / "runs.json").write_text(text, encoding="latin1")
    add_run(tmp_path, tmp_path / "7", None, warnings.append)
    assert [entry["run"] for entry in json.loads((tmp_path / "runs.json").read_text())] == [str(tmp_path / "7")]
    assert warnings == [f"{tmp_path / 'runs.json'} is damaged; it is begun anew"]


def test_odd_names_are_no_checkpoints(tmp_path: Path) -> None:
    step = save(tmp_path / "token", 800)
    for name in ("²", "٣", "007", "1" * 200, "-5", "+5", "1_0"):
        (step.parent / name).mkdir()
    assert steps_in(step.parent) == [800]
    assert find_checkpoint(str(step.parent), 0) == step


def leave(token: Path) -> list[Path]:
    """Leave what a killed save leaves; return it."""
    left = [token / ".1200-abcd1234", token / "800" / ".0123456789ab-manifest.json"]
    left[0].mkdir()
    (left[0] / BUFFER_FILE).write_bytes(b"x")
    left[1].write_text("")
    return left


@pytest.mark.parametrize("remover", ["save", "prune", "resume"])
def test_leftovers_go(remover: str, tmp_path: Path) -> None:
    token = save(tmp_path / "token", 800).parent
    left = leave(token)
    if remover == "save":
        save(token, 1600)
    elif remover == "prune":
        prune(token, 0)
    else:
        with sole_writer(token, pytest.fail):
            pass
    assert not any(path.exists() for path in left)


def test_one_run_writes_to_a_token(tmp_path: Path) -> None:
    token = save(tmp_path / "token", 800).parent
    with sole_writer(token, pytest.fail):
        left = leave(token)
        with pytest.raises(UserError, match="another run is writing to"), sole_writer(token, pytest.fail):
            pass
        assert all(path.exists() for path in left)
    with sole_writer(token, pytest.fail):
        pass


def test_a_token_on_a_disk_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    token, warnings = save(tmp_path / "token", 800).parent, []
    monkeypatch.setattr("fcntl.flock", refuse)
    with sole_writer(token, warnings.append):
        assert len(warnings) == 1


class FullDisk:
    """A file on a disk with room for `room` bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@pytest.mark.parametrize("file", ["agent.th", "run.pt", BUFFER_FILE])
@pytest.mark.parametrize("room", [0, 700, 3000])
def test_a_full_disk(file: str, room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = save(tmp_path / "token", 400).parent
    path_open = Path.open

    def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        handle = path_open(path, mode, *args, **kwargs)
        return FullDisk(handle, room) if path.name == file and "w" in mode else handle

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(SavingFailed) as caught:
        save(token, 800)
    line = str(caught.value)
    assert f"cannot write {token}/800: No space left on device; 23.4 KiB needed, " in line
    assert " free on its disk" in line
    assert names(token) == ["400", "config.json"]
    monkeypatch.undo()
    verify(token / "400", "agent.th", "run.pt", BUFFER_FILE)


def test_other_errors_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = save(tmp_path / "token", 400).parent

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(checkpoint, "replacing_directory", refuse)
    with pytest.raises(SavingFailed, match="Read-only file system"):
        save_checkpoint(token / "800", save_models, {}, None)


def test_what_does_not_fit_in_words() -> None:
    own = {"w": torch.zeros(2, 3), "n": {"count": 3, "rate": 0.5, "any": {}}}
    good = {"w": torch.ones(2, 3), "n": {"count": 9, "rate": 1, "any": {"x": 1}}}
    assert misfit(own, good) == ""
    assert misfit(own, good | {"w": torch.zeros(3, 2)}) == "w is of shape [3, 2], expected [2, 3]"
    assert (
        misfit(own, good | {"w": torch.zeros(2, 3, dtype=torch.int8)}) == "w is of torch.int8, expected torch.float32"
    )
    assert misfit(own, good | {"w": 3}) == "w is an int, expected a tensor"
    assert misfit(own, good | {"n": {"count": True, "rate": 1, "any": {}}}) == "n.count is a bool, expected an int"
    assert misfit(own, {"w": own["w"]}) == "it lacks n"
    assert misfit(own, good | {"z": 1}) == "it has z, which is not known here"
    assert misfit(own, None) == "it is None, expected a dict"
    assert tensor_bytes({"a": [torch.zeros(3), (torch.zeros(2, dtype=torch.bool),)], "b": 1}) == 14
