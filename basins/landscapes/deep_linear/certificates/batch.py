"""Batches of states: their layers, the norms of the layers, and what replaces a number that overflowed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def layers_of(problem: Problem, W: ArrayLike) -> tuple[Array, ...]:
    """Layers of a batch: one state counts as a batch of one."""
    return problem.unpack(np.atleast_2d(problem.state(W)))


def norm(W_j: Array) -> Array:
    """Frobenius norm, (N,)."""
    norm: Array = np.sqrt(np.einsum("...ij,...ij->...", W_j, W_j))
    return norm


def unless_nan(values: Array, otherwise: float) -> Array:
    """The values, nan (of inf - inf or 0 inf) replaced by the value that proves nothing."""
    return np.where(np.isnan(values), otherwise, values)
