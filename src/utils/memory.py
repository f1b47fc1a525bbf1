"""How this process takes memory from the system, and shares it."""

from __future__ import annotations

import ctypes
import os
import platform
import tempfile

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> None:
    """Make glibc keep what is freed. Elsewhere this does nothing.

    An update frees and allocates the same large tensors again; new pages for each of them cost about 15% of its time.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def anonymous_memory() -> int:
    """Return the descriptor of memory without a name: however the processes end, nothing is left behind."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("envs")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
