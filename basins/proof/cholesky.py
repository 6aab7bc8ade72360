"""The largest eigenvalue of -Hess L by Cholesky, after Rump (docs/proofs.md, step 5).

If Cholesky of s I - N runs through in floating point, the smallest eigenvalue of s I - N is at least
-gamma_{n+1} / (1 - gamma_{n+1}) tr(s I - N) (Demmel; Rump, Verification of positive definiteness, BIT 46, 2006).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from basins.jit_cache import njit
from basins.proof.bounds import TINY, UP, frobenius, gamma, index, perron
from basins.proof.log_norm import between, block_factor, multiply
from basins.rounding import U

BISECTIONS = 12
"""Halvings of the interval the eigenvalue's bound is searched in."""


@njit(cache=True, error_model="numpy")
def runs_through(N: Any, s: float, L: Any) -> bool:
    """Whether Cholesky of s I - N (n, n) runs through; L (n, n) is scratch. Only N's lower triangle is read."""
    for i in range(N.shape[0]):
        for j in range(i + 1):
            total = s - N[i, i] if i == j else -N[i, j]
            for k in range(j):
                total -= L[index(i), index(k)] * L[index(j), index(k)]
            if j < i:
                L[i, j] = total / L[j, j]
            elif total > 0.0 and total < np.inf:
                L[i, i] = np.sqrt(total)
            else:
                return False
    return True


@njit(cache=True, error_model="numpy")
def eigenvalue_bound(N: Any, s: float) -> float:
    """An upper bound of N's largest eigenvalue, given that Cholesky of s I - N runs through."""
    n, trace = N.shape[0], 0.0
    for i in range(n):
        trace += abs(N[i, i])
    bound: float = (s + 2.0 * gamma(n + 3, U) * (n * s + trace) * (UP + 4.0 * U * n)) * UP + TINY
    return bound


@njit(cache=True, error_model="numpy")
def largest_eigenvalue(N: Any, known: float, guess: float, L: Any) -> float:
    """An upper bound of max(0, N's largest eigenvalue), sharp to about 4e-3 of itself or 3e-4 of `known`, an upper
    bound by other means. guess: where to look first."""
    if not runs_through(N, known, L):
        return known
    low, high = 0.0, known
    for s in (0.97 * guess, 1.03 * guess):
        if s > low and s < high:
            if runs_through(N, s, L):
                high = s
            else:
                low = s
    for _ in range(BISECTIONS):
        if not high - low > 4e-3 * high:
            break
        s = 0.5 * (low + high)
        if runs_through(N, s, L):
            high = s
        else:
            low = s
    return min(known, eigenvalue_bound(N, high))


@njit(cache=True, error_model="numpy")
def prefixes(shape: Any, constants: Any, node: Any) -> None:
    """node.B: B_0 = G or I, B_{l+1} = W_l B_l, Frobenius norms into node.b and errors into node.b_error."""
    d, b_at, x = shape.d, shape.b_at, shape.d[0]
    for q in range(x * x):
        node.B[0, q] = constants.G[0, q] if shape.raw else (1.0 if q % (x + 1) == 0 else 0.0)
    node.b[0], node.b_error[0] = frobenius(node.B, 0, 0, x * x), 0.0
    for l in range(shape.m - 1):  # noqa: E741
        multiply(node.W, shape.at[l], d[l], 1, node.B, b_at[l], node.B, b_at[l + 1], d[l + 1], d[l], x)
        w = frobenius(node.W, 0, shape.at[l], d[l + 1] * d[l])
        b, error = node.b[l], node.b_error[l]
        wrong = gamma(d[l] + 2, U) * w * b + node.error[l] * (b + error) + w * error
        node.b[l + 1] = frobenius(node.B, 0, b_at[l + 1], d[l + 1] * x)
        node.b_error[l + 1] = wrong * UP + TINY


