"""Upper bounds in round-to-nearest double precision: no rounding mode, no libm, no fast-math.

Every bound of this room is a sum of products, quotients and square roots of NON-NEGATIVE floats. Each such operation
is off by a factor of at most 1 + u, u = 2^-53, so a result of fewer than 4,000 of them, times UP, is an upper bound of
the exact value. What underflows loses at most 2^-1022 an operation, even if the CPU flushes subnormals to zero: TINY is
added wherever such a loss can enter. Longer sums have their own factor (`frobenius`). docs/proofs.md, Rounding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from basins.codegen.vectors import larger, no, some, where
from basins.jit_cache import njit
from basins.rounding import U

index = np.uintp
"""Indices in the innermost loops are unsigned: numba knows then that none counts from the end, and spares an access a
test. Twice as fast, and the same bytes."""

UP = 1.0 + 1e-12
"""9,000 u: more than 4,000 operations can be off, with as much again to spare."""

TINY = 1e-280
"""More than underflow can take from any bound here: 10^25 operations of 2^-1022, each then times 10^2."""

SMALL_SQUARE = 1e-290
"""Added to a sum of squares, whose terms may underflow."""

LARGEST = 1e18
"""Products of norms above this are refused, so that nothing overflows and TINY stays above every underflow."""


@njit(cache=True, error_model="numpy")
def gamma(k: int, unit: float) -> float:
    """A bound of k u / (1 - k u), the relative error of k operations of unit roundoff `unit`, for k unit < 0.009."""
    return 1.01 * k * unit


@njit(cache=True, error_model="numpy")
def frobenius(M: Any, i: int, at: int, size: int) -> Any:
    """||M[i, at : at + size]||_2, from above. The sum's own gamma is in the factor: it may be long."""
    total = 0.0
    for q in range(size):
        x = M[index(i), index(at + q)]
        total += x * x
    return np.sqrt(total + SMALL_SQUARE) * (UP + 4.0 * U * size)


@njit(cache=True, error_model="numpy")
def schatten4(M: Any, i: int, at: int, rows: int, columns: int) -> Any:
    """A bound of the spectral norm of the (rows, columns) matrix at M[i, at:]: the root of ||X^T X||_F, rounding
    included; the Gram matrix is that of the smaller side."""
    squares, trace = 0.0, 0.0
    if rows <= columns:
        side, inner, down, right = rows, columns, columns, 1
    else:
        side, inner, down, right = columns, rows, 1, columns
    for a in range(side):
        for b in range(a + 1):
            dot = 0.0
            for q in range(inner):
                x, y = index(at + a * down + q * right), index(at + b * down + q * right)
                dot += M[index(i), x] * M[index(i), y]
            squares += dot * dot if a == b else 2.0 * (dot * dot)
            if a == b:
                trace += dot  # ||X||_F^2
    long = UP + 4.0 * U * (side * side + inner)
    gram = np.sqrt(squares + SMALL_SQUARE) * long
    return np.sqrt(gram + gamma(inner + 2, U) * trace * long + TINY) * UP


@njit(cache=True, error_model="numpy")
def exp_up(g: Any) -> Any:
    """e^g from above for 0 <= g < 50, else inf: the exponential series of g / 2^s, all terms non-negative, squared s
    times."""
    possible = (g >= 0.0) & (g < 50.0)
    g = where(possible, g, 0.0)
    squarings, most = 0.0 * g, 0
    large = g > 0.5
    while some(large):
        g, squarings = where(large, 0.5 * g, g), squarings + where(large, 1.0, 0.0)
        large = g > 0.5
        most += 1
    term, total = 1.0, 1.0
    for k in range(1, 16):
        term *= g / k
        total += term
    total = (total + term) * UP  # the terms left out sum to less than the last one taken
    for k in range(most):
        total = where(squarings > k, total * total, total)
    return where(possible, total * UP, np.inf)


@njit(cache=True, error_model="numpy")
def power(x: Any, exponent: float) -> Any:
    """x^exponent to about three digits, 0 <= exponent < 1, by square roots: for step sizes, which prove nothing, but
    whose bytes must not depend on a libm."""
    result, root = 1.0, x
    for _ in range(12):
        root, exponent = np.sqrt(root), 2.0 * exponent
        if exponent >= 1.0:
            result, exponent = result * root, exponent - 1.0
    return result


@njit(cache=True, error_model="numpy")
def perron(K: Any, m: int, v: Any, turns: int) -> Any:
    """The Perron root of the symmetric non-negative matrix K (m, m), from above, by Collatz-Wielandt: for every v > 0
    it is at most max_i (K v)_i / v_i. v (2, m) is scratch; power iterations make the bound sharp. nan where K has an
    entry that is not finite."""
    for i in range(m):
        v[0, i] = 1.0
    bound, goes_on, spoilt = np.inf, True, False
    for _ in range(turns):
        highest, largest, total_ratio = 0.0, 0.0, 0.0
        for i in range(m):
            total = 0.0
            for j in range(m):
                total += K[index(i), index(j)] * v[0, index(j)]
            v[1, i] = total
            ratio = total / v[0, i]
            highest = larger(highest, ratio)
            total_ratio += ratio
        finite = total_ratio < np.inf
        spoilt = spoilt | (goes_on & no(finite))
        goes_on = goes_on & finite
        bound = where(goes_on & no(highest >= bound), highest, bound)
        for i in range(m):  # the shift keeps -root from being an eigenvalue as large as the root
            v[0, i] = v[1, i] + 0.5 * highest * v[0, i]
            largest = larger(largest, v[0, i])
        goes_on = goes_on & (largest > 0.0)
        if not some(goes_on):
            break
        for i in range(m):
            v[0, i] = larger(v[0, i] / largest, 1e-30)
    return where(spoilt, np.nan, bound * UP + TINY)
