"""Rows on a plateau: the Runge-Kutta-Chebyshev method of order 2 in the lanes, each lane at a stage of its own.

Beside a saddle the fitted modes decay at rates of order 1 while the escape takes long: stability holds an explicit
method's step down and accuracy does not. Gradient flow has a real spectrum, so a method of s stages that is stable on
[-0.65 s^2, 0] takes steps s^2 times longer for s evaluations (Sommeijer, Shampine, Verwer, RKC: an explicit solver
for parabolic PDEs, J. Comp. Appl. Math. 88, 1997). group.py hands such rows over, and gets them back when the step
that accuracy allows is one DOP853 could take.

Every lane has its own time, step, number of stages and stage; one call of the kernel's `stage` moves all of them one
evaluation on, whatever each needs it for. + - * / and sqrt only, in the order written here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from basins.engines.base import Array
from basins.engines.group import BUDGET, GOES_ON, Codes, Counts, Flags, call, reason, too_small
from basins.rounding import U

BACK = -3
"""Not the end of a row: DOP853 does as well from here."""

RESISTS = -4
"""Not the end of a row: it wants more stages than there are, and an implicit method is to carry it on."""

LEAST = 15.0
"""h rho below which a row goes back. DOP853 would go 6 / rho with 12 evaluations, RKC 15 / rho with 5; but an
evaluation costs RKC several times as much, its coefficients and norms not being in vectors (7.5 is slower)."""

GRACE, FLOOR = 20, 0.5
"""In its first steps a row may stay with h rho down to the second number: DOP853 at the edge of its stability leaves
fast modes as large as the tolerance, and they have to decay before the step can grow."""

DAMPING = 2.0 / 13.0
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


def most_stages(rtol: float) -> int:
    """The stages that rounding, which s of them amplify by s^2, leaves room for at this tolerance."""
    return max(2, int(np.sqrt(rtol / (20 * U))))


@njit(cache=True, error_model="numpy", inline="always")
def cube_root(x: float) -> float:
    """x^(1/3) to a factor x^(1/3072), as x^(1/4 + 1/16 + 1/64 + 1/256 + 1/1024): good enough for a step's size."""
    root = 1.0
    for _ in range(5):
        x = np.sqrt(np.sqrt(x))
        root *= x
    return root


@njit(cache=True, error_model="numpy", inline="always")
def stages_for(x: float) -> int:
    """The least s with h rho = x inside the interval of stability: s^2 - 1 >= 1.54 x."""
    return max(2, 1 + int(np.sqrt(1.54 * x + 1.0)))


@njit(cache=True, error_model="numpy", inline="always")
def reach(s: int) -> float:
    """The largest h rho that s stages are stable for."""
    return (s * s - 1.0) / 1.54


@njit(cache=True, error_model="numpy")
def slope_at(w0: float, s: int) -> float:
    """w_1 = T_s'(w_0) / T_s''(w_0), by the recurrence of Chebyshev's polynomials."""
    T, dT, ddT = w0, 1.0, 0.0
    T_, dT_, ddT_ = 1.0, 0.0, 0.0
    for _ in range(s - 1):
        T, T_, dT, dT_, ddT, ddT_ = (
            2.0 * w0 * T - T_, T, 2.0 * w0 * dT - dT_ + 2.0 * T, dT, 2.0 * w0 * ddT - ddT_ + 4.0 * dT, ddT,
        )  # fmt: skip
    return dT / ddT


