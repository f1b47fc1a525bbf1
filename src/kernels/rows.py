"""What is done to rows of a small matrix, one after another: copying, summing, normalising, the gates of a GRU.

Matrices are row-major, [m, h] with h a multiple of W; `ld` is what lies between the starts of two rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pymarl.kernels.simd import (
    W,
    exp_of_gate,
    fma,
    load,
    load1,
    load_int,
    prefetch,
    splat,
    store,
    store1,
    tanh,
    total,
    where_positive,
)  # fmt: skip
from pymarl.utils.jit import outlined

ZERO = np.float32(0)
ONE = np.float32(1)

PAD = 16
"""Floats between the rows of a gradient: a stride that is no power of two keeps them out of one set of the cache."""


@outlined
def fill(to: Any, count: Any, value: Any) -> None:
    """Write a number `count` times; a multiple of W."""
    for j in range(0, count, W):
        store(to, j, splat(value))


@outlined
def copy(to: Any, source: Any, count: Any) -> None:
    """Copy any number of floats."""
    whole = count - count % W
    for j in range(0, whole, W):
        store(to, j, load(source, j))
    for j in range(whole, count):
        store1(to, j, load1(source, j))


@outlined
def gather(to: Any, m: Any, width: Any, source: Any, index: Any, row: Any) -> None:
    """Copy the rows index[row] .. index[row + m - 1] of `source` [., width] side by side."""
    for i in range(m):
        copy(to + 4 * i * width, source + 4 * load_int(index, row + i) * width, width)


@outlined
def scatter(to: Any, m: Any, width: Any, source: Any, ld: Any) -> None:
    """Copy the first `width` columns of [m, ld] to [m, width]."""
    for i in range(m):
        copy(to + 4 * i * width, source + 4 * i * ld, width)


@outlined
def add_rows(to: Any, m: Any, h: Any, source: Any, ld: Any) -> None:
    """to [h] += the sum of the rows of source."""
    for j in range(0, h, W):
        even, odd = splat(ZERO), splat(ZERO)
        for i in range(0, m - 1, 2):
            even = even + load(source, i * ld + j)
            odd = odd + load(source, (i + 1) * ld + j)
        if m % 2:
            even = even + load(source, (m - 1) * ld + j)
        store(to, j, load(to, j) + (even + odd))


@outlined
def keep_positive(m: Any, h: Any, gradient: Any, ld: Any, x: Any, ldx: Any) -> None:
    """Set gradient [m, h] to zero where x [m, h], the output of a relu, is; rows are ld and ldx apart."""
    for i in range(m):
        for j in range(0, h, W):
            kept = where_positive(load(x, i * ldx + j), load(gradient, i * ld + j), splat(ZERO))
            store(gradient, i * ld + j, kept)


@outlined
def prefetch_row(i: Any, ahead: Any) -> None:
    """Have the cache fetch the i-th of the rows ahead."""
    if i < ahead.rows:
        row = ahead.first + i
        if ahead.places != 0:
            row = load_int(ahead.places, row)
        for j in range(0, ahead.width, 16):  # a cache line
            prefetch(ahead.source, row * ahead.width + j)


@outlined
def gates(m: Any, h: Any, g: Any, before: Any, after: Any, ahead: Any) -> None:
    """Take a GRU's step: g [m, 4h] holds n's input part, r, z and n's recurrent part; n, r and z become activations.

    after = (1 - z) * n + z * before, both [m, h]. `ahead`: what will be read next. This is all arithmetic, so that
    memory has time to answer.
    """
    one = splat(ONE)
    for i in range(m):
        prefetch_row(i, ahead)
        gi, bi, ai = g + 16 * i * h, before + 4 * i * h, after + 4 * i * h
        for j in range(0, h, W):
            r = one + exp_of_gate(splat(ZERO) - load(gi, h + j))
            z = one + exp_of_gate(splat(ZERO) - load(gi, 2 * h + j))
            both = one / (r * z)  # one division for two sigmoids
            r, z = both * z, both * r
            n = tanh(fma(r, load(gi, 3 * h + j), load(gi, j)))
            store(gi, j, n)
            store(gi, h + j, r)
            store(gi, 2 * h + j, z)
            store(ai, j, fma(z, load(bi, j) - n, n))


@outlined
def gates_backward(m: Any, h: Any, g: Any, before: Any, grad: Any, d: Any, ldd: Any, ahead: Any) -> None:
    """Write the gradients of what `gates` read, in its order, to d [m, 4h]; grad [m, h] of `after` becomes grad * z."""
    one = splat(ONE)
    for i in range(m):
        prefetch_row(i, ahead)
        gi, bi, qi, di = g + 16 * i * h, before + 4 * i * h, grad + 4 * i * h, d + 4 * i * ldd
        for j in range(0, h, W):
            n, r, z = load(gi, j), load(gi, h + j), load(gi, 2 * h + j)
            whole = load(qi, j)
            through = whole * z
            rest = whole - through
            store(qi, j, through)
            store(di, 2 * h + j, (load(bi, j) - n) * z * rest)
            of_n = rest * (one - n * n)
            of_recurrent = of_n * r
            store(di, j, of_n)
            store(di, 3 * h + j, of_recurrent)
            store(di, h + j, of_recurrent * load(gi, 3 * h + j) * (one - r))


@outlined
def moments(x: Any, h: Any, mask: Any, width: Any, eps: Any) -> Any:
    """Return mean and 1 / standard deviation of the first `width` of x [h], whose others are 0 in mask [h]."""
    added = splat(ZERO)
    for j in range(0, h, W):
        added = added + load(x, j)
    mean = total(added) / np.float32(width)
    squares = splat(ZERO)
    for j in range(0, h, W):
        off = (load(x, j) - splat(mean)) * load(mask, j)
        squares = fma(off, off, squares)
    variance = total(squares) / np.float32(width)
    return mean, np.float32(1.0 / np.sqrt(variance + eps))


@outlined
def normalise(m: Any, h: Any, width: Any, x: Any, mask: Any, weight: Any, bias: Any, eps: Any, y: Any) -> None:
    """y [m, h] = layer norm of x [m, h]."""
    for i in range(m):
        xi, yi = x + 4 * i * h, y + 4 * i * h
        mean, scale = moments(xi, h, mask, width, eps)
        for j in range(0, h, W):
            hat = (load(xi, j) - splat(mean)) * splat(scale) * load(mask, j)
            store(yi, j, fma(hat, load(weight, j), load(bias, j)))


@outlined
def normalise_backward(
    m: Any,
    h: Any,
    width: Any,
    x: Any,
    mask: Any,
    weight: Any,
    eps: Any,
    grad: Any,
    ld: Any,
    to: Any,
    add: Any,
    dw: Any,
    db: Any,
) -> None:
    """From the gradient of y write that of x to `to`, both [m, ld], or add it there; add those of weight and bias."""
    for i in range(m):
        xi, gi, ti = x + 4 * i * h, grad + 4 * i * ld, to + 4 * i * ld
        mean, scale = moments(xi, h, mask, width, eps)
        first, second = splat(ZERO), splat(ZERO)
        for j in range(0, h, W):
            hat = (load(xi, j) - splat(mean)) * splat(scale) * load(mask, j)
            store(dw, j, fma(load(gi, j), hat, load(dw, j)))
            store(db, j, load(db, j) + load(gi, j))
            of_hat = load(gi, j) * load(weight, j)
            first, second = first + of_hat, fma(of_hat, hat, second)
        average, slope = splat(total(first) / np.float32(width)), splat(total(second) / np.float32(width))
        for j in range(0, h, W):
            hat = (load(xi, j) - splat(mean)) * splat(scale) * load(mask, j)
            of_x = (load(gi, j) * load(weight, j) - average - hat * slope) * splat(scale) * load(mask, j)
            if add:
                of_x = of_x + load(ti, j)
            store(ti, j, of_x)
