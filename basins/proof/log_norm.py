"""Upper bounds of the largest eigenvalue of -Hess L, the logarithmic norm of the flow (docs/proofs.md, step 5).

-Hess L is the residual's part minus the Gauss-Newton part, which is positive semi-definite. Block (i, j), i > j, of the
residual's part is the form <X_ij, e_i Q_ij e_j> with X_ij = S_{i+1}^T F_j and Q_ij = W_{i-1} ... W_{j+1}, so that its
norm is at most K_ij = ||X_ij||_2 ||Q_ij||_2, and the largest eigenvalue at most the Perron root of K (m, m).
`node` has the value at a knot, `second_order` what lies above the chord between two knots, `tube` what a tube around
the path adds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from basins.jit_cache import njit
from basins.proof.bounds import TINY, UP, frobenius, gamma, index, schatten4
from basins.proof.shape import Array, Shape
from basins.rounding import U


class Node(NamedTuple):
    """What is known at one knot: W (1, n), S, F (1, ...), E (1, d_y d_x), and their lower parts if the arithmetic is in
    pairs; first (3 m + 1,): spectral norms of W_l, S_l, F_l and the Frobenius norm of E, from above, of the exact ones;
    error (3 m + 1,): Frobenius norms of what the computed ones are off by; B (1, ...), b, b_error (m,): the prefix
    products B_l, filled only where asked for; K (m, m), its error (m, m); X, Q, Q_next (1, ...), v (2, m): scratch."""

    W: Array
    S: Array
    E: Array
    F: Array
    W_low: Array
    S_low: Array
    E_low: Array
    F_low: Array
    first: Array
    error: Array
    B: Array
    b: Array
    b_error: Array
    K: Array
    K_error: Array
    X: Array
    Q: Array
    Q_next: Array
    v: Array


def node_for(shape: Shape, pairs: bool) -> Node:
    m, d = shape.m, shape.d
    sizes = (int(shape.at[m]), int(shape.s_at[m]), int(d[m] * d[0]), int(shape.s_at[m]))
    low = sizes if pairs else (0, 0, 0, 0)
    series, widest = 3 * m + 1, int(d.max()) ** 2
    W, S, E, F, W_low, S_low, E_low, F_low = (np.zeros((1, size)) for size in (*sizes, *low))
    B, X, Q, Q_next = (np.zeros((1, size)) for size in (int(shape.b_at[m]), widest, widest, widest))
    first, error, b, b_error = (np.zeros(size) for size in (series, series, m, m))
    K, K_error, v = (np.zeros(size) for size in ((m, m), (m, m), (2, m)))
    return Node(W, S, E, F, W_low, S_low, E_low, F_low, first, error, B, b, b_error, K, K_error, X, Q, Q_next, v)


@njit(cache=True, error_model="numpy")
def multiply(
    X: Any, x: int, x_down: int, x_right: int, Y: Any, y: int, out: Any, o: int, rows: int, inner: int, columns: int
) -> None:
    """out[0] = X Y for matrices in row 0 of their arrays; Y and out lie row by row."""
    for a in range(rows):
        for b in range(columns):
            total = 0.0
            for q in range(inner):
                total += X[0, index(x + a * x_down + q * x_right)] * Y[0, index(y + q * columns + b)]
            out[0, o + a * columns + b] = total


@njit(cache=True, error_model="numpy")
def errors(shape: Any, constants: Any, node: Any, unit: float, cut: float) -> None:
    """node.first and node.error of S, E, F as they were computed with roundoff `unit`; `cut` is u where only the upper
    parts of pairs are used from here on, else 0."""
    m, d, at, s_at, first, error = shape.m, shape.d, shape.at, shape.s_at, node.first, node.error
    E, F = 3 * m, 2 * m
    for l in range(m):  # noqa: E741
        first[l] = frobenius(node.W, 0, at[l], d[l + 1] * d[l]) * (1.0 + cut)
        error[l] = 0.0
    # Frobenius norms first: the errors are theirs.
    first[2 * m - 1], error[2 * m - 1] = first[m - 1], 0.0
    for l in range(m - 2, -1, -1):  # noqa: E741
        size = frobenius(node.S, 0, s_at[l], d[m] * d[l]) * (1.0 + cut)
        factor = gamma(d[l + 1] + 2, unit) * first[m + l + 1] + error[m + l + 1]
        first[m + l], error[m + l] = size, factor * first[l] * UP + TINY
    network, wrong = first[m], error[m]
    if shape.raw:
        wrong = (wrong + gamma(d[0], unit) * network) * constants.gram * UP + TINY
        network *= constants.gram
    first[E] = frobenius(node.E, 0, 0, d[m] * d[0]) * (1.0 + cut)
    error[E] = (wrong + unit * (1.0 + 1e-9) * (constants.target + network)) * UP + TINY
    first[F], error[F] = first[E], error[E]
    if shape.raw:
        error[F] = (error[E] + gamma(d[0], unit) * first[E]) * constants.gram * UP + TINY
        first[F] = frobenius(node.F, 0, 0, d[m] * d[0]) * (1.0 + cut)
    for l in range(m - 1):  # noqa: E741
        size = frobenius(node.F, 0, s_at[l + 1], d[m] * d[l + 1]) * (1.0 + cut)
        factor = gamma(d[l] + 2, unit) * first[F + l] + error[F + l]
        first[F + l + 1], error[F + l + 1] = size, factor * first[l] * UP + TINY
    for k in range(3 * m + 1):
        error[k] = (error[k] + cut * first[k]) * UP
    first[E] = (first[E] + error[E]) * UP


@njit(cache=True, error_model="numpy")
def spectral(shape: Any, node: Any) -> None:
    """node.first of W, S and F made spectral: from above, of the exact matrices."""
    m, d, at, s_at, first, error = shape.m, shape.d, shape.at, shape.s_at, node.first, node.error
    for l in range(m):  # noqa: E741
        first[l] = (schatten4(node.W, 0, at[l], d[l + 1], d[l]) + error[l]) * UP
        first[m + l] = (schatten4(node.S, 0, s_at[l], d[m], d[l]) + error[m + l]) * UP
        first[2 * m + l] = (schatten4(node.F, 0, s_at[l], d[m], d[l]) + error[2 * m + l]) * UP


@njit(cache=True, error_model="numpy")
def block_factor(shape: Any, S: Any, F: Any, first: Any, error: Any, X: Any, i: int, j: int) -> Any:
    """X_ij = S_{i+1}^T F_j into X, (d[i+1], d[j]): bounds of its spectral and Frobenius norms, and of its error's.
    S, F, first and error are the node's: a Node has so many arrays that handing it on would cost more than this."""
    m, d, s_at = shape.m, shape.d, shape.s_at
    rows, columns, size = d[i + 1], d[j], d[i + 1] * d[j]
    if i == m - 1:
        for q in range(size):
            X[0, q] = F[0, s_at[j] + q]
        return first[2 * m + j], frobenius(X, 0, 0, size), error[2 * m + j]
    multiply(S, s_at[i + 1], 1, rows, F, s_at[j], X, 0, rows, d[m], columns)
    s, f = frobenius(S, 0, s_at[i + 1], d[m] * rows), frobenius(F, 0, s_at[j], d[m] * columns)
    s_error, f_error = error[m + i + 1], error[2 * m + j]
    wrong = (s_error * (f + f_error) + s * f_error + gamma(d[m] + 2, U) * s * f) * UP + TINY
    return (schatten4(X, 0, 0, rows, columns) + wrong) * UP, frobenius(X, 0, 0, size), wrong


