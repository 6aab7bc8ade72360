"""Numbers of several lanes in numba's compiled code: a `Vector` is one double of each lane, and stands where a float
does.

    V = vectors(A)                  A (..., LANES) as an array of vectors, within a compiled function
    x = V[i] * 2.0 + np.sqrt(y)     + - * / and sqrt, of vectors and of numbers that all lanes share
    where(x > y, x, y)              comparisons give masks; & and |, no(mask), some(mask): is it true in any lane

A function whose decisions are all made by `where` and `some` is compiled from one source for floats and for vectors.
Both do the same operations in the same order, each rounded to nearest and none fused, so a lane's bits are those of
the function of floats, whatever the CPU.
"""

# numba's interfaces for extensions have no types.
# mypy: disable-error-code="no-untyped-call, untyped-decorator, call-arg, attr-defined"

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.core.typeconv import Conversion
from numba.core.typing import signature
from numba.extending import (
    intrinsic,
    lower_builtin,
    lower_cast,
    models,
    overload,
    register_model,
    type_callable,
)
from numba.np.arrayobj import make_array, populate_array
from numpy.typing import NDArray

LANES = 8
"""Doubles in a vector: one register of AVX-512; on other CPUs LLVM takes several."""

DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
BITS = ir.VectorType(ir.IntType(1), LANES)


class _Type(types.Type):
    """A type that what all lanes share is converted to."""

    shared: tuple[type, ...]

    def unify(self, context: Any, other: Any) -> Any:
        return self if isinstance(other, self.shared) else None

    def can_convert_from(self, context: Any, other: Any) -> Any:
        return Conversion.safe if isinstance(other, self.shared) else None


class VectorType(_Type):
    shared = (types.Float, types.Integer)


class MaskType(_Type):
    shared = (types.Boolean,)


VECTOR, MASK = VectorType(f"vector of {LANES}"), MaskType(f"mask of {LANES}")


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, DOUBLES)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, BITS)


