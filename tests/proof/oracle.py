"""The exact flow to 28 digits and more, by other means than basins.proof: Taylor's method of order 40 in python-flint's
arithmetic, one matrix product at a time, with sub-steps. It shares no code with what it checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flint
import numpy as np

from basins import Problem
from basins.proof import Enclosures

BITS, ORDER = 256, 40


def exact(matrix: np.ndarray) -> Any:
    return flint.arb_mat([[flint.arb(float(x)) for x in row] for row in matrix])


def coefficients(T: Any, G: Any, W: Sequence[Any], order: int) -> list[list[Any]]:
    """Taylor coefficients 0 ... order of each layer along dW_j/dt = A_j^T E G^T B_j^T (flow.py)."""
    m = len(W)
    layers = [[one] for one in W]
    A: list[list[Any]] = [[] for _ in range(m)]  # A[j] = W_m ... W_{j+1} of the paper, from the layer j on
    F: list[list[Any]] = [[] for _ in range(m)]
    for i in range(order):
        A[m - 1].append(layers[m - 1][i])
        for j in range(m - 2, -1, -1):
            A[j].append(convolve(A[j + 1], layers[j], i))
        P = A[0][i] if G is None else A[0][i] * G
        E = T - P if i == 0 else -P
        F[0].append(E if G is None else E * G.transpose())
        for j in range(m - 1):
            F[j + 1].append(sum_of([F[j][k] * layers[j][i - k].transpose() for k in range(i + 1)]))
        for j in range(m):
            if j == m - 1:
                slope = F[j][i]
            else:
                slope = sum_of([A[j + 1][k].transpose() * F[j][i - k] for k in range(i + 1)])
            layers[j].append(slope / (i + 1))
    return layers


def convolve(X: list[Any], Y: list[Any], i: int) -> Any:
    return sum_of([X[k] * Y[i - k] for k in range(i + 1)])


def sum_of(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def along(problem: Problem, start: np.ndarray, steps: np.ndarray, pieces: int = 1, order: int = ORDER) -> list[Any]:
    """The layers (as matrices of `arb`) of the flow from `start` after each of the steps, each made in some pieces. A
    step of a proof is a fifth of the radius of convergence (B) or less: one piece is off by 1e-28, two by 1e-40."""
    before, flint.ctx.prec = flint.ctx.prec, BITS
    try:
        T = exact(problem.target)
        G = None if problem.gram_root is None else exact(problem.gram_root)
        W = [exact(layer) for layer in problem.unpack(start)]
        states = []
        for h in steps:
            piece = flint.arb(float(h)) / pieces
            for _ in range(pieces if h > 0 else 0):
                series = coefficients(T, G, W, order)
                W = [midpoints(horner(layer, piece)) for layer in series]
            states.append(W)
        return states
    finally:
        flint.ctx.prec = before


def horner(layer: list[Any], h: Any) -> Any:
    total = layer[-1]
    for coefficient in reversed(layer[:-1]):
        total = total * h + coefficient
    return total


def midpoints(matrix: Any) -> Any:
    return flint.arb_mat([[matrix[i, j].mid() for j in range(matrix.ncols())] for i in range(matrix.nrows())])


def distances(problem: Problem, states: list[Any], found: Enclosures, bits: int = BITS) -> np.ndarray:
    """Of each knot: the distance of the exact state from the enclosure's centre, over its radius."""
    before, flint.ctx.prec = flint.ctx.prec, bits
    try:
        ratios = []
        for k, W in enumerate(states):
            square = flint.arb(0)
            high, low = problem.unpack(found.W[k]), problem.unpack(found.W_low[k])
            for layer, centre, rest in zip(W, high, low, strict=True):
                for i, j in np.ndindex(centre.shape):
                    gap = layer[i, j] - flint.arb(float(centre[i, j])) - flint.arb(float(rest[i, j]))
                    square += gap * gap
            error = found.error[k]
            ratios.append(float(square.sqrt().mid()) / error if error > 0 else float(square.mid()))
        return np.array(ratios)
    finally:
        flint.ctx.prec = before


def defect(problem: Problem, W: np.ndarray, W_low: np.ndarray, clock: float, t: float, bits: int = BITS) -> float:
    """||u'(t) - f(u(t))|| of u(t) = sum_i (W[i] + W_low[i]) (t / clock)^i, W (p + 1, n)."""
    before, flint.ctx.prec = flint.ctx.prec, bits
    try:
        s = flint.arb(t) / flint.arb(clock)
        series = [
            [exact(high) + exact(low) for high, low in zip(problem.unpack(W[i]), problem.unpack(W_low[i]), strict=True)]
            for i in range(len(W))
        ]
        G = None if problem.gram_root is None else exact(problem.gram_root)
        total = flint.arb(0)
        state = [horner([row[j] for row in series], s) for j in range(len(series[0]))]
        slopes = coefficients(exact(problem.target), G, state, 1)
        for j in range(len(state)):
            moved = horner([row[j] * i for i, row in enumerate(series)][1:], s) / flint.arb(clock)
            for gap in (moved - slopes[j][1]).entries():
                total += gap * gap
        return float(total.sqrt().mid())
    finally:
        flint.ctx.prec = before
