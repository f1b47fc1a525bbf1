"""How kernels are compiled.

Without numba's runtime (`_nrt=False`) a kernel cannot allocate, and arrays are handed on without counting references:
that counting took two thirds of a step's time. Whoever calls a kernel keeps its arrays alive. Divisions are not
checked: a check keeps a loop from being vectorised.
"""

from __future__ import annotations

import fcntl
import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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

    @contextmanager
    def once(self, what: str, lasts: str) -> Iterator[bool]:
        """Yield whether `what` has to be compiled, which is to be done within, and is said.

        One process does it: others wait for it, and then find it in the cache. Where the cache cannot be written, or
        its file system has no locks, each does it.

        Args:
            what: such as "the CPU kernels".
            lasts: how long it takes: "about 20 seconds".
        """
        with ExitStack() as stack:
            if not self._mark.exists():
                with suppress(OSError):
                    stack.enter_context(self._held(f"Another run is compiling {what}; waiting for it, {lasts}"))
            if self._mark.exists():
                yield False
                return
            print(f"Compiling {what}, once: {lasts}", file=sys.stderr, flush=True)
            yield True
            self._note()

    @contextmanager
    def _held(self, waiting: str) -> Iterator[None]:
        """Hold the lock of this name, which the kernel frees with its holder's death; say so if that takes waiting."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"{self._name}.lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(waiting, file=sys.stderr, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _note(self) -> None:
        """Remember that it has been done."""
        with suppress(OSError):
            for old in self._folder.glob(f"{self._name}-*.compiled"):
                old.unlink(missing_ok=True)
            self._mark.touch()
