"""Lengths of vectors whose squares may underflow or overflow."""

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
