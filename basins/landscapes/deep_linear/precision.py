"""How many digits of the target's singular values survive the rounding of the inputs, and which inputs are lost.

The singular values sigma are those of Y projected on the span of X's columns. Rounding turns that span: to first order
sigma_k changes by at most eps s_1 |X^+ w_k| |r_k|, with w_k its right singular vector among the samples, X^+ the
pseudo-inverse and r_k the part of the target's k-th direction that no input explains. |X^+ w_k| is at most
cond(X) / s_1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basins.rounding import EPS

Array = NDArray[np.float64]

NOTED = 8
"""A note is made if fewer digits than this are left."""

FACTOR = 8.0
"""The error of an SVD was at most this many times the first-order bound, measured against a reduction in more digits
(tests/landscapes/test_precision.py)."""


def digits_of_sigma(s: Array, V_Y: Array, sigma: Array, unexplained: Array, size: float) -> int:
    """Decimal digits, 0 to 15, that every singular value of the target keeps.

    s: (r,), X's singular values; V_Y: (r, r), Ybar's right singular vectors in X's; sigma: (d_y,); unexplained:
    (d_y,), |r_k|; size: of Y, whose own rounding counts too.
    """
    weights = np.linalg.norm(V_Y[:, : len(sigma)] / (s[:, None] / s[0]), axis=0)
    error = float(np.max(FACTOR * EPS * (weights * unexplained + size) / sigma))
    return int(np.clip(np.floor(-np.log10(error)), 0, 15))


def rank_in_like_units(X: Array) -> int:
    """The rank of X (n_samples, d_x) after every column is scaled to the same size. Inputs that are lost only because
    of their units count here."""
    largest = np.abs(X).max(axis=0)
    s = np.linalg.svd(X / np.where(largest == 0, 1.0, largest), compute_uv=False)
    return int(np.sum(s > max(X.shape) * EPS * s[0]))


def notes(X: Array, s: Array, rank: int, digits: int) -> list[str]:
    """Remarks on the inputs' precision, each with its remedy; none if it suffices.

    X: (n_samples, d_x), s: its singular values, of which `rank` count; digits: of sigma.
    """
    said: list[str] = []
    if rank < X.shape[1]:
        apart = rank_in_like_units(X) - rank
        if apart > 0:
            sizes = np.abs(X).max(axis=0)
            sizes = sizes[sizes > 0]
            said.append(
                f"{apart} of the input directions left out are lost to rounding alone, for the columns' sizes differ "
                f"by a factor of {sizes.max() / sizes.min():.2g}: to keep them give the columns in like units, or set "
                "standardise = true"
            )
    condition = float(s[0] / s[rank - 1])
    of_x = int(np.clip(np.floor(-np.log10(FACTOR * EPS * condition)), 0, 15))
    if min(digits, of_x) < NOTED:
        said.append(
            f"cond(X) = {condition:.2g}: of 16 digits rounding leaves at least {digits} of sigma and {of_x} of X's "
            "smallest singular value; to keep more drop inputs that are nearly combinations of others, give columns in "
            "like units, or set standardise = true"
        )
    return said
