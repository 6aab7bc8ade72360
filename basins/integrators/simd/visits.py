"""The visits that a compiled driver meets, in arrays that double as they fill."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from basins.integrators.base import Array
from basins.jit_cache import njit


class Visited(NamedTuple):
    """row (M,), t (M,), gradient norm (M,) and state (M, n), in no particular order of rows."""

    row: NDArray[np.int64]
    t: Array
    slope: Array
    state: Array


@njit(cache=True, error_model="numpy")
def room_for(count: int, n: int) -> Any:
    """Nothing visited yet."""
    return Visited(np.empty(count, dtype=np.int64), np.empty(count), np.empty(count), np.empty((count, n)))


@njit(cache=True, error_model="numpy")
def doubled(visits: Any) -> Any:
    """The same with as much room again."""
    return Visited(
        np.concatenate((visits.row, np.empty_like(visits.row))),
        np.concatenate((visits.t, np.empty_like(visits.t))),
        np.concatenate((visits.slope, np.empty_like(visits.slope))),
        np.concatenate((visits.state, np.empty_like(visits.state))),
    )


@njit(cache=True, error_model="numpy", inline="always")
def is_visit(lane: Any, row: Any, slope: float) -> bool:
    """Whether the gradient norm is least where the lane is: below the one before, at most the one after."""
    return row.watch and lane.slope < lane.earlier and lane.slope <= slope  # type: ignore[no-any-return]


@njit(cache=True, error_model="numpy")
def note(visits: Any, at: int, lane: Any, states: Array, k: int) -> None:
    """The visit at `at`: where the lane is, lane k of states (n, lanes)."""
    visits.row[at], visits.t[at], visits.slope[at] = lane.row, lane.t, lane.slope
    for i in range(states.shape[0]):
        visits.state[at, i] = states[i, k]


@njit(cache=True, error_model="numpy")
def first_of(visits: Any, count: int) -> Any:
    """The first so many: what was visited, without the room left over."""
    return Visited(visits.row[:count], visits.t[:count], visits.slope[:count], visits.state[:count])
