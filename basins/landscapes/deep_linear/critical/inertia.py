"""Inertia of the Hessian: the numbers of falling, flat and rising directions; and, for H = 1, those that theory gives
for every stratum."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError
from basins.landscapes.deep_linear.critical.polish import DENSE
from basins.landscapes.deep_linear.critical.ranks import CLEAR
from basins.landscapes.deep_linear.problem import Problem
from basins.rounding import U

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Inertia:
    """Signs of the Hessian's eigenvalues at a state, in the problem's own flow.

    negative, zero, positive: counts, None for a state too large to diagonalise (n > 600); lowest: the lowest
    eigenvalue; error: how far it can be off; tolerance: eigenvalues within it count as zero; gap: smallest
    |eigenvalue| counted as non-zero over the largest counted as zero or the tolerance, whichever is larger
    (inf without one).
    """

    negative: int | None
    zero: int | None
    positive: int | None
    lowest: float
    error: float
    tolerance: float
    gap: float | None

    @property
    def has_negative(self) -> bool:
        """Whether an eigenvalue is negative beyond doubt."""
        return self.lowest < -max(self.tolerance, self.error)

    def flat_along(self, dimension: int | None) -> bool:
        """Whether the nullity is the dimension of the critical set, and every other eigenvalue is clearly not zero, so
        that the set is normally hyperbolic. False where either is not known."""
        return self.zero is not None and self.gap is not None and self.zero == dimension and self.gap >= CLEAR


def hessian_size(problem: Problem, W: Array, distance: float = 0.0) -> float:
    """A bound on the Hessian anywhere within `distance` of a critical point W: sum over pairs of layers of
    sigma_1 ||G|| times the product of the H - 1 others, and the sum over layers of (||G|| times the product
    of the H others)^2.

    It takes operator norms, and the largest layers in each product. Rounding errors are relative to it and not to
    ||Hessian||, which vanishes at W = 0 for H >= 2 and is mere rounding near there.
    """
    norms = np.sort([float(np.linalg.norm(W_j, 2)) + distance for W_j in problem.unpack(W)])[::-1]
    H, gram = problem.H, problem.gram_norm
    pairs = H * problem.sigma[0] * gram * np.prod(norms[: H - 1])
    return float(pairs + (H + 1) * (gram * np.prod(norms[:H])) ** 2)


def eigenvalue_error(problem: Problem, W: Array, distance: float = 0.0) -> float:
    """How far an eigenvalue computed at W (n,) can be from the one at a critical point within `distance`.

    8 n u `hessian_size` for rounding, plus what that distance can change the size by. The tolerance of every sign.
    """
    around = hessian_size(problem, W, distance)
    return 8 * problem.n * U * around + (around - hessian_size(problem, W))


def signs(eigenvalues: NDArray[np.floating[Any]], tolerance: float) -> Inertia:
    """The inertia that all eigenvalues (n,), ascending, have when those within the tolerance count as zero."""
    small = np.abs(eigenvalues) <= tolerance
    others = np.abs(eigenvalues[~small])
    floor = max(float(np.max(np.abs(eigenvalues[small]), initial=0.0)), tolerance)
    return Inertia(
        negative=int(np.sum(eigenvalues < -tolerance)),
        zero=int(np.sum(small)),
        positive=int(np.sum(eigenvalues > tolerance)),
        lowest=float(eigenvalues[0]),
        error=tolerance,
        tolerance=tolerance,
        gap=float(np.min(others)) / floor if len(others) and floor > 0 else np.inf,
    )


def escape_rates(eigenvalues: NDArray[np.floating[Any]], tolerance: float) -> Array:
    """Rates at which the flow leaves, falling, shape (number below -tolerance,), in 1 / time."""
    return np.sort(-eigenvalues[eigenvalues < -tolerance])[::-1]


def inertia(problem: Problem, W: Array, *, distance: float = 0.0) -> Inertia:
    """The Hessian's inertia at a state (n,): all eigenvalues for n <= 600, else the lowest one by Lanczos on
    Hessian products.

    distance: how far W may be from the critical point that is meant. Eigenvalues within `eigenvalue_error` are zero.
    """
    W = problem.state(W)
    tolerance = eigenvalue_error(problem, W, distance)
    if problem.n > DENSE:
        lowest, error = lowest_eigenvalue(problem, W)
        return Inertia(None, None, None, lowest, error, tolerance, None)
    return signs(np.linalg.eigvalsh(problem.hessian(W)), tolerance)


def lowest_eigenvalue(problem: Problem, W: Array) -> tuple[float, float]:
    """The Hessian's lowest eigenvalue at a state (n,) and how far it can be off, from Hessian products alone.

    Lanczos (eigsh) is applied to Hessian - c, c = `hessian_size`, so that convergence is measured against c and not
    against an eigenvalue that may be zero. LOBPCG takes over where it does not converge. The error is the residual
    ||Hessian v - lambda v|| of the resulting vector: some eigenvalue is that near, and the lowest is at most lambda.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, lobpcg  # not needed by most runs

    n, c = problem.n, hessian_size(problem, W)
    if c == 0:  # W = 0 and H >= 2
        return 0.0, 0.0
    start = np.random.Generator(np.random.Philox(key=n)).standard_normal((n, 1))

    def product(w: Array) -> Array:
        image: Array = problem.hessian_product(W, w.ravel()) - c * w.ravel()
        return image

    operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
    vector: Array
    try:
        vector = eigsh(operator, k=1, which="SA", v0=start[:, 0], ncv=min(n, 64), tol=1e-8, maxiter=300)[1][:, 0]
    except ArpackNoConvergence:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its warning is the error that is returned here
            found = lobpcg(operator, start, largest=False, tol=1e-8 * c, maxiter=2000)[1][:, 0]
        vector = np.asarray(found, dtype=np.float64)
    vector /= np.linalg.norm(vector)
    image = problem.hessian_product(W, vector)
    eigenvalue = float(vector @ image)
    return eigenvalue, float(np.linalg.norm(image - eigenvalue * vector))


