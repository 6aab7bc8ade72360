"""A scalar chain in one variable, and the integral that its time is (theory.md 6.1)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.integrate import quad
from scipy.optimize import brentq

from basins.landscapes.deep_linear.exact.validation import Array
from basins.rounding import EPS

QUADRATURE = 1e-12
"""Relative accuracy asked of every quadrature."""


class Chain:
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
        return sum(integral(self.slowness, a, b) for a, b in pairwise(cuts))

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


def integral(integrand: Callable[[float], float], a: float, b: float) -> float:
    value, _ = quad(integrand, a, b, epsabs=0.0, epsrel=QUADRATURE, limit=200)
    return float(value)
