"""Exactly solvable cases of the reduced flow (theory.md 6): for tests, benchmarks and notebooks alike.

Each function takes a problem, a start W0 in the package's flat layout and times, and returns the state at those
times, so that an integrator's error reads `integrated - exact`: t () gives (n,), t (T,) gives (T, n), t >= 0. Where
only a function of the state has a closed form (`matrix_riccati`), that is returned, and its docstring says what to
compare with. Closed forms are written so that nothing overflows and nothing cancels for large t; quadratures are
asked for a relative 1e-12.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import elliprf

from basins.errors import ArgumentError
from basins.problem import Problem
from basins.rounding import EPS

Array = NDArray[np.float64]

QUADRATURE = 1e-12
"""Relative accuracy asked of every quadrature."""


# --- 6.1 the scalar chain -------------------------------------------------------------------------------------------


def scalar_chain(problem: Problem, W0: ArrayLike, t: ArrayLike) -> Array:
    """All widths 1, any H: the state at time t (theory.md 6.1), from the time integral and its inverse.

    With p = w_{H+1}...w_1 every w_j^2 grows at one rate, (w_j^2)' = 2 p (sigma - p), so w_j^2 = x + a_j and
    t = int dx / (2 p (sigma - p)). See `_Chain` for how the integral is taken.
    """
    chain = _scalar_chain(problem, W0)
    return _at_times(chain.state, t)


def scalar_chain_time(problem: Problem, W0: ArrayLike, p: float) -> float:
    """The time at which the product w_{H+1}...w_1 of a scalar chain is p; inf if it never is, or only in the
    limit."""
    return _scalar_chain(problem, W0).time_of_product(p)


def tied_chain_start(problem: Problem, magnitude: float, others: Sequence[float]) -> Array:
    """(magnitude, -magnitude, *others), others positive and larger: on the stable manifold of 0 in exact arithmetic
    (theory.md 6.9).

    All widths 1, H + 1 weights. Rounding lets an integrator escape: a control for numerical escape, not an oracle.
    """
    w = np.array([magnitude, -magnitude, *others], dtype=np.float64)
    _require(problem, set(problem.widths) == {1}, "widths that are all 1", "tied_chain_start")
    if len(w) != problem.n or not 0 < magnitude < min([np.inf, *others]):
        raise ArgumentError(
            f"magnitudes {w.tolist()}",
            where="tied_chain_start",
            remedy=f"give {problem.n - 2} others, each above the positive magnitude",
        )
    return w


def blow_up_time(sigma: float, v: ArrayLike) -> float:
    """When w_j' = sigma p / w_j from v (H + 1,), H >= 2, reaches infinity: from W = eps v a chain leaves 0 after
    eps^-(H-1) times this.

    F(v^2) = int_0^inf dx / (2 sigma sqrt(prod (v_j^2 + x))) for a positive product; 2 F(v^2 - min v^2) - F(v^2) for a
    negative one, where x first falls to -min v^2; inf where the smallest magnitude is tied and the product not
    positive. For H = 2, F is Carlson's R_F(v_1^2, v_2^2, v_3^2) / sigma (theory.md 6.2; DLMF 19.16.1).
    """
    w = np.array(v, dtype=np.float64)
    if w.ndim != 1 or len(w) < 3 or not sigma > 0:
        raise ArgumentError(
            f"sigma = {sigma!r} and {w.size} weights",
            where="blow_up_time",
            remedy="give sigma > 0 and H + 1 >= 3 weights",
        )
    squares = np.sort(w**2)
    if np.prod(np.sign(w)) > 0:
        return _blow_up(squares) / sigma
    if squares[1] == squares[0]:
        return np.inf
    from_zero = _blow_up(squares - squares[0])
    return (2 * from_zero - _blow_up(squares)) / sigma


def _blow_up(squares: Array) -> float:
    """1/2 int_0^inf dx / sqrt(prod (squares + x)); squares (H + 1,) rising, at most the first of them zero."""
    if len(squares) == 3:
        return float(elliprf(*squares))
    # x = s m / (1 - s)^2 with m = squares[1] > 0 takes [0, inf) to [0, 1); s = r^2 removes the root at a zero
    # squares[0].
    m = squares[1]

    def integrand(r: float) -> float:
        s = r * r
        x = s * m / (1 - s) ** 2
        jacobian = 2 * r * m * (1 + s) / (1 - s) ** 3
        return (
            float(0.5 * jacobian / np.sqrt(np.prod(squares + x)))
            if r > 0
            else float(np.sqrt(m) / np.sqrt(np.prod(squares[1:])))
        )

    return _integral(integrand, 0.0, 1.0)


class _Chain:
    """v' = (sigma - v g) g with g(v) = prod sqrt(v^2 + a_j) over the other layers: the flow of a scalar chain in one
    variable.

    m is a layer of smallest magnitude, a_j = w_j^2 - w_m^2 >= 0, v = w_m up to the sign of the others' product; p = v
    g rises with v, and v -> v* with p(v*) = sigma, unless the smallest magnitude is tied and v <= 0: then v -> 0 from
    below, a saddle.

    Time as an integral over s, with v = v* - (v* - v0) e^{-s}: dt/ds = 1 / (g D), D = (sigma - p) / (v* - v), which
    is smooth up to the limit; D is a divided difference of p^2, free of cancellation. In the tied case v = v0 e^{-s}.
    """

    def __init__(self, sigma: float, w0: Array) -> None:
        self.sigma, self.w0 = sigma, w0
        m = self.m = int(np.argmin(np.abs(w0)))
        smallest = np.abs(w0[m])
        self.a = (np.abs(w0) - smallest) * (np.abs(w0) + smallest)
        self.others = np.delete(self.a, m)
        self.signs = np.where(w0 < 0, -1.0, 1.0)
        self.sign = float(np.prod(np.delete(self.signs, m)))
        self.v0 = self.sign * float(w0[m])
        self.saddle = bool((self.others == 0).any()) and self.v0 <= 0
        # p(v) >= v^{H+1}, so the root is no further than this.
        end = sigma ** (1 / len(w0)) * (1 + 1e-9)
        self.v_star = float(brentq(lambda v: v * self.g(v) - sigma, 0.0, end, xtol=1e-300, rtol=1e-15))

    def g(self, v: float) -> float:
        return float(np.prod(np.sqrt(v * v + self.others)))

    def D(self, v: float) -> float:
        """(sigma - p(v)) / (v* - v): sum over layers of a telescoped p*^2 - p^2, all terms positive, for v > 0."""
        p = v * self.g(v)
        if v <= 0:
            return (self.sigma - p) / (self.v_star - v)
        X_star, X = self.v_star**2 + self.a, v * v + self.a
        ahead = np.concatenate([[1.0], np.cumprod(X_star[:-1])])
        behind = np.concatenate([np.cumprod(X[:0:-1])[::-1], [1.0]])
        return (self.v_star + v) * float(ahead @ behind) / (self.sigma + p)

    def v(self, s: float) -> float:
        if self.saddle:
            return self.v0 * float(np.exp(-s))
        return self.v0 - (self.v_star - self.v0) * float(np.expm1(-s))

    def slowness(self, s: float) -> float:
        """dt/ds."""
        v = self.v(s)
        if self.saddle:
            return -v / (self.g(v) * (self.sigma - v * self.g(v)))
        return 1 / (self.g(v) * self.D(v))

    def time(self, s: float) -> float:
        """t at s. The integrand is steepest where v passes 0; the integral is split there."""
        crossing = np.log1p(-self.v0 / self.v_star) if self.v0 < 0 and not self.saddle else 0.0
        cuts = [0.0, crossing, s] if 0 < crossing < s else [0.0, s]
        return sum(_integral(self.slowness, a, b) for a, b in pairwise(cuts))

    def state(self, t: float) -> Array:
        """w at time t, (H + 1,)."""
        if t == 0 or self.v0 == self.v_star or (self.saddle and self.v0 == 0):
            return np.array(self.w0)
        end = 1.0
        while self.time(end) < t:
            end *= 2
        s = float(brentq(lambda s: self.time(s) - t, 0.0, end, xtol=1e-300, rtol=1e-15))
        v = self.v(s)
        w: Array = self.signs * np.sqrt(v * v + self.a)
        w[self.m] = self.sign * v
        return w

    def time_of_product(self, p: float) -> float:
        p0 = self.v0 * self.g(self.v0)
        if abs(p - p0) <= 4 * len(self.w0) * EPS * abs(p0):  # a product in another order
            return 0.0
        limit = 0.0 if self.saddle else self.sigma
        if not min(p0, limit) < p < max(p0, limit):
            return np.inf
        end = 0.0 if self.saddle else self.v_star
        v = float(brentq(lambda v: v * self.g(v) - p, min(self.v0, end), max(self.v0, end), xtol=1e-300, rtol=1e-15))
        if self.saddle:
            return self.time(float(np.log(self.v0 / v)))
        left = (self.sigma - p) / self.D(v)  # v* - v, also where v is v* to rounding
        return self.time(float(np.log((self.v_star - self.v0) / left)))


def _scalar_chain(problem: Problem, W0: ArrayLike) -> _Chain:
    _require(problem, set(problem.widths) == {1}, "widths that are all 1", "scalar_chain")
    return _Chain(float(problem.sigma[0]), _one(problem, W0))


# --- 6.3 balanced aligned modes -------------------------------------------------------------------------------------


def balanced(problem: Problem, s0: ArrayLike, t: ArrayLike, gauges: Sequence[ArrayLike] | None = None) -> Array:
    """Balanced layers aligned with the target: each mode of the product follows s' = (H + 1) s^{2 - 2/(H+1)} (sigma -
    s) (theory.md 6.3).

    s0: (d_y,), modes of the product at t = 0, >= 0 (a mode at 0 stays); gauges: H matrices Q_j (d_j, d_y) with
    orthonormal columns, the identity's by default: W_j = Q_j diag(s^{1/(H+1)}) Q_{j-1}^T with Q_0 = [I 0]^T and
    Q_{H+1} = I, so that every C_j is 0. H = 1: s = sigma / (1 + (sigma / s0 - 1) e^{-2 sigma t}). H > 1: the scalar
    chain with all weights equal.
    """
    start = np.array(s0, dtype=np.float64)
    _require(problem, True, "", "balanced")
    if start.shape != (problem.d_y,) or not (start >= 0).all():
        raise ArgumentError(
            f"modes {start.tolist()}", where="balanced: s0", remedy=f"give {problem.d_y} numbers, each at least 0"
        )
    Q = _gauges(problem, gauges)
    layers = problem.H + 1

    def root(i: int, time: float) -> float:
        """s_i^{1/(H+1)} at the time."""
        s, sigma = float(start[i]), float(problem.sigma[i])
        if s == 0:
            return 0.0
        if layers == 2:
            # s / sigma = 1 / (1 + (sigma/s0 - 1) q), q = e^{-2 sigma t}, over s0 so that a small s0 does not
            # overflow.
            q = np.exp(-2 * sigma * time)
            return float(np.sqrt(sigma * s / (s * -np.expm1(-2 * sigma * time) + sigma * q)))
        return float(_Chain(sigma, np.full(layers, s ** (1 / layers))).state(time)[0])

    def state(time: float) -> Array:
        v = np.array([root(i, time) for i in range(problem.d_y)])
        return problem.pack([(Q[j + 1] * v) @ Q[j].T for j in range(layers)])

    return _at_times(state, t)


def _gauges(problem: Problem, gauges: Sequence[ArrayLike] | None) -> list[Array]:
    d_y = problem.d_y
    if gauges is None:
        gauges = [np.eye(d, d_y) for d in problem.hidden]
    Q = [np.eye(problem.d_x, d_y), *(np.array(Q_j, dtype=np.float64) for Q_j in gauges), np.eye(d_y)]
    if [Q_j.shape for Q_j in Q] != [(d, d_y) for d in problem.widths] or not all(
        np.allclose(Q_j.T @ Q_j, np.eye(d_y), rtol=0, atol=1e-12) for Q_j in Q
    ):
        raise ArgumentError(
            "gauges that are not orthonormal columns of the right shapes",
            where="balanced: gauges",
            remedy=f"give H = {problem.H} matrices of shapes {[(d, d_y) for d in problem.hidden]}",
        )
    return Q


# --- 6.4, 6.5 one input, one output, m hidden units -----------------------------------------------------------------


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
    _require(problem, problem.H == 1 and problem.d_x == problem.d_y == 1, "H = 1 and d_x = d_y = 1", "width_chain")
    start = _one(problem, W0)
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

    return _at_times(state, t)


# --- 6.6 H = 1 with C_1 = lambda I ----------------------------------------------------------------------------------


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
    start = _stacked(problem, _one(problem, W0))
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

    return _at_times(state, t)


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
    """(even + odd F) Q pair by pair, even and odd (d_y,); `rest` on the input directions that Sigma does not see."""
    d_x, d_y = problem.d_x, problem.d_y
    x, y = Q[:d_y], Q[d_x:]
    even, odd, sigma = even[:, None], odd[:, None], problem.sigma[:, None]
    top = (even - lam / 2 * odd) * x + odd * sigma * y
    bottom = odd * sigma * x + (even + lam / 2 * odd) * y
    return np.concatenate([top, rest * Q[d_y:d_x], bottom])


def _stacked(problem: Problem, W: ArrayLike) -> Array:
    _require(problem, problem.H == 1, "H = 1", "matrix_riccati")
    W_1, W_2 = problem.unpack(W)
    return np.concatenate([np.swapaxes(W_1, -1, -2), W_2], axis=-2)


# --- 6.8 a stable manifold that floating point keeps ----------------------------------------------------------------


def diagonal_start(problem: Problem, modes: Iterable[int], W_1: ArrayLike, W_2: ArrayLike) -> Array:
    """H = 1, diagonal layers with (W_2)_jj = -(W_1)_jj for j not in S = modes: on the stable manifold of I_S
    (theory.md 6.8).

    The field keeps the equality bitwise, and so does a method that treats all components alike. scipy's steps are
    BLAS dot products whose rounding may depend on a component's place in memory: under the reference engine it may
    leave, late. W_1, W_2: (d_y,), the diagonals; W_2 is overwritten off S. A mode of S with (W_2)_jj = -(W_1)_jj
    would not be fitted: refused.
    """
    S = sorted(set(modes))
    _require(problem, problem.H == 1, "H = 1", "diagonal_start")
    first, second = np.array(W_1, dtype=np.float64), np.array(W_2, dtype=np.float64)
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


# --- small helpers --------------------------------------------------------------------------------------------------


def _integral(integrand: Callable[[float], float], a: float, b: float) -> float:
    value, _ = quad(integrand, a, b, epsabs=0.0, epsrel=QUADRATURE, limit=200)
    return float(value)


def _at_times(state: Callable[[float], Array], t: ArrayLike) -> Array:
    """The state at t () or at each of t (T,)."""
    times = np.asarray(t, dtype=np.float64)
    if times.ndim > 1 or not (times >= 0).all() or not np.isfinite(times).all():
        raise ArgumentError(
            f"times {times.tolist()}", where="t", remedy="give one finite time or a list, each at least 0"
        )
    if times.ndim == 0:
        return state(float(times))
    return np.array([state(float(time)) for time in times])


def _one(problem: Problem, W0: ArrayLike) -> Array:
    start = problem.state(W0)
    if start.ndim != 1:
        raise ArgumentError(f"a batch of {len(start)} starts", where="W0", remedy="give one start (n,)")
    return start


def _require(problem: Problem, holds: bool, what: str, where: str) -> None:
    if problem.flow != "reduced":
        raise ArgumentError("the raw flow has no such closed form", where=where, remedy="use the reduced flow")
    if not holds:
        raise ArgumentError(f"a problem of widths {problem.widths}", where=where, remedy=f"needs {what}")
