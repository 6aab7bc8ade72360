"""One group of lanes: accept, reject, refill, stop. It knows no shape and calls the kernel by address.

Each lane has its own time, step and error control. A lane that ends takes a new start at once, from a small queue of
prepared ones: starts are prepared a whole group at a time, so no evaluation is spent on a lane that has none to make.
Step control is scipy's (rk.py and common.py of scipy.integrate._ivp), with err^(-1/8) taken as three square roots:
+ - * / and sqrt only, so the bytes are the same on any CPU. Compiled once for all shapes and kept on disk by numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from basins.engines.base import REST, Array, Stop
from basins.engines.tableau import MAX_FACTOR, MIN_FACTOR

Counts = NDArray[np.int64]
Codes = NDArray[np.int8]
Flags = NDArray[np.bool_]

LEVEL, RESTING, T_END = int(Stop.LEVEL), int(Stop.RESTING), int(Stop.T_END)
BUDGET, STEP_UNDERFLOW, NON_FINITE = int(Stop.BUDGET), int(Stop.STEP_UNDERFLOW), int(Stop.NON_FINITE)
GOES_ON = -1
STIFF = -2
"""Not the end of a row: stability holds its step down, and plateau.py is to carry it on."""

STIFFNESS, CALM = 5.0, 6
"""A step is stiff where h times the rate found is above the first (DOP853 is stable on the negative axis to about 6);
after the second number of steps in a row that are not, counting starts again."""


def _call(context: Any, address: Any, pointers: Any) -> Any:
    """Call the C function void(ptr, ...) at an address, with a tuple of addresses."""
    signature = types.void(address, pointers)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        values = [builder.extract_value(arguments[1], k) for k in range(len(pointers))]
        kind = ir.FunctionType(ir.VoidType(), [pointer] * len(values)).as_pointer()
        function = builder.inttoptr(arguments[0], kind)
        builder.call(function, [builder.inttoptr(value, pointer) for value in values])
        return context.get_dummy_value()

    return signature, generate


call: Any = intrinsic(_call)


@njit(cache=True, error_model="numpy", inline="always")
def reason(
    loss: float, slope: float, state: float, first: float, t: float, level: float, t_end: float, rest_after: float,
    evaluations: int, budget: int, H: int, gram_norm: float,
) -> int:  # fmt: skip
    """The contract's tests in its order, from the loss, the norms of slope and state, and the state's norm at the
    leg's start; GOES_ON or a Stop."""
    if not (np.isfinite(loss) and np.isfinite(slope) and np.isfinite(state)):
        return NON_FINITE
    if loss < level:
        return LEVEL
    if t >= t_end:
        return T_END
    if t >= rest_after:  # base.at_rest, its power as a product
        each = max(state, first) / np.sqrt(H + 1.0)
        size = np.sqrt(2.0 * loss) * gram_norm
        for _ in range(H):
            size *= each
        if slope <= REST * size:
            return RESTING
    if evaluations >= budget:
        return BUDGET
    return GOES_ON


@njit(cache=True, error_model="numpy", inline="always")
def eighth_root(x: float) -> float:
    """x^(1/8)."""
    return np.sqrt(np.sqrt(np.sqrt(x)))  # type: ignore[no-any-return]


@njit(cache=True, error_model="numpy", inline="always")
def least_step(t: float) -> float:
    """scipy's: ten times the spacing of floats at t."""
    return 10.0 * abs(np.nextafter(t, np.inf) - t)  # type: ignore[no-any-return]


@njit(cache=True, error_model="numpy", inline="always")
def too_small(size: float, t: float) -> bool:
    """size < least_step(t); the first test is nearly always enough and cheaper, 1 ulp of t being at most 2.3e-16 t."""
    return not size > 3e-15 * t + 1e-300 and size < least_step(t)


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


