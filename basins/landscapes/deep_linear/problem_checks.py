"""Checks of a problem's widths, singular values and flow, and the refusals of those that it cannot have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import floats
from basins.errors import ArgumentError, AssumptionError, DataError
from basins.landscapes.base import CODE_BITS
from basins.rounding import EPS

Array = NDArray[np.float64]
Flow = Literal["reduced", "raw"]
FLOWS: tuple[Flow, ...] = ("reduced", "raw")

LEAST, MOST = 1e-140, 1e140
"""The loss is a sum of squares. Double precision holds the squares of sizes between these two, and 1e-28 of them."""

NUMBERS = 1 << 30
"""The largest state, 8 GiB. A larger one is taken for a mistake, since starts are drawn in blocks of 1,024."""


def given_spectrum(sigma: ArrayLike) -> Array:
    """The singular values (d_y,) as float64.

    Raises ArgumentError unless they are positive, finite and falling and double precision holds their squares;
    AssumptionError for one that is zero (2), or two that are tied (3), to rounding.
    """
    values = floats(sigma, "sigma", remedy="give a list of singular values").ravel()
    if len(values) == 0 or not np.isfinite(values).all() or (values <= 0).any():
        raise ArgumentError(
            f"singular values {values.tolist()} are not all positive and finite",
            where="sigma",
            remedy="give at least one, each above zero",
        )
    if (np.diff(values) > 0).any():
        raise ArgumentError(
            f"singular values {values.tolist()} do not fall",
            where="sigma",
            remedy=f"write them in order: {sorted(values.tolist(), reverse=True)}",
        )
    if values[0] > MOST or values[-1] < LEAST:
        raise ArgumentError(
            f"singular values from {values[0]:.4g} to {values[-1]:.4g}: the loss is of their squares, which double "
            "precision does not hold",
            where="sigma",
            remedy=f"give them in other units, between {LEAST:g} and {MOST:g}",
        )
    if values[-1] <= 8 * EPS * values[0]:
        raise AssumptionError(
            f"Assumption 2: the singular value {values[-1]:.4g} is zero to rounding beside {values[0]:.4g}",
            where="sigma",
            remedy="leave it out, or give singular values nearer to each other",
        )
    check_spectrum(values, "sigma")
    return values.copy()


def check_spectrum(sigma: Array, where: str) -> None:
    """Raises AssumptionError (3) for singular values that are tied to rounding."""
    gaps = -np.diff(sigma)
    tied = np.flatnonzero(gaps <= 8 * EPS * sigma[0])
    if len(tied):
        i = int(tied[0])
        raise AssumptionError(
            f"Assumption 3: singular values {i} and {i + 1} are tied to rounding: {sigma[i]!s} and {sigma[i + 1]!s}",
            where=where,
            remedy="perturb the targets, or drop one of the two",
        )


def check_gram(gram_norm: float, condition: float) -> None:
    """Raises DataError where X X^T, which the raw flow keeps, is beyond double precision."""
    if gram_norm > MOST or gram_norm / condition < LEAST:
        raise DataError(
            f"singular values of X from {gram_norm:.4g} to {gram_norm / condition:.4g}: the raw flow is of their "
            "squares, which double precision does not hold",
            where="X",
            remedy='give X in other units, or standardise = true, or flow = "reduced"',
        )


def check_flow(flow: str) -> Flow:
    """The flow of this name. Raises ArgumentError for another."""
    if flow not in FLOWS:
        raise ArgumentError(f"unknown flow {flow!r}", where="flow", remedy=f"choose one of {', '.join(FLOWS)}")
    return flow


def check_widths(d_x: int, hidden: Sequence[int], d_y: int) -> tuple[int, ...]:
    """(d_x, d_1, ..., d_H, d_y) as whole numbers. Raises ArgumentError, and AssumptionError (1) for narrow layers."""
    if isinstance(hidden, (int, np.integer)):
        raise ArgumentError(f"{hidden} is no list", where="hidden", remedy=f"give a list of widths: ({hidden},)")
    if not isinstance(hidden, Sequence | np.ndarray):
        raise ArgumentError(f"{hidden!r} is no list", where="hidden", remedy="give a list of widths, such as (4, 4)")
    for width in (d_x, *hidden):
        if isinstance(width, bool) or not isinstance(width, (int, np.integer)) or width < 1:
            raise ArgumentError(f"width {width!r}", where="hidden", remedy="widths are whole numbers of at least 1")
    if len(hidden) == 0:
        raise ArgumentError("no hidden layer", where="hidden", remedy="give at least one width (H >= 1)")
    if d_y > CODE_BITS:
        raise ArgumentError(
            f"d_y = {d_y} targets",
            where="Y",
            remedy=f"modes are kept as {CODE_BITS} bits: give at most {CODE_BITS} targets",
        )
    if d_x < d_y:
        raise AssumptionError(
            f"Assumption 1: d_x = {d_x} is below d_y = {d_y}", where="d_x", remedy=f"give d_x >= {d_y}"
        )
    narrow = [int(d) for d in hidden if d < d_y]
    if narrow:
        raise AssumptionError(
            f"Assumption 1: hidden width(s) {narrow} below d_y = {d_y}",
            where="hidden",
            remedy=f"make every hidden width at least {d_y}",
        )
    widths = (int(d_x), *(int(d) for d in hidden), int(d_y))
    numbers = sum(rows * columns for rows, columns in zip(widths[1:], widths[:-1], strict=True))
    if numbers > NUMBERS:
        raise ArgumentError(
            "a state of more than 2^30 numbers",
            where="d_x" if d_x >= max(hidden) else "hidden",
            remedy="give smaller widths: it has to fit in memory",
        )
    return widths
