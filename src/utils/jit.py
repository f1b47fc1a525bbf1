"""How kernels are compiled.

Without numba's runtime (`_nrt=False`) a kernel cannot allocate, and arrays are handed on without counting references:
that counting took two thirds of a step's time. Whoever calls a kernel keeps its arrays alive. Divisions are not
checked: a check keeps a loop from being vectorised.
"""

from __future__ import annotations

import hashlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numba
from numba import njit

from pymarl.utils.stamp import dates, source_stamp

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}

kernel = njit(cache=True, **_OPTIONS)
"""What Python calls."""

outlined = njit(**_OPTIONS)
"""A function of a kernel, called."""

inlined = njit(forceinline=True, **_OPTIONS)
"""A function of a kernel, always compiled into its caller: handing arrays over costs more than most bodies."""


class Compiled:
    """Whether kernels are in numba's cache, by a mark beside them: whoever waits for a compiler wants to know.

    Args:
        name: of the mark.
        kernel: one of them.
        folders: of their sources.
    """

    def __init__(self, name: str, kernel: Any, *folders: Path) -> None:
        cpu = (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())
        made_of = repr((source_stamp(*folders), dates(*folders), numba.__version__, cpu))
        self._folder, self._name = Path(kernel.stats.cache_path), name
        self._mark = self._folder / f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.compiled"

    def announce(self, what: str) -> bool:
        """Say `what` will be compiled now, unless it was; returns whether it will."""
        if self._mark.exists():
            return False
        print(f"Compiling {what}", file=sys.stderr, flush=True)
        return True

    def note(self) -> None:
        """Remember that it has been done. Where the cache cannot be written, the next process compiles again."""
        with suppress(OSError):
            for old in self._folder.glob(f"{self._name}-*.compiled"):
                old.unlink(missing_ok=True)
            self._mark.touch()
