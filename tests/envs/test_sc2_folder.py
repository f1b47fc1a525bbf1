"""Folders of games: one per env, swept when their owner was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pymarl.envs.sc2.folder import GameFolder

SRC = Path(__file__).parents[2] / "src"
OWNER = """
import time
from pymarl.envs.sc2.folder import GameFolder
folder = GameFolder()
(folder.path / "game").mkdir()
print(folder.path, flush=True)
time.sleep(100)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, here and in processes started here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_folder_is_removed_with_what_is_in_it(temporary: Path) -> None:
    folder = GameFolder()
    (folder.path / "game").mkdir()
    (folder.path / "game" / "file").write_text("x")
    assert [path.name for path in temporary.iterdir()] == [folder.path.name]
    folder.close()
    folder.close()
    assert not list(temporary.iterdir())


def test_a_folder_that_others_have_emptied_is_still_its_owners(temporary: Path) -> None:
    """systemd-tmpfiles and the like remove old files."""
    folder = GameFolder()
    for path in folder.path.iterdir():
        path.unlink()
    GameFolder().close()
    assert folder.path.is_dir()
    folder.close()
    assert not list(temporary.iterdir())


def test_without_locks_nothing_is_swept(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nfs(*_: object) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr("fcntl.flock", nfs)
    folder = GameFolder()
    GameFolder().close()
    assert folder.path.is_dir()
    folder.close()
    assert not list(temporary.iterdir())


def test_only_folders_whose_owner_is_gone_are_swept(temporary: Path) -> None:
    mine, other = GameFolder(), GameFolder()
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(SRC), "TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    theirs = Path(process.stdout.readline().strip())
    assert theirs.name.startswith(f"pymarl-sc2-{process.pid}-")
    GameFolder().close()
    assert all(path.is_dir() for path in (mine.path, other.path, theirs))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert theirs.is_dir()
    GameFolder().close()
    assert not theirs.exists()
    assert mine.path.is_dir()
    mine.close()
    other.close()
    process.stdout.close()
    assert not list(temporary.iterdir())
