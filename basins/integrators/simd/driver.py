"""One group of lanes: accept, reject, refill, stop. It knows no shape and calls the kernel by address.

Each lane has its own time, step and error control. A lane that ends takes a new start at once, from a small queue of
prepared ones: starts are prepared a whole group at a time, so no evaluation is spent on a lane that has none to make.
Step control is scipy's (rk.py and common.py of scipy.integrate._ivp), with err^(-1/8) taken as three square roots:
+ - * / and sqrt only, so the bytes are the same on any CPU. Compiled once for all shapes and kept on disk by numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from basins.integrators.base import Array, Stop
from basins.integrators.simd.dop853 import MAX_FACTOR, MIN_FACTOR
from basins.integrators.simd.row_states import GOES_ON, STIFF, Rows
from basins.integrators.simd.stopping import NON_FINITE, call, least_step, reason, stop, too_small
from basins.integrators.simd.visits import doubled, first_of, is_visit, note, room_for
from basins.jit_cache import njit

STEP_UNDERFLOW = int(Stop.STEP_UNDERFLOW)

STIFFNESS, CALM = 5.0, 6
"""A step is stiff where h times the rate found is above the first (DOP853 is stable on the negative axis to about 6);
after the second number of steps in a row that are not, counting starts again."""

LOSS, SLOPE, STATE, ERROR, FACTOR, RATE = range(6)
"""Rows of the kernel's result (kernel.OUT)."""

STATE_SCALED, SLOPE_SCALED, CHANGE_SCALED = 3, 4, 3
"""Rows of `first`'s result beside the first three, and of `trial`'s: squared norms, scaled, of the state, of the slope
and of the slope's change."""

LANE = np.dtype(
    [
        ("row", np.int64),  # -1: none, and the lane runs along with h = 0
        ("t", np.float64),
        ("t_new", np.float64),
        ("size", np.float64),
        ("again", np.bool_),  # the last attempt was rejected
        ("loss", np.float64),
        ("slope", np.float64),
        ("earlier", np.float64),  # the slope a step before
        ("stiff", np.int64),
        ("calm", np.int64),
    ],
    align=True,
)
"""What a lane is doing."""

PREPARED = np.dtype(
    [
        ("row", np.int64),  # -1: none
        ("loss", np.float64),
        ("slope", np.float64),
        ("scaled", np.float64),  # the scaled norm of the slope
        ("size", np.float64),
    ],
    align=True,
)
"""A start that is ready for a lane."""


@njit(cache=True, error_model="numpy", inline="always")
def eighth_root(x: float) -> float:
    """x^(1/8)."""
    return np.sqrt(np.sqrt(np.sqrt(x)))  # type: ignore[no-any-return]


@njit(cache=True, error_model="numpy", inline="always")
def trial_step(d0: float, d1: float, interval: float) -> float:
    """The Euler step of scipy's select_initial_step, from the scaled norms of state and slope."""
    h0 = 1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1
    return min(h0, interval)


@njit(cache=True, error_model="numpy", inline="always")
def first_step(h0: float, d1: float, d2: float, interval: float, max_step: float) -> float:
    """scipy's select_initial_step, from the trial step and the scaled norms of slope and its change by h0."""
    if d1 <= 1e-15 and d2 <= 1e-15:
        h1 = max(1e-6, h0 * 1e-3)
    else:
        h1 = eighth_root(0.01 / (d2 if d2 > d1 else d1))
    h = 100.0 * h0
    for bound in (h1, interval, max_step):
        if bound < h:
            h = bound
    return h


@njit(cache=True, error_model="numpy")
def load(queue: Any, prepared: Array, state: Array, asked: int) -> int:
    """The next starts into the queue, one a lane; how many rows have been asked for with them."""
    for k in range(len(queue)):
        queue[k].row = -1
        if asked < len(state):
            queue[k].row = asked
            for i in range(state.shape[1]):
                prepared[0, i, k] = state[asked, i]
            asked += 1
    return asked


