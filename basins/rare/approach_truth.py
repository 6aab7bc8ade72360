"""P(G < g) where it is known: G the closest approach to the saddle of a scalar chain (approach.py), H = 1 and 2.

Only a start with a negative product passes the saddle's loss near the saddle. A start with a product above 2 sigma
passes it where the product is 2 sigma, with a gradient norm of at least `far`. The differences w_i^2 - w_j^2 are
constant, so the smallest weight, m = min |w|, is the first to reach zero. There |grad L| is sigma times the product of
the others,

    G = sigma prod over the others of sqrt(w_i^2 - m^2).

H = 1: w_1^2 - w_2^2 = 2 a b with a, b = (w_1 +- w_2) / sqrt(2) normal, so P is an integral of the Bessel function K_0.
H = 2: an integral over m and one other weight of the mass of the third, in logarithms, where the integrand decays
exponentially on all sides and the trapezoidal rule converges faster than any power of the step.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc, iti0k0

from basins.errors import ArgumentError
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]

STEP = 1 / 24
LOWEST, HIGHEST = -40.0, 2.5
"""Of log m and of the logarithm of the second weight's excess over m, in units of the scale."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)
"""On [-1, 1], for the mass of an interval that is short compared with the scale."""


def far(problem: Problem) -> float:
    """The least gradient norm of a chain with product 2 sigma: that of equal weights."""
    N, sigma = problem.H + 1, problem.sigma_min
    return float(sigma * np.sqrt(N) * (2 * sigma) ** (1 - 1 / N))


def nearer(problem: Problem, scale: float, g: float, *, step: float = STEP) -> float:
    """P(G < g) for a scalar chain, H = 1 or 2, with normal weights of standard deviation `scale`.

    g: a gradient norm, at most `far`. The relative accuracy is 1e-10 or better, measured by halving the step. Raises
    ArgumentError for other problems and other g.
    """
    if set(problem.widths) != {1} or problem.H > 2 or problem.flow != "reduced":
        raise ArgumentError(
            f"no law of G is known for widths {problem.widths}", where="nearer", remedy="give a chain, H = 1 or 2"
        )
    if not 0 < g <= far(problem):
        raise ArgumentError(f"g = {g!r}", where="nearer", remedy=f"give 0 to {far(problem):.4g}")
    c = g / (problem.sigma_min * scale**problem.H)
    if problem.H == 1:
        return float(iti0k0(0.5 * c * c)[1] / np.pi)
    log = np.arange(LOWEST, HIGHEST + step, step)
    m, x = np.exp(log)[:, None], np.exp(log)[None, :]  # the smallest, and sqrt(w^2 - m^2) of another
    u = np.sqrt(m * m + x * x)
    mass = _mass(np.broadcast_to(m, u.shape), np.sqrt(m * m + (c / x) ** 2), (c / x) ** 2)
    # Each of three weights may be the smallest, and half of the signs have a negative product; du = x / u dx.
    integrand = 0.5 * 3 * (2 * _normal(m) * m) * (2 * _normal(u) * x * x / u) * mass
    return float(integrand.sum() * step * step)


def _normal(x: Array) -> Array:
    density: Array = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi)
    return density


def _mass(low: Array, high: Array, squares: Array) -> Array:
    """P(low < |w| < high), w standard normal; squares: high^2 - low^2. No digits are lost if low and high are close."""
    width = squares / (high + low)
    far = width > 0.5
    mass = np.empty(low.shape)
    mass[far] = (erfc(low / np.sqrt(2)) - erfc(high / np.sqrt(2)))[far]
    near = low[~far][:, None] + width[~far][:, None] * 0.5 * (1 + NODES)
    mass[~far] = width[~far] * (_normal(near) @ WEIGHTS)  # 2 phi, and half the width
    return mass
