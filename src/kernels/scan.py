"""Sums that run backwards in time, as returns and advantages do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pymarl.kernels.stamp import STAMP
from pymarl.utils.jit import kernel


def _compile(stamp: str) -> Any:
    """Return the kernel; `stamp` makes compiled code of other sources unfit."""

    @kernel
    def accumulate_rows(bias: Any, decay: Any, out: Any) -> None:
        stamp  # noqa: B018
        rows, steps, wide = bias.shape
        narrow = decay.shape[2]
        for row in range(rows):
            for column in range(wide):
                total = bias[row, steps - 1, column]
                out[row, steps - 1, column] = total
                for t in range(steps - 2, -1, -1):
                    total = bias[row, t, column] + decay[row, t, column % narrow] * total
                    out[row, t, column] = total

    return accumulate_rows


accumulate_rows = _compile(STAMP)


def accumulate(bias: Tensor, decay: Tensor) -> Tensor:
    """Return x [B, T, A] with x_t = bias_t + decay_t * x_{t+1} and x = 0 after the last step, without gradient.

    Args:
        bias: [B, T, A] float32 on the CPU.
        decay: [B, T, A] or [B, T, 1] likewise.

    Raises:
        ValueError: they do not fit each other.
    """
    if bias.shape[:2] != decay.shape[:2] or decay.shape[2] not in (1, bias.shape[2]) or not bias.numel():
        raise ValueError(f"a bias of {list(bias.shape)} and a decay of {list(decay.shape)}")
    bias, decay = bias.detach().contiguous(), decay.detach().contiguous()
    out = torch.empty_like(bias)
    accumulate_rows(bias.numpy(), decay.numpy(), out.numpy())
    return out
