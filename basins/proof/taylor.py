"""Taylor coefficients of the flow by Cauchy products of matrices, in double precision (docs/proofs.md, step 1).

Coefficient i of every matrix is row i of its array. Inner products are summed over the inner dimension first and then
over the orders, so that coefficient i is off by at most gamma_{d + i + 1} sum_k ||S[k]|| ||T[i-k]||, d the inner
dimension. Sums run in the order written: the same bytes on any CPU.
"""

from __future__ import annotations

from typing import Any

from basins.jit_cache import njit
from basins.proof.bounds import index


@njit(cache=True, error_model="numpy")
def cauchy(
    S: Any, s: int, s_down: int, s_right: int, T: Any, t: int, t_down: int, t_right: int,
    out: Any, o: int, i: int, rows: int, inner: int, columns: int,
) -> None:  # fmt: skip
    """out[i] = sum_{k <= i} S[k] T[i-k], matrices (rows, inner) and (inner, columns) that begin at s and t and whose
    entries are `down` and `right` apart."""
    for a in range(rows):
        for b in range(columns):
            total = 0.0
            for k in range(i + 1):
                term = 0.0
                for q in range(inner):
                    x, y = index(s + a * s_down + q * s_right), index(t + q * t_down + b * t_right)
                    term += S[index(k), x] * T[index(i - k), y]
                total += term
            out[index(i), index(o + a * columns + b)] = total


@njit(cache=True, error_model="numpy")
def times_gram(S: Any, s: int, G: Any, g_down: int, g_right: int, out: Any, o: int, i: int, rows: int, d: int) -> None:
    """out[i] = S[i] G or S[i] G^T, (rows, d) times the constant (d, d)."""
    for a in range(rows):
        for b in range(d):
            total = 0.0
            for q in range(d):
                total += S[i, s + a * d + q] * G[0, q * g_down + b * g_right]
            out[i, o + a * d + b] = total


@njit(cache=True, error_model="numpy")
def products(shape: Any, constants: Any, W: Any, S: Any, E: Any, F: Any, i: int) -> None:
    """Coefficient i of S_l, E and F_l from coefficients 0 ... i of the layers."""
    m, d, at, s_at = shape.m, shape.d, shape.at, shape.s_at
    d_y, d_x = d[m], d[0]
    for q in range(d_y * d[m - 1]):
        S[i, s_at[m - 1] + q] = W[i, at[m - 1] + q]
    for l in range(m - 2, -1, -1):  # noqa: E741  S_l = S_{l+1} W_l
        cauchy(S, s_at[l + 1], d[l + 1], 1, W, at[l], d[l], 1, S, s_at[l], i, d_y, d[l + 1], d[l])
    if shape.raw:
        times_gram(S, s_at[0], constants.G, d_x, 1, E, 0, i, d_y, d_x)
    for q in range(d_y * d_x):
        P = E[i, q] if shape.raw else S[i, q]
        E[i, q] = constants.T[0, q] - P if i == 0 else -P
    if shape.raw:
        times_gram(E, 0, constants.G, 1, d_x, F, 0, i, d_y, d_x)
    else:
        for q in range(d_y * d_x):
            F[i, q] = E[i, q]
    for l in range(m - 1):  # noqa: E741  F_{l+1} = F_l W_l^T
        cauchy(F, s_at[l], d[l], 1, W, at[l], 1, d[l], F, s_at[l + 1], i, d_y, d[l], d[l + 1])


@njit(cache=True, error_model="numpy")
def taylor(shape: Any, constants: Any, W: Any, S: Any, E: Any, F: Any, p: int, unit: Any) -> None:
    """W[1] ... W[p] from W[0], and coefficients 0 ... p - 1 of the rest, in powers of t / unit: W_l[i+1] =
    fl(f_l[i] / (i + 1)) unit. The unit of time is a power of two, so that nothing is rounded by it, and about a step:
    coefficients neither overflow nor underflow.
    """
    m, d, at, s_at = shape.m, shape.d, shape.at, shape.s_at
    n, d_y, ahead = at[m], d[m], W[1:]
    for i in range(p):
        products(shape, constants, W, S, E, F, i)
        for l in range(m - 1):  # noqa: E741  f_l = S_{l+1}^T F_l
            cauchy(S, s_at[l + 1], 1, d[l + 1], F, s_at[l], d[l], 1, ahead, at[l], i, d[l + 1], d_y, d[l])
        for q in range(d_y * d[m - 1]):
            W[i + 1, at[m - 1] + q] = F[i, s_at[m - 1] + q]
        for q in range(n):
            W[i + 1, q] = W[i + 1, q] / (i + 1) * unit


@njit(cache=True, error_model="numpy")
def end_point(W: Any, h: Any, p: int, n: int, y: Any) -> None:
    """y[0] = fl(x + Horner of the increments), (1, n) (docs/proofs.md, step 4)."""
    for q in range(n):
        total = W[p, q]
        for i in range(p - 1, 0, -1):
            total = total * h + W[index(i), index(q)]
        y[0, q] = W[0, q] + total * h
