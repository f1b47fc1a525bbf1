"""A fingerprint of source files, so that compiled code in numba's cache is never older than they are."""

from __future__ import annotations

import hashlib
from pathlib import Path


def compiled_since(cache: Path, kernel: str, *folders: Path) -> bool:
    """Tell whether numba's cache holds the kernel named as it is now: whoever waits for a compiler wants to know."""
    compiled = [path.stat().st_mtime for path in cache.glob(f"*{kernel}*.nbc")]
    written = [path.stat().st_mtime for folder in folders for path in folder.glob("*.py")]
    return bool(compiled) and max(compiled) > max(written)


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
