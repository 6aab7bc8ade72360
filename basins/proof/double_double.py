"""Pairs of doubles, hi + lo with |lo| <= u |hi|, by error-free transformations; and the Taylor coefficients in them.

No fused multiply-add is needed: products are split after Dekker. Each operation is off by less than V = 16 u^2 = 2^-102
times |a b| (product), |a| + |b| (sum), |a / b| (quotient by a float); a sum of k products by at most k V sum |a b|, so
V takes the place of u in every gamma (docs/proofs.md, Double-double, has the proof).
"""

from __future__ import annotations

from typing import Any

from basins.jit_cache import njit
from basins.proof.bounds import index

V = 2.0**-102
"""Unit roundoff of a pair: 16 u^2."""

SPLIT = 134217729.0
"""2^27 + 1: Dekker's constant, which cuts a float into two halves of 26 bits."""


@njit(cache=True, error_model="numpy")
def two_sum(a: float, b: float) -> Any:
    """s + e = a + b exactly, s = fl(a + b) (Knuth)."""
    s = a + b
    c = s - a
    return s, (a - (s - c)) + (b - c)


@njit(cache=True, error_model="numpy")
def two_product(a: float, b: float) -> Any:
    """p + e = a b exactly, p = fl(a b) (Dekker, Veltkamp), unless it underflows."""
    p = a * b
    c = SPLIT * a
    a_high = c - (c - a)
    a_low = a - a_high
    c = SPLIT * b
    b_high = c - (c - b)
    b_low = b - b_high
    return p, a_low * b_low - (((p - a_high * b_high) - a_low * b_high) - a_high * b_low)


@njit(cache=True, error_model="numpy")
def add(a: float, a_low: float, b: float, b_low: float) -> Any:
    """The sum of two pairs, off by at most 4 u^2 (|a| + |b|)."""
    s, e = two_sum(a, b)
    return two_sum(s, e + (a_low + b_low))


@njit(cache=True, error_model="numpy")
def multiply(a: float, a_low: float, b: float, b_low: float) -> Any:
    """The product of two pairs, off by at most 9 u^2 |a b|."""
    p, e = two_product(a, b)
    return two_sum(p, e + (a * b_low + a_low * b))


@njit(cache=True, error_model="numpy")
def divide(a: float, a_low: float, b: float) -> Any:
    """A pair over a float, off by at most 6 u^2 |a / b|."""
    quotient = a / b
    p, e = two_product(quotient, b)
    return two_sum(quotient, (((a - p) - e) + a_low) / b)


@njit(cache=True, error_model="numpy")
def cauchy_pairs(
    S: Any, S_low: Any, s: int, s_down: int, s_right: int, T: Any, T_low: Any, t: int, t_down: int, t_right: int,
    out: Any, out_low: Any, o: int, i: int, rows: int, inner: int, columns: int,
) -> None:  # fmt: skip
    """taylor.cauchy in pairs."""
    for a in range(rows):
        for b in range(columns):
            total, low = 0.0, 0.0
            for k in range(i + 1):
                term, term_low = 0.0, 0.0
                for q in range(inner):
                    x, y = index(s + a * s_down + q * s_right), index(t + q * t_down + b * t_right)
                    u, v = index(k), index(i - k)
                    product, product_low = multiply(S[u, x], S_low[u, x], T[v, y], T_low[v, y])
                    term, term_low = add(term, term_low, product, product_low)
                total, low = add(total, low, term, term_low)
            out[i, o + a * columns + b], out_low[i, o + a * columns + b] = total, low


@njit(cache=True, error_model="numpy")
def times_gram_pairs(
    S: Any, S_low: Any, s: int, G: Any, g_down: int, g_right: int, out: Any, out_low: Any, o: int, i: int,
    rows: int, d: int,
) -> None:  # fmt: skip
    """taylor.times_gram in pairs."""
    for a in range(rows):
        for b in range(d):
            total, low = 0.0, 0.0
            for q in range(d):
                x = s + a * d + q
                product, product_low = multiply(S[i, x], S_low[i, x], G[0, q * g_down + b * g_right], 0.0)
                total, low = add(total, low, product, product_low)
            out[i, o + a * d + b], out_low[i, o + a * d + b] = total, low


