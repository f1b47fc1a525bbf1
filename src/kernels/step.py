"""One acting step of the recurrent network: at a few rows the number of calls is what costs, not the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pymarl.kernels.network import Layers, Packed
from pymarl.kernels.packing import FLOATS, columns
from pymarl.kernels.records import Rows, Sizes, Strip, Weights
from pymarl.kernels.recurrent import forward_strip
from pymarl.kernels.simd import load_int
from pymarl.kernels.stamp import STAMP
from pymarl.kernels.strips import STRIP_ROWS, run_tasks
from pymarl.utils.jit import kernel

SHARED = 512
"""Fewer rows are not worth a second thread."""


def _compile(stamp: str) -> Any:
    """Return the kernel; `stamp` makes compiled code of other sources unfit."""

    @kernel
    def step(table: Any, in_eps: Any, out_eps: Any, features: Any, hidden: Any, outputs: Any, states: Any) -> None:
        """A strip of one slot without a backward pass; taking a few integers apart is quicker than being handed tuples.

        `table` is the address of int64: strip, sizes, addresses of weights, memory, scratch, hots; see Step.
        """
        stamp  # noqa: B018
        at = table
        strip = Strip(load_int(at, 0), load_int(at, 1), load_int(at, 2))
        sizes = Sizes(
            load_int(at, 3), load_int(at, 4), load_int(at, 5), load_int(at, 6), load_int(at, 7), load_int(at, 8),
            load_int(at, 9), load_int(at, 10),
        )  # fmt: skip
        weights = Weights(
            load_int(at, 11), load_int(at, 12), load_int(at, 13), load_int(at, 14), load_int(at, 15), load_int(at, 16),
            load_int(at, 17), load_int(at, 18), load_int(at, 19), load_int(at, 20), load_int(at, 21), load_int(at, 22),
            load_int(at, 23), load_int(at, 24), load_int(at, 25), load_int(at, 26), load_int(at, 27), load_int(at, 28),
            load_int(at, 29), load_int(at, 30), in_eps, out_eps,
        )  # fmt: skip
        rows = Rows(features, 0, load_int(at, 33), hidden)
        forward_strip(strip, sizes, weights, rows, False, load_int(at, 31), load_int(at, 32), outputs, states)

    return step


step = _compile(STAMP)


class Step:
    """Steps a number of rows without gradient, again and again. Weights are copied when it is made.

    Args:
        layers: the network, see `unroll`.
        o: features.
        widths: of the one-hots.
        rows: R.
    """

    def __init__(self, layers: Layers, o: int, widths: Sequence[int], rows: int) -> None:
        params = [None if param is None else param.detach() for param in layers.params()]
        self._packed = Packed(params, len(widths), layers.eps(), o, features_grad=False)
        self._rows, sizes = rows, self._packed.sizes
        self._takes, self._count = ((rows, o), (rows, sizes.width)), len(widths)
        if o + sum(widths) != layers.fc1[0].shape[1]:
            raise ValueError(f"inputs of width {o + sum(widths)} for a layer of {layers.fc1[0].shape[1]}")
        firsts = np.cumsum([0, *widths])[: len(widths)]
        self._hots = np.array([(0, *each) for each in zip(firsts, widths, strict=True)] or [(0, 0, 0)], dtype=np.int64)
        self._starts = np.arange(0, rows, STRIP_ROWS, dtype=np.int64)
        self._counts = np.minimum(STRIP_ROWS, rows - self._starts)
        top = int(self._counts[0])
        memory = top * (7 + sizes.norm_in) * sizes.h
        scratch = top * max(sizes.o, 2 * sizes.h + sizes.a_padded)
        self._memory = torch.empty(len(self._starts), memory + scratch, **FLOATS)
        weights = self._packed.weights
        self._eps = weights.in_eps, weights.out_eps
        self._tables = np.array(
            [
                [
                    1, self._starts[i:].ctypes.data, self._counts[i:].ctypes.data, *sizes, *weights[:-2],
                    self._memory[i].data_ptr(), self._memory[i].data_ptr() + 4 * memory, self._hots.ctypes.data,
                ]
                for i in range(len(self._starts))
            ],
            dtype=np.int64,
        )  # fmt: skip
        self._places = [table.ctypes.data for table in self._tables]

    def __call__(self, features: Tensor, one_hots: Sequence[Tensor], hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return [R, A] outputs and [R, H] states after `hidden` [R, H].

        Args:
            features: [R, O] float32 on the CPU.
            one_hots: int64 [R] each, -1 for none.
            hidden: likewise.

        Raises:
            ValueError: a shape, a type or the number of one-hots is another.
        """
        sizes = self._packed.sizes
        if features.shape != self._takes[0] or hidden.shape != self._takes[1]:
            raise ValueError(f"expected inputs and states of {self._takes}, got {features.shape} and {hidden.shape}")
        if features.dtype is not torch.float32 or hidden.dtype is not torch.float32 or len(one_hots) != self._count:
            raise ValueError(f"expected inputs and states of float32, and {self._count} one-hots")
        features, hidden = features.contiguous(), columns(hidden, sizes.h).contiguous()
        indices = [index.contiguous() for index in one_hots]
        for number, index in enumerate(indices):
            if index.dtype is not torch.int64 or len(index) != self._rows:
                raise ValueError(f"expected {self._rows} indices of int64, got {len(index)} of {index.dtype}")
            self._hots[number, 0] = index.data_ptr()
        outputs, states = torch.empty(self._rows, sizes.a, **FLOATS), torch.empty(self._rows, sizes.h, **FLOATS)
        given = features.data_ptr(), hidden.data_ptr(), outputs.data_ptr(), states.data_ptr()
        if len(self._places) == 1:
            step(self._places[0], *self._eps, *given)
        else:
            threads = torch.get_num_threads() if self._rows >= SHARED else 1
            run_tasks(lambda number: step(self._places[number], *self._eps, *given), len(self._places), threads)
        return outputs, states if sizes.h == sizes.width else states[:, : sizes.width]