@njit(cache=True, error_model="numpy")
def between(
    shape: Any, W: Any, first: Any, errors: Any, Q: Any, spare: Any, i: int, j: int, size: Any, error: Any
) -> Any:  # fmt: skip
    """From Q_{i-1,j} in Q to Q_ij = W_{i-1} Q_{i-1,j}, (d[i], d[j+1]), i >= j + 2: spectral and Frobenius norms and the
    error's, from above. size and error are those of Q_{i-1,j}, which is the identity for i = j + 2."""
    d, l = shape.d, i - 1  # noqa: E741
    count = d[i] * d[j + 1]
    if i == j + 2:
        for q in range(count):
            Q[0, q] = W[0, shape.at[l] + q]
        return first[l], frobenius(Q, 0, 0, count), errors[l]
    multiply(W, shape.at[l], d[l], 1, Q, 0, spare, 0, d[i], d[l], d[j + 1])
    for q in range(count):
        Q[0, q] = spare[0, q]
    w = frobenius(W, 0, shape.at[l], d[i] * d[l])
    wrong = (errors[l] * (size + error) + w * error + gamma(d[l] + 2, U) * w * size) * UP + TINY
    return (schatten4(Q, 0, 0, d[i], d[j + 1]) + wrong) * UP, frobenius(Q, 0, 0, count), wrong


