"""A run's numbers on disk: info.json, and info.jsonl, to which a living run only adds what is new.

info.json maps a key to the list of its values; it is whole, but of a while ago where the run was killed. A line of
info.jsonl is `{"at": 20, "key": "loss", "values": [0.5, 0.4]}`: values 20 and 21 of that key. `read_info` puts the two
together. The run holds a lock on info.jsonl, which the kernel frees with its death.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

from pymarl.utils.errors import UserError
from pymarl.utils.files import append_whole, json_text, parse_object, read_object, replacing_file

INFO, JOURNAL = "info.json", "info.jsonl"
EXPECTED = "expected the JSON that a run writes"


class Journal:
    """info.jsonl of a run that goes on: appended to, locked, and begun anew if the file is gone.

    Args:
        path: of the file; it is made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: dict[str, int] = {}
        self._others: dict[str, str] = {}
        self._file = self._opened()

    def _opened(self) -> FileIO:
        file = FileIO(self.path, "ab")
        _hold(file)
        return file

    def append(self, info: Mapping[str, Any]) -> None:
        """Add what the last call did not see; OSError if that is impossible, and then the next call adds it too."""
        if self._lost():
            self.close()
            self._file = self._opened()
            self._written, self._others = {}, {}
        _hold(self._file)
        lines, others, ends = [], {}, counts(info)
        for key, end in sorted(ends.items()):
            start = self._written.get(key, 0)
            if end > start:
                lines.append(_text({"at": start, "key": key, "values": info[key][start:end]}))
        for key, value in list(info.items()):
            if key not in ends:
                line = _text({"key": key, "value": value})
                if self._others.get(key) != line:
                    others[key] = line
        append_whole(self._file, "".join(f"{line}\n" for line in (*lines, *others.values())).encode())
        self._written.update(ends)
        self._others.update(others)

    def _lost(self) -> bool:
        try:
            return not os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._file.close()


def _hold(file: FileIO) -> None:
    """Lock a file, if nobody looks at it just now and its file system knows locks; again does no harm."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def counts(info: Mapping[str, Any]) -> dict[str, int]:
    """Return how many values each list has; a key and its `<key>_T`, which are filled one after the other, agree."""
    found = {key: len(value) for key, value in list(info.items()) if isinstance(value, list)}
    for key in found:
        steps = f"{key}_T"
        if steps in found:
            found[key] = found[steps] = min(found[key], found[steps])
    return found


def _level(info: Mapping[str, Any]) -> dict[str, Any]:
    ends = counts(info)
    return {key: value[: ends[key]] if key in ends else value for key, value in list(info.items())}


def info_lines(info: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of info.json."""
    return object_lines(_level(info))


def object_lines(entries: Mapping[str, Any]) -> Iterator[str]:
    """Yield the text of a JSON object, one key to a line, in order of the keys."""
    opening = "{\n"
    for key in sorted(entries):
        yield f"{opening}{json.dumps(key)}: {_text(entries[key])}"
        opening = ",\n"
    yield "\n}\n" if entries else "{}\n"


def _text(value: Any) -> str:
    """Return strict JSON; of objects that JSON does not know, what sacred makes of them."""
    try:
        return json_text(value)
    except TypeError:
        from sacred.serializer import flatten  # slow to import, and rarely needed

        return json_text(flatten(value))


def write_lines(path: Path, lines: Iterator[str]) -> None:
    """Write a whole text file, or leave the old one. Line by line, so that other threads have their turn between."""
    with replacing_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(lines)


def read_info(folder: Path) -> dict[str, Any]:
    """Return a run's info.json, completed by its info.jsonl. UserError if there is neither, or one is broken."""
    path, journal = folder / INFO, folder / JOURNAL
    if not path.is_file() and not journal.is_file():
        raise UserError(f"{path}: no such file; expected the folder of a run, results/sacred/<map>/<name>/<id>")
    info: dict[str, Any] = read_object(path, EXPECTED) if path.is_file() else {}
    if journal.is_file():
        lines = journal.read_bytes().split(b"\n")[:-1]  # what follows the last line's end was cut by a kill
        for number, line in enumerate(lines, start=1):
            _fold(info, parse_object(line, f"{journal}:{number}", EXPECTED), f"{journal}:{number}")
    return _level(info)


def _fold(info: dict[str, Any], line: dict[str, Any], name: str) -> None:
    """Put a line of info.jsonl into `info`, unless it is there already."""
    if "value" in line and "key" in line:
        info[line["key"]] = line["value"]
        return
    try:
        at, values, have = line["at"], line["values"], info.setdefault(line["key"], [])
        if at > len(have):
            raise UserError(f"{name}: values {len(have)} to {at} of {line['key']!r} are missing before it")
        have.extend(values[len(have) - at :])
    except (LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{name}: broken ({error!r}); expected a line that a run writes") from error


def number_of(value: Any) -> float:
    """Return a number of info.json; NaN for null, and for what is none.

    PyMARL's files wrap those of numpy as {"value": 0.5, ...}.
    """
    if isinstance(value, dict):
        value = value.get("value")
    number = float(value) if isinstance(value, (int, float)) else math.nan
    return number if math.isfinite(number) else math.nan


def alive(folder: Path) -> bool | None:
    """Tell whether a process holds a run's folder; None where locks cannot say: no info.jsonl, or no locks."""
    try:
        with FileIO(folder / JOURNAL, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False
