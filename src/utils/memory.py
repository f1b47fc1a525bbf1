"""How this process takes memory from the system, and shares it."""

from __future__ import annotations

import ctypes
import os
import platform
import tempfile
from pathlib import Path

import psutil

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def keep_freed_memory() -> None:
    """Make glibc keep what is freed. Elsewhere this does nothing.

    An update frees and allocates the same large tensors again; new pages for each of them cost about 15% of its time.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Return the bytes that can be had without swapping, within the limit of a container or a batch system."""
    available = int(psutil.virtual_memory().available)
    for limit, usage, cache in (
        ("memory.max", "memory.current", "inactive_file"),  # of a container's own group
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            largest = int((CGROUP / limit).read_text())
            used = int((CGROUP / usage).read_text())
            stat = dict(line.split() for line in (CGROUP / limit).with_name("memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # none, or "max"
            continue
        available = min(available, largest - used + int(stat.get(cache, 0)))
    return max(available, 0)


def anonymous_memory() -> int:
    """Return the descriptor of memory without a name: however the processes end, nothing is left behind."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("envs")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
