"""One acting step of the recurrent network: at a few rows the number of calls is what costs, not the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pymarl.kernels import recurrent
from pymarl.kernels.packing import columns
from pymarl.kernels.strips import STRIP_ROWS, run_tasks
from pymarl.kernels.unrolling import Given, Layers, Packed

SHARED = 512
"""Fewer rows are not worth a second thread."""


class Step:
    """Steps a number of rows without gradient, again and again. Weights are copied when it is made.

    Args:
        layers: the network, see `unroll`.
        o: features.
        widths: of the one-hots.
        rows: R.
    """

    def __init__(self, layers: Layers, o: int, widths: Sequence[int], rows: int) -> None:
        empty = [(torch.empty(0, dtype=torch.int64), width) for width in widths]
        given = Given(None, empty, [rows], layers.eps(), True, True, False)
        params = [None if param is None else param.detach() for param in layers.params()]
        self._packed = Packed(params, given, o, features_grad=False)
        self._rows, sizes = rows, self._packed.sizes
        firsts = np.cumsum([0, *widths])[: len(widths)]
        self._hots = np.array([(0, *each) for each in zip(firsts, widths, strict=True)] or [(0, 0, 0)], dtype=np.int64)
        self._starts = np.arange(0, rows, STRIP_ROWS, dtype=np.int64)
        self._counts = np.minimum(STRIP_ROWS, rows - self._starts)
        top = int(self._counts[0])
        memory = top * (7 + sizes.norm_in) * sizes.h
        scratch = top * max(sizes.o, 2 * sizes.h + sizes.a_padded)
        self._memory = torch.empty(len(self._starts), memory + scratch)
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
        """
        sizes = self._packed.sizes
        features, hidden = features.contiguous(), columns(hidden, sizes.h).contiguous()
        for number, index in enumerate(one_hots):
            self._hots[number, 0] = index.data_ptr()
        outputs, states = torch.empty(self._rows, sizes.a), torch.empty(self._rows, sizes.h)
        given = features.data_ptr(), hidden.data_ptr(), outputs.data_ptr(), states.data_ptr()
        if len(self._places) == 1:
            recurrent.step(self._places[0], *self._eps, *given)
        else:
            threads = torch.get_num_threads() if self._rows >= SHARED else 1
            run_tasks(
                lambda number: recurrent.step(self._places[number], *self._eps, *given), len(self._places), threads
            )
        return outputs, states if sizes.h == sizes.width else states[:, : sizes.width]