@dataclass(frozen=True)
class Indices:
    """Dimensions of unstable, centre and stable directions at every point of a stratum, H = 1."""

    unstable: int
    zero: int
    stable: int


def indices(problem: Problem, modes: Iterable[int]) -> Indices:
    """(m_u, m_0, m_s) of the stratum that fits these modes, for H = 1 (theory.md 2); ArgumentError for H >=
    2.

    m_u = (d_1 - r)(d_y - r) + #{i in S, j not in S: sigma_j > sigma_i}; m_0 = d(r), where the paper's eq.
    (27) is in error (theory.md 1.2); m_s the rest. Both flows: they are congruent.
    """
    stratum = problem.strata().of(modes)
    if stratum.unstable_index is None or stratum.dimension is None:
        raise _one_hidden_layer(problem, "indices")
    unstable, zero = stratum.unstable_index, stratum.dimension
    return Indices(unstable, zero, problem.n - unstable - zero)


def unstable_rates(problem: Problem, W: Array) -> Array:
    """Rates at which the flow leaves a critical point W (n,) of H = 1, falling, shape (m_u,), in 1 / time.

    Reduced flow: minus the negative eigenvalues of [[G2, -sigma_j I], [-sigma_j I, G1]], G2 = W_2^T W_2, G1 =
    W_1 W_1^T, one for each j not in S (theory.md 2). In the raw flow rates are another thing and the modes do
    not decouple, so there they are read from the Hessian. Raises ArgumentError for H >= 2.
    """
    if problem.H != 1:
        raise _one_hidden_layer(problem, "unstable_rates")
    W = problem.state(W)
    if problem.flow == "raw":
        eigenvalues = np.linalg.eigvalsh(problem.hessian(W))
    else:
        W_1, W_2 = problem.unpack(W)
        G1, G2, identity = W_1 @ W_1.T, W_2.T @ W_2, np.eye(problem.hidden[0])
        unfitted = problem.sigma[np.abs(problem.fitted(W)) < 0.5]
        blocks = [np.block([[G2, -s * identity], [-s * identity, G1]]) for s in unfitted]
        eigenvalues = np.linalg.eigvalsh(np.array(blocks)).ravel() if blocks else np.empty(0)
    return escape_rates(eigenvalues, eigenvalue_error(problem, W))


def _one_hidden_layer(problem: Problem, where: str) -> ArgumentError:
    return ArgumentError(
        f"H = {problem.H}: a stratum has no one index",
        where=where,
        remedy="for H >= 2 ask for the inertia at a point, critical.inertia(problem, W)",
    )
