"""Zeros that the reduced flow keeps: where a planted start has them, which modes they leave unfitted for ever, and the
loss levels of the smaller problem that is left (theory.md 6.7).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]


def check_saddle(problem: Problem, modes: Collection[int], where: str) -> None:
    """Raises ArgumentError, its place `where`, if the modes are all there are: a minimum attracts everything near it,
    so no start is planted on it or beside it."""
    if len(modes) == problem.d_y:
        raise ArgumentError(
            f"modes {list(modes)} are all {problem.d_y}, and a point that fits all is not a saddle",
            where=where,
            remedy="leave at least one out",
        )


def planted_zeros(problem: Problem, modes: Collection[int]) -> NDArray[np.bool_]:
    """Entries (n,) that a start planted on S = modes has zero: the S^c columns of W_1, among the first d_y, and the
    S^c rows of W_{H+1}."""
    unfitted = [i for i in range(problem.d_y) if i not in modes]
    zeros = np.zeros(problem.n, dtype=bool)
    columns, rows = zeros[: problem.hidden[0] * problem.d_x], zeros[-problem.d_y * problem.hidden[-1] :]
    columns.reshape(-1, problem.d_x)[:, unfitted] = True
    rows.reshape(problem.d_y, -1)[unfitted] = True
    return zeros


def invariant_modes(problem: Problem, W: Array) -> NDArray[np.bool_]:
    """Whether each mode can never be fitted from W (N, n), (N, d_y): its column of W_1 and its row of W_{H+1} are zero,
    bitwise.

    Only the reduced flow keeps such zeros (theory.md 6.7), so in the raw flow there are none.
    """
    if problem.flow == "raw" or W.all():
        return np.zeros((len(W), problem.d_y), dtype=bool)
    layers = problem.unpack(W)
    columns = np.any(layers[0][..., : problem.d_y], axis=-2)
    rows = np.any(layers[-1], axis=-1)
    free: NDArray[np.bool_] = np.logical_not(np.logical_or(columns, rows))
    return free


def invariant_levels(problem: Problem, unfitted: NDArray[np.bool_], delta: float) -> tuple[Array, Array]:
    """For S^c = unfitted (N, d_y): 1/2 sum_{S^c} sigma^2, and the level (1 - delta) 1/2 min_S sigma^2 above it, both
    (N,).

    Inside the invariant subspace the loss is the first plus the loss of the problem on S, whose level is the second;
    for S empty there is nothing to fit and the level is inf.
    """
    squares = problem.sigma**2
    floor = 0.5 * np.where(unfitted, squares, 0.0).sum(axis=-1)
    return floor, (1 - delta) * 0.5 * np.where(unfitted, np.inf, squares).min(axis=-1)
