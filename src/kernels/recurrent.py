"""fc1, relu, GRU cell and fc2 over one strip of packed rows, forward and backward, through all of its slots.

A strip is a range of rows, the same in every slot; its activations of one slot, some hundred kilobytes, stay in cache
until the next slot has used them. Each slot's activations are, if a backward pass will come, u (fc1's output before its
layer norm, if there is one) [m, h], x [m, h], the gates [m, 4h] and the state after it [m, h].
"""

from __future__ import annotations

from typing import Any

from pymarl.kernels.records import Ahead
from pymarl.kernels.rows import (
    PAD,
    ZERO,
    add_rows,
    copy,
    fill,
    gates,
    gates_backward,
    gather,
    keep_positive,
    normalise,
    normalise_backward,
    scatter,
)  # fmt: skip
from pymarl.kernels.simd import W, fma, load, load1, load_int, relu, splat, store, store1
from pymarl.kernels.stamp import STAMP
from pymarl.kernels.tiles import NO_FLOOR, RELU, multiply, multiply_transposed
from pymarl.utils.jit import kernel, outlined


@outlined
def embed(m: Any, row: Any, sizes: Any, weights: Any, rows: Any, x: Any) -> None:
    """x [m, h] = fc1's bias and its columns of the one-hots."""
    h = sizes.h
    for i in range(m):
        copy(x + 4 * i * h, weights.bias, h)
        for k in range(sizes.hots):
            hot = load_int(load_int(rows.hots, 3 * k), row + i)
            if 0 <= hot < load_int(rows.hots, 3 * k + 2):
                column = weights.table + 4 * h * (hot + load_int(rows.hots, 3 * k + 1))
                for j in range(0, h, W):
                    store(x, i * h + j, load(x, i * h + j) + load(column, j))


@outlined
def features_of(m: Any, row: Any, sizes: Any, rows: Any, scratch: Any) -> Any:
    """Return the address of a slot's features [m, o], gathered to `scratch` if they lie apart."""
    if rows.places == 0:
        return rows.features + 4 * row * sizes.o
    gather(scratch, m, sizes.o, rows.features, rows.places, row)
    return scratch


@outlined
def head_forward(m: Any, row: Any, sizes: Any, weights: Any, state: Any, scratch: Any, outputs: Any) -> None:
    """Write the outputs [m, a] of states [m, h]; scratch: [m, h + a_padded]."""
    h, out = sizes.h, scratch + 4 * m * sizes.h
    if sizes.norm_out:
        normalise(
            m, h, sizes.width, state, weights.mask, weights.out_weight, weights.out_bias, weights.out_eps, scratch
        )
        state = scratch
    multiply(m, sizes.a_padded, h, state, h, weights.head, out, sizes.a_padded, weights.head_bias, 0, NO_FLOOR)
    scatter(outputs + 4 * row * sizes.a, m, sizes.a, out, sizes.a_padded)


@outlined
def cell_forward(
    m: Any,
    row: Any,
    sizes: Any,
    weights: Any,
    rows: Any,
    before: Any,
    u: Any,
    x: Any,
    g: Any,
    after: Any,
    scratch: Any,
    ahead: Any,
) -> None:
    """Take one slot's step. before, u (fc1's output), x (after its relu), after: [m, h]; g: [m, 4h]."""
    h, o = sizes.h, sizes.o
    features = features_of(m, row, sizes, rows, scratch)
    embed(m, row, sizes, weights, rows, u)
    floor = NO_FLOOR if sizes.norm_in else RELU
    multiply(m, h, o, features, o, weights.obs, u, h, u, h, floor)
    if sizes.norm_in:
        normalise(m, h, sizes.width, u, weights.mask, weights.in_weight, weights.in_bias, weights.in_eps, x)
        for j in range(0, m * h, W):
            store(x, j, relu(load(x, j)))
    multiply(m, 3 * h, h, x, h, weights.inp, g, 4 * h, weights.inp_bias, 0, NO_FLOOR)
    multiply(m, 2 * h, h, before, h, weights.rec_rz, g + 4 * h, 4 * h, g + 4 * h, 4 * h, NO_FLOOR)
    multiply(m, h, h, before, h, weights.rec_n, g + 12 * h, 4 * h, weights.rec_n_bias, 0, NO_FLOOR)
    gates(m, h, g, before, after, ahead)


