"""How tensors are handed to kernels: padded, in panels, by their address."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from pymarl.kernels.simd import W


def padded(size: int) -> int:
    """Return the next multiple of W."""
    return -(-size // W) * W


def pack(matrix: Tensor) -> Tensor:
    """Return B [K, N], N a multiple of W, as tiles.py wants it: panels of 2 W columns, the last may have W."""
    k, n = matrix.shape
    whole = n - n % (2 * W)
    panels = matrix[:, :whole].reshape(k, -1, 2 * W).transpose(0, 1).reshape(-1)
    return panels if whole == n else torch.cat([panels, matrix[:, whole:].reshape(-1)])


def columns(matrix: Tensor, size: int) -> Tensor:
    """Return [K, size], zeros behind the matrix's own columns."""
    return matrix if matrix.shape[1] == size else F.pad(matrix, (0, size - matrix.shape[1]))


def address(tensor: Tensor | None) -> int:
    """Return where a tensor's numbers are; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


class Kept:
    """Gives out the addresses of tensors, which live as long as this does."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []

    def __call__(self, tensor: Tensor | None) -> int:
        """Return where a contiguous copy of a tensor is, or the tensor itself; 0 for None."""
        if tensor is None:
            return 0
        self._tensors.append(tensor.contiguous())
        return self._tensors[-1].data_ptr()
