"""Explicit SIMD for numba: a vector of W float32, its operators and functions, as LLVM IR.

Nothing is left to the autovectoriser, which gives up on loops like these. W is 16 where the CPU has AVX-512, else 8;
LLVM splits a vector where the CPU's registers are narrower (ARM, old x86). Memory is an address, an int64, and an index
counted in elements, because handing arrays from function to function costs more than most of these functions do.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

W = 16 if llvm.get_host_cpu_features().get("avx512f") else 8
"""Floats in a vector."""

FLOAT, I32, I64, POINTER = ir.FloatType(), ir.IntType(32), ir.IntType(64), ir.PointerType()
VECTOR, INTS = ir.VectorType(FLOAT, W), ir.VectorType(I32, W)

Builder = Any


class _VectorType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"float32x{W}")


vector = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, VECTOR)


def _add_operator(python: Any, instruction: str) -> None:
    """Let `python` (operator.add) on two vectors be an LLVM instruction."""

    class Template(ConcreteTemplate):
        cases = [signature(vector, vector, vector)]

    infer_global(python)(Template)

    def lower(context: Any, builder: Builder, sig: Any, args: Sequence[Any]) -> Any:
        return getattr(builder, instruction)(*args, flags=("contract",))

    lower_builtin(python, vector, vector)(lower)


for _python, _instruction in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
):  # fmt: skip
    _add_operator(_python, _instruction)


def pointer(builder: Builder, address: Any, index: Any = None, element: Any = FLOAT) -> Any:
    """Return the pointer to element `index` of those at `address`."""
    start = builder.inttoptr(address, POINTER)
    return start if index is None else builder.gep(start, [index], source_etype=element)


def broadcast(builder: Builder, scalar: Any) -> Any:
    """Return W copies of a float."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(INTS, [0] * W))


def constant(value: float) -> Any:
    """Return W copies of a number."""
    return ir.Constant(VECTOR, [float(value)] * W)


def fused(builder: Builder, x: Any, y: Any, z: Any) -> Any:
    """Return x * y + z, in one instruction where the CPU has it."""
    return _call(builder, "fmuladd", x, y, z)


