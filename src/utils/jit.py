"""How kernels are compiled.

Without numba's runtime (`_nrt=False`) a kernel cannot allocate, and arrays are handed on without counting references:
that counting took two thirds of a step's time. Whoever calls a kernel keeps its arrays alive. Divisions are not
checked: a check keeps a loop from being vectorised.
"""

from __future__ import annotations

from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}

kernel = njit(cache=True, **_OPTIONS)
"""What Python calls."""

outlined = njit(**_OPTIONS)
"""A function of a kernel, called."""

inlined = njit(forceinline=True, **_OPTIONS)
"""A function of a kernel, always compiled into its caller: handing arrays over costs more than most bodies."""
