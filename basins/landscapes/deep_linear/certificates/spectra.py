"""Eigenvalues of the invariants C_j, with bounds on their rounding errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from basins.landscapes.deep_linear import gradient
from basins.landscapes.deep_linear.certificates.batch import Array, Integers, norm
from basins.landscapes.deep_linear.problem import Problem
from basins.rounding import U

SOLVER = 10
"""Backward error of eigvalsh on a (d, d) matrix, in units of d u ||C||. LAPACK promises a "modestly growing function"
of d. The proved bound, of order d^2, is never approached; with 10 d the tolerance is some 70 times the largest
structural zero that was measured."""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a computed C_j, (N, d_j) ascending, and a bound on the rounding error of each, (N,)."""

    eigenvalues: Array
    tolerance: Array

    @property
    def positive(self) -> Integers:
        """A lower bound of n+ of the exact C_j, (N,)."""
        count: Integers = np.count_nonzero(self.eigenvalues > self.tolerance[:, None], axis=-1)
        return count

    @property
    def negative(self) -> Integers:
        """A lower bound of n- of the exact C_j, (N,)."""
        count: Integers = np.count_nonzero(-self.eigenvalues > self.tolerance[:, None], axis=-1)
        return count

    def largest(self, k: int) -> Array:
        """A lower bound of lam_k(C_j), (N,), for k <= d_j."""
        return self.eigenvalues[:, -k] - self.tolerance

    def largest_of_minus(self, k: int) -> Array:
        """A lower bound of lam_k(-C_j), (N,), for k <= d_j."""
        return -self.eigenvalues[:, k - 1] - self.tolerance

    @property
    def margin(self) -> Array:
        """The smallest |eigenvalue| that counts as nonzero over the tolerance, (N,), inf where none does."""
        multiples = np.abs(self.eigenvalues) / self.tolerance[:, None]
        smallest: Array = np.where(multiples > 1, multiples, np.inf).min(axis=-1)
        return smallest


def spectra_of(problem: Problem, layers: Sequence[Array]) -> list[Spectrum]:
    """The spectra of C_1, ..., C_H.

    The tolerance is c u (||W_{j+1}||^2 + ||W_j||^2) in the Frobenius norm, not c u ||C_j||. The two products cancel,
    and on a balanced start C_j is nothing but their rounding. c = d_{j+1} + d_{j-1} (the inner dimensions of the
    products) + 2 (the subtraction, the sums of the bounds) + SOLVER d_j (eigvalsh). A tiny absolute part covers
    products that underflow.
    """
    d = problem.widths
    with np.errstate(over="ignore", invalid="ignore"):
        squares = [norm(W_j) ** 2 for W_j in layers]
        C = gradient.invariants(layers)
    spectra = []
    for j, C_j in enumerate(C, start=1):
        c = d[j + 1] + d[j - 1] + 2 + SOLVER * d[j]
        with np.errstate(over="ignore", invalid="ignore"):
            tolerance = c * (U * (squares[j] + squares[j - 1]) + np.finfo(np.float64).tiny)
        finite = np.isfinite(tolerance) & np.isfinite(C_j).all(axis=(-2, -1))
        eigenvalues = np.linalg.eigvalsh(np.where(finite[:, None, None], C_j, 0.0))
        spectra.append(Spectrum(eigenvalues, np.where(finite, tolerance, np.inf)))
    return spectra
