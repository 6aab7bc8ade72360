"""Vectors in an orthonormal frame of what they span, by compiled Gram-Schmidt, with the same bytes on any CPU.

A row has m lines, which are vectors of d >= m dimensions, given as two arrays, (N, p, d) and (N, q, d), p + q = m. Its
frame is Q (m, d). Row k is the part of line k that is orthogonal to the rows before it, made of length one, or zero if
there is no such part. A line has m coordinates in the frame. Those of the lines that Q is made of form a triangle.

Each line is orthogonalised again until it stops getting shorter. This leaves Q orthonormal to rounding, whatever the
lines are (Daniel, Gragg, Kaufman and Stewart, Mathematics of Computation 30, 1976). There is no fast-math flag: every
+ - * / and square root is rounded by itself, in the order written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import float64, types, void
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from basins.jit_cache import njit

Array = NDArray[np.float64]

SHORTER = 0.7
"""A line that keeps more than this of its length is orthogonal to the rows before it, to rounding."""

NOTHING = 2.0**-53
"""A part of a line of at most this length, relative to the line's own, counts as zero."""

compiled = njit(cache=True, nogil=True, error_model="numpy")

given, filled = types.Array(float64, 3, "A", readonly=True), types.Array(float64, 3, "A")
# Explicit signatures, so that another memory layout of an argument does not compile the code again.


TILE = 64
"""Entries of a line copied at a time: it changes speed and no byte."""

LANES, SUMS = 8, 2
build: Any = cgutils  # which has no types


def _inner(context: Any, a: Any, b: Any) -> Any:
    """The inner product of two contiguous arrays, up to the last whole 16 of their numbers.

    Sixteen sums side by side, then their halves added. A compiler that may not reorder additions cannot make such
    vector sums of a single sum.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, index = ir.VectorType(ir.DoubleType(), LANES), ir.IntType(64)
        x, y = (context.make_array(kind)(context, builder, one) for kind, one in zip((a, b), arguments, strict=True))
        sums = [build.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in range(SUMS)]
        whole = builder.udiv(builder.extract_value(x.shape, 0), ir.Constant(index, SUMS * LANES))
        with build.for_range(builder, whole) as loop:
            for k, total in enumerate(sums):
                line = builder.add(builder.mul(loop.index, ir.Constant(index, SUMS)), ir.Constant(index, k))
                at = [builder.gep(builder.bitcast(one.data, vector.as_pointer()), [line]) for one in (x, y)]
                product = builder.fmul(*(builder.load(one, align=8) for one in at))
                builder.store(builder.fadd(builder.load(total), product), total)
        eight = builder.fadd(*(builder.load(total) for total in sums))
        parts = [builder.extract_element(eight, ir.Constant(ir.IntType(32), k)) for k in range(LANES)]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [builder.fadd(parts[k], parts[k + half]) for k in range(half)]
        return parts[0]

    return float64(a, b), generate


inner: Any = intrinsic(_inner)


@compiled
def _dot(a: Array, b: Array) -> float:
    total = inner(a, b)
    for i in range(len(a) // 16 * 16, len(a)):
        total += a[i] * b[i]
    return total  # type: ignore[no-any-return]


@compiled
def _add(factor: float, a: Array, x: Array) -> None:
    """x += factor a."""
    for i in range(len(x)):
        x[i] += factor * a[i]


@compiled
def _add_four(f0: float, f1: float, f2: float, f3: float, a: Array, x: Array) -> None:
    """x += f0 a[0] + ... + f3 a[3], one after the other."""
    a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
    for i in range(len(x)):
        x[i] = (((x[i] + f0 * a0[i]) + f1 * a1[i]) + f2 * a2[i]) + f3 * a3[i]


@compiled
def _copy(a: Array, b: Array) -> None:
    """b = a, (p, d) each, a tile at a time: most lines are columns of a layer, and columns share cache lines."""
    d = a.shape[1]
    for first in range(0, d, TILE):
        for k in range(len(a)):
            for i in range(first, min(first + TILE, d)):
                b[k, i] = a[k, i]


@compiled
def _orthonormalise(Q: Array, R: Array) -> None:
    """Lines Q (m, d) become their frame, and R (m, m) their coordinates in it: line k was sum_j R[k, j] Q[j].

    A line whose square overflows has coordinates nan, and so have those after it.
    """
    for k in range(len(Q)):
        for j in range(len(Q)):
            R[k, j] = 0.0
        line = Q[k]
        length = before = np.sqrt(_dot(line, line))
        while True:
            for j in range(k):
                r = _dot(Q[j], line)
                R[k, j] += r
                _add(-r, Q[j], line)
            after = np.sqrt(_dot(line, line)) if length < np.inf else np.nan
            if after <= NOTHING * length:
                for i in range(len(line)):
                    line[i] = 0.0
                break
            if not after <= SHORTER * before:
                R[k, k] = after
                for i in range(len(line)):
                    line[i] /= after
                break
            before = after


@njit(void(given, given, filled, filled), cache=True, nogil=True, error_model="numpy")
def coordinates(a: Array, b: Array, a_out: Array, b_out: Array) -> None:
    """The coordinates (N, p, m), (N, q, m) of lines a (N, p, d), b (N, q, d) in the frame of each row."""
    N, p, d = a.shape
    m = p + b.shape[1]
    Q, R = np.empty((m, d)), np.empty((m, m))
    for row in range(N):
        _copy(a[row], Q[:p])
        _copy(b[row], Q[p:])
        _orthonormalise(Q, R)
        _copy(R[:p], a_out[row])
        _copy(R[p:], b_out[row])


@compiled
def _write(y: Array, Q: Array, X: Array, out: Array) -> None:
    """out (p, d) = y Q, y (p, m); X (p, d): room."""
    for k in range(len(X)):
        for i in range(X.shape[1]):
            X[k, i] = 0.0
        fours = len(Q) // 4 * 4
        for j in range(0, fours, 4):
            _add_four(y[k, j], y[k, j + 1], y[k, j + 2], y[k, j + 3], Q[j : j + 4], X[k])
        for j in range(fours, len(Q)):
            _add(y[k, j], Q[j], X[k])
    _copy(X, out)


@njit(void(given, given, given, given, filled, filled), cache=True, nogil=True, error_model="numpy")
def vectors(a: Array, b: Array, a_in: Array, b_in: Array, a_out: Array, b_out: Array) -> None:
    """The vectors a_out (N, p, d), b_out (N, q, d) of coordinates a_in (N, p, m), b_in (N, q, m) in the frame of lines
    a, b."""
    N, p, d = a.shape
    m = p + b.shape[1]
    Q, R, X = np.empty((m, d)), np.empty((m, m)), np.empty((m, d))
    for row in range(N):
        _copy(a[row], Q[:p])
        _copy(b[row], Q[p:])
        _orthonormalise(Q, R)
        _write(a_in[row], Q, X[:p], a_out[row])
        _write(b_in[row], Q, X[p:], b_out[row])
