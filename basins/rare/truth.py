"""P(T > t) where it is known: T is the time at which the loss level is passed, for scalar chains and for d_x = d_y = 1.

T is the first time at which L < level, and 0 for a start below it; L falls, so T > t means L(t) >= level. An engine
reports the end of the step that passed the level, which is later than T by part of a step; an integration to t_end = t
ends as T_END exactly if T > t.

For these problems T is a quadrature given the invariants (theory.md 6.1), or has a closed form (6.5), and it decreases
in the remaining coordinate of the start. So P(T > t) is an integral over the invariants of the mass beyond one root.
There is no subtraction, so the relative accuracy is the same at 1e-1 and at 1e-30. It is 1e-8 (H = 1), 2e-7 (H = 2) and
4e-7 (H = 3), as measured with more nodes; other parametrisations in tests/rare/test_truth.py agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from math import factorial

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import gammainc, gammaln, xlogy

from basins.errors import ArgumentError
from basins.landscapes.deep_linear.certificates import level as certified_loss_level
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]

REACH = 9.0
"""Standard deviations beyond which a normal law has negligible mass (1e-18)."""

RATIOS = (0.0, 1.0, 2.5, 4.5, 7.5, 11.5, 17.0, 25.0, 36.0)
"""Edges of the panels in -log(b_j / b_{j+1}): the integrand falls at least as the square root of the ratio."""

LEAST = -690.0
"""The smallest log alpha: its exponential is still a normal double."""

ORDER = 6
"""Number of nodes in a panel."""


def survival(problem: Problem, scale: float | Sequence[float], t: float, *, loss_level: float | None = None) -> float:
    """P(T > t) for normal weights of standard deviation `scale`: one number, or one per layer (W_1 first).

    The problem has all widths 1 and H <= 3, or H = 1, d_x = d_y = 1 and any width m. loss_level, in
    (sigma^2 / 8, sigma^2 / 2); by default that of the certificate, (1 - 1e-6) sigma^2 / 2 (rows of a run stop at twice
    that margin). t: at least `descent_time`, before which starts with a product above 2 sigma would count too. It takes
    10 ms (H = 1), 0.1 s (H = 2), or 1 to 6 s (H = 3). Raises ArgumentError for anything else.
    """
    sigma, scales, low, high = _checked(problem, scale, loss_level)
    first = _descent_time(sigma, problem.H + 1, high)
    if not first <= t < np.inf:
        raise ArgumentError(
            f"t = {t!r}", where="survival", remedy=f"give a time from {first:.4g} on, when no start is above the level"
        )
    if problem.H == 1:
        return _width(sigma, scales, problem.hidden[0], float(t), low)
    return _chain(sigma, scales, float(t), low)


def time_of(problem: Problem, scale: float | Sequence[float], P: float, *, loss_level: float | None = None) -> float:
    """The t with P(T > t) = P. Raises ArgumentError if P is larger than P(T > descent_time)."""
    start = descent_time(problem, loss_level=loss_level)
    most = survival(problem, scale, start, loss_level=loss_level)
    if not 0 < P <= most:
        raise ArgumentError(f"P = {P!r}", where="time_of", remedy=f"give a probability in (0, {most:.4g}]")

    def excess(log_t: float) -> float:
        return float(np.log(survival(problem, scale, float(np.exp(log_t)), loss_level=loss_level) / P))

    low = high = float(np.log(start))
    step = 1.0  # later 2: with one hidden layer log P is linear in t, and t is soon too large to resolve
    while excess(high) > 0:
        low, high, step = high, high + step, 2.0
    return float(np.exp(brentq(excess, low, high, rtol=1e-10))) if high > low else start


def descent_time(problem: Problem, *, loss_level: float | None = None) -> float:
    """The time by which every start with a product above 2 sigma has come down to the loss level: the time that the
    balanced start takes from infinity."""
    sigma, _, _, high = _checked(problem, 1.0, loss_level)
    return _descent_time(sigma, problem.H + 1, high)


def _descent_time(sigma: float, N: int, high: float) -> float:
    # w' = -(w^N - sigma) w^{N-1} with y = 1/w: dt = y^{2N-3} dy / (1 - sigma y^N). Any other chain with this product
    # comes down faster: sum 1/w_j^2 >= N p^{-2/N}.
    return float(quad(lambda y: y ** (2 * N - 3) / (1 - sigma * y**N), 0.0, high ** (-1 / N), epsrel=1e-12)[0])


def _checked(
    problem: Problem, scale: float | Sequence[float], loss_level: float | None
) -> tuple[float, tuple[float, ...], float, float]:
    """sigma, a scale per layer, and the products between which a start is certified."""
    chain = set(problem.widths) == {1} and problem.H <= 3
    if problem.flow != "reduced" or not (chain or (problem.H == 1 and problem.d_x == problem.d_y == 1)):
        raise ArgumentError(
            f"widths {problem.widths}, {problem.flow} flow",
            where="survival",
            remedy="P(T > t) is known for all widths 1 with H <= 3 and for (1, m, 1), reduced flow",
        )
    scales = tuple(map(float, scale)) if isinstance(scale, Sequence) else (float(scale),) * (problem.H + 1)
    if len(scales) != problem.H + 1 or not all(0 < s < np.inf for s in scales):
        raise ArgumentError(
            f"scale = {scale!r}", where="survival", remedy=f"give one positive scale, or {problem.H + 1}"
        )
    sigma = float(problem.sigma[0])
    if loss_level is None:
        loss_level = certified_loss_level(problem)
    if not 0.125 * sigma**2 < loss_level < 0.5 * sigma**2:
        raise ArgumentError(
            f"loss_level = {loss_level!r}",
            where="survival",
            remedy=f"give a loss in ({sigma**2 / 8:.4g}, {sigma**2 / 2:.4g})",
        )
    # sigma -+ sqrt(2 loss_level), the first without its cancellation
    root = float(np.sqrt(2 * loss_level))
    return sigma, scales, (sigma**2 - 2 * loss_level) / (sigma + root), sigma + root


# --- scalar chains of three weights and more --------------------------------------------------------------------------


def _chain(sigma: float, scales: tuple[float, ...], t: float, low: float, order: int = ORDER) -> float:
    """The integral of chain_tail.py: v over both sides of 0, ratios of the b_j, and the radius inside."""
    from basins.rare.chain_tail import slow_mass  # imports numba

    N, inverse = len(scales), np.array([0.5 / s**2 for s in scales])
    # Beyond these the density has negligible mass: |v| is below every weight, b_j below its own.
    furthest, cap = REACH / float(np.sqrt(2 * inverse.sum())), float(np.log(REACH * max(scales)))
    v_top = min(_balanced_start(sigma, N, t, low), furthest)
    v, dv = _either_side(v_top, furthest, order)
    ratios, dratios = _ratio_grid(N - 2, order)
    if len(set(scales)) == 1:
        orders, times = inverse[None, :], factorial(N)
    else:
        orders, times = inverse[np.array(list(permutations(range(N))))], 1
    found = slow_mass(v, dv, ratios, dratios, sigma, low, t, cap, np.ascontiguousarray(orders))
    return float(times * 2 ** (N - 1) * found / np.prod([np.sqrt(2 * np.pi) * s for s in scales]))


def _balanced_start(sigma: float, N: int, t: float, low: float) -> float:
    """The v > 0 from which the chain with equal weights takes the time t to reach the product `low`; every other start
    with this v is faster."""
    end = np.log(low) / N

    def late(start: float) -> float:
        time = quad(lambda x: np.exp(-(N - 2) * x) / (sigma - np.exp(N * x)), start, end, epsrel=1e-13, limit=200)[0]
        return float(time) - t

    start = end - 1.0
    while late(start) < 0:
        start -= 1.0
    return float(np.exp(brentq(late, start, end, xtol=1e-14)))


def _either_side(v_top: float, furthest: float, order: int) -> tuple[Array, Array]:
    """Nodes and weights in v, from v_top down to -furthest. The integrand has terms |v|^k log|v| at 0, which a cubic
    substitution removes."""
    u, du = _panels(np.array([0.0, 0.5, 1.0]), order)
    above, dabove = v_top * (1 - u) ** 3, 3 * v_top * (1 - u) ** 2 * du  # from v_top down to 0
    last = max(1.5, float(np.arcsinh(furthest / v_top)))
    near, dnear = u**3, 3 * u**2 * du
    far, dfar = _panels(np.linspace(1.0, last, 1 + int(np.ceil((last - 1) / 1.2))), order)
    z, dz = np.concatenate([near, far]), np.concatenate([dnear, dfar])
    below, dbelow = -v_top * np.sinh(z), v_top * np.cosh(z) * dz
    return np.concatenate([above, below]), np.concatenate([dabove, dbelow])


def _ratio_grid(ratios: int, order: int) -> tuple[Array, Array]:
    """b_1 < ... < b_{N-1} = 1 as (G, N - 1), with ratios e^{-eta}, and the weights in the etas."""
    eta, deta = _panels(np.array(RATIOS), order)
    grid = np.array(list(product(eta, repeat=ratios))).reshape(len(eta) ** ratios, ratios)
    weights = np.array([np.prod(w) for w in product(deta, repeat=ratios)])
    # log b_j = -sum of the etas from j on: the map has determinant 1
    logs = -np.cumsum(grid[:, ::-1], axis=1)[:, ::-1]
    return np.ascontiguousarray(np.exp(np.column_stack([logs, np.zeros(len(grid))]))), weights


def _panels(edges: Array, order: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes and weights on consecutive panels."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = 0.5 * np.diff(edges)[:, None]
    return ((edges[:-1, None] + half) + half * x).ravel(), (half * w).ravel()


# --- one input, one output, m hidden units ----------------------------------------------------------------------------


def _width(sigma: float, scales: tuple[float, ...], m: int, t: float, low: float, step: float = 1 / 24) -> float:
    """H = 1, d_x = d_y = 1 (theory.md 6.5): alpha = |u + v|^2 and beta = |u - v|^2 decide, and T > t iff alpha is
    below a root alpha_t(beta).

    u + v and u - v have variances S = s_1^2 + s_2^2 and correlation rho = (s_1^2 - s_2^2) / S an entry: beta / S is
    chi-square with m degrees of freedom, and given it alpha / (S (1 - rho^2)) is non-central chi-square.
    """
    s_1, s_2 = scales
    S, rho = s_1**2 + s_2**2, (s_1**2 - s_2**2) / (s_1**2 + s_2**2)
    narrow = 4 * s_1**2 * s_2**2 / S
    x = np.arange(np.log(1e-18) / m, np.log(np.sqrt(m) + REACH), step)  # log of the chi number r: beta = S r^2
    r2 = np.exp(2 * x)
    log_density = m * x - r2 / 2 - (m / 2 - 1) * np.log(2) - gammaln(m / 2)
    alpha = np.exp(_log_alpha(sigma, S * r2, t, low))
    return float(step * np.sum(np.exp(log_density) * _noncentral(alpha / narrow, m, rho**2 * S * r2 / narrow)))


def _log_alpha(sigma: float, beta: Array, t: float, low: float) -> Array:
    """log alpha_t(beta), by bisection: at time t the product is below `low` if alpha is below alpha_t."""
    top = np.log(beta + 4 * low)  # here the product is `low` already at t = 0
    bottom = np.full_like(top, LEAST)
    for _ in range(64):
        middle = 0.5 * (bottom + top)
        below = _product(sigma, np.exp(middle), beta, t) < low
        bottom, top = np.where(below, middle, bottom), np.where(below, top, middle)
    middle = 0.5 * (bottom + top)
    if middle.min() < LEAST + 1:
        what = f"t = {t!r}: the starts with T > t are within e^{LEAST / 2:g} of the stable manifold"
        raise ArgumentError(what, where="survival", remedy="give a smaller time: double precision cannot resolve this")
    return middle


def _product(sigma: float, alpha: Array, beta: Array, t: float) -> Array:
    """u.v at time t, in the terms of `exact.width_chain`."""
    omega = np.sqrt(sigma**2 + alpha * beta / 4)
    q, S = np.exp(-2 * omega * t), -np.expm1(-2 * omega * t) / (2 * omega)
    k = alpha * beta / 4 / (omega * (omega + sigma))
    N = 0.5 * (1 + q) + (sigma + beta / 2) * S
    D = 0.5 * (k + (2 - k) * q) + alpha / 2 * S
    product: Array = (alpha * N / D - beta * D / N) / 4
    return product


def _noncentral(x: Array, m: int, excess: Array) -> Array:
    """The non-central chi-square distribution function, as its Poisson mixture: all terms positive, so small values
    keep their digits."""
    total, k = np.zeros_like(x), 0
    while True:
        term = np.exp(xlogy(k, excess / 2) - excess / 2 - gammaln(k + 1)) * gammainc(m / 2 + k, x / 2)
        total = total + term
        k += 1
        if k > 0.5 * excess.max() and (term <= 1e-17 * total).all():
            return total