@njit(cache=True, error_model="numpy", nogil=True)
def drive(
    stage: int, most: int, yields: bool, n: int, n_E: int, H: int, gram_norm: float, atol: float, rtol: float,
    memory: Array, scratch: Array, shared: Array, weights: Array,
    starts: Array, t_start: Array, sizes: Array, level: Array, rest_after: Array, budget: Counts, t_end: Array,
    max_step: Array, watch: Flags, first_norm: Array, before: Array,
    state: Array, t_stop: Array, stop: Codes, steps: Counts, rejects: Counts, evaluations: Counts, increase: Array,
) -> Any:  # fmt: skip
    """Carry every start to its stop, BACK or RESISTS, and fill in state ... increase; visits as of group.drive.

    stage: the kernel's address; most: stages of a step; yields: whether a row that wants more RESISTS, or makes do;
    memory (7, n, lanes); weights (4, lanes): the stage's coefficients; sizes: DOP853's last steps; before, first_norm:
    as group.drive has them, in and out.
    """
    N, lanes = starts.shape[0], memory.shape[2]
    old, slopes, at_stage, news, vectors = memory[0], memory[1], memory[4], memory[5], memory[6]
    at_delta = (memory[2].ctypes.data, memory[3].ctypes.data)
    at_old, at_slope, at_F, at_new = old.ctypes.data, slopes.ctypes.data, at_stage.ctypes.data, news.ctypes.data
    at_weights, at_scratch, at_shared = weights.ctypes.data, scratch.ctypes.data, shared.ctypes.data
    residual = scratch[: n_E * lanes].reshape(n_E, lanes)

    row, task = np.full(lanes, -1), np.zeros(lanes, dtype=np.int64)
    t, t_new, h, size = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    loss, slope, earlier = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    # The largest rate: what it is taken to be, steps since it was found, and the iteration that finds it.
    rate, age, turns = np.zeros(lanes), np.zeros(lanes, dtype=np.int64), np.zeros(lanes, dtype=np.int64)
    found, length = np.zeros(lanes), np.zeros(lanes)
    # The step: stages, the stage under way, Chebyshev's T, T', T'' at w_0 for it and the one before, b_j, a_j.
    s, j = np.zeros(lanes, dtype=np.int64), np.zeros(lanes, dtype=np.int64)
    w0, w1, T = np.zeros(lanes), np.zeros(lanes), np.zeros((2, 3, lanes))
    b, b_, a = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    last_h, last_error = np.zeros(lanes), np.zeros(lanes)

    visits, visited = 0, 64
    visit_row, visit_t, visit_slope = np.empty(visited, dtype=np.int64), np.empty(visited), np.empty(visited)
    visit_state = np.empty((visited, n))

    side, asked, active = 0, 0, 0
    while True:
        # --- refill, and what each lane wants of the call ---
        delta, delta_ = memory[2 + side], memory[3 - side]
        for lane in range(lanes):
            if row[lane] < 0 and asked < N:
                r = row[lane] = asked
                asked += 1
                active += 1
                for m in range(7):
                    for i in range(n):
                        memory[m, i, lane] = 0.0
                for i in range(n):
                    old[i, lane] = starts[r, i]
                task[lane], t[lane], size[lane], earlier[lane] = FIRST, t_start[r], sizes[r], before[r]
                last_error[lane] = 0.0
            for k in range(4):
                weights[k, lane] = 0.0
            if row[lane] >= 0 and task[lane] == POWER:
                weights[0, lane] = 1.0  # numba has put the perturbation into delta
            if row[lane] >= 0 and task[lane] == STEP:
                j[lane] += 1
                if j[lane] == 1:
                    weights[3, lane] = b[lane] * w1[lane] * h[lane]
                    a[lane] = 1.0 - w0[lane] * b[lane]
                    continue
                # T_j = 2 w_0 T_{j-1} - T_{j-2} and its derivatives; b_j = T_j'' / T_j'^2
                z, dz, ddz = T[0, 0, lane], T[0, 1, lane], T[0, 2, lane]
                T[0, 0, lane] = 2.0 * w0[lane] * z - T[1, 0, lane]
                T[0, 1, lane] = 2.0 * w0[lane] * dz - T[1, 1, lane] + 2.0 * z
                T[0, 2, lane] = 2.0 * w0[lane] * ddz - T[1, 2, lane] + 4.0 * dz
                T[1, 0, lane], T[1, 1, lane], T[1, 2, lane] = z, dz, ddz
                b_j = T[0, 2, lane] / (T[0, 1, lane] * T[0, 1, lane])
                if j[lane] == 2:
                    b_j = b[lane]
                mu = 2.0 * w0[lane] * b_j / b[lane]
                mu_t = 2.0 * w1[lane] * b_j / b[lane] * h[lane]
                weights[0, lane], weights[1, lane] = mu, -b_j / b_[lane]
                weights[2, lane], weights[3, lane] = mu_t, -mu_t * a[lane]
                b_[lane], b[lane] = b[lane], b_j
                a[lane] = 1.0 - T[0, 0, lane] * b_j
        if active == 0:
            break
        call(
            stage,
            (at_old, at_slope, at_delta[side], at_delta[1 - side], at_F, at_new, at_weights, at_scratch, at_shared),
        )
        side = 1 - side
        delta, delta_ = delta_, delta

        # --- what came of it ---
        for lane in range(lanes):
            r = row[lane]
            if r < 0:
                continue
            evaluations[r] += 1
            why = GOES_ON
            if task[lane] == STEP:
                if j[lane] < s[lane]:
                    continue
                total = 0.0
                for i in range(n):
                    y, y_new = abs(old[i, lane]), abs(news[i, lane])
                    scale = atol + rtol * (y if y > y_new else y_new)
                    e = 0.4 * h[lane] * (slopes[i, lane] + at_stage[i, lane]) - 0.8 * delta[i, lane]
                    total += (e / scale) * (e / scale)
                error = np.sqrt(total / n)
                if error < 1.0:
                    steps[r] += 1
                    age[lane] += 1
                    factor = MAX_FACTOR
                    root = cube_root(error)
                    if last_error[lane] == 0.0:
                        bound = SAFETY / root
                    else:
                        bound = SAFETY * cube_root(last_error[lane]) * h[lane] / (last_h[lane] * root * root)
                    if bound < factor:
                        factor = bound
                    if factor < MIN_FACTOR:
                        factor = MIN_FACTOR
                    last_h[lane], last_error[lane] = h[lane], error
                    size[lane] = h[lane] * factor
                    new_loss, new_slope, norm = 0.0, 0.0, 0.0
                    for k in range(n_E):
                        new_loss += residual[k, lane] * residual[k, lane]
                    for i in range(n):
                        new_slope += at_stage[i, lane] * at_stage[i, lane]
                        norm += news[i, lane] * news[i, lane]
                    new_loss, new_slope, norm = 0.5 * new_loss, np.sqrt(new_slope), np.sqrt(norm)
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
                            visit_state[visits, i] = old[i, lane]
                        visits += 1
                    earlier[lane], slope[lane], loss[lane], t[lane] = slope[lane], new_slope, new_loss, t_new[lane]
                    for i in range(n):
                        old[i, lane], slopes[i, lane] = news[i, lane], at_stage[i, lane]
                    why = reason(
                        new_loss, new_slope, norm, first_norm[r], t[lane], level[r], t_end[r], rest_after[r],
                        evaluations[r], budget[r], H, gram_norm,
                    )  # fmt: skip
                else:
                    rejects[r] += 1
                    factor = SAFETY / cube_root(error)
                    size[lane] = h[lane] * (factor if factor > MIN_FACTOR else MIN_FACTOR)
                    if not np.isfinite(error):
                        for i in range(n):
                            delta[i, lane], delta_[i, lane], at_stage[i, lane] = 0.0, 0.0, 0.0
                    if evaluations[r] >= budget[r]:
                        why = BACK  # which is told there that its budget is spent
                    if age[lane] > 0:
                        age[lane] = FRESH
                if why == GOES_ON and age[lane] >= FRESH:
                    task[lane] = FIRST
            if why == GOES_ON and task[lane] == FIRST:
                # A power iteration begins, in the direction the last one found; the first one in the field's and the
                # state's, for the field alone may lack what has decayed.
                new_slope, norm, size_v = 0.0, 0.0, 0.0
                if steps[r] + rejects[r] == 0:
                    new_loss = 0.0
                    for k in range(n_E):
                        new_loss += residual[k, lane] * residual[k, lane]
                    loss[lane] = 0.5 * new_loss
                    for i in range(n):
                        slopes[i, lane] = at_stage[i, lane]
                        new_slope += at_stage[i, lane] * at_stage[i, lane]
                        norm += old[i, lane] * old[i, lane]
                    slope[lane] = np.sqrt(new_slope)
                    ratio, norm = slope[lane] / np.sqrt(norm), 0.0
                    for i in range(n):
                        vectors[i, lane] = slopes[i, lane] + ratio * old[i, lane]
                for i in range(n):
                    norm += old[i, lane] * old[i, lane]
                    size_v += vectors[i, lane] * vectors[i, lane]
                length[lane] = PERTURBATION * np.sqrt(norm)
                size_v = np.sqrt(size_v)
                for i in range(n):
                    delta[i, lane] = vectors[i, lane] * (length[lane] / size_v)
                task[lane], turns[lane], found[lane] = POWER, 0, 0.0
                if not length[lane] > 0.0 or not np.isfinite(length[lane] / size_v):
                    why = BACK
                else:
                    continue
            if why == GOES_ON and task[lane] == POWER:
                total = 0.0
                for i in range(n):
                    e = at_stage[i, lane] - slopes[i, lane]
                    vectors[i, lane] = e
                    total += e * e
                total = np.sqrt(total)
                now = total / length[lane]
                turns[lane] += 1
                more = turns[lane] < POWERS and (turns[lane] < 2 or abs(now - found[lane]) > CLOSE * now)
                found[lane] = now
                if not (total > 0.0 and np.isfinite(total)):
                    why = BACK
                elif more:
                    for i in range(n):
                        delta[i, lane] = vectors[i, lane] * (length[lane] / total)
                    continue
                rate[lane], age[lane], task[lane] = SAFE * now, 0, STEP
            if why == GOES_ON:
                # A step begins.
                if size[lane] > max_step[r]:
                    size[lane] = max_step[r]
                if size[lane] * rate[lane] < (LEAST if steps[r] >= GRACE else FLOOR) or too_small(size[lane], t[lane]):
                    why = BACK
                elif yields and size[lane] * rate[lane] > reach(most):
                    why = RESISTS
                else:
                    if size[lane] * rate[lane] > reach(most):
                        size[lane] = reach(most) / rate[lane]
                    t_new[lane] = t[lane] + size[lane]
                    if t_new[lane] > t_end[r]:
                        t_new[lane] = t_end[r]
                    h[lane] = t_new[lane] - t[lane]
                    s[lane], j[lane], task[lane] = stages_for(h[lane] * rate[lane]), 0, STEP
                    if s[lane] > budget[r] - evaluations[r]:
                        why = BUDGET  # a shorter step would be another path than a larger budget takes
                if why == GOES_ON:
                    w0[lane] = 1.0 + DAMPING / (s[lane] * s[lane])
                    w1[lane] = slope_at(w0[lane], s[lane])
                    T[0, 0, lane], T[0, 1, lane], T[0, 2, lane] = w0[lane], 1.0, 0.0
                    T[1, 0, lane], T[1, 1, lane], T[1, 2, lane] = 1.0, 0.0, 0.0
                    b[lane] = b_[lane] = 1.0 / (4.0 * w0[lane] * w0[lane])  # b_0 = b_1 = b_2 = T_2'' / T_2'^2
                    for i in range(n):
                        delta[i, lane] = 0.0
            if why != GOES_ON:
                stop[r], t_stop[r] = why, t[lane]
                before[r] = earlier[lane]
                for i in range(n):
                    state[r, i] = old[i, lane]
                row[lane] = -1
                active -= 1
    return visit_row[:visits], visit_t[:visits], visit_slope[:visits], visit_state[:visits]
