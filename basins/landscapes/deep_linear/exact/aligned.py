"""Balanced layers aligned with the target, where each mode of the product evolves by itself (theory.md 6.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from basins.arrays import floats
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.exact.chain import Chain
from basins.landscapes.deep_linear.exact.validation import Array, at_times, require
from basins.landscapes.deep_linear.problem import Problem


def balanced(problem: Problem, s0: ArrayLike, t: ArrayLike, gauges: Sequence[ArrayLike] | None = None) -> Array:
    """Balanced layers aligned with the target: each mode of the product follows s' = (H + 1) s^{2 - 2/(H+1)} (sigma -
    s) (theory.md 6.3).

    s0: (d_y,), modes of the product at t = 0, >= 0 (a mode at 0 stays); gauges: H matrices Q_j (d_j, d_y) with
    orthonormal columns, the identity's by default: W_j = Q_j diag(s^{1/(H+1)}) Q_{j-1}^T with Q_0 = [I 0]^T and
    Q_{H+1} = I, so that every C_j is 0. For H = 1, s = sigma / (1 + (sigma / s0 - 1) e^{-2 sigma t}); for H > 1 it is
    the scalar chain with all weights equal.

    Returns the state, (n,) or (T, n). Raises ArgumentError for modes or gauges that do not fit the problem.
    """
    start = floats(s0, "balanced: s0")
    require(problem, "balanced")
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
        return float(Chain(sigma, np.full(layers, s ** (1 / layers))).state(time)[0])

    def state(time: float) -> Array:
        v = np.array([root(i, time) for i in range(problem.d_y)])
        return problem.pack([(Q[j + 1] * v) @ Q[j].T for j in range(layers)])

    return at_times(state, t)


def _gauges(problem: Problem, gauges: Sequence[ArrayLike] | None) -> list[Array]:
    d_y = problem.d_y
    if gauges is None:
        gauges = [np.eye(d, d_y) for d in problem.hidden]
    Q = [np.eye(problem.d_x, d_y), *(floats(Q_j, "balanced: gauges") for Q_j in gauges), np.eye(d_y)]
    if [Q_j.shape for Q_j in Q] != [(d, d_y) for d in problem.widths] or not all(
        np.allclose(Q_j.T @ Q_j, np.eye(d_y), rtol=0, atol=1e-12) for Q_j in Q
    ):
        raise ArgumentError(
            "gauges that are not orthonormal columns of the right shapes",
            where="balanced: gauges",
            remedy=f"give H = {problem.H} matrices of shapes {[(d, d_y) for d in problem.hidden]}",
        )
    return Q
