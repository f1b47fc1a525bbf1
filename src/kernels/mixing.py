"""QMIX's mixer over blocks of rows: hypernetworks of the state write the weights of a small network over the agents' q.

The four first layers read the state as one product. Of a row are kept, side by side: the first layers' outputs
[hidden of w1 | hidden of w2 | hidden of b2 | b1], w1 [n, e], w2 [e], and the mixing network's hidden layer before its
elu [e]. Weights are made positive by their absolute value. E and the hypernetworks' width are padded to multiples of W
with units that are always zero.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pymarl.kernels.rows import ONE, PAD, ZERO, add_rows, keep_positive
from pymarl.kernels.simd import W, absolute, exp, fma, load, load1, splat, store, store1, total, where_positive
from pymarl.kernels.stamp import STAMP
from pymarl.kernels.tiles import NO_FLOOR, RELU, multiply, multiply_transposed
from pymarl.utils.jit import kernel, outlined

BLOCK = 96
"""Rows that go through all layers together."""


class MixSizes(NamedTuple):
    """s numbers in the state, n agents, e units of the mixing network and y of the hypernetworks, both padded."""

    s: int
    n: int
    e: int
    y: int


class MixWeights(NamedTuple):
    """Addresses; packed as tiles.py wants B.

    Attributes:
        first, first_bias: packed [s, 2y + e], behind it packed [s, e]; [2y + 2e].
        w1, w1_bias, w1_back: packed [y, n e]; [n e]; packed [n e, y].
        w2, w2_bias, w2_back: packed [y, e]; [e]; packed [e, y].
        b2, b2_bias: [e]; [1].
        zeros: [y].
    """

    first: int
    first_bias: int
    w1: int
    w1_bias: int
    w1_back: int
    w2: int
    w2_bias: int
    w2_back: int
    b2: int
    b2_bias: int
    zeros: int


class MixGradients(NamedTuple):
    """Addresses of sums of gradients: [s, 2y + 2e], [2y + 2e], [y, n e], [n e], [y, e], [e], [e], [1]."""

    first: int
    first_bias: int
    w1: int
    w1_bias: int
    w2: int
    w2_bias: int
    b2: int
    b2_bias: int


class MixRows(NamedTuple):
    """Addresses of the state [P, s], q [P, n] and the result [P], or its gradient and that of q."""

    state: int
    q: int
    y: int
    d_q: int


@outlined
def signed(x: Any, sign: Any) -> Any:
    """Return x where sign > 0, -x where it is < 0, and 0: the derivative of |sign| times x."""
    zero = splat(ZERO)
    return where_positive(sign, x, where_positive(zero - sign, zero - x, zero))


@outlined
def layers_forward(m: Any, sizes: Any, weights: Any, state: Any, p: Any, ld: Any) -> None:
    """Write what a block's states [m, s] make of the hypernetworks."""
    s, e, y = sizes.s, sizes.e, sizes.y
    ne, relus, f = sizes.n * sizes.e, 2 * sizes.y + sizes.e, 2 * sizes.y + 2 * sizes.e
    multiply(m, relus, s, state, s, weights.first, p, ld, weights.first_bias, 0, RELU)
    b1 = p + 4 * relus
    multiply(m, e, s, state, s, weights.first + 4 * relus * s, b1, ld, weights.first_bias + 4 * relus, 0, NO_FLOOR)
    multiply(m, ne, y, p, ld, weights.w1, p + 4 * f, ld, weights.w1_bias, 0, NO_FLOOR)
    multiply(m, e, y, p + 4 * y, ld, weights.w2, p + 4 * (f + ne), ld, weights.w2_bias, 0, NO_FLOOR)


@outlined
def mix_forward(low: Any, high: Any, keep: Any, sizes: Any, weights: Any, rows: Any, memory: Any) -> None:
    """Write y of rows low .. high. memory: of all rows from `low`, or if not `keep` of one block."""
    s, n, e, y = sizes.s, sizes.n, sizes.e, sizes.y
    f = 2 * y + 2 * e
    ld = f + n * e + 2 * e
    for first in range(low, high, BLOCK):
        m = min(BLOCK, high - first)
        p = memory + (4 * (first - low) * ld if keep else 0)
        layers_forward(m, sizes, weights, rows.state + 4 * first * s, p, ld)
        for i in range(m):
            row, at = first + i, p + 4 * i * ld
            added = splat(ZERO)
            for j in range(0, e, W):
                before = load(at, 2 * y + e + j)
                for agent in range(n):
                    w1 = absolute(load(at, f + agent * e + j))
                    before = fma(splat(load1(rows.q, row * n + agent)), w1, before)
                store(at, f + n * e + e + j, before)
                hidden = where_positive(before, before, exp(before) - splat(ONE))
                added = fma(hidden, absolute(load(at, f + n * e + j)), added)
                added = fma(load(at, 2 * y + j), load(weights.b2, j), added)
            store1(rows.y, row, total(added) + load1(weights.b2_bias, 0))


