"""Checks of the arguments of the exact cases, and their states at several times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import floats
from basins.errors import ArgumentError
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]


def at_times(state: Callable[[float], Array], t: ArrayLike) -> Array:
    """The state at t () or at each of t (T,), (n,) or (T, n). Raises ArgumentError for a time below 0 or not finite."""
    times = floats(t, "t", remedy="give one finite time or a list, each at least 0")
    if times.ndim > 1 or not (times >= 0).all() or not np.isfinite(times).all():
        raise ArgumentError(
            f"times {times.tolist()}", where="t", remedy="give one finite time or a list, each at least 0"
        )
    if times.ndim == 0:
        return state(float(times))
    return np.array([state(float(time)) for time in times])


def one_start(problem: Problem, W0: ArrayLike) -> Array:
    """W0 as one start (n,). Raises ArgumentError for a batch."""
    start = problem.state(W0)
    if start.ndim != 1:
        raise ArgumentError(f"a batch of {len(start)} starts", where="W0", remedy="give one start (n,)")
    return start


def require(problem: Problem, where: str, holds: bool = True, what: str = "") -> None:
    """Raises ArgumentError outside the reduced flow, and where the condition of the case does not hold."""
    if problem.flow != "reduced":
        raise ArgumentError("the raw flow has no such closed form", where=where, remedy="use the reduced flow")
    if not holds:
        raise ArgumentError(f"a problem of widths {problem.widths}", where=where, remedy=f"needs {what}")
