"""Files of tensors (.th, .pt): written so that a full disk says so, read so that damage is seen before it is loaded.

Files hold tensors and plain types only, and are read with `weights_only=True`.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor

from pymarl.utils import values
from pymarl.utils.errors import UserError, message_line

Entry = dict[str, Any]
"""What a manifest says of a file: {"bytes": its size, "sha256": its hash in hex}."""


class _Hashed:
    """A file that hashes what is written to it, and remembers the error of the system that torch makes its own of."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.bytes, self.hash = file, 0, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise
        self.bytes += len(data)
        self.hash.update(data)
        return len(data)

    def flush(self) -> None:
        self._file.flush()


def save_tensors(value: Any, path: Path) -> Entry:
    """Write `value` as torch.save does and return the file's size and hash. OSError if the system refuses it."""
    with path.open("wb") as file:
        hashed = _Hashed(file)
        try:
            torch.save(value, cast("IO[bytes]", hashed))
        except Exception as error:
            if hashed.error is not None:
                raise hashed.error from error
            raise
    return {"bytes": hashed.bytes, "sha256": hashed.hash.hexdigest()}


def entry_of(path: Path) -> Entry:
    """Return the size and hash of a file as it is."""
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def tensor_bytes(value: Any) -> int:
    """Return how much room the tensors in nested dicts and lists take."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(tensor_bytes(item) for item in value.values())
    return sum(tensor_bytes(item) for item in value) if isinstance(value, (list, tuple)) else 0


def load_tensors(path: Path, device: torch.device | str = "cpu", *, mmap: bool = False) -> Any:
    """Return what a file holds.

    Args:
        path: written by torch.save, of this version or of PyMARL's.
        device: where its tensors go.
        mmap: leave the tensors in the file until they are read.

    Raises:
        UserError: there is no such file, it is damaged, or it holds more than tensors and plain types.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True, mmap=mmap)
    except Exception as error:  # torch has no error of its own for a broken file: whatever it is, the file is why
        raise UserError(f"{path}: {_reason(path, error)}") from error


def check_archive(path: Path) -> None:
    """Compare a file with the checksums that torch.save puts into it; files of old PyTorch have none.

    Raises:
        UserError: it cannot be read, is cut short or damaged.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if not start:
            raise UserError(f"{path}: the file is empty; copy it again or use another checkpoint")
        if start != b"PK\x03\x04":
            return
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and struct have many for a broken archive
        raise UserError(f"{path}: cut short or damaged ({message_line(error)}); {OTHER}") from error
    if damaged is not None:
        raise UserError(f"{path}: damaged, the checksum of {damaged!r} in it is wrong; {OTHER}")


OTHER = "copy it again or use another checkpoint"


def _reason(path: Path, error: Exception) -> str:
    """Return why torch could not read a file, without its advice to load what might run code."""
    text = str(error)
    found = re.search(r"GLOBAL (\S+)", text)
    if found and found[1].startswith("numpy"):
        return f"holds numpy values ({found[1]}), expected tensors and plain numbers alone; convert them and save again"
    if found or "TorchScript" in text:
        what = f" ({found[1]})" if found else ""
        return f"holds a whole pickled module or object{what}, expected a state_dict; save model.state_dict() instead"
    if isinstance(error, OSError) and not zipfile.is_zipfile(path) and path.is_file():
        return f"not a checkpoint file, or cut short; {OTHER}"
    if isinstance(error, OSError):
        return str(error.strerror or error)
    return f"not a file that torch.save has written, or damaged; {OTHER}"


def misfit(own: Any, given: Any, name: str = "") -> str:
    """Return in words where `given` cannot stand for `own`, "" if it can.

    Compares keys, types and the shapes of tensors. What an empty dict or list of `own` will hold is not known.
    """
    where = f"{name} is" if name else "it is"
    if isinstance(own, Tensor):
        if not isinstance(given, Tensor):
            return f"{where} {kind_of(given)}, expected a tensor"
        if own.shape != given.shape:
            return f"{where} of shape {list(given.shape)}, expected {list(own.shape)}"
        same = own.is_floating_point() == given.is_floating_point()
        return "" if same else f"{where} of {given.dtype}, expected {own.dtype}"
    if isinstance(own, Mapping):
        if not isinstance(given, Mapping):
            return f"{where} {kind_of(given)}, expected a dict"
        return _misfit_of_entries(own, given, name)
    if isinstance(own, float) and type(given) is int:
        return ""
    return "" if type(own) is type(given) else f"{where} {kind_of(given)}, expected {kind_of(own)}"


def _misfit_of_entries(own: Mapping[str, Any], given: Mapping[str, Any], name: str) -> str:
    lead = f"{name} " if name else "it "
    if own and (missing := [str(key) for key in own if key not in given]):
        return f"{lead}lacks {', '.join(missing)}"
    if own and (unknown := [str(key) for key in given if key not in own]):
        return f"{lead}has {', '.join(unknown)}, which is not known here"
    inner = (misfit(value, given[key], f"{name}.{key}" if name else str(key)) for key, value in own.items())
    return next((problem for problem in inner if problem), "")


def kind_of(value: Any) -> str:
    """Return what a value is: "a tensor", else as `values.kind_of`."""
    return "a tensor" if isinstance(value, Tensor) else values.kind_of(value)
