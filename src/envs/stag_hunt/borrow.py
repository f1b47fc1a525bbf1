"""Arrays without reference counts, for kernels."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic


def _borrow(typing_context: Any, arrays: Any) -> Any:
    """Return the tuple of arrays as views that own nothing; the caller of the kernel keeps the arrays alive.

    Numba counts references to each array of a tuple wherever the tuple is handed on, with atomic instructions. That
    took more than half of a step's time.
    """
    kinds: Any = arrays
    if not isinstance(arrays, types.BaseTuple) or not all(isinstance(kind, types.Array) for kind in kinds):
        return None

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        members = []
        for i, kind in enumerate(signature.args[0]):
            array = context.make_array(kind)(context, builder, value=builder.extract_value(args[0], i))
            array.meminfo = context.get_constant_null(types.MemInfoPointer(types.voidptr))
            array.parent = context.get_constant_null(types.pyobject)
            members.append(array._getvalue())
        return context.make_tuple(builder, signature.return_type, members)

    return arrays(arrays), generate


borrow: Any = intrinsic(_borrow)