@outlined
def forward_strip(
    strip: Any, sizes: Any, weights: Any, rows: Any, keep: Any, memory: Any, scratch: Any, outputs: Any, states: Any
) -> None:
    """Run a strip. memory: of each slot's activations, or if not `keep` of one slot's and one more state.

    outputs [R, a] and states [R, h] are addresses; 0 for what is not wanted.
    """
    h = sizes.h
    before = rows.hidden + 4 * load_int(strip.first, 0) * h
    base = memory
    spare = memory + 4 * (6 + sizes.norm_in) * load_int(strip.sizes, 0) * h
    for t in range(strip.slots):
        m, row = load_int(strip.sizes, t), load_int(strip.first, t)
        x = base + 4 * sizes.norm_in * m * h
        g = x + 4 * m * h
        after = g + 16 * m * h
        if not keep and t % 2:
            after = spare
        count, first = 0, 0
        if t + 1 < strip.slots:
            count, first = load_int(strip.sizes, t + 1), load_int(strip.first, t + 1)
        ahead = Ahead(rows.features, rows.places, first, count, sizes.o)
        cell_forward(m, row, sizes, weights, rows, before, base, x, g, after, scratch, ahead)
        if outputs != 0:
            head_forward(m, row, sizes, weights, after, scratch, outputs)
        if states != 0:
            copy(states + 4 * row * h, after, m * h)
        if keep:
            base = after + 4 * m * h
        before = after


@outlined
def head_backward(
    m: Any, row: Any, sizes: Any, weights: Any, state: Any, dh: Any, scratch: Any, d_outputs: Any, grads: Any
) -> None:
    """Add to dh [m, h] what the outputs' gradients say. Most of them are zero where actions were chosen: skipped."""
    h, a, to = sizes.h, sizes.a, dh
    if sizes.norm_out:
        to = scratch + 4 * m * h
        fill(to, m * h, ZERO)
        weight, bias, eps = weights.out_weight, weights.out_bias, weights.out_eps
        normalise(m, h, sizes.width, state, weights.mask, weight, bias, eps, scratch)
        normed = scratch
    else:
        normed = state
    for i in range(m):
        for k in range(a):
            grad = load1(d_outputs, (row + i) * a + k)
            if grad != ZERO:
                store1(grads.head_bias, k, load1(grads.head_bias, k) + grad)
                many = splat(grad)
                for j in range(0, h, W):
                    at, column = i * h + j, k * h + j
                    store(to, at, fma(many, load(weights.head_rows, column), load(to, at)))
                    store(grads.head, column, fma(many, load(normed, at), load(grads.head, column)))
    if sizes.norm_out:
        normalise_backward(
            m, h, sizes.width, state, weights.mask, weights.out_weight, weights.out_eps, to, h, dh, True,
            grads.out_weight, grads.out_bias,
        )  # fmt: skip


@outlined
def cell_backward(
    m: Any,
    sizes: Any,
    weights: Any,
    before: Any,
    u: Any,
    x: Any,
    g: Any,
    dh: Any,
    d: Any,
    dx: Any,
    grads: Any,
    ahead: Any,
) -> None:
    """From dh [m, h] of the state after a slot make that of the state before, and dx [m, h] of fc1's output."""
    h, ldd, ldx = sizes.h, 4 * sizes.h + PAD, sizes.h + PAD
    gates_backward(m, h, g, before, dh, d, ldd, ahead)
    multiply(m, h, 3 * h, d + 4 * h, ldd, weights.rec_back, dh, h, dh, h, NO_FLOOR)
    multiply_transposed(h, 3 * h, m, before, h, d + 4 * h, ldd, grads.rec, 3 * h)
    multiply(m, h, 3 * h, d, ldd, weights.inp_back, dx, ldx, weights.zeros, 0, NO_FLOOR)
    multiply_transposed(h, 3 * h, m, x, h, d, ldd, grads.inp, 3 * h)
    add_rows(grads.gates, m, 4 * h, d, ldd)
    keep_positive(m, h, dx, ldx, x, h)
    if sizes.norm_in:
        normalise_backward(
            m, h, sizes.width, u, weights.mask, weights.in_weight, weights.in_eps, dx, ldx, dx, False, grads.in_weight,
            grads.in_bias,
        )  # fmt: skip


