"""The compiled kernels, or None: whoever uses them has another way, slower, to the same."""

from __future__ import annotations

import torch
from torch import Tensor

try:
    from pymarl import kernels
except ImportError as error:
    # The folder is not there, or numba is not; anything else is a fault, which must not pass for a choice.
    if error.name not in {"pymarl", "pymarl.kernels"} and not (
        isinstance(error, ModuleNotFoundError) and error.name == "numba"
    ):
        raise
    kernels = None  # type: ignore[assignment]

__all__ = ["fit_kernels", "kernels"]


def fit_kernels(*tensors: Tensor) -> bool:
    """Return whether there are kernels and these are what they take: float32 on the CPU."""
    return kernels is not None and all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
