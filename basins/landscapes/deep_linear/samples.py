"""The data that a problem was made from, kept with it, so that a run of it can store them."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Samples:
    """X (n_samples, d_x) and Y (n_samples, d_y) as given, float64 and read-only, and what is done to X.

    digest: SHA-256 of the four.
    """

    X: Array
    Y: Array
    standardise: bool
    intercept: bool
    digest: str


_KEPT: WeakValueDictionary[str, Samples] = WeakValueDictionary()
"""By digest: the problems of a sweep that fit the same data share one copy of them."""


def kept(X: Array, Y: Array, standardise: bool, intercept: bool, digest: str) -> Samples:
    """The samples of this digest. X and Y are not copied: nobody else may hold them."""
    found = _KEPT.get(digest)
    if found is None:
        for array in (X, Y):
            array.flags.writeable = False
        found = _KEPT[digest] = Samples(X, Y, standardise, intercept, digest)
    return found
