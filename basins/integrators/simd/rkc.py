"""Rows on a plateau: the Runge-Kutta-Chebyshev method of order 2 in the lanes, each lane at a stage of its own.

Beside a saddle the fitted modes decay at rates of order 1 while the escape takes long: stability holds an explicit
method's step down and accuracy does not. Gradient flow has a real spectrum, so a method of s stages that is stable on
[-0.65 s^2, 0] takes steps s^2 times longer for s evaluations (Sommeijer, Shampine, Verwer, RKC: an explicit solver
for parabolic PDEs, J. Comp. Appl. Math. 88, 1997). driver.py hands such rows over, and gets them back when the step
that accuracy allows is one DOP853 could take.

Every lane has its own time, step, number of stages and stage; one call of the kernel's `stage` moves all of them one
evaluation on, whatever each needs it for. + - * / and sqrt only, in the order written here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from basins.integrators.base import Array
from basins.integrators.simd.rkc_coefficients import begin_stages, cube_root, next_stage, reach, stages_for
from basins.integrators.simd.row_states import BACK, GOES_ON, RESISTS, Rows
from basins.integrators.simd.stopping import BUDGET, call, reason, stop, too_small
from basins.integrators.simd.visits import doubled, first_of, is_visit, note, room_for
from basins.jit_cache import njit
from basins.rounding import U

LEAST = 15.0
"""h rho below which a row goes back. DOP853 would go 6 / rho with 12 evaluations, RKC 15 / rho with 5; but an
evaluation costs RKC several times as much, its coefficients and norms not being in vectors (7.5 is slower)."""

GRACE, FLOOR = 20, 0.5
"""In its first steps a row may stay with h rho down to the second number: DOP853 at the edge of its stability leaves
fast modes as large as the tolerance, and they have to decay before the step can grow."""

SAFE = 1.2
"""The largest rate is taken to be this many times what the power iteration found, as in RKC."""

FRESH = 25
"""The largest rate is found anew after this many steps, and after a rejection."""

POWERS, CLOSE = 50, 0.01
"""Iterations for the largest rate, and the relative change that ends them."""

SAFETY, MIN_FACTOR, MAX_FACTOR = 0.8, 0.1, 10.0
PERTURBATION = 2.0**-26
"""Of the state, relative, in the power iteration."""

FIRST, POWER, STEP = 0, 1, 2
"""What a lane wants of the next evaluation: the slope where it is, a turn of the power iteration, a stage of a step."""

OLD, SLOPE, DELTA, EARLIER, AT_STAGE, NEW, VECTOR = range(7)
"""Parts of the memory, (n, lanes) each: the state and its slope; a stage's distance from the state and that of the one
before, which change places; the slope at the stage; the stage; the direction of the power iteration."""

LANE = np.dtype(
    [
        ("row", np.int64),  # -1: none
        ("task", np.int64),
        ("t", np.float64),
        ("t_new", np.float64),
        ("h", np.float64),
        ("size", np.float64),
        ("loss", np.float64),
        ("slope", np.float64),
        ("earlier", np.float64),  # the slope a step before
        ("last_h", np.float64),
        ("last_error", np.float64),
        ("rate", np.float64),  # what the largest rate is taken to be,
        ("age", np.int64),  # steps since it was found,
        ("turns", np.int64),  # and the iteration that finds it
        ("found", np.float64),
        ("length", np.float64),
        ("s", np.int64),  # stages, and the one under way
        ("j", np.int64),
        ("w0", np.float64),
        ("w1", np.float64),
        ("T", np.float64),  # Chebyshev's T_j, T_j', T_j'' at w_0, and those of j - 1
        ("dT", np.float64),
        ("ddT", np.float64),
        ("T_", np.float64),
        ("dT_", np.float64),
        ("ddT_", np.float64),
        ("b", np.float64),  # b_j, b_{j-1}, a_j
        ("b_", np.float64),
        ("a", np.float64),
    ],
    align=True,
)
"""What a lane is doing."""


def most_stages(rtol: float) -> int:
    """The stages that rounding, which s of them amplify by s^2, leaves room for at this tolerance."""
    return max(2, int(np.sqrt(rtol / (20 * U))))


@njit(cache=True, error_model="numpy")
def begin(lane: Any, row: Any, at: int, memory: Array, k: int, state: Array) -> None:
    """A row takes a free lane."""
    for m in range(7):
        for i in range(state.shape[1]):
            memory[m, i, k] = 0.0
    for i in range(state.shape[1]):
        memory[OLD, i, k] = state[at, i]
    lane.row, lane.task, lane.t, lane.size, lane.earlier = at, FIRST, row.t, row.size, row.before
    lane.last_error = 0.0


@njit(cache=True, error_model="numpy")
def wants(group: Any, rows: Any, asked: int, memory: Array, weights: Array, state: Array) -> int:
    """Rows from `asked` on into free lanes, and what each lane wants of the next call; the rows asked for so far."""
    for k in range(len(group)):
        lane = group[k]
        if lane.row < 0 and asked < len(rows):
            begin(lane, rows[asked], asked, memory, k, state)
            asked += 1
        for m in range(4):
            weights[m, k] = 0.0
        if lane.row >= 0 and lane.task == POWER:
            weights[0, k] = 1.0  # the perturbation is in DELTA already
        if lane.row >= 0 and lane.task == STEP:
            next_stage(lane, weights, k)
    return asked


@njit(cache=True, error_model="numpy", inline="always")
def half_square(residual: Array, k: int) -> float:
    """1/2 ||E||^2 in a lane."""
    total = 0.0
    for i in range(residual.shape[0]):
        total += residual[i, k] * residual[i, k]
    return 0.5 * total


@njit(cache=True, error_model="numpy", inline="always")
def norm(vectors: Array, k: int) -> float:
    """Of a lane of vectors (n, lanes)."""
    total = 0.0
    for i in range(vectors.shape[0]):
        total += vectors[i, k] * vectors[i, k]
    return np.sqrt(total)  # type: ignore[no-any-return]


@njit(cache=True, error_model="numpy", inline="always")
def error_of(memory: Array, delta: Array, h: float, k: int, atol: float, rtol: float) -> float:
    """The step's error, a root mean square in units of the tolerances."""
    n, total = delta.shape[0], 0.0
    for i in range(n):
        y, y_new = abs(memory[OLD, i, k]), abs(memory[NEW, i, k])
        scale = atol + rtol * (y if y > y_new else y_new)
        e = 0.4 * h * (memory[SLOPE, i, k] + memory[AT_STAGE, i, k]) - 0.8 * delta[i, k]
        total += (e / scale) * (e / scale)
    return np.sqrt(total / n)  # type: ignore[no-any-return]