@outlined
def embed_backward(m: Any, row: Any, sizes: Any, rows: Any, dx: Any, ldx: Any, grads: Any) -> None:
    """Add dx [m, h] to the gradients of fc1's bias and of its columns of the one-hots."""
    h = sizes.h
    add_rows(grads.bias, m, h, dx, ldx)
    for k in range(sizes.hots):
        address, first = load_int(rows.hots, 3 * k), load_int(rows.hots, 3 * k + 1)
        width = load_int(rows.hots, 3 * k + 2)
        for i in range(m):
            hot = load_int(address, row + i)
            if 0 <= hot < width:
                column = grads.table + 4 * h * (first + hot)
                for j in range(0, h, W):
                    store(column, j, load(column, j) + load(dx, i * ldx + j))


@outlined
def inputs_backward(
    m: Any, row: Any, sizes: Any, weights: Any, rows: Any, dx: Any, scratch: Any, ends: Any, grads: Any
) -> None:
    """From dx [m, h] of fc1's output add to its gradients; write those of the features if wanted."""
    h, o, ldx = sizes.h, sizes.o, sizes.h + PAD
    embed_backward(m, row, sizes, rows, dx, ldx, grads)
    features = features_of(m, row, sizes, rows, scratch)
    multiply_transposed(o, h, m, features, o, dx, ldx, grads.obs, h)
    if ends.features != 0:
        padded = (o + W - 1) // W * W
        bias = scratch + 4 * m * padded
        fill(bias, padded, ZERO)
        multiply(m, padded, h, dx, ldx, weights.obs_back, scratch, padded, bias, 0, NO_FLOOR)
        scatter(ends.features + 4 * row * o, m, o, scratch, padded)


@outlined
def backward_strip(
    strip: Any, sizes: Any, weights: Any, rows: Any, memory: Any, scratch: Any, ends: Any, grads: Any
) -> None:
    """Add a strip's gradients. scratch: [m0, 4h + PAD], [m0, h], [m0, h + PAD] and what a slot needs beside."""
    h, m0 = sizes.h, load_int(strip.sizes, 0)
    dh = scratch + 4 * m0 * (4 * h + PAD)
    dx = dh + 4 * m0 * h
    other = dx + 4 * m0 * (h + PAD)
    base, later = memory, 0
    for t in range(strip.slots):
        base += 4 * (6 + sizes.norm_in) * load_int(strip.sizes, t) * h
    for t in range(strip.slots - 1, -1, -1):
        m, row = load_int(strip.sizes, t), load_int(strip.first, t)
        base -= 4 * (6 + sizes.norm_in) * m * h
        x = base + 4 * sizes.norm_in * m * h
        g, after = x + 4 * m * h, x + 20 * m * h
        before = base - 4 * load_int(strip.sizes, t - 1) * h if t > 0 else rows.hidden + 4 * row * h
        fill(dh + 4 * later * h, (m - later) * h, ZERO)
        if ends.states != 0:
            for j in range(0, m * h, W):
                store(dh, j, load(dh, j) + load(ends.states, row * h + j))
        if ends.outputs != 0:
            head_backward(m, row, sizes, weights, after, dh, other, ends.outputs, grads)
        ahead = Ahead(rows.features, rows.places, row, m, sizes.o)
        cell_backward(m, sizes, weights, before, base, x, g, dh, scratch, dx, grads, ahead)
        inputs_backward(m, row, sizes, weights, rows, dx, other, ends, grads)
        later = m
    if ends.hidden != 0:
        copy(ends.hidden + 4 * load_int(strip.first, 0) * h, dh, m0 * h)


def _compile(stamp: str) -> Any:
    """Return the kernels; `stamp` makes compiled code of other sources unfit."""

    @kernel
    def forward(
        strip: Any, sizes: Any, weights: Any, rows: Any, keep: Any, memory: Any, scratch: Any, outputs: Any, states: Any
    ) -> None:
        stamp  # noqa: B018
        forward_strip(strip, sizes, weights, rows, keep, memory, scratch, outputs, states)

    @kernel
    def backward(
        strip: Any, sizes: Any, weights: Any, rows: Any, memory: Any, scratch: Any, ends: Any, grads: Any
    ) -> None:
        stamp  # noqa: B018
        backward_strip(strip, sizes, weights, rows, memory, scratch, ends, grads)

    return forward, backward


forward, backward = _compile(STAMP)
