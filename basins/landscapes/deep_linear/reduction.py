"""Data (X, Y) reduced to target and Gram root by two singular value decompositions (the paper's section 2.1).

With X^T = U_X S_X V_X^1^T on its row space, L(W) = 1/2 ||Ybar - W_{H+1}...W_1 U_X S_X||^2 + 1/2 ||Y V_X^2||^2, Ybar
= Y V_X^1 = U_Y Sigma_Y V_Y^T. The second term is the least-squares loss. No network can lower it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import floats, switch
from basins.errors import AssumptionError, DataError
from basins.landscapes.deep_linear import precision
from basins.landscapes.deep_linear.problem_checks import LEAST, MOST
from basins.landscapes.deep_linear.samples import Samples, kept
from basins.rounding import EPS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reduction:
    """The reduced data.

    target: Ybar = Y V_X^1 (d_y, d_x); gram_root: U_X S_X, in coordinates of the row space where X was rank deficient
    (d_x, d_x); U_Y (d_y, d_y), sigma (d_y,), V_Y (d_x, d_x): Ybar's SVD; least_squares_loss: 1/2 ||Y V_X^2||^2;
    gram_norm: s_1, the largest singular value of X; condition: s_1 / s_rank; notes: what was reduced, in words;
    samples: X and Y as given, with their digest; directions: the orthonormal input directions (columns of X, d_x) that
    the coordinates of a rank-deficient X are of, None where they are X's own.
    """

    target: Array
    gram_root: Array
    U_Y: Array
    sigma: Array
    V_Y: Array
    least_squares_loss: float
    gram_norm: float
    condition: float
    notes: tuple[str, ...]
    samples: Samples
    directions: Array | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of X and Y as float64, and of what is done to X."""
        return self.samples.digest


def reduce(X: ArrayLike, Y: ArrayLike, *, standardise: bool = False, intercept: bool = False) -> Reduction:
    """Reduce X (n_samples, d_x) and Y (n_samples, d_y), in scikit-learn's orientation (the transpose of the paper's).

    Directions of X with a singular value of at most max(n_samples, d_x) eps s_1 are dropped (Remark 1). The notes say
    which, and how many digits rounding costs (precision.py).

    Raises DataError for shapes and values that are not data, AssumptionError for fewer input directions than targets
    (1) and for a rank-deficient Ybar (2).
    """
    samples = samples_of(X, Y, standardise=standardise, intercept=intercept)
    X, Y, standardise, intercept = samples.X, samples.Y, samples.standardise, samples.intercept
    X, unit, notes = _inputs(X, standardise, intercept)
    m, d_x = X.shape
    U, s, Vt = np.linalg.svd(X.T, full_matrices=False)  # the paper's X is (d_x, m)
    if s[0] == 0:
        raise DataError("every input is zero", where="X", remedy="give inputs that vary")
    rank = int(np.sum(s > max(m, d_x) * EPS * s[0]))
    with np.errstate(over="ignore"):  # of the raw flow alone, which refuses what is beyond double precision
        gram_root, gram_norm = U * s * unit, float(s[0] * unit)
    if rank < d_x:
        # W_1 splits orthogonally along the row space of X^T: the part outside never moves, so the flow inside is exact.
        gram_root = np.diag(s[:rank]) * unit
        notes.append(f"X has rank {rank} of {d_x} columns ({m} samples): reduced to {rank} input directions (Remark 1)")
    target = Y.T @ Vt[:rank].T
    unexplained = Y.T - target @ Vt[:rank]
    least_squares_loss = 0.5 * float(np.sum(unexplained**2))
    d_y = Y.shape[1]
    if rank < d_y:
        raise AssumptionError(
            f"Assumption 1: d_x = {rank} input directions is below d_y = {d_y} targets",
            where="X, Y",
            remedy="drop targets, or give more inputs or samples",
        )
    U_Y, sigma, Vt_Y = np.linalg.svd(target, full_matrices=True)
    # Ybar is Y projected on the row space: its rounding is relative to Y's size, not to its own.
    tolerance = max(m, d_x) * EPS * max(float(sigma[0]), float(np.linalg.norm(Y)))
    if sigma[-1] <= tolerance:
        raise _rank_deficient_target(Y, target, sigma, tolerance)
    along = np.linalg.norm(U_Y.T @ unexplained, axis=1)
    digits = precision.digits_of_sigma(s[:rank], Vt_Y.T, sigma, along, float(np.linalg.norm(Y)))
    notes += precision.notes(X, s, rank, digits)
    return Reduction(
        target,
        gram_root,
        U_Y,
        sigma,
        Vt_Y.T,
        least_squares_loss,
        gram_norm,
        float(s[0] / s[rank - 1]),
        tuple(notes),
        samples,
        U[:, :rank] if rank < d_x else None,
    )


