"""Writing files so that a crash never leaves half of one."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import os
import re
import shutil
import stat
import tempfile
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from pymarl.utils.errors import UserError
from pymarl.utils.values import kind_of

LONGEST_NAME = 100
"""Bytes of a file name that is made of a config value; file systems allow 255, and more is put before and behind."""


def as_file_name(text: str) -> str:
    """Return `text` as the name of one file in the folder that it is put in: itself, if it is such a name already.

    Separators, colons and control characters become underscores, as does a leading dot; a long text is cut, and told
    apart from others that begin alike by a checksum.
    """
    name = re.sub(r"[/\\:]|[^\S ]", "_", "".join(letter if letter.isprintable() else "_" for letter in text)).strip()
    name = re.sub(r"^\.", "_", name) or "_"
    encoded = name.encode("utf-8", "replace")
    if len(encoded) <= LONGEST_NAME:
        return encoded.decode()
    checksum = f"-{zlib.crc32(encoded):08x}"
    return encoded[: LONGEST_NAME - len(checksum)].decode(errors="ignore").strip() + checksum


@contextmanager
def replacing_directory(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target` that takes its name at the end; on an error nothing is left of it.

    A process that is killed leaves a folder which `remove_leftovers` knows.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    replaced = temporary.with_name(f"{temporary.name}-replaced")
    try:
        temporary.chmod(stat.S_IMODE(target.parent.stat().st_mode))  # mkdtemp's are for their owner alone
        yield temporary
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        if target.exists():
            target.replace(replaced)
        temporary.replace(target)
        shutil.rmtree(replaced, ignore_errors=True)
    except BaseException:
        if replaced.exists() and not target.exists():
            replaced.replace(target)
        shutil.rmtree(temporary, ignore_errors=True)
        raise


# Of replacing_directory, for a token's folders (numbers of env steps, and best), and of temporary_beside.
_LEFT_FOLDER = re.compile(r"\.(?P<name>[0-9]+|best)-[a-z0-9_]{8}(?P<replaced>-replaced)?")
_LEFT_FILE = re.compile(r"\.[0-9a-f]{12}-.+")


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed process left half-written in a folder; nobody may be writing to it now.

    A folder that was about to be replaced, and whose successor never took its place, gets its name back.
    """
    for path in list(directory.iterdir()):
        if path.is_dir():
            left = _LEFT_FOLDER.fullmatch(path.name)
            if left and left["replaced"] and not (directory / left["name"]).exists():
                path.replace(directory / left["name"])
            elif left:
                shutil.rmtree(path)
        elif _LEFT_FILE.fullmatch(path.name):
            path.unlink()


@contextmanager
def locked(path: Path) -> Iterator[int | None]:
    """Hold an existing file's lock, which the system takes back however this process ends.

    Yields:
        The open file that holds it, for a child that is to hold it, too, and longer; None if there is no lock, as on
        some network file systems.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be opened for writing.
    """
    with path.open("r+b") as file:  # NFS locks for writing only what is open for writing
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            yield None
        else:
            yield file.fileno()


_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}


DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""What the system says when a disk takes no more."""


def readable_size(count: float) -> str:
    """Return a number of bytes in words: "1.5 GiB"."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def writing_failed(path: Path, error: OSError, needed: int | None = None) -> str:
    """Return one line: what could not be written, why, the bytes that were needed and what is free."""
    line = f"cannot write {path}: {error.strerror or error}"
    try:
        free = shutil.disk_usage(existing_parent(path)).free
    except OSError:
        return line
    need = "" if needed is None else f"{readable_size(needed)} needed, "
    return f"{line}; {need}{readable_size(free)} free on its disk"


def existing_parent(path: Path) -> Path:
    """Return the path, or the nearest thing above it that exists (a broken link does)."""
    while path != path.parent:
        try:
            path.lstat()
            break
        except (FileNotFoundError, NotADirectoryError):
            path = path.parent
    return path


def why_no_folder(path: Path) -> str | None:
    """Return why a folder could not be made, or written to if it is there; None if it can. Writes nothing."""
    try:
        nearest = existing_parent(path)
        if not nearest.is_dir():
            return f"{nearest} is a broken link" if nearest.is_symlink() else f"{nearest} is a file, not a folder"
        if not os.access(nearest, os.W_OK | os.X_OK):
            return f"{nearest} may not be written to"
    except (OSError, ValueError) as error:  # a name that is too long, or has a null character
        return str(error)
    return None


@contextmanager
def temporary_beside(target: Path) -> Iterator[Path]:
    """Yield a name beside `target` that nobody else has, with its suffix; no file of this name is left at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{uuid.uuid4().hex[:12]}-{target.name}")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a name beside `target`; the file written there takes the target's name at the end, but on an error."""
    with temporary_beside(target) as temporary:
        yield temporary
        temporary.replace(target)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file in UTF-8, or leave the old one."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_new(target: Path, data: bytes) -> Path:
    """Write a whole new file and return its path: `target`, or `target_2`, `target_3`... where the name is taken.

    No file is ever replaced, not even by processes that write at the same time.
    """
    with temporary_beside(target) as temporary:
        temporary.write_bytes(data)
        for count in itertools.count(1):
            path = target if count == 1 else target.with_stem(f"{target.stem}_{count}")
            with suppress(FileExistsError):
                path.touch(exist_ok=False)  # unlike a rename, refuses a name that is taken
                break
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink()
            raise
    return path


def append_whole(file: FileIO, data: bytes) -> None:
    """Append to a file that was opened without a buffer, or leave it as it was."""
    size = os.fstat(file.fileno()).st_size
    try:
        while data:
            data = data[file.write(data) :]
    except OSError:
        with suppress(OSError):
            file.truncate(size)
        raise


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value as strict JSON: NaN and the infinities, which JSON does not know, become null."""
    try:
        return json.dumps(value, allow_nan=False, sort_keys=True, indent=indent)
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda name: None)
        return json.dumps(finite, allow_nan=False, sort_keys=True, indent=indent)


def write_json(path: Path, value: Any) -> None:
    """Write a value as strict JSON, see `json_text`, or leave the old file."""
    write_text(path, json_text(value, indent=2))


def parse_object(text: bytes, name: str, expected: str) -> dict[str, Any]:
    """Return the JSON object in a text. UserError if there is none, with the text's name and what to do."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, nested without end
        raise UserError(f"{name}: broken (not JSON: {error}); {expected}") from error
    if not isinstance(value, dict):
        raise UserError(f"{name}: broken (expected a JSON object, got {kind_of(value)}); {expected}")
    return value


def read_object(path: Path, expected: str) -> dict[str, Any]:
    """Return the JSON object in a file; see `parse_object`. UserError, too, if the file cannot be read."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    return parse_object(text, str(path), expected)
