"""Products of small matrices, written as tiles that live in registers.

`multiply` is C = max(init + A B, floor), `multiply_transposed` is C += A^T B; all of float32, row-major. B comes in
panels of 2 W columns, of which the last may be W wide: `packed` makes them of weights, and a row-major matrix is one
whose panels start 2 W floats apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pymarl.kernels.simd import FLOAT, I64, VECTOR, Builder, W, broadcast, constant, fused, pointer
from pymarl.utils.jit import outlined

ROWS = 8 if W == 16 else 6
"""Rows of a tile: with two vectors per row the accumulators fill half of AVX-512's registers, 12 of AVX2's 16."""

UNROLLED = 4  # steps along k in one turn of a tile's loop

NO_FLOOR = np.float32(-np.inf)
RELU = np.float32(0)


class _Tile:
    """The IR of one tile: its accumulators run along k.

    Args:
        builder: at the place to write to.
        rows, vectors: its size.
        transposed: A's k are `lda` apart, its rows adjacent; else the other way round.
        lda, ldb: as for `multiply`.
    """

    def __init__(self, builder: Builder, rows: int, vectors: int, transposed: bool, lda: Any, ldb: Any) -> None:
        self.builder, self.rows, self.vectors, self.transposed, self.lda, self.ldb = (
            builder, rows, vectors, transposed, lda, ldb,
        )  # fmt: skip

    def at(self, start: Any, offset: Any) -> Any:
        return self.builder.gep(start, [offset], source_etype=FLOAT)

    def vectors_at(self, start: Any) -> list[Any]:
        places = [self.at(start, ir.Constant(I64, v * W)) for v in range(self.vectors)]
        return [self.builder.load(place, align=4, typ=VECTOR) for place in places]

    def step(self, a: Sequence[Any], b: Any, sums: Sequence[Any], k: int) -> list[Any]:
        """Add the k-th outer product from here."""
        factors = self.vectors_at(self.at(b, self.builder.mul(self.ldb, ir.Constant(I64, k))) if k else b)
        column = self.at(a[0], self.builder.mul(self.lda, ir.Constant(I64, k))) if self.transposed and k else a[0]
        after: list[Any] = []
        for row in range(self.rows):
            place = self.at(column, ir.Constant(I64, row)) if self.transposed else self.at(a[row], ir.Constant(I64, k))
            factor = broadcast(self.builder, self.builder.load(place, align=4, typ=FLOAT))
            for v in range(self.vectors):
                after.append(fused(self.builder, factor, factors[v], sums[self.vectors * row + v]))
        return after

    def loop(self, a: list[Any], b: Any, sums: list[Any], turns: Any, steps: int) -> tuple[list[Any], Any, list[Any]]:
        """Take `turns` times `steps` steps."""
        builder, before = self.builder, self.builder.block
        head, body, end = (builder.append_basic_block(name) for name in ("head", "body", "end"))
        builder.branch(head)
        builder.position_at_end(head)
        turn = builder.phi(I64)
        turn.add_incoming(ir.Constant(I64, 0), before)
        carried = []
        for value in (*a, b, *sums):
            phi = builder.phi(value.type)
            phi.add_incoming(value, before)
            carried.append(phi)
        a_now, b_now, sums_now = carried[: len(a)], carried[len(a)], carried[len(a) + 1 :]
        builder.cbranch(builder.icmp_signed("<", turn, turns), body, end)
        builder.position_at_end(body)
        new = sums_now
        for k in range(steps):
            new = self.step(a_now, b_now, new, k)
        count = ir.Constant(I64, steps)
        a_next = [self.at(place, builder.mul(self.lda, count) if self.transposed else count) for place in a_now]
        b_next = self.at(b_now, builder.mul(self.ldb, count))
        turn.add_incoming(builder.add(turn, ir.Constant(I64, 1)), builder.block)
        for phi, value in zip(carried, [*a_next, b_next, *new], strict=True):
            phi.add_incoming(value, builder.block)
        builder.branch(head)
        builder.position_at_end(end)
        return a_now, b_now, sums_now

    def product(self, a: list[Any], b: Any, sums: list[Any], k: Any) -> list[Any]:
        """Return the accumulators after k steps."""
        many = self.builder.sdiv(k, ir.Constant(I64, UNROLLED))
        rest = self.builder.sub(k, self.builder.mul(many, ir.Constant(I64, UNROLLED)))
        a, b, sums = self.loop(a, b, sums, many, UNROLLED)
        return self.loop(a, b, sums, rest, 1)[2]


def _make_tile(rows: int, vectors: int, transposed: bool) -> Any:
    """Return the function of one tile.

    A tile of A^T B begins at zero and is then added to C: a sum of sums has smaller rounding errors.
    """

    def code(context: Any, builder: Builder, sig: Any, args: Sequence[Any]) -> Any:
        a, lda, b, ldb, c, ldc, init, ldi, k, floor = args
        tile = _Tile(builder, rows, vectors, transposed, lda, ldb)
        sums: list[Any] = []
        for row in range(rows):
            start = pointer(builder, init, builder.mul(ldi, ir.Constant(I64, row)))
            sums += [constant(0.0)] * vectors if transposed else tile.vectors_at(start)
        first = builder.inttoptr(a, ir.PointerType())
        starts = range(1 if transposed else rows)
        lines = [tile.at(first, builder.mul(lda, ir.Constant(I64, row))) if row else first for row in starts]
        sums = tile.product(lines, pointer(builder, b), sums, k)
        least = broadcast(builder, floor)
        for row in range(rows):
            start = pointer(builder, c, builder.mul(ldc, ir.Constant(I64, row)))
            for v in range(vectors):
                value, place = sums[vectors * row + v], tile.at(start, ir.Constant(I64, v * W))
                if transposed:
                    value = builder.fadd(value, builder.load(place, align=4, typ=VECTOR))
                else:
                    value = builder.select(builder.fcmp_ordered("<", value, least), least, value)
                builder.store(value, place, align=4)
        return context.get_dummy_value()

    @intrinsic
    def tile(
        typing: Any, a: Any, lda: Any, b: Any, ldb: Any, c: Any, ldc: Any, init: Any, ldi: Any, k: Any, floor: Any
    ) -> Any:
        return types.void(*[types.int64] * 9, types.float32), code

    return tile


def _make_strip(vectors: int, transposed: bool) -> Any:
    """Return a function that computes `vectors * W` columns of C, in tiles of falling height."""
    full, four, two, one = (_make_tile(rows, vectors, transposed) for rows in (ROWS, 4, 2, 1))

    def strip(
        m: Any, k: Any, a: Any, lda: Any, b: Any, ldb: Any, c: Any, ldc: Any, init: Any, ldi: Any, floor: Any
    ) -> None:
        line = 1 if transposed else lda
        row = 0
        while m - row >= ROWS:
            full(a + 4 * row * line, lda, b, ldb, c + 4 * row * ldc, ldc, init + 4 * row * ldi, ldi, k, floor)
            row += ROWS
        if m - row >= 4:
            four(a + 4 * row * line, lda, b, ldb, c + 4 * row * ldc, ldc, init + 4 * row * ldi, ldi, k, floor)
            row += 4
        if m - row >= 2:
            two(a + 4 * row * line, lda, b, ldb, c + 4 * row * ldc, ldc, init + 4 * row * ldi, ldi, k, floor)
            row += 2
        if m - row >= 1:
            one(a + 4 * row * line, lda, b, ldb, c + 4 * row * ldc, ldc, init + 4 * row * ldi, ldi, k, floor)

    # Compiled code is linked by name, across what other processes have left in numba's cache: names must be unique.
    strip.__qualname__ = f"strip_of_{vectors}{'_transposed' * transposed}"
    return outlined(strip)


_wide, _narrow = _make_strip(2, False), _make_strip(1, False)
_wide_transposed, _narrow_transposed = _make_strip(2, True), _make_strip(1, True)


@outlined
def multiply(
    m: Any, n: Any, k: Any, a: Any, lda: Any, b: Any, c: Any, ldc: Any, init: Any, ldi: Any, floor: Any
) -> None:
    """C [m, n] = max(init [m, n] + A [m, k] B [k, n], floor), B packed; n a multiple of W. ldi 0 repeats one row."""
    for j in range(0, n - W, 2 * W):
        _wide(m, k, a, lda, b + 4 * j * k, 2 * W, c + 4 * j, ldc, init + 4 * j, ldi, floor)
    if n % (2 * W):
        j = n - W
        _narrow(m, k, a, lda, b + 4 * j * k, W, c + 4 * j, ldc, init + 4 * j, ldi, floor)


@outlined
def multiply_transposed(m: Any, n: Any, k: Any, a: Any, lda: Any, b: Any, ldb: Any, c: Any, ldc: Any) -> None:
    """C [m, n] += A^T B for A [k, m] and B [k, n]; n a multiple of W."""
    for j in range(0, n - W, 2 * W):
        _wide_transposed(m, k, a, lda, b + 4 * j, ldb, c + 4 * j, ldc, c, 0, NO_FLOOR)
    if n % (2 * W):
        j = n - W
        _narrow_transposed(m, k, a, lda, b + 4 * j, ldb, c + 4 * j, ldc, c, 0, NO_FLOOR)
