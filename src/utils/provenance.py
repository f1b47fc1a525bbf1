"""Where a run's numbers come from: the source's commit, the command, the versions and the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from pymarl.utils.doors import SRC
from pymarl.utils.redact import redacted
from pymarl.utils.version import __version__

GIT_SECONDS = 10
"""After which a run begins without knowing its commit: a file system may be slow."""


def provenance(line: str) -> dict[str, Any]:
    """Return what run.json says of a run's origin: commit, dirty, command_line, versions, machine.

    `commit` is None where the source is no git checkout, or there is no git; then `dirty` is None, too. Files that git
    does not track make no source dirty.

    Args:
        line: the command.
    """
    import numpy
    import torch

    return {
        **source(SRC),
        "command_line": redacted(line),
        "versions": {
            "pymarl": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
        },
        "machine": {
            "cpu": cpu_model(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def source(folder: Path) -> dict[str, Any]:
    """Return {"commit": of a folder's source, "dirty": whether tracked files differ from it}; both None without git."""
    unknown = {"commit": None, "dirty": None}
    try:
        _git(folder, "ls-files", "--error-unmatch", "main.py")  # or it lies in the repository of something else
        commit = _git(folder, "rev-parse", "HEAD").strip()
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return unknown
    return {"commit": commit, "dirty": bool(changed.strip())}


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *words],
        env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},  # status would write to the index, and others may be at it
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=True, timeout=GIT_SECONDS,
    ).stdout  # fmt: skip


def cpu_model() -> str:
    """Return the processor's name as the system has it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
