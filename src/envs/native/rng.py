"""A small counter-based generator for kernels: splitmix64 (Steele, Lea and Flood, 2014), one state per env."""

from __future__ import annotations

from typing import Any

import numpy as np

from pymarl.utils.jit import inlined

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_U11, _U27, _U30, _U31, _U32 = (np.uint64(bits) for bits in (11, 27, 30, 31, 32))


@inlined
def mix(z: Any) -> Any:
    """Return the hash of a uint64."""
    z = (z ^ (z >> _U30)) * _MIX_1
    z = (z ^ (z >> _U27)) * _MIX_2
    return z ^ (z >> _U31)


@inlined
def draw(rng: Any, b: int) -> Any:
    """Return row b's next 64 random bits."""
    rng[b] += _GOLDEN
    return mix(rng[b])


@inlined
def below(rng: Any, b: int, n: int) -> Any:
    """Return a random int in [0, n), n < 2**32."""
    return np.int64(((draw(rng, b) >> _U32) * np.uint64(n)) >> _U32)


@inlined
def uniform(rng: Any, b: int) -> Any:
    """Return a random float in [0, 1)."""
    return np.float64(draw(rng, b) >> _U11) * 2.0**-53


@inlined
def shuffle(rng: Any, b: int, order: Any, n: int) -> None:
    """Write a random permutation of 0..n-1 to order[:n] (Fisher and Yates)."""
    for i in range(n):
        order[i] = i
    for i in range(n - 1, 0, -1):
        j = below(rng, b, i + 1)
        order[i], order[j] = order[j], order[i]
