"""Vectors in an orthonormal frame of what they span: Gram-Schmidt, compiled, the same bytes on any CPU.

A row has m lines, vectors of d >= m dimensions, given as two arrays, (N, p, d) and (N, q, d), p + q = m. Its frame is
Q (m, d): row k is the part of line k that the rows before it leave, made orthonormal, or zero where they leave none.
Coordinates of a line in it are m numbers; those of the lines that Q is made of form a triangle.

Each line is taken against the rows before it once more until it stops getting shorter, which leaves Q orthonormal to
rounding whatever the lines are (Daniel, Gragg, Kaufman and Stewart, Mathematics of Computation 30, 1976). No fast-math
flag: every + - * / and square root is rounded by itself, in the order written.
"""

from __future__ import annotations

import numpy as np
from numba import float64, njit, types, void
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHORTER = 0.7
"""A line that keeps more than this of its length is orthogonal to the rows before it, to rounding."""

NOTHING = 2.0**-53
"""A part of a line of at most this length, relative to the line's own, is none."""

compiled = njit(cache=True, nogil=True, error_model="numpy")

given, filled = types.Array(float64, 3, "A", readonly=True), types.Array(float64, 3, "A")
# Said outright, so that no layout a caller comes with is compiled anew.


@compiled
def _dot(a: Array, b: Array) -> float:
    """The inner product as eight sums side by side, for the eight lanes of a vector register."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    i = 0
    while i + 8 <= len(a):
        s0 += a[i] * b[i]
        s1 += a[i + 1] * b[i + 1]
        s2 += a[i + 2] * b[i + 2]
        s3 += a[i + 3] * b[i + 3]
        s4 += a[i + 4] * b[i + 4]
        s5 += a[i + 5] * b[i + 5]
        s6 += a[i + 6] * b[i + 6]
        s7 += a[i + 7] * b[i + 7]
        i += 8
    while i < len(a):
        s0 += a[i] * b[i]
        i += 1
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))


@compiled
def _add(factor: float, a: Array, x: Array) -> None:
    """x += factor a."""
    for i in range(len(x)):
        x[i] += factor * a[i]


@compiled
def _copy(a: Array, b: Array) -> None:
    """b = a, (p, d) each, column by column: lines are mostly columns of a layer."""
    for i in range(a.shape[1]):
        for k in range(len(a)):
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
        for j in range(len(Q)):
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
