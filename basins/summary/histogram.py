"""Histograms of the logarithm in fixed bins: they hold 10^9 numbers, added shard by shard, in a few kilobytes.

Edges are 2^(i/per). The powers of two among them are exact in floating point, so counts in these bins and in bins of an
octave (store/schemas.py) agree at every octave's edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.errors import ArgumentError

Array = NDArray[np.float64]
Counts = NDArray[np.int64]


def log_edges(low: int, high: int, per: int) -> Array:
    """2^low, 2^(low + 1/per), ..., 2^high: shape ((high - low) per + 1,). Powers of two are exact."""
    octave, part = np.divmod(np.arange((high - low) * per + 1), per)
    edges: Array = np.ldexp(np.exp2(part / per), octave + low)
    return edges


@dataclass
class LogHistogram:
    """Counts of numbers x >= 0 by size. edges (M,), ascending; counts (M + 1,): entry 0 counts x < edges[0] (zeros
    included), entry k counts edges[k-1] <= x < edges[k], entry M counts x >= edges[M-1].
    """

    edges: Array
    counts: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        if not len(self.counts):
            self.counts = np.zeros(len(self.edges) + 1, dtype=np.int64)
        if len(self.counts) != len(self.edges) + 1:
            raise ArgumentError(f"{len(self.counts)} counts for {len(self.edges)} edges", where="LogHistogram")

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def add(self, x: ArrayLike) -> None:
        """Count more numbers, of any shape; nan is not counted."""
        x = np.asarray(x, dtype=np.float64).ravel()
        entries = np.searchsorted(self.edges, x[~np.isnan(x)], side="right")
        self.counts += np.bincount(entries, minlength=len(self.counts))

    def below(self) -> Counts:
        """The number of values < each edge, (M,)."""
        return np.cumsum(self.counts)[:-1]

    def quantile(self, q: float) -> float:
        """The q-quantile, rounded up to the edge of its bin; nan if nothing was counted, inf beyond the last edge."""
        if not self.total:
            return np.nan
        entry = int(np.searchsorted(np.cumsum(self.counts), max(1, np.ceil(q * self.total))))
        return float(self.edges[entry]) if entry < len(self.edges) else np.inf
