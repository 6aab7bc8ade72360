"""Random numbers for a splitting level of a replicate: Philox streams that differ from those of the trajectories.

A block of trajectories has the counter (number, 0, 0, block) (random/philox.py). The streams here have (number, 0,
1 + level, replicate) under the same key (seed, problem and law), so no two streams coincide. Normals are made by
random/normals.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basins.integrators.base import Array
from basins.random.normals import normals


class Stream:
    """The numbers of (seed, key, replicate, level), drawn in order."""

    def __init__(self, seed: int, key: int, replicate: int, level: int) -> None:
        self.bits = np.random.Philox(
            key=np.array([seed, key], dtype=np.uint64),
            counter=np.array([0, 0, 1 + level, replicate], dtype=np.uint64),
        )

    def _words(self, count: int) -> Array:
        k = (self.bits.random_raw(count) >> np.uint64(11)).view(np.int64)
        return k.astype(np.float64)

    def uniforms(self, *shape: int) -> Array:
        """Uniform numbers in (0, 1)."""
        u: Array = (self._words(int(np.prod(shape))).reshape(shape) + 0.5) * 2.0**-53
        return np.minimum(u, 1.0 - 2.0**-53)

    def normals(self, *shape: int) -> Array:
        q = (self._words(int(np.prod(shape))).reshape(shape) - (2.0**52 - 0.5)) * 2.0**-53
        return normals(q)

    def integers(self, bound: int, *shape: int) -> NDArray[np.int64]:
        """Integers in 0 ... bound - 1, uniform up to bound 2^-53."""
        return np.minimum((self.uniforms(*shape) * bound).astype(np.int64), bound - 1)

    def permutation(self, count: int) -> NDArray[np.int64]:
        return np.argsort(self.uniforms(count), kind="stable")