@njit(cache=True, error_model="numpy")
def look(queue: Any, out: Array, h0: Array, rows: Any, n: int, H: int, gram_norm: float) -> None:
    """What the first evaluation says of the queue's starts: those that stop at once leave it, the others get h0."""
    for k in range(len(queue)):
        start = queue[k]
        h0[k] = 0.0
        if start.row < 0:
            continue
        row = rows[start.row]
        start.loss, start.slope = out[LOSS, k], out[SLOPE, k]
        if not row.first_norm >= 0.0:
            row.first_norm = out[STATE, k]
        row.evaluations = 1
        why = reason(row, row.t, start.loss, start.slope, out[STATE, k], H, gram_norm)
        if why != GOES_ON:
            row.stop = why
            start.row = -1
            continue
        start.scaled = np.sqrt(out[SLOPE_SCALED, k]) / np.sqrt(n)
        h0[k] = trial_step(np.sqrt(out[STATE_SCALED, k]) / np.sqrt(n), start.scaled, row.t_end - row.t)
        row.evaluations = 2


@njit(cache=True, error_model="numpy")
def size_first_steps(queue: Any, out: Array, h0: Array, rows: Any, n: int) -> None:
    """The first steps' sizes, by what an Euler step h0 made of the slope."""
    for k in range(len(queue)):
        start = queue[k]
        if start.row >= 0:
            row = rows[start.row]
            d2 = np.sqrt(out[CHANGE_SCALED, k]) / np.sqrt(n) / h0[k]
            start.size = first_step(h0[k], start.scaled, d2, row.t_end - row.t, row.max_step)


@njit(cache=True, error_model="numpy")
def prepare(
    first: int, trial: int, H: int, gram_norm: float, queue: Any, prepared: Array, scratch: Array, shared: Array,
    state: Array, rows: Any, asked: int,
) -> int:  # fmt: skip
    """A queue of starts that have their slope and first step, from row `asked` on; the rows asked for with them."""
    n, lanes = state.shape[1], len(queue)
    out, h0 = scratch[-8 * lanes : -2 * lanes].reshape(6, lanes), scratch[-lanes:]
    at_old, at_slope = prepared[0].ctypes.data, prepared[1].ctypes.data
    at_new, at_new_slope = prepared[2].ctypes.data, prepared[3].ctypes.data
    at_h0, at_scratch, at_shared, at_out = h0.ctypes.data, scratch.ctypes.data, shared.ctypes.data, out.ctypes.data
    asked = load(queue, prepared, state, asked)
    call(first, (at_old, at_slope, at_scratch, at_shared, at_out))
    look(queue, out, h0, rows, n, H, gram_norm)
    call(trial, (at_old, at_slope, at_new, at_new_slope, at_h0, at_scratch, at_shared, at_out))
    size_first_steps(queue, out, h0, rows, n)
    return asked


@njit(cache=True, error_model="numpy")
def next_ready(queue: Any, at: int) -> int:
    """The queue's first start from `at` on, or its length."""
    while at < len(queue) and queue[at].row < 0:
        at += 1
    return at


@njit(cache=True, error_model="numpy")
def begin(lane: Any, start: Any, rows: Any) -> None:
    """A prepared start takes a free lane."""
    row = rows[start.row]
    lane.row, lane.t, lane.size, lane.again = start.row, row.t, start.size, False
    lane.loss, lane.slope, lane.earlier = start.loss, start.slope, row.before
    lane.stiff, lane.calm = 0, 0


@njit(cache=True, error_model="numpy")
def size_steps(group: Any, rows: Any, h: Array) -> None:
    """h, and t_new, of every lane's attempt."""
    for k in range(len(group)):
        lane = group[k]
        if lane.row < 0:
            h[k] = 0.0
            continue
        row = rows[lane.row]
        if not lane.again:
            if lane.size > row.max_step:
                lane.size = row.max_step
            elif too_small(lane.size, lane.t):
                lane.size = least_step(lane.t)
        lane.t_new = lane.t + lane.size
        if lane.t_new > row.t_end:
            lane.t_new = row.t_end
        h[k] = lane.t_new - lane.t


@njit(cache=True, error_model="numpy", inline="always")
def accept(lane: Any, row: Any, h: float, out: Array, k: int, H: int, gram_norm: float) -> int:
    """The step is taken: the next one's size, the loss's increase, why the row stops if it does."""
    factor = out[FACTOR, k]
    if factor > MAX_FACTOR:
        factor = MAX_FACTOR
    if lane.again and factor > 1.0:
        factor = 1.0
    lane.size = h * factor
    lane.again = False
    row.steps += 1
    loss, slope = out[LOSS, k], out[SLOPE, k]
    if loss - lane.loss > row.increase:
        row.increase = loss - lane.loss
    lane.earlier, lane.slope, lane.loss, lane.t = lane.slope, slope, loss, lane.t_new
    why = reason(row, lane.t, loss, slope, out[STATE, k], H, gram_norm)
    if out[RATE, k] > STIFFNESS:
        lane.stiff, lane.calm = lane.stiff + 1, 0
        if lane.stiff >= row.patience and why == GOES_ON:
            row.before, row.size = lane.earlier, lane.size
            why = STIFF
    elif lane.stiff > 0:
        lane.calm += 1
        if lane.calm >= CALM:
            lane.stiff = 0
    return why