@njit(cache=True, error_model="numpy", inline="always")
def factor_of(lane: Any, error: float) -> float:
    """By how much the next step is longer than this one, which was accepted: RKC's, from the last two errors."""
    root = cube_root(error)
    if lane.last_error == 0.0:
        factor = SAFETY / root
    else:
        factor = SAFETY * cube_root(lane.last_error) * lane.h / (lane.last_h * root * root)
    if not factor < MAX_FACTOR:
        factor = MAX_FACTOR
    if factor < MIN_FACTOR:
        factor = MIN_FACTOR
    return factor


@njit(cache=True, error_model="numpy")
def accept(
    lane: Any, row: Any, error: float, loss: float, slope: float, memory: Array, k: int, H: int, gram_norm: float
) -> int:
    """The step is taken: the next one's size, the state and its slope, why the row stops if it does."""
    row.steps += 1
    lane.age += 1
    lane.size = lane.h * factor_of(lane, error)
    lane.last_h, lane.last_error = lane.h, error
    if loss - lane.loss > row.increase:
        row.increase = loss - lane.loss
    lane.earlier, lane.slope, lane.loss, lane.t = lane.slope, slope, loss, lane.t_new
    for i in range(memory.shape[1]):
        memory[OLD, i, k], memory[SLOPE, i, k] = memory[NEW, i, k], memory[AT_STAGE, i, k]
    return reason(row, lane.t, loss, slope, norm(memory[NEW], k), H, gram_norm)


@njit(cache=True, error_model="numpy")
def reject(lane: Any, row: Any, error: float, memory: Array, k: int) -> int:
    """The step is not taken: a smaller one is tried, with a rate that is found anew."""
    row.rejected += 1
    factor = SAFETY / cube_root(error)
    lane.size = lane.h * (factor if factor > MIN_FACTOR else MIN_FACTOR)
    if not np.isfinite(error):
        for i in range(memory.shape[1]):
            memory[DELTA, i, k], memory[EARLIER, i, k], memory[AT_STAGE, i, k] = 0.0, 0.0, 0.0
    if lane.age > 0:
        lane.age = FRESH
    return BACK if row.evaluations >= row.budget else GOES_ON  # BACK: it is told there that its budget is spent


@njit(cache=True, error_model="numpy")
def begin_powers(lane: Any, row: Any, residual: Array, memory: Array, delta: Array, k: int) -> int:
    """A power iteration begins, in the direction the last one found; the first one in the field's and the state's, for
    the field alone may lack what has decayed."""
    old, vector = memory[OLD], memory[VECTOR]
    size = norm(old, k)
    if row.steps + row.rejected == 0:
        lane.loss, lane.slope = half_square(residual, k), norm(memory[AT_STAGE], k)
        ratio = lane.slope / size
        for i in range(old.shape[0]):
            memory[SLOPE, i, k] = memory[AT_STAGE, i, k]
            vector[i, k] = memory[SLOPE, i, k] + ratio * old[i, k]
    lane.length = PERTURBATION * size
    scale = lane.length / norm(vector, k)
    for i in range(old.shape[0]):
        delta[i, k] = vector[i, k] * scale
    lane.task, lane.turns, lane.found = POWER, 0, 0.0
    return GOES_ON if lane.length > 0.0 and np.isfinite(scale) else BACK


