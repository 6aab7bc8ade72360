"""Lengths of vectors whose squares may underflow or overflow, and sums in a stated order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def length(w: Array) -> float:
    """Euclidean length, with no square that underflows or overflows."""
    largest = float(np.abs(w).max(initial=0.0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    return largest * float(np.linalg.norm(w / largest))


def sum_in_order(values: Array) -> Array:
    """The sum of each row of (N, n), (N,), from the first column to the last: the same bits on any CPU."""
    total = values[:, 0].copy()
    for k in range(1, values.shape[1]):
        total += values[:, k]
    return total
