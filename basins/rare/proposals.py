"""Moves of chains that keep the standard normal law of z in R^n, exactly; splitting_step.py lets none leave {T > t}.

A move proposes z' for each chain. Its partners are another run's chains at the same level, so that what is learned from
them (a covariance, a difference; the step's size) is a constant of the move (splitting_step.py; the moves are those of
Goodman and Weare, 2010, and ter Braak, 2006). Each returns z' and the logarithm of
pi(z') q(z' -> z) / (pi(z) q(z -> z')), pi the normal density: z' is taken with that probability if T(z') > t.

The step of each chain is `size` times its own random factor between 1/SPREAD and SPREAD, because no single size suits a
set that is narrow in one place and wide in another. The factor does not depend on z.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from basins.integrators.base import Array
from basins.rare.level_streams import Stream

SPREAD = 4.0
JITTER = 1e-3
"""Noise of a difference move, relative to its length, so that chains leave the span of the partners."""

Move = Callable[[Array, Array, float, Stream], tuple[Array, Array]]
"""(z (N, n), partners (M, n), size, stream) -> z' (N, n), log ratio (N,)."""


def factors(N: int, stream: Stream) -> Array:
    """N factors, log-uniform in [1/SPREAD, SPREAD], (N, 1)."""
    factor: Array = SPREAD ** (2.0 * stream.uniforms(N, 1) - 1.0)
    return factor


def normal_ratio(z: Array, z_new: Array) -> Array:
    """log of pi(z') / pi(z), (N,): (|z|^2 - |z'|^2) / 2, computed as a product so that close points lose no digits."""
    ratio: Array = 0.5 * np.einsum("ni,ni->n", z - z_new, z + z_new)
    return ratio


def pcn(z: Array, partners: Array, size: float, stream: Stream) -> tuple[Array, Array]:
    """Preconditioned Crank-Nicolson: z' = sqrt(1 - s^2) z + s xi, reversible for pi (Cotter et al., 2013)."""
    s = np.minimum(size * factors(len(z), stream), 1.0)
    return np.sqrt(1.0 - s * s) * z + s * stream.normals(*z.shape), np.zeros(len(z))


def population(z: Array, partners: Array, size: float, stream: Stream) -> tuple[Array, Array]:
    """A random walk with the partners' covariance: steps are small in directions in which the partners vary little."""
    s = size * factors(len(z), stream)
    z_new = z + s * (stream.normals(*z.shape) @ _root(partners).T)
    return z_new, normal_ratio(z, z_new)


def difference(z: Array, partners: Array, size: float, stream: Stream) -> tuple[Array, Array]:
    """Differential evolution: z' = z + s (a - b) + noise, with two partners a and b."""
    N, n = z.shape
    a, b = stream.integers(len(partners), N), stream.integers(len(partners), N)
    step = (size * factors(N, stream)) * (partners[a] - partners[b])
    length = np.sqrt(np.einsum("ni,ni->n", step, step))[:, None]
    z_new = z + step + (JITTER / np.sqrt(n)) * length * stream.normals(N, n)
    return z_new, normal_ratio(z, z_new)


def _root(partners: Array) -> Array:
    """A square root (n, n) of the partners' covariance, made positive definite, divided by sqrt(n)."""
    n = partners.shape[1]
    centred = partners - partners.mean(axis=0)
    covariance = centred.T @ centred / max(1, len(partners) - 1)
    values, vectors = np.linalg.eigh(covariance)
    floor = 1e-12 * max(float(values[-1]), 1e-300)
    root: Array = vectors * np.sqrt(np.maximum(values, floor) / n)
    return root