@njit(cache=True, error_model="numpy")
def block_norms(shape: Any, node: Any) -> None:
    """node.K: bounds of the block norms of the residual's part, from above."""
    m = shape.m
    for j in range(m):
        node.K[j, j] = 0.0
        norm, size, error = 1.0, 1.0, 0.0
        for i in range(j + 1, m):
            if i > j + 1:
                norm, size, error = between(
                    shape, node.W, node.first, node.error, node.Q, node.Q_next, i, j, size, error
                )
            x, _, _ = block_factor(shape, node.S, node.F, node.first, node.error, node.X, i, j)
            node.K[i, j] = x * norm * UP
            node.K[j, i] = node.K[i, j]


# --- between two knots ------------------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def join(top: Any, bend: Any, turn: Any, models: Any, k: int) -> Any:
    """(top, bend, turn) of a product, from its first factor's and those of series k: with chords S_c, R_c,
    S R - chord(S R) = (S - S_c) R + S_c (R - R_c) - tau (1 - tau) (S(h) - S(0)) (R(h) - R(0)), tau = t / h, and the
    mean of tau (1 - tau) is 1/6."""
    t, b, r = models.top[k], models.bend[k], models.turn[k]
    return top * t, bend * t + top * b + turn * r / 6.0, turn * t + top * r


@njit(cache=True, error_model="numpy")
def second_order(shape: Any, models: Any, gram: float, gauss_newton: bool, J: Any, C: Any) -> None:
    """C (m, m): block norms of the mean over the step of -Hess L's distance from its chord; with the Gauss-Newton part
    where `gauss_newton`. J (3, m) is scratch: top, bend, turn of J_i = S_{i+1} (x) B_i, of which that part is the
    Gram matrix."""
    m = shape.m
    for j in range(m):
        C[j, j] = 0.0
        top, bend, turn = 1.0, 0.0, 0.0
        for i in range(j + 1, m):
            if i > j + 1:
                top, bend, turn = join(top, bend, turn, models, i - 1)
            x, y, z = join(top, bend, turn, models, 2 * m + j)
            if i < m - 1:
                x, y, z = join(x, y, z, models, m + i + 1)
            C[i, j] = y * UP
            C[j, i] = C[i, j]
    if gauss_newton:
        top, bend, turn = gram, 0.0, 0.0
        for i in range(m):
            x, y, z = top, bend, turn
            if i < m - 1:
                x, y, z = join(x, y, z, models, m + i + 1)
            J[0, i], J[1, i], J[2, i] = x, y, z
            top, bend, turn = join(top, bend, turn, models, i)
        for i in range(m):
            for j in range(m):
                C[i, j] = (C[i, j] + J[0, i] * J[1, j] + J[0, j] * J[1, i] + J[2, i] * J[2, j] / 6.0) * UP


@njit(cache=True, error_model="numpy")
def without(b: Any, m: int, i: int, j: int, k: int) -> Any:
    """The product of b_l over all layers but i, j and k."""
    total = 1.0
    for l in range(m):  # noqa: E741
        if l != i and l != j and l != k:
            total *= b[l]
    return total


@njit(cache=True, error_model="numpy")
def moves(b: Any, m: int, i: int, j: int) -> Any:
    """sqrt(sum_c prod_{l != c} b_l^2) over the layers but i and j: times r, what changes of total length r can do to
    the product of these layers, by telescoping and Cauchy-Schwarz."""
    total = 0.0
    for c in range(m):
        if c != i and c != j:
            one = without(b, m, i, j, c)
            total += one * one
    return np.sqrt(total)


@njit(cache=True, error_model="numpy")
def tube(shape: Any, constants: Any, models: Any, radius: Any, gauss_newton: bool, J: Any, b: Any, C: Any) -> None:
    """C (m, m): block norms of what -Hess L can change within `radius` of the path; b (m,) is scratch, and J (3, m),
    whose first row is the top of J_i from `second_order` and whose second becomes its change."""
    m, g = shape.m, constants.gram_top
    for l in range(m):  # noqa: E741
        b[l] = (models.top[l] + radius) * UP
    residual = g * g * radius * moves(b, m, -1, -1)  # of F_0 = E G^T
    for j in range(m):
        C[j, j] = 0.0
        for i in range(j + 1, m):
            C[i, j] = (without(b, m, i, j, -1) * residual + models.top[2 * m] * radius * moves(b, m, i, j)) * UP
            C[j, i] = C[i, j]
    if gauss_newton:
        for i in range(m):
            J[1, i] = g * radius * moves(b, m, i, i)
        for i in range(m):
            for j in range(m):
                C[i, j] += (J[0, i] + J[1, i]) * J[1, j] + (J[0, j] + J[1, j]) * J[1, i]
                C[i, j] *= UP