@njit(cache=True, error_model="numpy")
def turn(lane: Any, memory: Array, delta: Array, k: int) -> int:
    """One turn of the power iteration; the last one finds the rate, and a step is next."""
    vector = memory[VECTOR]
    for i in range(vector.shape[0]):
        vector[i, k] = memory[AT_STAGE, i, k] - memory[SLOPE, i, k]
    change = norm(vector, k)
    rate = change / lane.length
    lane.turns += 1
    more = lane.turns < POWERS and (lane.turns < 2 or abs(rate - lane.found) > CLOSE * rate)
    lane.found = rate
    if not (change > 0.0 and np.isfinite(change)):
        return BACK
    if more:
        for i in range(vector.shape[0]):
            delta[i, k] = vector[i, k] * (lane.length / change)
    else:
        lane.rate, lane.age, lane.task = SAFE * rate, 0, STEP
    return GOES_ON


@njit(cache=True, error_model="numpy")
def begin_step(lane: Any, row: Any, most: int, yields: bool, delta: Array, k: int) -> int:
    """A step begins, unless the row is better off elsewhere or its budget does not allow it."""
    if lane.size > row.max_step:
        lane.size = row.max_step
    x = lane.size * lane.rate
    if x < (LEAST if row.steps >= GRACE else FLOOR) or too_small(lane.size, lane.t):
        return BACK
    if x > reach(most):
        if yields:
            return RESISTS
        lane.size = reach(most) / lane.rate
    lane.t_new = lane.t + lane.size
    if lane.t_new > row.t_end:
        lane.t_new = row.t_end
    lane.h = lane.t_new - lane.t
    lane.s, lane.j, lane.task = stages_for(lane.h * lane.rate), 0, STEP
    if lane.s > row.budget - row.evaluations:
        return BUDGET  # a shorter step would be another path than a larger budget takes
    begin_stages(lane)
    for i in range(delta.shape[0]):
        delta[i, k] = 0.0
    return GOES_ON


@njit(cache=True, error_model="numpy", nogil=True)
def drive(
    stage: int, most: int, yields: bool, H: int, gram_norm: float, atol: float, rtol: float,
    memory: Array, scratch: Array, shared: Array, residual: Array, weights: Array, state: Array, rows: Rows,
) -> Any:  # fmt: skip
    """Carry every row from its state to its stop, BACK or RESISTS; state, rows and visits as of group.drive.

    stage: the kernel's address; most: stages of a step; yields: whether a row that wants more RESISTS, or makes do;
    memory (7, n, lanes); residual (d_y d_x, lanes), where the kernel leaves E, a part of scratch; weights (4, lanes):
    the stage's coefficients.
    """
    lanes = memory.shape[2]
    at = (
        memory[0].ctypes.data, memory[1].ctypes.data, memory[2].ctypes.data, memory[3].ctypes.data,
        memory[4].ctypes.data, memory[5].ctypes.data,
    )  # fmt: skip
    at_weights, at_scratch, at_shared = weights.ctypes.data, scratch.ctypes.data, shared.ctypes.data
    group = np.zeros(lanes, dtype=LANE)
    for k in range(lanes):
        group[k].row = -1
    visits, visited = room_for(64, state.shape[1]), 0
    asked, stopped, side = 0, 0, 0
    while True:
        asked = wants(group, rows, asked, memory, weights, state)
        if asked == stopped:
            return first_of(visits, visited)
        places = (at[OLD], at[SLOPE], at[DELTA + side], at[EARLIER - side], at[AT_STAGE], at[NEW])
        call(stage, (*places, at_weights, at_scratch, at_shared))
        side = 1 - side
        delta = memory[DELTA + side]

        while visited + lanes > len(visits.row):
            visits = doubled(visits)
        for k in range(lanes):  # what came of it
            lane = group[k]
            if lane.row < 0:
                continue
            row = rows[lane.row]
            row.evaluations += 1
            if lane.task == STEP and lane.j < lane.s:
                continue
            why = GOES_ON
            if lane.task == STEP:
                error = error_of(memory, delta, lane.h, k, atol, rtol)
                if error < 1.0:
                    loss, slope = half_square(residual, k), norm(memory[AT_STAGE], k)
                    if is_visit(lane, row, slope):
                        note(visits, visited, lane, memory[OLD], k)
                        visited += 1
                    why = accept(lane, row, error, loss, slope, memory, k, H, gram_norm)
                else:
                    why = reject(lane, row, error, memory, k)
                if lane.age >= FRESH:
                    lane.task = FIRST
            elif lane.task == POWER:
                why = turn(lane, memory, delta, k)
            if why == GOES_ON and lane.task == FIRST:
                why = begin_powers(lane, row, residual, memory, delta, k)
            elif why == GOES_ON and lane.task == STEP:
                why = begin_step(lane, row, most, yields, delta, k)
            if why != GOES_ON:
                row.before = lane.earlier
                stop(lane, row, why, memory[OLD], k, state)
                stopped += 1