def samples_of(X: ArrayLike, Y: ArrayLike, *, standardise: bool = False, intercept: bool = False) -> Samples:
    """X and Y as they are kept, and what is to be done to X. Raises DataError as `reduce` does."""
    X, Y = _matrix(X, "X"), _matrix(Y, "Y")
    standardise, intercept = switch(standardise, "standardise"), switch(intercept, "intercept")
    if len(X) != len(Y):
        raise DataError(f"X has {len(X)} samples and Y has {len(Y)}", remedy="give one row of Y for each row of X")
    if len(X) < 2:
        raise DataError(f"{len(X)} sample is no data set", where="X, Y", remedy="give at least two samples")
    _refuse_squares(Y)
    return kept(X, Y, standardise, intercept, _digest(X, Y, standardise, intercept))


def _digest(X: Array, Y: Array, standardise: bool, intercept: bool) -> str:
    """SHA-256 of the data as given and of what is done to it."""
    digest = hashlib.sha256()
    for array in (X, Y):
        digest.update(repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    digest.update(f"standardise={standardise} intercept={intercept}".encode())
    return digest.hexdigest()


def _refuse_squares(Y: Array) -> None:
    """Raises DataError for targets whose squares double precision does not hold: the loss is a sum of them."""
    largest = float(np.abs(Y).max())
    if largest > MOST or 0 < largest < LEAST:
        size = "large" if largest > MOST else "small"
        raise DataError(
            f"targets as {size} as {largest:.4g}: the loss is of their squares, which double precision does not hold",
            where="Y",
            remedy=f"give them in other units, the largest between {LEAST:g} and {MOST:g}",
        )


def _power_of_two(largest: Array) -> Array:
    """The power of two of each size's binade if its square would overflow or underflow, else 1. A division by it is
    exact.
    """
    out = (largest > 0) & ((largest < LEAST) | (largest > MOST))
    powers: Array = np.ldexp(1.0, np.where(out, np.frexp(largest)[1] - 1, 0))
    return powers


def _inputs(X: Array, standardise: bool, intercept: bool) -> tuple[Array, float, list[str]]:
    """X with the options applied, divided by a power of two; that power; and notes."""
    notes: list[str] = []
    with np.errstate(over="ignore"):
        constant = np.ptp(X, axis=0) == 0
    unit = 1.0
    if standardise:
        X = X / _power_of_two(np.abs(X).max(axis=0))
        X = (X - X.mean(axis=0)) / np.where(constant, 1.0, X.std(axis=0))
        X[:, constant] = 0.0
    else:
        unit = float(_power_of_two(np.abs(X).max()))
        X = X / unit
    if constant.any():
        notes.append(f"constant input column(s) at position {', '.join(map(str, np.flatnonzero(constant)))}")
    if intercept:
        X = np.column_stack([X, np.full(len(X), 1.0 / unit)])
    return X, unit, notes


def _matrix(array: ArrayLike, name: str) -> Array:
    matrix = floats(array, name, kind=DataError, remedy="encode text columns first").copy()
    if matrix.ndim == 1:
        matrix = matrix[:, None]
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise DataError(f"shape {matrix.shape} is not (n_samples, columns)", where=name, remedy="give a 2-d array")
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        row, column = bad[0]
        raise DataError(
            f"{len(bad)} value(s) not finite, the first at row {row}, column {column}: {matrix[row, column]}",
            where=name,
            remedy="drop or fill these rows",
        )
    return matrix


def _rank_deficient_target(Y: Array, target: Array, sigma: Array, tolerance: float) -> AssumptionError:
    rank = int(np.sum(sigma > tolerance))
    what = (
        f"Assumption 2: the reduced target Ybar has rank {rank} of d_y = {len(sigma)}: singular values "
        f"{', '.join(f'{s:.3g}' for s in sigma)}, tolerance {tolerance:.1e}"
    )
    one_hot = np.isin(Y, (0.0, 1.0)).all() and (Y.sum(axis=1) == 1).all() and Y.shape[1] > 1
    if one_hot:
        remedy = (
            "one-hot targets sum to one, and inputs that are centred (standardise = true) cannot fit that sum: "
            "set intercept = true, or drop a class (drop_class)"
        )
    elif np.isin(Y, (0.0, 1.0)).all() and np.ptp(Y.sum(axis=1)) == 0 and Y.shape[1] > 1:
        remedy = "the classes of each class target sum to one: keep one such target, or drop a class (drop_class)"
    elif _full_in_like_units(Y, target):
        remedy = "the targets' sizes differ by more than double precision holds: give them in like units"
    else:
        remedy = "drop targets that are combinations of others, or that the inputs cannot explain at all"
    return AssumptionError(what, where="X, Y", remedy=remedy)


def _full_in_like_units(Y: Array, target: Array) -> bool:
    """Whether Ybar (d_y, d_x) has full rank after every target of Y (n_samples, d_y) is scaled to the same size."""
    sizes = np.abs(Y).max(axis=0)
    if (sizes == 0).any():
        return False
    sigma = np.linalg.svd(target / sizes[:, None], compute_uv=False)
    return bool(sigma[-1] > 1e-6 * sigma[0])