@outlined
def mixing_backward(row: Any, grad: Any, sizes: Any, weights: Any, rows: Any, at: Any, d: Any, df: Any, g: Any) -> None:
    """Write one row's gradients: of q, of w1 and w2 to d [n e + e], of b2's hidden and b1 to df [2y + 2e]."""
    n, e, y = sizes.n, sizes.e, sizes.y
    f, ne = 2 * y + 2 * e, n * e
    one, many = splat(ONE), splat(grad)
    for agent in range(n):
        store1(rows.d_q, row * n + agent, ZERO)
    for j in range(0, e, W):
        before = load(at, f + ne + e + j)
        slope = where_positive(before, one, exp(before))
        hidden = where_positive(before, before, slope - one)
        w2 = load(at, f + ne + j)
        store(d, ne + j, signed(many * hidden, w2))
        of_before = many * absolute(w2) * slope
        store(df, 2 * y + e + j, of_before)
        for agent in range(n):
            place = row * n + agent
            w1 = load(at, f + agent * e + j)
            store1(rows.d_q, place, load1(rows.d_q, place) + total(of_before * absolute(w1)))
            store(d, agent * e + j, signed(splat(load1(rows.q, place)) * of_before, w1))
        b2 = load(at, 2 * y + j)
        store(g.b2, j, fma(many, b2, load(g.b2, j)))
        store(df, 2 * y + j, where_positive(b2, many * load(weights.b2, j), splat(ZERO)))


@outlined
def mix_backward(low: Any, high: Any, sizes: Any, weights: Any, rows: Any, memory: Any, scratch: Any, g: Any) -> None:
    """Write the gradients of q of rows low .. high, and add those of the weights. rows.y is the gradient of y."""
    s, n, e, y = sizes.s, sizes.n, sizes.e, sizes.y
    f, ne = 2 * y + 2 * e, n * e
    ld, ldd, ldf = f + ne + 2 * e, ne + e + PAD, f + PAD
    d, df = scratch, scratch + 4 * BLOCK * ldd
    for first in range(low, high, BLOCK):
        m = min(BLOCK, high - first)
        p, state = memory + 4 * (first - low) * ld, rows.state + 4 * first * s
        block = ZERO
        for i in range(m):
            grad = load1(rows.y, first + i)
            block += grad
            mixing_backward(first + i, grad, sizes, weights, rows, p + 4 * i * ld, d + 4 * i * ldd, df + 4 * i * ldf, g)
        store1(g.b2_bias, 0, load1(g.b2_bias, 0) + block)  # a sum of sums: smaller rounding errors
        multiply(m, y, ne, d, ldd, weights.w1_back, df, ldf, weights.zeros, 0, NO_FLOOR)
        multiply(m, y, e, d + 4 * ne, ldd, weights.w2_back, df + 4 * y, ldf, weights.zeros, 0, NO_FLOOR)
        multiply_transposed(y, ne, m, p, ld, d, ldd, g.w1, ne)
        multiply_transposed(y, e, m, p + 4 * y, ld, d + 4 * ne, ldd, g.w2, e)
        keep_positive(m, 2 * y, df, ldf, p, ld)
        add_rows(g.w1_bias, m, ne, d, ldd)
        add_rows(g.w2_bias, m, e, d + 4 * ne, ldd)
        add_rows(g.first_bias, m, f, df, ldf)
        multiply_transposed(s, f, m, state, s, df, ldf, g.first, f)


def _compile(stamp: str) -> Any:
    """Return the kernels; `stamp` makes compiled code of other sources unfit."""

    @kernel
    def forward(low: Any, high: Any, keep: Any, sizes: Any, weights: Any, rows: Any, memory: Any) -> None:
        stamp  # noqa: B018
        mix_forward(low, high, keep, sizes, weights, rows, memory)

    @kernel
    def backward(
        low: Any, high: Any, sizes: Any, weights: Any, rows: Any, memory: Any, scratch: Any, grads: Any
    ) -> None:
        stamp  # noqa: B018
        mix_backward(low, high, sizes, weights, rows, memory, scratch, grads)

    return forward, backward


forward, backward = _compile(STAMP)
