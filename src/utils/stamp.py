"""A fingerprint of source files, so that compiled code in numba's cache is never older than they are."""

from __future__ import annotations

import hashlib
from pathlib import Path


def source_stamp(*folders: Path) -> str:
    """Return a hash of all Python files in `folders`.

    Numba looks at the date of the file that holds a cached kernel, not at the files that the kernel calls into. It
    does tell kernels with different closures apart: one that closes over this string is compiled anew when any of the
    files has changed.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def dates(*folders: Path) -> str:
    """Return when each Python file in `folders` was written, and its size: numba compiles anew what has changed."""
    files = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    return " ".join(f"{path.name} {path.stat().st_mtime_ns} {path.stat().st_size}" for path in files)
