"""Files and folders appear whole or not at all, and what a killed process leaves is found."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from pymarl.utils.files import (
    locked,
    readable_size,
    remove_leftovers,
    replacing_directory,
    temporary_beside,
    why_no_folder,
    writing_failed,
)
from run_kit import SRC


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_folder(target: Path, text: str) -> None:
    with replacing_directory(target) as temporary:
        (temporary / "file").write_text(text)


@pytest.mark.parametrize("moment", ["writing", "first rename", "second rename"])
def test_an_error_leaves_the_old_folder(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "800", "old")
    renames: list[Path] = []
    replace = Path.replace

    def fail(path: Path, target: Path) -> Path:
        renames.append(path)
        if len(renames) == ["writing", "first rename", "second rename"].index(moment):
            raise OSError(errno.EIO, "Input/output error")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="Input/output"), replacing_directory(tmp_path / "800") as temporary:  # noqa: PT012
        (temporary / "file").write_text("new")
        if moment == "writing":
            raise OSError(errno.EIO, "Input/output error")
    assert names(tmp_path) == ["800"]
    assert (tmp_path / "800" / "file").read_text() == "old"


def test_leftovers_of_killed_processes(tmp_path: Path) -> None:
    """A kill at any moment leaves what these folders hold; only what is ours goes, and no checkpoint is lost."""
    write_folder(tmp_path / "400", "kept")
    for name in (
        ".800-ab_d1234",
        ".400-abcd1234-replaced",
        ".1200-abcd1234-replaced",
        ".git",
        "notes",
        ".800-short",
        ".plots-archived",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    for name in (".0123456789ab-config.json", "notes.tmp", "config.json", ".hidden"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [
        ".800-short", ".git", ".hidden", ".plots-archived", "1200", "400", "config.json", "notes", "notes.tmp",
    ]  # fmt: skip
    assert (tmp_path / "400" / "file").read_text() == "kept"
    assert (tmp_path / "1200" / "file").read_text() == ".1200-abcd1234-replaced"


def test_the_temporaries_are_the_leftovers_that_are_known(tmp_path: Path) -> None:
    with replacing_directory(tmp_path / "800") as folder, temporary_beside(tmp_path / "config.json") as file:
        file.write_text("")
        remove_leftovers(tmp_path)
        assert not folder.exists()
        assert not file.exists()
        folder.mkdir()


HOLD = "import sys; from pathlib import Path; from pymarl.utils.files import locked\n"
HOLD += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_lock_is_held_by_one_and_freed_by_kill(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(SRC)},
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(BlockingIOError), locked(path):
        pass
    holder.kill()
    holder.communicate()
    with locked(path) as has_lock:
        assert has_lock
    assert names(tmp_path) == ["config.json"]


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / "config.json").write_text("{}")
    with locked(tmp_path / "config.json") as has_lock:
        assert not has_lock


def test_sizes_in_words() -> None:
    sizes = (0, 1023, 1536, 5 * 2**20, 3 * 2**40)
    assert [readable_size(size) for size in sizes] == ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 MiB", "3072.0 GiB"]


def test_a_failed_write_says_what_and_why(tmp_path: Path) -> None:
    line = writing_failed(tmp_path / "no" / "where", OSError(errno.ENOSPC, "No space left on device"), 3 * 2**30)
    assert line.startswith(f"cannot write {tmp_path}/no/where: No space left on device; 3.0 GiB needed, ")
    assert line.endswith(" free on its disk")


def test_why_a_folder_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert why_no_folder(tmp_path / "new" / "deep") is None
    assert why_no_folder(tmp_path / "file" / "deep") == f"{tmp_path}/file is a file, not a folder"
    assert "null" in str(why_no_folder(Path("a\0b")))
    monkeypatch.setattr("os.access", lambda *_: False)
    assert why_no_folder(tmp_path / "new") == f"{tmp_path} may not be written to"
