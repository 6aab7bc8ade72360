"""One hidden layer: one input and one output, C_1 = lambda I, and diagonal starts (theory.md 6.4 to 6.6, 6.8)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from basins.arrays import floats
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.exact.validation import Array, at_times, one_start, require
from basins.landscapes.deep_linear.problem import Problem


def width_chain(problem: Problem, W0: ArrayLike, t: ArrayLike) -> Array:
    """H = 1, d_x = d_y = 1, any width m (theory.md 6.5; m = 1 is 6.4, c = 0 included).

    u = W_1, v = W_2^T: u +- v = e^{+-tau} (u_0 +- v_0), and z = e^{2 tau} solves the Riccati equation z' = 2 sigma z
    - (alpha z^2 - beta) / 2, alpha = |u_0 + v_0|^2, beta = |u_0 - v_0|^2, z(0) = 1. For m = 1 and c = v_0^2 - u_0^2
    != 0, (v + u) / (v - u) = z alpha / c is the z of 6.4. With omega = sqrt(sigma^2 + alpha beta / 4) and q = e^{-2
    omega t},

        z = N / D,  N = C + (sigma + beta/2) S,  D = C + (alpha/2 - sigma) S,  C = (1 + q)/2,  S = (1 - q) / (2
        omega).

    The limit is the saddle 0 iff u_0 = -v_0: codimension m = m_u.
    """
    require(problem, "width_chain", problem.H == 1 and problem.d_x == problem.d_y == 1, "H = 1 and d_x = d_y = 1")
    start = one_start(problem, W0)
    u, v = np.split(start, 2)
    sigma = float(problem.sigma[0])
    alpha, beta = float((u + v) @ (u + v)), float((u - v) @ (u - v))
    omega = np.sqrt(sigma**2 + alpha * beta / 4)

    def state(time: float) -> Array:
        q = np.exp(-2 * omega * time)
        S = -np.expm1(-2 * omega * time) / (2 * omega)
        # C - sigma S = (k + (2 - k) q) / 2 with k = 1 - sigma / omega, written without the cancellation.
        k = alpha * beta / 4 / (omega * (omega + sigma))
        N = 0.5 * (1 + q) + (sigma + beta / 2) * S
        D = 0.5 * (k + (2 - k) * q) + alpha / 2 * S
        plus = np.sqrt(N / D) * (u + v) if alpha > 0 else 0.0 * u
        minus = np.sqrt(D / N) * (u - v)
        return np.concatenate([(plus + minus) / 2, (plus - minus) / 2])

    return at_times(state, t)


def gram(problem: Problem, W: ArrayLike) -> Array:
    """Q Q^T, (..., d_x + d_y, d_x + d_y), of H = 1 states (..., n), Q = [W_1^T; W_2]: [[W_1^T W_1, W_1^T W_2^T], [W_2
    W_1, W_2 W_2^T]]."""
    Q = _stacked(problem, W)
    return Q @ np.swapaxes(Q, -1, -2)


def matrix_riccati(problem: Problem, W0: ArrayLike, t: ArrayLike) -> Array:
    """Q Q^T at time t for H = 1 and C_1 = lambda I, lambda of any sign or 0, (..., d_x + d_y, d_x + d_y); compare
    with `gram`.

    Q = [W_1^T; W_2] solves Q' = F Q - 1/2 Q Q^T Q, F = [[-lambda/2 I, Sigma^T], [Sigma, lambda/2 I]], so (theory.md
    6.6)

        Q Q^T(t) = e^{Ft} Q_0 [I + Q_0^T (int_0^t e^{2Fs} ds) Q_0]^{-1} Q_0^T e^{Ft}.

    W itself is this up to a rotation of the hidden layer that has no closed form. F couples x_i and y_i only, and on
    that pair F^2 = omega^2, omega^2 = sigma_i^2 + lambda^2 / 4, so e^{Ft} is cosh + F sinh / omega. Large t is a
    product of steps of at most 1 / omega, each exact: the bracket stays well conditioned, and exact zeros (planted
    modes) stay zeros.

    Raises ArgumentError where C_1 is no multiple of I to rounding.
    """
    start = _stacked(problem, one_start(problem, W0))
    C = problem.invariants(W0)[0]
    lam = float(np.trace(C)) / len(C)
    size = float(np.sum(start**2))
    if np.abs(C - lam * np.eye(len(C))).max() > 1e-12 * size:
        raise ArgumentError(
            "C_1 is not a multiple of I", where="matrix_riccati: W0", remedy="give a start whose C_1 is"
        )
    omega = float(np.sqrt(problem.sigma[0] ** 2 + lam**2 / 4))

    def state(time: float) -> Array:
        steps = max(1, int(np.ceil(omega * time)))
        Q = start
        for _ in range(steps):
            Q = _riccati_step(problem, lam, Q, time / steps)
        return Q @ Q.T

    return at_times(state, t)


def _riccati_step(problem: Problem, lam: float, Q: Array, h: float) -> Array:
    """A Q with the Gram matrix that the flow has after h: e^{Fh} Q L^{-T} with L L^T the bracket (Cholesky)."""
    omega = np.sqrt(problem.sigma**2 + lam**2 / 4)
    grown = _apply(problem, lam, np.cosh(omega * h), np.sinh(omega * h) / omega, np.exp(-lam * h / 2), Q)
    rest = h if lam == 0 else -np.expm1(-lam * h) / lam
    cosh_1 = 2 * np.sinh(omega * h) ** 2  # cosh(2 omega h) - 1, without the cancellation
    summed = _apply(problem, lam, np.sinh(2 * omega * h) / (2 * omega), cosh_1 / (2 * omega**2), rest, Q)
    L = np.linalg.cholesky(np.eye(Q.shape[1]) + Q.T @ summed)
    after: Array = np.linalg.solve(L, grown.T).T
    return after


def _apply(problem: Problem, lam: float, even: Array, odd: Array, rest: float, Q: Array) -> Array:
    """(even + odd F) Q pair by pair, even and odd (d_y,); `rest` acts on the input directions in Sigma's kernel."""
    d_x, d_y = problem.d_x, problem.d_y
    x, y = Q[:d_y], Q[d_x:]
    even, odd, sigma = even[:, None], odd[:, None], problem.sigma[:, None]
    top = (even - lam / 2 * odd) * x + odd * sigma * y
    bottom = odd * sigma * x + (even + lam / 2 * odd) * y
    return np.concatenate([top, rest * Q[d_y:d_x], bottom])


