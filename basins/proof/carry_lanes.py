"""Rows side by side: each lane carries a start of its own, and takes the next one when its row has ended.

The functions are those that carry one row, compiled for vectors (codegen/vectors.py), so each row has the bits it would
have alone. Lanes differ in times, steps and tries; what is tried again for one lane comes out as before in the others,
because nothing that it depends on has changed there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from basins.codegen.vectors import LANES, no, smaller, some, vectors, where
from basins.jit_cache import njit
from basins.proof.bounds import TINY, UP
from basins.proof.models import jump
from basins.proof.steps import (
    GOES_ON,
    GROWTH,
    HALVINGS,
    LONGEST,
    NON_FINITE,
    STEP_SIZE,
    allowed,
    at_step,
    coefficients,
    error_after,
    first_step,
    judge,
    norms_at,
    power_of_two,
    state_of,
    step_size,
)
from basins.proof.taylor import end_point
from basins.rounding import U

T, ERROR, GROWN, H, CLOCK, RATE, BUSY, PASSED, MARGIN, SIZE, PRODUCT, NEW, MORE, AFTER = range(14)
"""Rows of `state`: numbers of each lane. BUSY: 1 where it has a row; NEW, MORE, AFTER: the last step's error, growth
and logarithmic norm at its end, nan where no step was found."""

STATE = 14

# What `carry_lanes` calls of this file is inlined before anything is compiled: what is called is compiled twice, alone
# and in its caller.


@njit(cache=True, error_model="numpy", nogil=True)
def carry_lanes(
    shape: Any, constants: Any, tier: Any, path: Any, models: Any, node: Any, scratch: Any, first: Any, state: Any,
    starts: Any, radius: Any, rows: Any, ended: Any,
) -> None:  # fmt: skip
    """What carry.carry does with `rows`, in a tier without Cholesky. first (3 m + 1, LANES), state (STATE, LANES);
    path, models, node and scratch: memory.work_in_lanes."""
    row, steps = np.zeros(LANES, dtype=np.int64), np.zeros(LANES, dtype=np.int64)
    residual, n = node.first[3 * shape.m], shape.at[shape.m]
    lanes = vectors(node)
    knot, taken, fresh = vectors(state), 0, True
    for lane in range(LANES):
        taken = take(lane, taken, starts, radius, rows, node.W, row, steps, state, n)
    while True:
        if fresh:
            knot[RATE] = norms_at(shape, constants, lanes, vectors(scratch))
            fresh = False
        at_knot(shape, constants, lanes, vectors(scratch), knot)
        for lane in range(LANES):
            if state[BUSY, lane] > 0.0:
                code = judge(
                    constants, tier.most_steps, state[SIZE, lane], state[PRODUCT, lane], residual[lane],
                    state[PASSED, lane] > 0.0, state[ERROR, lane], steps[lane],
                )  # fmt: skip
                if code != GOES_ON:
                    leave(lane, code, row, steps, state, ended)
                    taken = take(lane, taken, starts, radius, rows, node.W, row, steps, state, n)
                    fresh = True
        if np.max(state[BUSY]) == 0.0:
            break
        if fresh:
            continue
        step_on(shape, constants, tier, vectors(path), vectors(models), lanes, vectors(scratch), vectors(first), knot)
        for lane in range(LANES):
            if state[BUSY, lane] > 0.0:
                if state[NEW, lane] < np.inf:
                    state[T, lane] += state[H, lane]
                    state[GROWN, lane] += state[MORE, lane]
                    state[ERROR, lane], state[RATE, lane] = state[NEW, lane], state[AFTER, lane]
                    steps[lane] += 1
                else:
                    code = STEP_SIZE if state[AFTER, lane] < np.inf else NON_FINITE
                    leave(lane, code, row, steps, state, ended)
                    taken = take(lane, taken, starts, radius, rows, node.W, row, steps, state, n)
                    fresh = True


@njit(cache=True, error_model="numpy", inline="always")
def take(
    lane: int, taken: int, starts: Any, radius: Any, rows: Any, W: Any, row: Any, steps: Any, state: Any, n: int
) -> int:
    """Put the next of `rows` into the lane, which is idle if there is none; how many are taken then."""
    state[BUSY, lane], state[H, lane], state[CLOCK, lane] = 0.0, 0.0, 1.0
    if taken == len(rows):
        return taken
    row[lane], steps[lane] = rows[taken], 0
    for q in range(n):
        W[0, q, lane] = starts[row[lane], q]
    state[T, lane], state[ERROR, lane], state[GROWN, lane], state[BUSY, lane] = 0.0, radius[row[lane]], 0.0, 1.0
    return taken + 1


@njit(cache=True, error_model="numpy", inline="always")
def leave(lane: int, code: int, row: Any, steps: Any, state: Any, ended: Any) -> None:
    """The lane's row has ended."""
    r = row[lane]
    ended.code[r], ended.t[r], ended.error[r] = code, state[T, lane], state[ERROR, lane]
    ended.margin[r], ended.growth[r], ended.steps[r] = state[MARGIN, lane], state[GROWN, lane], steps[lane]


@njit(cache=True, error_model="numpy", inline="always")
def at_knot(shape: Any, constants: Any, node: Any, scratch: Any, knot: Any) -> None:
    """What `judge` asks of each lane."""
    passed, knot[MARGIN] = allowed(shape, constants, node, scratch, knot[ERROR])
    knot[PASSED] = where(passed, 1.0, 0.0)
    knot[SIZE], knot[PRODUCT] = state_of(shape, constants, node)


@njit(cache=True, error_model="numpy", inline="always")
def step_on(
    shape: Any, constants: Any, tier: Any, path: Any, models: Any, node: Any, scratch: Any, first: Any, knot: Any
) -> None:  # fmt: skip
    """One step of every lane that has a row."""
    m, n, rate = shape.m, shape.at[shape.m], knot[RATE]
    for k in range(3 * m + 1):
        first[k] = node.first[k]
    wanted, size = knot[BUSY] > 0.0, knot[SIZE]
    longest = smaller(LONGEST, GROWTH / (rate + TINY))
    h = smaller(longest, first_step(knot[H], first, size, m))
    clock = power_of_two(knot[CLOCK], h)
    coefficients(shape, constants, tier, path, models, node, clock)
    h = step_size(shape, constants, tier, models, first, scratch, size, h, longest, clock, U, wanted)
    wanted = wanted & (h < np.inf)
    new, more, after = np.nan, np.nan, np.nan
    for _ in range(HALVINGS):
        D, _, bend = at_step(shape, constants, tier, models, first, scratch, h, clock, U)
        step = jump(models, m, tier.p, U)
        end_point(path.W, h / clock, tier.p, n, node.W)
        there = norms_at(shape, constants, node, scratch)
        mean = (0.5 * (rate + there) + bend) * UP
        error, growth = error_after(shape, constants, tier, models, scratch, h, knot[ERROR], D, step, mean, wanted)
        new, more, after = where(wanted, error, new), where(wanted, growth, more), where(wanted, there, after)
        wanted = wanted & no(new < np.inf)
        if not some(wanted):
            break
        h = where(wanted, 0.5 * h, h)
    knot[H], knot[CLOCK], knot[NEW], knot[MORE], knot[AFTER] = h, clock, new, more, after
