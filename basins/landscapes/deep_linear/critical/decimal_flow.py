"""The flow in sixty decimal digits, which keep what double precision rounds away or lets underflow.

A saddle that is outlasted in double precision may be one that the exact flow leaves: a term that is too small for its
sum is lost, and with it the way out. Here the same start is integrated by the classic Runge-Kutta method in Python's
decimal arithmetic, whose exponents are unbounded. It is slow, and gives the same digits on any machine. Explicit
Runge-Kutta methods preserve the linear symmetries that keep an exact start on its stable manifold.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear import gradient
from basins.landscapes.deep_linear.critical.inertia import hessian_size
from basins.landscapes.deep_linear.problem import Array, Problem

DIGITS = 60

STEP = 2.5
"""A step takes this many times 1 / (the fastest rate). The method is stable up to 2.78."""

COSTLY = 2e7
"""The most multiplications, which take some seconds. Beyond it the answer is no."""

Decimals = NDArray[np.object_]


def stays(problem: Problem, start: Array, critical_value: float, until: float, fastest: float) -> bool:
    """Whether the flow from a start (n,) is at this critical value at time `until`, in sixty digits.

    fastest: the largest rate beside the saddle, in 1 / time. False also if the integration would take too many
    multiplications, and if sixty digits may still round a term of the field away.
    """
    if not _every_term_counts(problem, start):
        return False
    shapes = problem.shapes
    each = 3 * problem.d_y * sum(columns * rows for rows, columns in shapes) + problem.d_y * problem.d_x**2
    most = int(COSTLY / (4 * each))
    if until * fastest / STEP > most:
        return False
    with localcontext(Context(prec=DIGITS, traps=[])):
        target = _decimals(problem.target)
        root = None if problem.gram_root is None else _decimals(problem.gram_root)
        layers = [_decimals(W_j) for W_j in problem.unpack(start)]
        t, steps = 0.0, 0
        while t < until and steps < most:
            if steps % 16 == 0:
                W = problem.pack([W_j.astype(np.float64) for W_j in layers])
                loss = float(problem.loss(W))
                if not loss >= (1 - 1e-3) * critical_value:
                    return False
                near = loss <= (1 + 1e-3) * critical_value
                h = STEP / fastest if near else min(STEP / fastest, 1 / hessian_size(problem, W))
            layers = _step(target, root, layers, Decimal(h))
            t, steps = t + h, steps + 1
        W = problem.pack([W_j.astype(np.float64) for W_j in layers])
        return bool(t >= until and abs(float(problem.loss(W)) - critical_value) <= 1e-3 * critical_value)


def _every_term_counts(problem: Problem, start: Array) -> bool:
    """Whether no product of 2 H + 1 entries, the field's degree, is lost in a sum: the least nonzero entry of each
    layer, to that power, is above the last digit of the layer's largest."""
    for W_j in problem.unpack(start):
        sizes = np.abs(W_j[W_j != 0])
        if len(sizes) and np.log10(sizes.min()) - np.log10(sizes.max()) < -DIGITS / (2 * problem.H + 1):
            return False
    return True


def _step(target: Decimals, root: Decimals | None, W: Sequence[Decimals], h: Decimal) -> list[Decimals]:
    """One step of the classic Runge-Kutta method."""

    def slope(layers: Sequence[Decimals]) -> list[Any]:
        return _velocity(target, root, layers)

    half, sixth = h / 2, h / 6
    k1 = slope(W)
    k2 = slope([w + half * k for w, k in zip(W, k1, strict=True)])
    k3 = slope([w + half * k for w, k in zip(W, k2, strict=True)])
    k4 = slope([w + h * k for w, k in zip(W, k3, strict=True)])
    return [w + sixth * (a + 2 * b + 2 * c + d) for w, a, b, c, d in zip(W, k1, k2, k3, k4, strict=True)]


def _velocity(target: Decimals, root: Decimals | None, W: Sequence[Any]) -> list[Any]:
    """dW_j/dt = A_j^T E G^T B_j^T, as in gradient.py, for decimal entries."""
    A: list[Any] = gradient.suffix_products(W)
    F: Any = target - (A[0] if root is None else A[0] @ root)
    if root is not None:
        F = F @ root.T
    velocity = []
    for A_j, W_j in zip(A[1:], W, strict=False):
        velocity.append(F if A_j is None else A_j.T @ F)
        F = F @ W_j.T
    return velocity


def _decimals(A: Array) -> Decimals:
    """The same numbers as decimals, exactly."""
    found: Decimals = np.array([Decimal(a) for a in A.ravel().tolist()], dtype=object).reshape(A.shape)
    return found