@njit(cache=True, error_model="numpy", inline="always")
def reject(lane: Any, row: Any, h: float, out: Array, k: int) -> int:
    """The step is not taken: a smaller one is tried, unless it is too small."""
    factor = out[FACTOR, k]
    lane.size = h * (factor if factor > MIN_FACTOR else MIN_FACTOR)
    lane.again = True
    row.rejected += 1
    if too_small(lane.size, lane.t):
        return STEP_UNDERFLOW if np.isfinite(out[SLOPE, k]) else NON_FINITE
    return GOES_ON


@njit(cache=True, error_model="numpy", inline="always")
def copy_lane(source: Array, lane: int, target: Array, to: int) -> None:
    """State and slope of a lane, of (2, n, lanes), to a lane of another."""
    for i in range(source.shape[1]):
        target[0, i, to] = source[0, i, lane]
        target[1, i, to] = source[1, i, lane]


@njit(cache=True, error_model="numpy", nogil=True)
def drive(
    attempt: int, first: int, trial: int, H: int, gram_norm: float,
    groups: Array, prepared: Array, scratch: Array, shared: Array, state: Array, rows: Rows,
) -> Any:  # fmt: skip
    """Carry every row from its state to its stop, both (N, n) in `state`; returns the visits (visited.Visited).

    rows (N,): rows.ROW; a row that takes `patience` stiff steps ends as STIFF, with what it needs to go on elsewhere.
    attempt, first, trial: the kernel's addresses; groups (2, 2, n, lanes): state and slope before and after an attempt;
    prepared (4, n, lanes); scratch, shared: the kernel's. Visits of different rows come in no particular order.
    """
    N, n, lanes = state.shape[0], state.shape[1], groups.shape[3]
    out, h = scratch[-8 * lanes : -2 * lanes].reshape(6, lanes), scratch[-2 * lanes : -lanes]
    at_h, at_scratch, at_shared, at_out = h.ctypes.data, scratch.ctypes.data, shared.ctypes.data, out.ctypes.data
    at = (groups[0, 0].ctypes.data, groups[0, 1].ctypes.data, groups[1, 0].ctypes.data, groups[1, 1].ctypes.data)
    group, queue = np.zeros(lanes, dtype=LANE), np.zeros(lanes, dtype=PREPARED)
    for k in range(lanes):
        group[k].row = -1
    visits, visited = room_for(64, n), 0
    asked, served, active, side = 0, lanes, 0, 0
    while True:
        for k in range(lanes):  # refill
            if group[k].row >= 0:
                continue
            while served == lanes and asked < N:
                asked = prepare(first, trial, H, gram_norm, queue, prepared, scratch, shared, state, rows, asked)
                served = next_ready(queue, 0)
            if served == lanes:
                break
            begin(group[k], queue[served], rows)
            copy_lane(prepared, served, groups[side], k)
            served = next_ready(queue, served + 1)
            active += 1
        if active == 0:
            return first_of(visits, visited)

        size_steps(group, rows, h)
        old, new = 2 * side, 2 * (1 - side)
        call(attempt, (at[old], at[old + 1], at[new], at[new + 1], at_h, at_scratch, at_shared, at_out))

        while visited + lanes > len(visits.row):
            visits = doubled(visits)
        for k in range(lanes):  # judge
            lane = group[k]
            if lane.row < 0:
                continue
            row = rows[lane.row]
            row.evaluations += 12
            if out[ERROR, k] < 1.0:
                if is_visit(lane, row, out[SLOPE, k]):
                    note(visits, visited, lane, groups[side, 0], k)
                    visited += 1
                why = accept(lane, row, h[k], out, k, H, gram_norm)
            else:
                why = reject(lane, row, h[k], out, k)
                copy_lane(groups[side], k, groups[1 - side], k)
            if why != GOES_ON:
                stop(lane, row, why, groups[1 - side, 0], k, state)
                active -= 1
        side = 1 - side