@njit(cache=True, error_model="numpy", nogil=True)
def drive(
    attempt: int, first: int, trial: int, n: int, H: int, gram_norm: float,
    groups: Array, prepared: Array, scratch: Array, shared: Array,
    starts: Array, t_start: Array, level: Array, rest_after: Array, budget: Counts, t_end: Array, max_step: Array,
    watch: Flags, state: Array, t_stop: Array, stop: Codes, steps: Counts, rejects: Counts, evaluations: Counts,
    increase: Array, first_norm: Array, before: Array, patience: Counts, next_size: Array,
) -> Any:  # fmt: skip
    """Carry every start to its stop and fill in state ... increase; returns the visits (row, t, gradient norm, state).

    A row that takes `patience` stiff steps ends as STIFF. What it needs to go on elsewhere: first_norm, the norm of the
    leg's start (filled in where negative); before, the gradient norm a step earlier; next_size, the next step.
    attempt, first, trial: the kernel's addresses; groups (2, 2, n, lanes): state and slope before and after an attempt;
    prepared (4, n, lanes); scratch, shared: the kernel's. Visits of different rows come in no particular order.
    """
    N, lanes = starts.shape[0], groups.shape[3]
    h, h0 = scratch[-2 * lanes : -lanes], scratch[-lanes:]
    out = scratch[-8 * lanes : -2 * lanes].reshape(6, lanes)
    at_scratch, at_shared, at_h = scratch.ctypes.data, shared.ctypes.data, h.ctypes.data
    at_h0, at_out = h0.ctypes.data, out.ctypes.data
    at_group = (groups[0, 0].ctypes.data, groups[0, 1].ctypes.data, groups[1, 0].ctypes.data, groups[1, 1].ctypes.data)
    at_ready = (prepared[0].ctypes.data, prepared[1].ctypes.data, prepared[2].ctypes.data, prepared[3].ctypes.data)
    root_n = np.sqrt(n)

    # What a lane is doing. A lane without a row runs along with h = 0.
    row = np.full(lanes, -1)
    t, t_new, size = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    again = np.zeros(lanes, dtype=np.bool_)
    loss, slope, earlier = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    stiff, calm = np.zeros(lanes, dtype=np.int64), np.zeros(lanes, dtype=np.int64)

    # Prepared starts, first in first out.
    ready = np.full(lanes, -1)
    ready_loss, ready_slope, ready_size, ready_d1 = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    served = lanes
    asked = 0  # rows handed to preparation so far

    visits, visited = 0, 64
    visit_row, visit_t, visit_slope = np.empty(visited, dtype=np.int64), np.empty(visited), np.empty(visited)
    visit_state = np.empty((visited, n))

    side, active = 0, 0
    while True:
        # --- refill ---
        for lane in range(lanes):
            if row[lane] >= 0:
                continue
            while True:
                while served < lanes and ready[served] < 0:
                    served += 1
                if served < lanes or asked == N:
                    break
                for k in range(lanes):
                    ready[k] = -1
                    if asked < N:
                        ready[k] = asked
                        for i in range(n):
                            prepared[0, i, k] = starts[asked, i]
                        asked += 1
                call(first, (at_ready[0], at_ready[1], at_scratch, at_shared, at_out))
                for k in range(lanes):
                    r = ready[k]
                    h0[k] = 0.0
                    if r < 0:
                        continue
                    ready_loss[k], ready_slope[k], norm = out[0, k], out[1, k], out[2, k]
                    if not first_norm[r] >= 0.0:
                        first_norm[r] = norm
                    why = reason(
                        out[0, k], ready_slope[k], norm, first_norm[r], t_start[r], level[r], t_end[r],
                        rest_after[r], 1, budget[r], H, gram_norm,
                    )  # fmt: skip
                    evaluations[r] = 1
                    if why != GOES_ON:
                        stop[r], t_stop[r] = why, t_start[r]
                        for i in range(n):
                            state[r, i] = starts[r, i]
                        ready[k] = -1
                        continue
                    ready_d1[k] = np.sqrt(out[4, k]) / root_n
                    h0[k] = trial_step(np.sqrt(out[3, k]) / root_n, ready_d1[k], t_end[r] - t_start[r])
                    evaluations[r] = 2
                call(trial, (at_ready[0], at_ready[1], at_ready[2], at_ready[3], at_h0, at_scratch, at_shared, at_out))
                for k in range(lanes):
                    r = ready[k]
                    if r >= 0:
                        d2 = np.sqrt(out[3, k]) / root_n / h0[k]
                        ready_size[k] = first_step(h0[k], ready_d1[k], d2, t_end[r] - t_start[r], max_step[r])
                served = 0
            if served == lanes:
                break
            r = ready[served]
            row[lane], t[lane], size[lane], again[lane] = r, t_start[r], ready_size[served], False
            loss[lane], slope[lane], earlier[lane] = ready_loss[served], ready_slope[served], before[r]
            stiff[lane], calm[lane] = 0, 0
            for i in range(n):
                groups[side, 0, i, lane] = prepared[0, i, served]
                groups[side, 1, i, lane] = prepared[1, i, served]
            served += 1
            active += 1
        if active == 0:
            break

        # --- attempt ---
        for lane in range(lanes):
            r = row[lane]
            if r < 0:
                h[lane] = 0.0
                continue
            if not again[lane]:
                if size[lane] > max_step[r]:
                    size[lane] = max_step[r]
                elif too_small(size[lane], t[lane]):
                    size[lane] = least_step(t[lane])
            t_new[lane] = t[lane] + size[lane]
            if t_new[lane] > t_end[r]:
                t_new[lane] = t_end[r]
            h[lane] = t_new[lane] - t[lane]
        old, new = 2 * side, 2 * (1 - side)
        call(
            attempt,
            (at_group[old], at_group[old + 1], at_group[new], at_group[new + 1], at_h, at_scratch, at_shared, at_out),
        )

        # --- judge ---
        for lane in range(lanes):
            r = row[lane]
            if r < 0:
                continue
            evaluations[r] += 12
            error, factor = out[3, lane], out[4, lane]
            why = GOES_ON
            if error < 1.0:
                if factor > MAX_FACTOR:
                    factor = MAX_FACTOR
                if again[lane] and factor > 1.0:
                    factor = 1.0
                size[lane] = h[lane] * factor
                again[lane] = False
                steps[r] += 1
                new_loss, new_slope = out[0, lane], out[1, lane]
                if new_loss - loss[lane] > increase[r]:
                    increase[r] = new_loss - loss[lane]
                if watch[r] and slope[lane] < earlier[lane] and slope[lane] <= new_slope:
                    if visits == visited:
                        visited *= 2
                        visit_row = np.concatenate((visit_row, np.empty_like(visit_row)))
                        visit_t = np.concatenate((visit_t, np.empty_like(visit_t)))
                        visit_slope = np.concatenate((visit_slope, np.empty_like(visit_slope)))
                        visit_state = np.concatenate((visit_state, np.empty_like(visit_state)))
                    visit_row[visits], visit_t[visits], visit_slope[visits] = r, t[lane], slope[lane]
                    for i in range(n):
                        visit_state[visits, i] = groups[side, 0, i, lane]
                    visits += 1
                earlier[lane], slope[lane], loss[lane], t[lane] = slope[lane], new_slope, new_loss, t_new[lane]
                why = reason(
                    new_loss, new_slope, out[2, lane], first_norm[r], t[lane], level[r], t_end[r],
                    rest_after[r], evaluations[r], budget[r], H, gram_norm,
                )  # fmt: skip
                if out[5, lane] > STIFFNESS:
                    stiff[lane], calm[lane] = stiff[lane] + 1, 0
                    if stiff[lane] >= patience[r] and why == GOES_ON:
                        why, before[r], next_size[r] = STIFF, earlier[lane], size[lane]
                elif stiff[lane] > 0:
                    calm[lane] += 1
                    if calm[lane] >= CALM:
                        stiff[lane] = 0
            else:
                size[lane] = h[lane] * (factor if factor > MIN_FACTOR else MIN_FACTOR)
                again[lane] = True
                rejects[r] += 1
                for i in range(n):  # the lane stays where it was
                    groups[1 - side, 0, i, lane] = groups[side, 0, i, lane]
                    groups[1 - side, 1, i, lane] = groups[side, 1, i, lane]
                if too_small(size[lane], t[lane]):
                    why = STEP_UNDERFLOW if np.isfinite(out[1, lane]) else NON_FINITE
            if why != GOES_ON:
                stop[r], t_stop[r] = why, t[lane]
                for i in range(n):
                    state[r, i] = groups[1 - side, 0, i, lane]
                row[lane] = -1
                active -= 1
        side = 1 - side
    return visit_row[:visits], visit_t[:visits], visit_slope[:visits], visit_state[:visits]
