"""Entities one by one, each through a linear layer and a relu of its features, without ever keeping what comes of it.

Of row r, m entities of f features lie side by side at x + 4 r ldx; e(x) has d places, a multiple of W. What is pooled
of a row are f sums of e(x) times a feature, [f, d], and behind them the sums of the features, [f].
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pymarl.kernels.rows import ZERO, fill
from pymarl.kernels.simd import W, fma, load, load1, relu, splat, store, store1, total, where_positive
from pymarl.kernels.stamp import STAMP
from pymarl.utils.jit import inlined, kernel, outlined


class EntitySizes(NamedTuple):
    """m entities of f features in a row, d places of e; floats from one row of x to the next."""

    m: int
    f: int
    d: int
    ldx: int


class Encoder(NamedTuple):
    """Addresses of the layer's weight [f, d] and bias [d], or of the sums of their gradients."""

    weight: int
    bias: int


@inlined
def is_absent(x: Any, f: Any) -> Any:
    """Tell whether an entity is all zeros."""
    for k in range(f):  # noqa: SIM110 - numba knows no `all`
        if load1(x, k) != ZERO:
            return False
    return True


@inlined
def encode(x: Any, sizes: Any, net: Any, c: Any) -> Any:
    """Return places c .. c + W of what the layer makes of an entity, before the relu."""
    value = load(net.bias, c)
    for k in range(sizes.f):
        value = fma(splat(load1(x, k)), load(net.weight, k * sizes.d + c), value)
    return value


@inlined
def add_gradient(x: Any, sizes: Any, d: Any, g: Any, c: Any) -> None:
    """Add a gradient `d` of places c .. c + W to those of weight and bias."""
    store(g.bias, c, load(g.bias, c) + d)
    for k in range(sizes.f):
        place = k * sizes.d + c
        store(g.weight, place, fma(splat(load1(x, k)), d, load(g.weight, place)))


@outlined
def pool_forward(low: Any, high: Any, sizes: Any, net: Any, x: Any, pooled: Any, ld: Any) -> None:
    """Write what is pooled of rows low .. high."""
    f, d = sizes.f, sizes.d
    for row in range(low, high):
        to = pooled + 4 * row * ld
        fill(to, f * d, ZERO)
        for k in range(f):
            store1(to, f * d + k, ZERO)
        for m in range(sizes.m):
            at = x + 4 * (row * sizes.ldx + m * f)
            if is_absent(at, f):
                continue
            for k in range(f):
                store1(to, f * d + k, load1(to, f * d + k) + load1(at, k))
            for c in range(0, d, W):
                e = relu(encode(at, sizes, net, c))
                for k in range(f):
                    store(to, k * d + c, fma(splat(load1(at, k)), e, load(to, k * d + c)))


@outlined
def pool_backward(low: Any, high: Any, sizes: Any, net: Any, x: Any, grad: Any, ld: Any, g: Any) -> None:
    """Add the gradients of the layer that rows low .. high give it."""
    f, d = sizes.f, sizes.d
    zero = splat(ZERO)
    for row in range(low, high):
        of = grad + 4 * row * ld
        for m in range(sizes.m):
            at = x + 4 * (row * sizes.ldx + m * f)
            if is_absent(at, f):
                continue
            for c in range(0, d, W):
                of_e = zero
                for k in range(f):
                    of_e = fma(splat(load1(at, k)), load(of, k * d + c), of_e)
                add_gradient(at, sizes, where_positive(encode(at, sizes, net, c), of_e, zero), g, c)


@outlined
def aim_forward(low: Any, high: Any, sizes: Any, net: Any, x: Any, layer: Any, ld: Any, q: Any) -> None:
    """Write q [., m] of rows low .. high: e of each entity times the row's layer [d], plus what is behind that."""
    f, d = sizes.f, sizes.d
    for row in range(low, high):
        weights = layer + 4 * row * ld
        for m in range(sizes.m):
            at, added = x + 4 * (row * sizes.ldx + m * f), splat(ZERO)
            for c in range(0, d, W):
                added = fma(relu(encode(at, sizes, net, c)), load(weights, c), added)
            store1(q, row * sizes.m + m, total(added) + load1(weights, d))


@outlined
def aim_backward(
    low: Any, high: Any, sizes: Any, net: Any, x: Any, layer: Any, ld: Any, grad: Any, d_layer: Any, g: Any
) -> None:
    """Write the gradient of the layers of rows low .. high, [., d + 1], and add that of the encoder."""
    f, d = sizes.f, sizes.d
    zero = splat(ZERO)
    for row in range(low, high):
        weights, to, bias = layer + 4 * row * ld, d_layer + 4 * row * (d + 1), ZERO
        fill(to, d, ZERO)
        for m in range(sizes.m):
            of = load1(grad, row * sizes.m + m)
            if of == ZERO:  # of all actions one was taken
                continue
            at, many = x + 4 * (row * sizes.ldx + m * f), splat(of)
            bias += of
            for c in range(0, d, W):
                before = encode(at, sizes, net, c)
                store(to, c, fma(many, relu(before), load(to, c)))
                add_gradient(at, sizes, where_positive(before, many * load(weights, c), zero), g, c)
        store1(to, d, bias)


def _compile(stamp: str) -> Any:
    """Return the kernels; `stamp` makes compiled code of other sources unfit."""

    @kernel
    def pool(low: Any, high: Any, sizes: Any, net: Any, x: Any, pooled: Any, ld: Any) -> None:
        stamp  # noqa: B018
        pool_forward(low, high, sizes, net, x, pooled, ld)

    @kernel
    def pool_back(low: Any, high: Any, sizes: Any, net: Any, x: Any, grad: Any, ld: Any, g: Any) -> None:
        stamp  # noqa: B018
        pool_backward(low, high, sizes, net, x, grad, ld, g)

    @kernel
    def aim(low: Any, high: Any, sizes: Any, net: Any, x: Any, layer: Any, ld: Any, q: Any) -> None:
        stamp  # noqa: B018
        aim_forward(low, high, sizes, net, x, layer, ld, q)

    @kernel
    def aim_back(
        low: Any, high: Any, sizes: Any, net: Any, x: Any, layer: Any, ld: Any, grad: Any, d_layer: Any, g: Any
    ) -> None:
        stamp  # noqa: B018
        aim_backward(low, high, sizes, net, x, layer, ld, grad, d_layer, g)

    return pool, pool_back, aim, aim_back


pool, pool_back, aim, aim_back = _compile(STAMP)