def _call(builder: Builder, name: str, *args: Any) -> Any:
    kind = ir.FunctionType(VECTOR, [VECTOR] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{W}f32"), args)


def clamped(builder: Builder, x: Any, least: float, most: float) -> Any:
    """Return x within [least, most]."""
    for bound, sign in ((constant(least), "<"), (constant(most), ">")):
        x = builder.select(builder.fcmp_ordered(sign, x, bound), bound, x)
    return x


def polynomial(builder: Builder, x: Any, coefficients: Sequence[float]) -> Any:
    """Return the polynomial's value, highest power first."""
    value = constant(coefficients[0])
    for coefficient in coefficients[1:]:
        value = fused(builder, value, x, constant(coefficient))
    return value


def exponential(builder: Builder, x: Any, most: float = 80.0) -> Any:
    """Return exp(x) for x within [-most, most], about 1 ulp: 2^k times Cephes' polynomial of the rest."""
    x = clamped(builder, x, -most, most)
    magic = constant(12582912.0)  # 1.5 * 2^23: adding it rounds to an integer, which then stands in the lowest bits
    shifted = fused(builder, x, constant(1.4426950408889634), magic)
    k = builder.fsub(shifted, magic)
    rest = fused(builder, k, constant(-0.693359375), x)
    rest = fused(builder, k, constant(2.12194440e-4), rest)
    coefficients = (
        1.9875691500e-4,
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    )
    value = polynomial(builder, rest, coefficients)
    value = fused(builder, value, builder.fmul(rest, rest), builder.fadd(rest, constant(1.0)))
    exponent = builder.shl(builder.bitcast(shifted, INTS), ir.Constant(INTS, [23] * W))
    return builder.bitcast(builder.add(builder.bitcast(value, INTS), exponent), VECTOR)


def hyperbolic_tangent(builder: Builder, x: Any) -> Any:
    """Return tanh(x), a few ulp: the rational minimax approximation that Eigen and others use."""
    x = clamped(builder, x, -7.90531110763549805, 7.90531110763549805)
    square = builder.fmul(x, x)
    over = (
        -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
        1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
    )  # fmt: skip
    under = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
    numerator = builder.fmul(polynomial(builder, square, over), x)
    return builder.fdiv(numerator, polynomial(builder, square, under))


def _reduced(builder: Builder, x: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Return a vector's elements combined pairwise."""
    count = W
    while count > 1:
        count //= 2
        parts = [ir.Constant(ir.VectorType(I32, count), [start + i for i in range(count)]) for start in (0, count)]
        low, high = (builder.shuffle_vector(x, x, part) for part in parts)
        x = combine(low, high)
    return builder.extract_element(x, ir.Constant(I32, 0))


def _total(builder: Builder, x: Any) -> Any:
    return _reduced(builder, x, builder.fadd)


def _peak(builder: Builder, x: Any) -> Any:
    return _reduced(builder, x, lambda low, high: _largest(builder, low, high))


def _function(result: Any, takes: Sequence[Any], generate: Callable[..., Any], doc: str) -> Any:
    """Return an intrinsic of `takes` -> `result`, whose IR `generate(builder, *args)` writes."""

    def code(context: Any, builder: Builder, sig: Any, args: Sequence[Any]) -> Any:
        value = generate(builder, *args)
        return context.get_dummy_value() if result is types.void else value

    typed = result(*takes)
    makers = {
        1: lambda typing, a: (typed, code),
        2: lambda typing, a, b: (typed, code),
        3: lambda typing, a, b, c: (typed, code),
    }
    maker = makers[len(takes)]
    maker.__doc__ = doc
    return intrinsic(maker)


def _load(kind: Any, element: Any, align: int) -> Callable[..., Any]:
    def generate(builder: Builder, address: Any, index: Any) -> Any:
        return builder.load(pointer(builder, address, index, element), align=align, typ=kind)

    return generate


def _store(builder: Builder, address: Any, index: Any, value: Any) -> None:
    builder.store(value, pointer(builder, address, index), align=4)


def _store_int(builder: Builder, address: Any, index: Any, value: Any) -> None:
    builder.store(value, pointer(builder, address, index, I64), align=8)


def _prefetch(builder: Builder, address: Any, index: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [POINTER, I32, I32, I32])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    hints = [ir.Constant(I32, 0), ir.Constant(I32, 2), ir.Constant(I32, 1)]  # read, into the second level, data
    builder.call(function, [pointer(builder, address, index), *hints])


def _copy(builder: Builder, target: Any, source: Any, size: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, I64, ir.IntType(1)])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.memcpy.p0.p0.i64")
    builder.call(function, [pointer(builder, target), pointer(builder, source), size, ir.Constant(ir.IntType(1), 0)])


def _clear(builder: Builder, target: Any, size: Any) -> None:
    kind = ir.FunctionType(ir.VoidType(), [POINTER, ir.IntType(8), I64, ir.IntType(1)])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.memset.p0.i64")
    zero, no = ir.Constant(ir.IntType(8), 0), ir.Constant(ir.IntType(1), 0)
    builder.call(function, [pointer(builder, target), zero, size, no])


def _where_positive(builder: Builder, x: Any, yes: Any, no: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", x, constant(0.0)), yes, no)


def _relu(builder: Builder, x: Any) -> Any:
    return builder.select(builder.fcmp_ordered("<", x, constant(0.0)), constant(0.0), x)


def _load_available(builder: Builder, values: Any, available: Any, count: Any) -> Any:
    """Return W floats of which those beyond `count` and those whose byte is 0 are -inf."""
    kind = ir.VectorType(ir.IntType(8), W)
    bytes_ = builder.load(builder.inttoptr(available, POINTER), align=1, typ=kind)
    allowed = builder.icmp_unsigned("!=", bytes_, ir.Constant(kind, [0] * W))
    lanes, none = ir.Constant(INTS, list(range(W))), ir.Constant(INTS, ir.Undefined)
    limit = builder.insert_element(none, builder.trunc(count, I32), ir.Constant(I32, 0))
    limit = builder.shuffle_vector(limit, none, ir.Constant(INTS, [0] * W))
    allowed = builder.and_(allowed, builder.icmp_signed("<", lanes, limit))
    value = builder.load(builder.inttoptr(values, POINTER), align=4, typ=VECTOR)
    return builder.select(allowed, value, constant(float("-inf")))


def _largest(builder: Builder, x: Any, y: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _first_equal(builder: Builder, x: Any, value: Any) -> Any:
    """Return the number of the first element that equals a float, W if none does."""
    bits_kind = ir.IntType(W)
    bits = builder.bitcast(builder.fcmp_ordered("==", x, broadcast(builder, value)), bits_kind)
    wide = builder.or_(builder.zext(bits, I64), ir.Constant(I64, 1 << W))
    return builder.cttz(wide, ir.Constant(ir.IntType(1), 1))


_INT, _FLOAT = types.int64, types.float32

load = _function(vector, (_INT, _INT), _load(VECTOR, FLOAT, 4), "The vector of elements index .. index + W.")
store = _function(types.void, (_INT, _INT, vector), _store, "Write a vector to elements index .. index + W.")
load1 = _function(_FLOAT, (_INT, _INT), _load(FLOAT, FLOAT, 4), "One float.")
store1 = _function(types.void, (_INT, _INT, _FLOAT), _store, "Write one float.")
load_int = _function(_INT, (_INT, _INT), _load(I64, I64, 8), "One int64.")
load_byte = _function(types.uint8, (_INT, _INT), _load(ir.IntType(8), ir.IntType(8), 1), "One byte.")
store_int = _function(types.void, (_INT, _INT, _INT), _store_int, "Write one int64.")
copy = _function(types.void, (_INT, _INT, _INT), _copy, "Copy to an address from another so many bytes.")
clear = _function(types.void, (_INT, _INT), _clear, "Write zeros to so many bytes at an address.")
prefetch = _function(types.void, (_INT, _INT), _prefetch, "Have the cache fetch the line of an element.")
splat = _function(vector, (_FLOAT,), broadcast, "W copies of a float.")
fma = _function(vector, (vector, vector, vector), fused, "x * y + z.")
total = _function(_FLOAT, (vector,), _total, "The sum of the elements.")
peak = _function(_FLOAT, (vector,), _peak, "The largest element.")
largest = _function(vector, (vector, vector), _largest, "The larger of each two elements, y where x is NaN.")
load_available = _function(
    vector,
    (_INT, _INT, _INT),
    _load_available,
    "Floats at an address, -inf where their byte at another is 0, or beyond.",
)
first_equal = _function(_INT, (vector, _FLOAT), _first_equal, "The number of the first element equal to a float, or W.")
absolute = _function(vector, (vector,), lambda builder, x: _call(builder, "fabs", x), "|x|.")
where_positive = _function(vector, (vector, vector, vector), _where_positive, "yes where x > 0, else no.")
relu = _function(vector, (vector,), _relu, "max(x, 0), NaN where x is.")
exp = _function(vector, (vector,), exponential, "exp(x).")
exp_of_gate = _function(
    vector,
    (vector,),
    lambda builder, x: exponential(builder, x, 40.0),
    "exp(x) for |x| up to 40, which has a square.",
)
tanh = _function(vector, (vector,), hyperbolic_tangent, "tanh(x).")