@njit(cache=True, error_model="numpy")
def gauss_newton_block(shape: Any, node: Any, i: int, j: int, N: Any) -> float:
    """N -= (S_{i+1}^T S_{j+1}) (x) (B_i B_j^T), i >= j; a bound of the block's rounding, in the Frobenius norm."""
    m, d, s_at, b_at, x = shape.m, shape.d, shape.s_at, shape.b_at, shape.d[0]
    rows, columns, d_y = d[i + 1], d[j + 1], d[m]
    s_i = s_j = np.sqrt(d_y * 1.0) * UP  # ||I||_F
    s_i_error = s_j_error = 0.0
    if i < m - 1:
        s_i, s_i_error = frobenius(node.S, 0, s_at[i + 1], d_y * rows), node.error[m + i + 1]
    if j < m - 1:
        s_j, s_j_error = frobenius(node.S, 0, s_at[j + 1], d_y * columns), node.error[m + j + 1]
    for a in range(rows):
        for b in range(columns):
            total = 0.0
            if i < m - 1:
                for q in range(d_y):
                    total += node.S[0, s_at[i + 1] + q * rows + a] * node.S[0, s_at[j + 1] + q * columns + b]
            elif j < m - 1:
                total = node.S[0, s_at[j + 1] + a * columns + b]
            else:
                total = 1.0 if a == b else 0.0
            node.X[0, a * columns + b] = total
    for a in range(d[i]):
        for b in range(d[j]):
            total = 0.0
            for q in range(x):
                total += node.B[0, b_at[i] + a * x + q] * node.B[0, b_at[j] + b * x + q]
            node.Q[0, a * d[j] + b] = total
    subtract(shape, node, i, j, N)
    b_i, b_i_error, b_j, b_j_error = node.b[i], node.b_error[i], node.b[j], node.b_error[j]
    left = gamma(d_y + 2, U) * s_i * s_j + s_i_error * (s_j + s_j_error) + s_i * s_j_error
    right = gamma(x + 2, U) * b_i * b_j + b_i_error * (b_j + b_j_error) + b_i * b_j_error
    # Each entry is then a product and a sum: 3 u of the sizes.
    both = (s_i + s_i_error) * (s_j + s_j_error) * (b_i + b_i_error) * (b_j + b_j_error)
    factors = left * (b_i + b_i_error) * (b_j + b_j_error) + right * (s_i + s_i_error) * (s_j + s_j_error)
    error: float = (factors + 4.0 * U * both) * UP
    return error


@njit(cache=True, error_model="numpy")
def subtract(shape: Any, node: Any, i: int, j: int, N: Any) -> None:
    """N[e_i[a, c], e_j[b, f]] -= X[a, b] Q[c, f]."""
    d, at = shape.d, shape.at
    for a in range(d[i + 1]):
        for c in range(d[i]):
            for b in range(d[j + 1]):
                for f in range(d[j]):
                    N[at[i] + a * d[i] + c, at[j] + b * d[j] + f] -= (
                        node.X[0, a * d[j + 1] + b] * node.Q[0, c * d[j] + f]
                    )


@njit(cache=True, error_model="numpy")
def minus_hessian(shape: Any, constants: Any, node: Any, N: Any) -> Any:
    """N (n, n) = -Hess L at the node, its lower triangle of blocks; a bound of the spectral norm of its rounding."""
    m, d, at = shape.m, shape.d, shape.at
    prefixes(shape, constants, node)
    for a in range(N.shape[0]):
        for b in range(a + 1):
            N[a, b] = 0.0
    for i in range(m):
        for j in range(i + 1):
            node.K_error[i, j] = gauss_newton_block(shape, node, i, j, N)
    for j in range(m):
        size, wrong = 1.0, 0.0
        for i in range(j + 1, m):
            if i > j + 1:
                _, size, wrong = between(shape, node.W, node.first, node.error, node.Q, node.Q_next, i, j, size, wrong)
            _, x, x_error = block_factor(shape, node.S, node.F, node.first, node.error, node.X, i, j)
            for a in range(d[i + 1]):  # e_i[a, c] meets e_j[f, b] in X[a, b] Q[c, f]
                for c in range(d[i]):
                    for f in range(d[j + 1]):
                        q = node.Q[0, c * d[j + 1] + f] if i > j + 1 else (1.0 if c == f else 0.0)
                        for b in range(d[j]):
                            N[at[i] + a * d[i] + c, at[j] + f * d[j] + b] += node.X[0, a * d[j] + b] * q
            full = (x + x_error) * (size + wrong) if i > j + 1 else (x + x_error) * np.sqrt(d[i] * 1.0)
            error = x_error * (size + wrong) + (x + x_error) * wrong + 4.0 * U * full
            node.K_error[i, j] = (node.K_error[i, j] * (1.0 + 4.0 * U) + error) * UP
    for i in range(m):
        for j in range(i):
            node.K_error[j, i] = node.K_error[i, j]
    return perron(node.K_error, m, node.v, 2)
