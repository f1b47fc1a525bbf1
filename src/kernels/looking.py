"""Entities through a layer and a relu, pooled or aimed at, as autograd functions; see entities.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pymarl.kernels import entities
from pymarl.kernels.entities import Encoder, EntitySizes
from pymarl.kernels.packing import FLOATS, Sums
from pymarl.kernels.simd import W
from pymarl.kernels.strips import one_thread, run_tasks

SMALL, TASK_ROWS = 384, 4096
"""Rows that are not worth more than one task, and most rows of a task, which has sums of gradients of its own."""


class _Kind:
    """The entities of one kind, and their encoder as the kernels take it."""

    def __init__(self, x: Tensor, weight: Tensor, bias: Tensor) -> None:
        self.x = x if x.stride()[1:] == (x.shape[2], 1) else x.contiguous()
        self.sizes = EntitySizes(x.shape[1], x.shape[2], len(bias), self.x.stride(0))
        self.address = self.x.data_ptr()
        self._memory = weight.detach().t().contiguous(), bias.detach().contiguous()
        self.net = Encoder(*(tensor.data_ptr() for tensor in self._memory))

    @property
    def pooled(self) -> int:
        """Return the places of what is pooled of a row."""
        return self.sizes.f * (self.sizes.d + 1)

    def summed(self, tasks: int) -> Sums[Encoder]:
        """Return where the gradients of the encoder are added."""
        return Sums(Encoder, tasks, weight=(self.sizes.f, self.sizes.d), bias=(self.sizes.d,))


def _in_tasks(rows: int, call: Callable[[int, int, int], None], threads: int) -> None:
    """Call call(number, low, high) for parts of the rows, which depend on how many there are alone."""
    count = _tasks(rows)
    run_tasks(lambda k: call(k, k * rows // count, (k + 1) * rows // count), count, threads)


def _tasks(rows: int) -> int:
    return 1 if rows < SMALL else 4 * -(-rows // (4 * TASK_ROWS))


def _pool(own: Tensor, kinds: Sequence[_Kind]) -> Tensor:
    rows, at = len(own), own.shape[1]
    out = torch.empty(rows, at + sum(kind.pooled for kind in kinds), **FLOATS)
    with one_thread() as threads:
        out[:, :at] = own
        for kind in kinds:
            args = kind.sizes, kind.net, kind.address, out.data_ptr() + 4 * at, out.shape[1]
            _in_tasks(rows, lambda _, low, high, args=args: entities.pool(low, high, *args), threads)  # type: ignore[misc]
            at += kind.pooled
    return out


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, xs: Sequence[Tensor], *params: Tensor) -> Tensor:
        ctx.kinds, ctx.own = [_Kind(x, *params[2 * i : 2 * i + 2]) for i, x in enumerate(xs)], own.shape[1]
        ctx.save_for_backward(*xs, *params)  # which also checks that none has changed since
        return _pool(own, ctx.kinds)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        ctx.saved_tensors  # noqa: B018
        grad, at = grad.contiguous(), ctx.own
        given: list[Tensor] = []
        with one_thread() as threads:
            for kind in ctx.kinds:
                sums = kind.summed(_tasks(len(grad)))
                args = kind.sizes, kind.net, kind.address, grad.data_ptr() + 4 * at, grad.shape[1]
                _in_tasks(
                    len(grad),
                    lambda k, low, high, args=args, sums=sums: entities.pool_back(low, high, *args, sums.of(k)),  # type: ignore[misc]
                    threads,
                )
                at += kind.pooled
                given += _gradients(sums)
        return grad[:, : ctx.own] if ctx.needs_input_grad[0] else None, None, *given


def _aim(layer: Tensor, kind: _Kind) -> Tensor:
    q = torch.empty(len(layer), kind.sizes.m, **FLOATS)
    args = kind.sizes, kind.net, kind.address, layer.data_ptr(), layer.stride(0), q.data_ptr()
    with one_thread() as threads:
        _in_tasks(len(q), lambda _, low, high: entities.aim(low, high, *args), threads)
    return q


class _Aim(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, layer: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.kind = _Kind(x, weight, bias)
        ctx.save_for_backward(layer, x, weight, bias)
        return _aim(layer, ctx.kind)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        layer, kind, grad = ctx.saved_tensors[0], ctx.kind, grad.contiguous()
        d_layer, sums = torch.empty(layer.shape, **FLOATS), kind.summed(_tasks(len(grad)))
        addresses = layer.data_ptr(), layer.stride(0), grad.data_ptr(), d_layer.data_ptr()
        args = kind.sizes, kind.net, kind.address, *addresses
        with one_thread() as threads:
            _in_tasks(len(grad), lambda k, low, high: entities.aim_back(low, high, *args, sums.of(k)), threads)
        return d_layer, None, *_gradients(sums)


def _gradients(sums: Sums[Encoder]) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight [d, f] and bias [d]."""
    total = sums.total()
    return total["weight"].t(), total["bias"]


def pool(own: Tensor, kinds: Sequence[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
    """Return own [R, D] and behind it, of each kind, sums over its entities: of e(x) x^T, [F, C], and of x, [F].

    Differentiable in own, weights and biases.

    Args:
        own: float32 on the CPU.
        kinds: entities x [R, M, F] without gradient, weight [C, F] and bias [C] of e(x) = relu(weight x + bias).

    Raises:
        ValueError: the sizes do not fit each other, C is no multiple of 16, or a type is another.
    """
    for x, weight, bias in kinds:
        _check(own, x, weight, bias)
    if not torch.is_grad_enabled():
        return _pool(own, [_Kind(*kind) for kind in kinds])
    pooled: Tensor = _Pool.apply(own, [x for x, _, _ in kinds], *(each for kind in kinds for each in kind[1:]))
    return pooled


def aim(layer: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return [R, M], e(x) of each entity times its row's layer [R, C + 1], whose last place is added.

    Differentiable in layer, weight and bias; they and what is raised are as for `pool`.
    """
    _check(layer, x, weight, bias)
    if layer.shape[1] != len(bias) + 1:
        raise ValueError(f"expected a layer of {len(bias) + 1} places, got {layer.shape[1]}")
    layer = layer if layer.stride(1) == 1 else layer.contiguous()
    if not torch.is_grad_enabled():
        return _aim(layer, _Kind(x, weight, bias))
    q: Tensor = _Aim.apply(layer, x, weight, bias)
    return q


def _check(rows: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> None:
    if len(rows) != len(x) or weight.shape != (len(bias), x.shape[2]) or len(bias) % 16 or W > 16:
        raise ValueError(f"{len(rows)} rows, entities {list(x.shape)}, and a layer of {list(weight.shape)}")
    if any(tensor.dtype != torch.float32 for tensor in (rows, x, weight, bias)) or x.requires_grad:
        raise ValueError("expected float32, and entities without gradient")
