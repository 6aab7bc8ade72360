"""Back along the flow from a state whose loss has passed a value, to where it had that value.

An engine stops after the step in which the loss falls below a level, some way beyond it. The flow is followed back from
there by Dormand and Prince's method of order 5(4) (its coefficients from scipy.integrate.RK45), in steps no longer than
Newton's for the time that is left, L' = -|grad L|^2: the last of them are short, so the landing is quadratic.

One compiled loop for every shape: a state is followed for a few steps only, its field is the readable sum over indices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.integrate import RK45

from basins.engines.base import Array
from basins.problem import Problem
from basins.rounding import EPS

RTOL, ATOL = 1e-9, 1e-13
"""Of a step back, in each component; absolute: in units of the state's largest."""
MOST_STEPS = 2000
LANDED = 4 * EPS
"""Of the loss: nearer than this it cannot be told from the value."""

_A, _B, _E = np.ascontiguousarray(RK45.A), np.ascontiguousarray(RK45.B), np.ascontiguousarray(RK45.E)
STAGES = len(_B)


def gradient_norm_at(problem: Problem, W: Array, value: float) -> Array:
    """|grad L| where the flow to W (N, n) had the loss `value`, (N,); nan where it is not found."""
    gram = np.zeros((0, 0)) if problem.gram_root is None else np.ascontiguousarray(problem.gram_root)
    found = np.empty(len(W))
    _back(np.ascontiguousarray(W), np.array(problem.widths), np.ascontiguousarray(problem.target), gram, value, found)
    return found


@njit(cache=True, error_model="numpy")
def _back(starts: Array, d: NDArray[np.int64], T: Array, gram: Array, value: float, found: Array) -> None:
    n = starts.shape[1]
    A, F = np.zeros((len(d), d[-1], d.max())), np.zeros((2, d[-1], d.max()))
    k, y = np.zeros((STAGES + 1, n)), np.zeros(n)
    for row in range(len(starts)):
        W = starts[row].copy()
        found[row] = np.nan
        longest = np.inf
        L = _gradient(W, d, T, gram, A, F, k[0])
        for _ in range(MOST_STEPS):
            square = np.sum(k[0] * k[0])
            if abs(value - L) <= LANDED * value:
                found[row] = np.sqrt(square)
                break
            h = (value - L) / square  # of time, backwards: the loss rises along +grad
            if not np.isfinite(h):
                break
            h = max(-longest, min(h, longest))
            for s in range(1, STAGES):
                for i in range(n):
                    change = 0.0
                    for r in range(s):
                        change += _A[s, r] * k[r, i]
                    y[i] = W[i] + h * change
                _gradient(y, d, T, gram, A, F, k[s])
            for i in range(n):
                change = 0.0
                for r in range(STAGES):
                    change += _B[r] * k[r, i]
                y[i] = W[i] + h * change
            L_new = _gradient(y, d, T, gram, A, F, k[STAGES])
            largest, error = np.max(np.abs(W)), 0.0
            for i in range(n):
                e = 0.0
                for r in range(STAGES + 1):
                    e += _E[r] * k[r, i]
                error = max(error, abs(h * e) / (RTOL * abs(W[i]) + ATOL * largest))
            factor = 0.9 * max(error, 1e-10) ** -0.2
            if not error <= 1.0:
                longest = abs(h) * max(0.1, factor if factor > 0 else 0.1)
                continue
            longest = abs(h) * min(5.0, factor)
            W[:] = y
            k[0] = k[STAGES]
            if L_new == L:  # a Newton step below the loss's last digit
                found[row] = np.sqrt(np.sum(k[0] * k[0]))
                break
            L = L_new


@njit(cache=True, error_model="numpy")
def _gradient(W: Array, d: NDArray[np.int64], T: Array, gram: Array, A: Array, F: Array, out: Array) -> Any:
    """L of one flat state W, its gradient to `out` (flow.py's formulas; A and F: room for its products)."""
    layers, d_y, d_x = len(d) - 1, d[-1], d[0]
    for i in range(d_y):
        for c in range(d_y):
            A[layers, i, c] = 1.0 if i == c else 0.0
    at = len(W)
    for j in range(layers, 0, -1):  # A_{j-1} = A_j W_j
        at -= d[j] * d[j - 1]
        for i in range(d_y):
            for c in range(d[j - 1]):
                total = 0.0
                for m in range(d[j]):
                    total += A[j, i, m] * W[at + m * d[j - 1] + c]
                A[j - 1, i, c] = total
    L = 0.0
    E, F_j, F_next = F[0], F[0], F[1]
    for i in range(d_y):
        for c in range(d_x):
            fitted = A[0, i, c]
            if len(gram):
                fitted = 0.0
                for m in range(d_x):
                    fitted += A[0, i, m] * gram[m, c]
            E[i, c] = T[i, c] - fitted
            L += 0.5 * E[i, c] * E[i, c]
    if len(gram):
        for i in range(d_y):
            for c in range(d_x):
                total = 0.0
                for m in range(d_x):
                    total += E[i, m] * gram[c, m]
                F_next[i, c] = total
        F_j, F_next = F_next, F_j
    at = 0
    for j in range(1, layers + 1):  # the gradient of W_j is -A_j^T F_j, F_{j+1} = F_j W_j^T
        for m in range(d[j]):
            for c in range(d[j - 1]):
                total = 0.0
                for i in range(d_y):
                    total += A[j, i, m] * F_j[i, c]
                out[at + m * d[j - 1] + c] = -total
        if j < layers:
            for i in range(d_y):
                for m in range(d[j]):
                    total = 0.0
                    for c in range(d[j - 1]):
                        total += F_j[i, c] * W[at + m * d[j - 1] + c]
                    F_next[i, m] = total
            F_j, F_next = F_next, F_j
        at += d[j] * d[j - 1]
    return L
