"""The integrals behind `truth.survival` for scalar chains of three weights and more, compiled.

A chain w_1, ..., w_N (N = H + 1, all widths 1) has one variable (theory.md 6.1): v is the weight of smallest magnitude,
with the sign of the product, and w_j^2 = v^2 + b_j^2 for the others; the b_j >= 0 are the invariants. With
g(v) = prod_j sqrt(v^2 + b_j^2) and p = v g,

    v' = (sigma - p) g,      T(v, b) = int_v^{v_end} dv / ((sigma - p) g),      p(v_end) = p_end,

and T falls in v and, for p_end < sigma / 2, in every b_j. In these variables a product of normal densities is, with
dw_j = b_j db_j / sqrt(v^2 + b_j^2), over all 2^{N-1} signs of the others and every order of the layers,

    P(T > t) = 2^{N-1} sum over orders int dv int_{b_1 < ... < b_{N-1}, T(v, b) > t} prod_j phi(w_j) dw_j,

where T(v, b) > t cuts off the size of b at one radius for each v and each set of ratios of the b_j.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basins.jit_cache import njit

Array = NDArray[np.float64]

PANEL = 1.5
"""Length in y = asinh(v / b_1) of a panel of the time integral; the integrand's poles are at least pi / N away."""

NODES, WEIGHTS = (np.ascontiguousarray(a) for a in np.polynomial.legendre.leggauss(10))
DEPTHS = np.array([0.0, 0.75, 1.5, 3.0, 6.0, 12.0])
"""Edges of the panels in log R, downwards from the cut; the integrand falls there at least as R^{N-1}."""


@njit(cache=True, error_model="numpy")
def passage(v: float, b: Array, sigma: float, p_end: float) -> tuple[float, float]:
    """T(v, b) and its derivative with respect to the log of a common factor of b; b (N - 1,) is positive and rising."""
    end = np.log(p_end) / (len(b) + 1)  # log v_end: Newton from the right on a convex function
    for _ in range(60):
        height, slope = end - np.log(p_end), 1.0
        for b_j in b:
            square = np.exp(2 * end) + b_j * b_j
            height += 0.5 * np.log(square)
            slope += np.exp(2 * end) / square
        end -= height / slope
        if abs(height) < 1e-14:
            break
    v_end = np.exp(end)
    if v >= v_end:
        return 0.0, 0.0
    low, high = np.arcsinh(v / b[0]), np.arcsinh(v_end / b[0])
    panels = int(np.ceil((high - low) / PANEL))
    half = 0.5 * (high - low) / panels
    time, change = 0.0, 0.0
    for panel in range(panels):
        for node, weight in zip(NODES, WEIGHTS):  # noqa: B905 - numba does not support strict
            at = b[0] * np.sinh(low + half * (2 * panel + 1 + node))
            first = at * at + b[0] * b[0]
            rest, share = 1.0, b[0] * b[0] / first
            for b_j in b[1:]:
                square = at * at + b_j * b_j
                rest *= square
                share += b_j * b_j / square
            g = np.sqrt(rest)
            p = at * g * np.sqrt(first)
            slowness = weight * half / ((sigma - p) * g)
            time += slowness
            change -= slowness * share * (sigma - 2 * p) / (sigma - p)
    share = 0.0
    for b_j in b:
        share += b_j * b_j / (v_end * v_end + b_j * b_j)
    moved = -v_end * share / (1 + len(b) - share)
    return time, change + moved * v_end / ((sigma - p_end) * p_end)


@njit(cache=True, error_model="numpy")
def log_radius(
    v: float, ratios: Array, sigma: float, p_end: float, t: float, guess: float, cap: float, floor: float
) -> float:
    """log R with T(v, R ratios) = t, by Newton's method in logs within a bracket; `cap` if T at `cap` is at least t,
    -inf if the root is below `floor`."""
    low, high, at = -np.inf, cap, min(guess, cap)
    if passage(v, np.exp(cap) * ratios, sigma, p_end)[0] >= t:
        return cap
    for _ in range(200):
        time, change = passage(v, np.exp(at) * ratios, sigma, p_end)
        if time > t:
            low = at
        else:
            high = at
        step = -np.log(time / t) * time / change if time > 0.0 and change < 0.0 else np.nan
        then = at + step
        if not low < then < high or abs(step) > 20.0:
            then = 0.5 * (low + high) if low > -np.inf else high - 2.0
        if abs(then - at) < 1e-11:
            return then
        if high < floor:
            return -np.inf
        at = then
    return at


@njit(cache=True, error_model="numpy")
def mass(v: float, ratios: Array, top: float, halves: Array) -> float:
    """int_{-inf}^{top} dlog R prod_j b_j^2 / sqrt(v^2 + b_j^2) sum over orders exp(-sum_j w_j^2 / (2 s_j^2)), b = R
    ratios.

    halves (orders, N): 1 / (2 s^2), for the smallest weight first.
    """
    total = 0.0
    for panel in range(len(DEPTHS) - 1):
        centre = top - 0.5 * (DEPTHS[panel] + DEPTHS[panel + 1])
        half = 0.5 * (DEPTHS[panel + 1] - DEPTHS[panel])
        for node, weight in zip(NODES, WEIGHTS):  # noqa: B905 - numba does not support strict
            R = np.exp(centre + half * node)
            density = weight * half
            for ratio in ratios:
                square = R * R * ratio * ratio
                density *= square / np.sqrt(v * v + square)
            orders = 0.0
            for order in halves:
                exponent = order[0] * v * v
                for j, ratio in enumerate(ratios):
                    exponent += order[j + 1] * (v * v + R * R * ratio * ratio)
                orders += np.exp(-exponent)
            total += density * orders
    return total


@njit(cache=True, error_model="numpy")
def slow_mass(
    v: Array, dv: Array, ratios: Array, dratios: Array, sigma: float, p_end: float, t: float, cap: float, halves: Array
) -> float:
    """The integral of the mass with T > t over v (V,) with weights dv and over ratios (G, N - 1) with weights
    dratios (G,)."""
    total = 0.0
    for k in range(len(v)):
        guess = np.log(abs(v[k]) + v[0])
        row = 0.0
        for i in range(len(ratios)):
            top = log_radius(v[k], ratios[i], sigma, p_end, t, guess, cap, np.log(v[0]) - 40.0)
            if top > -np.inf:
                row += dratios[i] * mass(v[k], ratios[i], top, halves)
                guess = top
        total += dv[k] * row
    return total
