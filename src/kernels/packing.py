"""How tensors are handed to kernels: padded, in panels, by their address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pymarl.kernels.simd import W
from pymarl.utils.jit import kernel

FLOATS: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
"""What kernels read and write, whatever torch's defaults are."""


def padded(size: int) -> int:
    """Return the next multiple of W."""
    return -(-size // W) * W


@kernel
def _is_within(index: Any, low: Any, high: Any) -> Any:
    least, most = high - 1, low
    for value in index:
        least, most = min(least, value), max(most, value)
    return least >= low and most < high


def is_within(index: Tensor, low: int, high: int) -> bool:
    """Return whether all of an int64 [R] are in low .. high - 1."""
    within: bool = _is_within(index.numpy(), low, high)
    return within


def columns(matrix: Tensor, size: int) -> Tensor:
    """Return [K, size], zeros behind the matrix's own columns."""
    return matrix if matrix.shape[1] == size else F.pad(matrix, (0, size - matrix.shape[1]))


def address(tensor: Tensor | None) -> int:
    """Return where a tensor's numbers are; 0 for None."""
    return 0 if tensor is None else tensor.data_ptr()


T = TypeVar("T")


class Sums(Generic[T]):
    """Sums of gradients: each task adds to its own, and they are added in the tasks' order, whoever was first.

    Args:
        kind: a NamedTuple of addresses.
        tasks: number of tasks.
        shapes: of what is at each address.
    """

    def __init__(self, kind: Callable[..., T], tasks: int, **shapes: tuple[int, ...]) -> None:
        self._kind, self._shapes = kind, shapes
        sizes = [padded(int(np.prod(shape))) for shape in shapes.values()]
        self._starts = [0, *np.cumsum(sizes).tolist()]
        self._memory = torch.zeros(tasks, self._starts[-1], **FLOATS)

    def of(self, task: int) -> T:
        """Return where a task adds."""
        first = self._memory[task].data_ptr()
        return self._kind(**{name: first + 4 * at for name, at in zip(self._shapes, self._starts, strict=False)})

    def total(self) -> dict[str, Tensor]:
        """Return the sums by name, in their shapes."""
        whole, *others = self._memory
        for other in others:
            whole += other
        return {
            name: whole[at : at + int(np.prod(shape))].view(shape)
            for (name, shape), at in zip(self._shapes.items(), self._starts, strict=False)
        }