@njit(cache=True, error_model="numpy")
def products_pairs(
    shape: Any, constants: Any, W: Any, W_low: Any, S: Any, S_low: Any, E: Any, E_low: Any, F: Any, F_low: Any, i: int
) -> None:  # fmt: skip
    """taylor.products in pairs."""
    m, d, at, s_at = shape.m, shape.d, shape.at, shape.s_at
    d_y, d_x = d[m], d[0]
    for q in range(d_y * d[m - 1]):
        S[i, s_at[m - 1] + q], S_low[i, s_at[m - 1] + q] = W[i, at[m - 1] + q], W_low[i, at[m - 1] + q]
    for l in range(m - 2, -1, -1):  # noqa: E741
        cauchy_pairs(
            S, S_low, s_at[l + 1], d[l + 1], 1, W, W_low, at[l], d[l], 1,
            S, S_low, s_at[l], i, d_y, d[l + 1], d[l],
        )  # fmt: skip
    if shape.raw:
        times_gram_pairs(S, S_low, s_at[0], constants.G, d_x, 1, E, E_low, 0, i, d_y, d_x)
    for q in range(d_y * d_x):
        P, P_low = (E[i, q], E_low[i, q]) if shape.raw else (S[i, q], S_low[i, q])
        if i == 0:
            E[i, q], E_low[i, q] = add(constants.T[0, q], 0.0, -P, -P_low)
        else:
            E[i, q], E_low[i, q] = -P, -P_low
    if shape.raw:
        times_gram_pairs(E, E_low, 0, constants.G, 1, d_x, F, F_low, 0, i, d_y, d_x)
    else:
        for q in range(d_y * d_x):
            F[i, q], F_low[i, q] = E[i, q], E_low[i, q]
    for l in range(m - 1):  # noqa: E741
        cauchy_pairs(
            F, F_low, s_at[l], d[l], 1, W, W_low, at[l], 1, d[l],
            F, F_low, s_at[l + 1], i, d_y, d[l], d[l + 1],
        )  # fmt: skip


@njit(cache=True, error_model="numpy")
def taylor_pairs(
    shape: Any, constants: Any, W: Any, W_low: Any, S: Any, S_low: Any, E: Any, E_low: Any, F: Any, F_low: Any, p: int,
    unit: float,
) -> None:  # fmt: skip
    """taylor.taylor in pairs."""
    m, d, at, s_at = shape.m, shape.d, shape.at, shape.s_at
    d_y, ahead, ahead_low = d[m], W[1:], W_low[1:]
    for i in range(p):
        products_pairs(shape, constants, W, W_low, S, S_low, E, E_low, F, F_low, i)
        for l in range(m - 1):  # noqa: E741
            cauchy_pairs(
                S, S_low, s_at[l + 1], 1, d[l + 1], F, F_low, s_at[l], d[l], 1,
                ahead, ahead_low, at[l], i, d[l + 1], d_y, d[l],
            )  # fmt: skip
        for q in range(d_y * d[m - 1]):
            W[i + 1, at[m - 1] + q], W_low[i + 1, at[m - 1] + q] = F[i, s_at[m - 1] + q], F_low[i, s_at[m - 1] + q]
        for q in range(at[m]):
            high, low = divide(W[i + 1, q], W_low[i + 1, q], i + 1.0)
            W[i + 1, q], W_low[i + 1, q] = high * unit, low * unit


@njit(cache=True, error_model="numpy")
def end_point_pairs(W: Any, W_low: Any, h: float, p: int, n: int, y: Any, y_low: Any) -> None:
    """taylor.end_point in pairs."""
    for q in range(n):
        total, low = W[p, q], W_low[p, q]
        for i in range(p - 1, 0, -1):
            total, low = multiply(total, low, h, 0.0)
            total, low = add(total, low, W[i, q], W_low[i, q])
        total, low = multiply(total, low, h, 0.0)
        y[0, q], y_low[0, q] = add(W[0, q], W_low[0, q], total, low)
