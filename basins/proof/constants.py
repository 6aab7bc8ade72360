"""The stored problem's constants, as upper and lower bounds: a proof is about its floats, not about the data's SVD."""

from __future__ import annotations

import numpy as np

from basins.errors import AssumptionError
from basins.landscapes.base import MatrixChain
from basins.landscapes.deep_linear.certificates import DELTA
from basins.proof.bounds import TINY, UP, frobenius, gamma, power
from basins.proof.cholesky import eigenvalue_bound, runs_through
from basins.proof.shape import Array, Constants
from basins.rounding import U

MARGINS = (DELTA, 1e-4, 1e-2)
"""How far below 1/2 sigma_min^2 the level lies, relative: the first that rounding allows to be shown."""

LARGEST_GRAM = 1500
"""Up to this d_x ||G||_2 is found by Cholesky; beyond, ||G||_F stands in for it."""


def constants_of(chain: MatrixChain) -> Constants:
    """T, G and their norms from above, and the level from below.

    Reduced flow: T = [diag(sigma) 0] exactly, whose critical values are sums of the stored sigma^2 / 2. Raw flow: they
    are the squared singular values of the stored T provided G is invertible; both are shown by Cholesky. Raises
    AssumptionError where they cannot be: X so ill-conditioned that G may be singular to rounding.
    """
    target = np.ascontiguousarray(chain.target).reshape(1, -1)
    T = frobenius(target, 0, 0, target.size)
    size = float(power(chain.sigma[0], 1.0 / (chain.layers)))
    if chain.gram_root is None:
        level = chain.sigma_min * float(np.sqrt(1.0 - DELTA)) * (1.0 - 1e-15)
        return Constants(target, np.zeros((1, 0)), T, 1.0, 1.0, level, size)
    G = np.ascontiguousarray(chain.gram_root)
    flat = G.reshape(1, -1)
    full = frobenius(flat, 0, 0, flat.size)
    _show_invertible(G, full)
    level = _level(chain, T)
    return Constants(target, flat, T, full, min(full, _spectral_norm(G, full, chain.gram_norm)), level, size)


def gram(A: Array) -> Array:
    """fl(A A^T) by sums in a stated order; off by at most gamma_{d+2} ||A||_F^2 in the Frobenius norm."""
    total = np.zeros((len(A), len(A)))
    for q in range(A.shape[1]):
        total += A[:, q, None] * A[None, :, q]
    return total


def positive_definite(N: Array, above: float) -> bool:
    """Whether Cholesky shows that the smallest eigenvalue of the symmetric N is above `above` >= 0."""
    n, L = len(N), np.zeros_like(N)
    trace = float(np.add.reduce(np.abs(np.diagonal(N)))) * UP
    slack = 4.0 * gamma(n + 3, U) * (trace + n * above) + TINY
    return bool(runs_through(-N, -(above + slack), L))


def _show_invertible(G: Array, full: float) -> None:
    rounding = gamma(len(G) + 2, U) * full * full * UP
    if not positive_definite(gram(G), rounding):
        raise AssumptionError(
            "Assumption 2: that X has full row rank cannot be shown in double precision, so no label of the raw flow "
            "can be proved",
            where="X",
            remedy="standardise it, drop nearly dependent columns, or use the reduced flow",
        )


def _level(chain: MatrixChain, T: float) -> float:
    N = gram(chain.target)
    rounding = gamma(chain.widths[0] + 2, U) * T * T * UP
    for margin in MARGINS:
        level = chain.sigma_min * float(np.sqrt(1.0 - margin))
        if positive_definite(N, (level * level + rounding) * UP):
            return level
    raise AssumptionError(
        "Assumption 2: the smallest singular value of the target cannot be bounded from below in double precision",
        where="Y",
        remedy="drop targets that nearly depend on each other, or use the reduced flow",
    )


def _spectral_norm(G: Array, full: float, guess: float) -> float:
    if len(G) > LARGEST_GRAM:
        return full
    N = gram(G)
    square = guess * guess * (1.0 + 1e-6)
    if not runs_through(N, square, np.zeros_like(N)):
        return full
    top = eigenvalue_bound(N, square) + gamma(len(G) + 2, U) * full * full * UP
    return float(np.sqrt(top) * UP)