def _stacked(problem: Problem, W: ArrayLike) -> Array:
    require(problem, "matrix_riccati", problem.H == 1, "H = 1")
    W_1, W_2 = problem.unpack(W)
    return np.concatenate([np.swapaxes(W_1, -1, -2), W_2], axis=-2)


def diagonal_start(problem: Problem, modes: Iterable[int], W_1: ArrayLike, W_2: ArrayLike) -> Array:
    """H = 1, diagonal layers with (W_2)_jj = -(W_1)_jj for j not in S = modes: on the stable manifold of I_S
    (theory.md 6.8).

    W_1, W_2: the diagonals, (d_y,); W_2 is overwritten off S.

    The field keeps the equality bitwise, and so does a method that treats all components alike. scipy's steps are BLAS
    dot products, whose rounding may depend on a component's place in memory, so under the reference engine the state
    may leave, late.

    Raises ArgumentError for H > 1, for modes and diagonals that do not fit the problem, and for a mode of S with
    (W_2)_jj = -(W_1)_jj, which would not be fitted.
    """
    S = sorted(set(modes))
    require(problem, "diagonal_start", problem.H == 1, "H = 1")
    first, second = floats(W_1, "diagonal_start: W_1").copy(), floats(W_2, "diagonal_start: W_2").copy()
    if first.shape != (problem.d_y,) or second.shape != (problem.d_y,) or not set(S) <= set(range(problem.d_y)):
        raise ArgumentError(
            f"modes {S}, diagonals of sizes {first.size} and {second.size}",
            where="diagonal_start",
            remedy=f"modes are among 0..{problem.d_y - 1}, diagonals have {problem.d_y} entries",
        )
    if (first[S] == -second[S]).any():
        raise ArgumentError("a mode of S with W_2 = -W_1", where="diagonal_start", remedy="it would not be fitted")
    unfitted = np.setdiff1d(np.arange(problem.d_y), S)
    second[unfitted] = -first[unfitted]
    layers = [np.zeros(shape) for shape in problem.shapes]
    np.fill_diagonal(layers[0][:, : problem.d_y], first)
    np.fill_diagonal(layers[1], second)
    return problem.pack(layers)
