"""The scalar chain, all widths 1: its state, its times, and how long it takes to leave 0 (theory.md 6.1, 6.2, 6.9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import elliprf

from basins.arrays import floats
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.exact.chain import Chain, integral
from basins.landscapes.deep_linear.exact.validation import Array, at_times, one_start, require
from basins.landscapes.deep_linear.problem import Problem


def scalar_chain(problem: Problem, W0: ArrayLike, t: ArrayLike) -> Array:
    """All widths 1, any H: the state at time t (theory.md 6.1), from the time integral and its inverse.

    With p = w_{H+1}...w_1 every w_j^2 grows at one rate, (w_j^2)' = 2 p (sigma - p), so w_j^2 = x + a_j and
    t = int dx / (2 p (sigma - p)). See `Chain` for how the integral is taken.
    """
    chain = _scalar_chain(problem, W0)
    return at_times(chain.state, t)


def scalar_chain_time(problem: Problem, W0: ArrayLike, p: float) -> float:
    """The time at which the product w_{H+1}...w_1 of a scalar chain is p; inf if it never is, or only in the limit.
    Raises ArgumentError for a problem that is no scalar chain."""
    return _scalar_chain(problem, W0).time_of_product(p)


def tied_chain_start(problem: Problem, magnitude: float, others: Sequence[float]) -> Array:
    """(magnitude, -magnitude, *others), others positive and larger: on the stable manifold of 0 in exact arithmetic
    (theory.md 6.9).

    All widths 1, H + 1 weights. Rounding lets an integrator escape, so this is a control for numerical escape, not an
    oracle. Raises ArgumentError for other widths, and for others that are not all larger than the magnitude.
    """
    w = np.array([magnitude, -magnitude, *others], dtype=np.float64)
    require(problem, "tied_chain_start", set(problem.widths) == {1}, "widths that are all 1")
    if len(w) != problem.n or not 0 < magnitude < min([np.inf, *others]):
        raise ArgumentError(
            f"magnitudes {w.tolist()}",
            where="tied_chain_start",
            remedy=f"give {problem.n - 2} others, each above the positive magnitude",
        )
    return w


def blow_up_time(sigma: float, v: ArrayLike) -> float:
    """The time at which w_j' = sigma p / w_j from v (H + 1,), H >= 2, reaches infinity. From W = eps v a chain leaves 0
    after eps^-(H-1) times this. Raises ArgumentError for fewer than three weights, and for sigma <= 0.

    F(v^2) = int_0^inf dx / (2 sigma sqrt(prod (v_j^2 + x))) for a positive product; 2 F(v^2 - min v^2) - F(v^2) for a
    negative one, where x first falls to -min v^2; inf where the smallest magnitude is tied and the product not
    positive. For H = 2, F is Carlson's R_F(v_1^2, v_2^2, v_3^2) / sigma (theory.md 6.2; DLMF 19.16.1).
    """
    w = floats(v, "v").copy()
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

    return integral(integrand, 0.0, 1.0)


def _scalar_chain(problem: Problem, W0: ArrayLike) -> Chain:
    require(problem, "scalar_chain", set(problem.widths) == {1}, "widths that are all 1")
    return Chain(float(problem.sigma[0]), one_start(problem, W0))
