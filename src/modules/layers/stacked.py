"""Layers of several agents computed as one: weights stay each agent's own and are stacked when used.

Rows go round: row r of an input belongs to agent r % n.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pymarl.modules.layers.plain import is_plain, is_untouched, weights_of

M = TypeVar("M", bound=nn.Module)


def _stack(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Return [n, ...], or None for layers without this parameter."""
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(there) if there else None


class _Linear(nn.Module):
    """n times D -> H as one batched product."""

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> None:
        super().__init__()
        self.weight = torch.stack(list(weights)).transpose(1, 2)  # [n, D, H]
        bias = _stack(biases)
        self.bias = self.weight.new_zeros(1, 1, 1) if bias is None else bias.unsqueeze(1)  # [n, 1, H]

    @classmethod
    def of(cls, layers: Sequence[nn.Linear]) -> _Linear:
        return cls([layer.weight for layer in layers], [layer.bias for layer in layers])

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, H] for [R, D]."""
        rows = x.unflatten(0, (-1, self.weight.shape[0])).transpose(0, 1)  # [n, R/n, D]
        return torch.baddbmm(self.bias, rows, self.weight).transpose(0, 1).flatten(0, 1)


class _LayerNorm(nn.Module):
    def __init__(self, layers: Sequence[nn.LayerNorm]) -> None:
        super().__init__()
        self.shape, self.eps = layers[0].normalized_shape, layers[0].eps
        self.weight, self.bias = _stack([layer.weight for layer in layers]), _stack([layer.bias for layer in layers])
        self.n = len(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return [R, H] for [R, H]."""
        rows = F.layer_norm(x, self.shape, eps=self.eps).unflatten(0, (-1, self.n))  # [R/n, n, H]
        if self.weight is not None:
            rows = rows * self.weight
        return (rows if self.bias is None else rows + self.bias).flatten(0, 1)


class _GRUCell(nn.Module):
    def __init__(self, layers: Sequence[nn.GRUCell]) -> None:
        super().__init__()
        biased = layers[0].bias
        self.inp = _Linear([c.weight_ih for c in layers], [c.bias_ih if biased else None for c in layers])
        self.rec = _Linear([c.weight_hh for c in layers], [c.bias_hh if biased else None for c in layers])
        self.rz = 2 * layers[0].hidden_size

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Return the states [R, H] after `hidden` [R, H]."""
        inp, rec = self.inp(x), self.rec(hidden)  # [R, 3H], gates r, z, n
        r, z = (inp[:, : self.rz] + rec[:, : self.rz]).sigmoid().chunk(2, dim=1)
        n = torch.addcmul(inp[:, self.rz :], r, rec[:, self.rz :]).tanh()
        return torch.lerp(n, hidden, z)


STACKED = {nn.Linear: _Linear.of, nn.GRUCell: _GRUCell, nn.LayerNorm: _LayerNorm}


def stackable_weights(modules: Sequence[nn.Module]) -> list[Tensor] | None:
    """Return the weights of modules that can be stacked, all of one class, with layers of the same kinds and sizes.

    None if they cannot be: they hold something else than torch's own Linear, GRUCell and LayerNorm.
    """
    weights: list[Tensor] = []
    layers: list[list[tuple[str, str]]] = []
    for module in modules:
        if type(module) is not type(modules[0]) or not is_untouched(module) or module._parameters or module._buffers:
            return None
        layers.append([])
        for name, layer in module._modules.items():
            if layer is None or type(layer) not in STACKED or not is_plain(layer, type(layer)):
                return None
            layers[-1].append((name, f"{type(layer)} {layer.extra_repr()}"))
            weights += weights_of(layer)
    return weights if all(each == layers[0] for each in layers) else None


def stack(modules: Sequence[M]) -> M:
    """Return a copy of the first module that computes each row with its own module's layers, differentiably.

    Args:
        modules: `stackable_weights` has said that they can be, and `forward` treats each row alone.
    """
    stacked = copy.copy(modules[0])
    layers = {name: [module.get_submodule(name) for module in modules] for name in stacked._modules}
    stacked._modules = {name: STACKED[type(each[0])](each) for name, each in layers.items()}  # type: ignore[operator]
    return stacked