@lower_cast(types.Float, VectorType)
@lower_cast(types.Integer, VectorType)
@lower_cast(types.Boolean, MaskType)
def _spread(context: Any, builder: Any, given: Any, wanted: Any, value: Any) -> Any:
    """A number in every lane."""
    one = types.float64 if wanted == VECTOR else types.boolean
    vector, value = (DOUBLES if wanted == VECTOR else BITS), context.cast(builder, value, given, one)
    nothing, first = ir.Constant(vector, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(builder.insert_element(nothing, value, first), nothing, zeros)


# --- operators ------------------------------------------------------------------------------------------------------


def _define(function: Any, result: Any, of: Any, emit: Callable[[Any, list[Any]], Any]) -> None:
    """function(a, b) of the type `of`, or of one of it and one that all lanes share."""

    @type_callable(function)
    def typed(context: Any) -> Any:
        def of_two(a: Any, b: Any) -> Any:
            given = (a, b)
            if of in given and all(one == of or isinstance(one, of.shared) for one in given):
                return signature(result, of, of)
            return None

        return of_two

    @lower_builtin(function, of, of)
    def lowered(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit(builder, args)


def _instruction(name: str) -> Callable[[Any, list[Any]], Any]:
    return lambda builder, args: getattr(builder, name)(*args)


def _comparison(sign: str) -> Callable[[Any, list[Any]], Any]:
    return lambda builder, args: builder.fcmp_ordered(sign, *args)  # false where one of them is no number


for _name, _kind in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    _define(getattr(operator, _name), VECTOR, VECTOR, _instruction(_kind))
    _define(getattr(operator, f"i{_name}"), VECTOR, VECTOR, _instruction(_kind))
for _name, _kind in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")):
    _define(getattr(operator, _name), MASK, VECTOR, _comparison(_kind))
for _name in ("and_", "or_"):
    _define(getattr(operator, _name), MASK, MASK, _instruction(_name))


@type_callable(operator.neg)
def _negated(context: Any) -> Any:
    return lambda x: VECTOR if x == VECTOR else None


@lower_builtin(operator.neg, VECTOR)
def _negate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.fneg(args[0])


@intrinsic
def _root(typing: Any, x: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(DOUBLES, [DOUBLES])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64"), args)

    return VECTOR(VECTOR), emit


@overload(np.sqrt)
def _sqrt(x: Any) -> Any:
    def of_vector(x: Any) -> Any:
        return _root(x)

    return of_vector if x == VECTOR else None


# --- decisions ------------------------------------------------------------------------------------------------------


@intrinsic
def _select(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*args)

    return VECTOR(MASK, VECTOR, VECTOR), emit


@intrinsic
def _any(typing: Any, mask: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = ir.IntType(LANES)
        return builder.icmp_unsigned("!=", builder.bitcast(args[0], word), ir.Constant(word, 0))

    return types.boolean(MASK), emit


@intrinsic
def _not(typing: Any, mask: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.not_(args[0])

    return MASK(MASK), emit


def where(mask: Any, a: Any, b: Any) -> Any:
    """a where the mask is true, else b, lane by lane."""
    return a if mask else b


def some(mask: Any) -> Any:
    """Whether the mask is true in any lane."""
    return mask


def no(mask: Any) -> Any:
    """The mask's opposite."""
    return not mask


def larger(a: Any, b: Any) -> Any:
    """a where a > b, else b."""
    return where(a > b, a, b)


def smaller(a: Any, b: Any) -> Any:
    """a where a < b, else b."""
    return where(a < b, a, b)


@overload(where)
def _where(mask: Any, a: Any, b: Any) -> Any:
    def of_vectors(mask: Any, a: Any, b: Any) -> Any:
        return _select(mask, a, b)

    return of_vectors if mask == MASK else where


@overload(some)
def _some(mask: Any) -> Any:
    def of_mask(mask: Any) -> Any:
        return _any(mask)

    return of_mask if mask == MASK else some


@overload(no)
def _no(mask: Any) -> Any:
    def of_mask(mask: Any) -> Any:
        return _not(mask)

    return of_mask if mask == MASK else no


@overload(larger)
def _larger(a: Any, b: Any) -> Any:
    return larger


@overload(smaller)
def _smaller(a: Any, b: Any) -> Any:
    return smaller


# --- memory ---------------------------------------------------------------------------------------------------------


def _as_vectors(context: Any, builder: Any, given: Any, value: Any) -> Any:
    """The array of vectors in the memory of an array of floats."""
    result = _of_vectors(given)
    array, out = make_array(given)(context, builder, value), make_array(result)(context, builder)
    populate_array(
        out,
        data=builder.bitcast(array.data, out.data.type),
        shape=cgutils.pack_array(builder, cgutils.unpack_tuple(builder, array.shape)[:-1]),
        strides=cgutils.pack_array(builder, cgutils.unpack_tuple(builder, array.strides)[:-1]),
        itemsize=context.get_constant(types.intp, 8 * LANES),
        meminfo=array.meminfo,
        parent=array.parent,
    )
    return out._getvalue()


def _of_vectors(array: Any) -> Any:
    return types.Array(VECTOR, array.ndim - 1, "C", aligned=False)


@intrinsic
def _vectors(typing: Any, given: Any) -> Any:
    of_one = isinstance(given, types.Array)
    arrays = [given] if of_one else list(given.types)
    if not all(one.dtype == types.float64 and one.layout == "C" for one in arrays):
        return None
    results = [_of_vectors(one) for one in arrays]
    result = results[0] if of_one else types.NamedTuple(results, given.instance_class)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if of_one:
            return impl_ret_borrowed(context, builder, result, _as_vectors(context, builder, given, args[0]))
        items = [_as_vectors(context, builder, one, builder.extract_value(args[0], k)) for k, one in enumerate(arrays)]
        return impl_ret_borrowed(context, builder, result, context.make_tuple(builder, result, items))

    return result(given), emit


vectors: Any = _vectors
"""vectors(A): the same memory, (..., LANES) and contiguous, as an array of vectors; of a named tuple, each array."""


def zeros(*shape: int) -> NDArray[np.float64]:
    """An array for `vectors`: (*shape, LANES) zeros that begin at a multiple of a vector's size."""
    size = int(np.prod(shape)) * LANES
    memory = np.zeros(size + LANES)
    first = -memory.ctypes.data // 8 % LANES
    return memory[first : first + size].reshape(*shape, LANES)
