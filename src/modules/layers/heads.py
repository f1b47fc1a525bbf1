"""Several small networks that read the same input, computed together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def together(heads: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Return [R, K, O], the outputs of K networks for x [R, D], in as few products as one network takes.

    Args:
        heads: each an `mlp`, all of the same sizes.
        x: their common input, by far the widest operand: their first layers are one product.
    """
    first, *rest = zip(*map(_linears, heads), strict=True)
    out = F.linear(x, torch.cat([layer.weight for layer in first]), _biases(torch.cat, first))  # [R, K*H]
    out = out.unflatten(-1, (len(first), -1))
    for layers in rest:
        weight = torch.stack([layer.weight for layer in layers]).transpose(1, 2)  # [K, H, O]
        out = torch.bmm(out.relu().transpose(0, 1), weight).transpose(0, 1)  # [R, K, O]
        bias = _biases(torch.stack, layers)
        out = out if bias is None else out + bias
    return out


def _linears(head: nn.Module) -> list[nn.Linear]:
    return [layer for layer in head.modules() if isinstance(layer, nn.Linear)]


def _biases(join: Callable[[Any], Tensor], layers: tuple[nn.Linear, ...]) -> Tensor | None:
    return None if layers[0].bias is None else join([layer.bias for layer in layers])
