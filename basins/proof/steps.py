"""One step of a proof and what is asked at its knots (docs/proofs.md has the steps named below).

Every function here is compiled for floats and, from the same lines, for vectors of lanes (codegen/vectors.py): what is
decided is decided by `where` and `some`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from basins.codegen.vectors import larger, no, smaller, some, where
from basins.jit_cache import njit
from basins.proof.bounds import LARGEST, TINY, UP, exp_up, perron, power, schatten4
from basins.proof.cholesky import prefixes
from basins.proof.log_norm import block_norms, errors, second_order, spectral, tube, without
from basins.proof.models import chords, defect, measure
from basins.proof.taylor import products, taylor
from basins.rounding import U

GOES_ON, PROVED, ERROR, STEPS, STEP_SIZE, SIZE, NON_FINITE = range(-2, 5)
"""What became of a row; from 0 on why it is not proved (labels.Unproved)."""

TURNS = 12
"""Power iterations for a Perron root."""

LONGEST = 1e10
"""No step is longer: its powers must not overflow."""

GROWTH = 3.0
"""No step is longer than this over the logarithmic norm at its beginning."""

TRIES = 40
"""Of a step size."""

HALVINGS = 12
"""A step that finds no tube is halved this many times."""

LOWEST = 0.05
"""A row not proved where ||E|| is below this share of the level is given up: its error is too large, and stays."""


class Tier(NamedTuple):
    """How a path is computed and its growth bounded. p: order; tol: a step's defect, of ||W||; cap: of the second-order
    term of a step's growth; cholesky: the logarithmic norm by Cholesky, not by norms of blocks; pairs: double-double;
    most_steps: before it gives up."""

    p: int
    tol: float
    cap: float
    cholesky: bool
    pairs: bool
    most_steps: int


# --- at a knot --------------------------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def norms_at(shape: Any, constants: Any, node: Any, scratch: Any) -> Any:
    """A bound of max(0, lambda_max(-Hess L)) by norms of blocks at the node, whose W is given, in double precision: all
    that is known of the node is filled in."""
    products(shape, constants, node.W, node.S, node.E, node.F, 0)
    errors(shape, constants, node, U, 0.0)
    spectral(shape, node)
    block_norms(shape, node)
    return perron(node.K, shape.m, scratch.v, TURNS)


@njit(cache=True, error_model="numpy")
def allowed(shape: Any, constants: Any, node: Any, scratch: Any, radius: Any) -> Any:
    """The last test (docs/proofs.md, step 7) at a node: whether every state within `radius` lies below the level, and
    about which radius would have passed."""
    m, first = shape.m, node.first
    room = constants.level - first[3 * m]
    prefixes(shape, constants, node)
    slopes = 0.0
    for l in range(m):  # noqa: E741
        one = constants.gram_top
        if l > 0:
            one = schatten4(node.B, 0, shape.b_at[l], shape.d[l], shape.d[0]) + node.b_error[l]
        if l < m - 1:
            one *= first[m + l + 1]
        slopes += one * one
    slope = np.sqrt(slopes) * UP + TINY
    for l in range(m):  # noqa: E741
        scratch.b[l] = (first[l] + radius) * UP
    for i in range(m):
        for j in range(m):
            if i != j:
                scratch.C[i, j] = without(scratch.b, m, i, j, -1) * UP
            else:
                scratch.C[i, j] = 0.0
    bend = perron(scratch.C, m, scratch.v, TURNS) * constants.gram_top * UP
    reached = first[3 * m] + (slope * radius + 0.5 * bend * (radius * radius)) * UP
    passed = (room > 0.0) & (reached < constants.level * (1.0 - 1e-12))
    return passed, where(room > 0.0, 2.0 * room / (slope + np.sqrt(slope * slope + 2.0 * bend * room)), 0.0)


@njit(cache=True, error_model="numpy")
def state_of(shape: Any, constants: Any, node: Any) -> Any:
    """||W||, and the product of 1 + ||W_l||, with those of T and G."""
    square, product = 0.0, 1.0 + constants.target
    for l in range(shape.m):  # noqa: E741
        square += node.first[l] * node.first[l]
        product *= 1.0 + node.first[l]
    return np.sqrt(square), product * (1.0 + constants.gram) * (1.0 + constants.gram)


@njit(cache=True, error_model="numpy")
def judge(
    constants: Any, most_steps: int, size: float, product: float, residual: float, passed: bool, error: float,
    steps: int,
) -> int:  # fmt: skip
    """What becomes of a row at this knot: of the state's norm and product of norms (`state_of`), ||E|| and whether the
    last test is passed. NaN fails every comparison that lets it go on."""
    if not (size < np.inf and residual < np.inf):
        return NON_FINITE
    if not product < LARGEST:
        return SIZE
    if passed:
        return PROVED
    if not error < 10.0 * (size + constants.size) or residual < LOWEST * constants.level:
        return ERROR
    return GOES_ON if steps < most_steps else STEPS


# --- between two knots ------------------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def coefficients(shape: Any, constants: Any, tier: Any, path: Any, models: Any, node: Any, clock: Any) -> None:
    """The Taylor coefficients at the node and their norms (step 1), in powers of t / clock, in double precision."""
    for q in range(shape.at[shape.m]):
        path.W[0, q] = node.W[0, q]
    taylor(shape, constants, path.W, path.S, path.E, path.F, tier.p, clock)
    measure(shape, models, path.W, path.S, path.E, path.F, tier.p)


@njit(cache=True, error_model="numpy")
def at_step(
    shape: Any, constants: Any, tier: Any, models: Any, first: Any, scratch: Any, h: Any, clock: Any, unit: float
) -> Any:
    """The defect of a step h, the truncation's part of it, and the second-order term of the growth (steps 2, 3, 5).
    unit: the roundoff that the coefficients were computed with."""
    D, truncated = defect(shape, constants, models, h, clock, tier.p, unit)
    chords(models, first, tier.p)
    second_order(shape, models, constants.gram_top, tier.cholesky, scratch.J, scratch.C)
    return D, truncated, perron(scratch.C, shape.m, scratch.v, TURNS)


@njit(cache=True, error_model="numpy")
def step_size(
    shape: Any, constants: Any, tier: Any, models: Any, first: Any, scratch: Any, size: Any, h: Any, longest: Any,
    clock: Any, unit: float, wanted: Any,
) -> Any:  # fmt: skip
    """About the largest step whose defect is at most tol ||W|| and whose second-order term is at most the cap (step 3);
    nan where there is none, or none is wanted."""
    p, goes_on = tier.p, wanted
    best = np.nan
    for tries in range(TRIES):
        _, truncated, bend = at_step(shape, constants, tier, models, first, scratch, h, clock, unit)
        by_tail = tier.tol * size / truncated
        by_bend = tier.cap / (h * bend)
        known = (by_tail >= 0.0) & (by_bend >= 0.0)  # or the step is much too long: overflow
        good = (by_tail >= 1.0) & (by_bend >= 1.0)
        factor = smaller(power(smaller(by_tail, 1e30), 1.0 / (p + 1)), power(smaller(by_bend, 1e30), 0.333))
        last = good & ((factor < 1.15) | (h >= longest))
        if tries > 7:
            last = good
        last = last | (known & no(good) & (best < np.inf))
        best = where(goes_on & good, h, best)
        goes_on = goes_on & no(last)
        if not some(goes_on):
            break
        longer, shorter = smaller(longest, h * smaller(4.0, 0.98 * factor)), h * larger(0.1, 0.96 * factor)
        h = where(goes_on, where(known, where(good, longer, shorter), h * 0.01), h)
    return best


@njit(cache=True, error_model="numpy")
def error_after(
    shape: Any, constants: Any, tier: Any, models: Any, scratch: Any, h: Any, error: Any, D: Any, step: Any, rate: Any,
    wanted: Any,
) -> Any:  # fmt: skip
    """The radius after a step and the step's growth (step 6): a tube is looked for that the error does not leave.

    D: bound of the defect; step: the jump at its end; rate: mean of the nodes' values plus the second-order term. nan
    where no tube is found, or none is wanted.
    """
    reach = 1.2 * (error + D) + step
    goes_on = wanted & (reach < np.inf)
    after, growth = np.nan, np.nan
    for _ in range(6):
        tube(shape, constants, models, (reach + step) * UP, tier.cholesky, scratch.J, scratch.b, scratch.C_tube)
        g = h * (rate + perron(scratch.C_tube, shape.m, scratch.v, TURNS)) * UP
        new = (exp_up(g) * (error + D) + step) * UP
        held = goes_on & (new < reach)
        after, growth = where(held, new, after), where(held, g, growth)
        reach = 1.1 * new
        goes_on = goes_on & no(held) & (reach < 1e100)
        if not some(goes_on):
            break
    return after, growth


@njit(cache=True, error_model="numpy")
def first_step(h: Any, first: Any, size: Any, m: int) -> Any:
    """Where to begin looking for a step: the last one, or a third of the time in which the state would change by its
    own size."""
    square = 0.0
    for l in range(m):  # noqa: E741
        speed = first[2 * m + l]
        if l < m - 1:
            speed *= first[m + l + 1]
        square += speed * speed
    return where(h > 0.0, h, smaller(0.3 * size / np.sqrt(square), LONGEST))


@njit(cache=True, error_model="numpy")
def power_of_two(clock: Any, h: Any) -> Any:
    """The power of two in (h / 2, h], from one to begin with; any if h is no number."""
    longer = (clock > h) & (clock > 1e-200)
    while some(longer):
        clock = where(longer, 0.5 * clock, clock)
        longer = (clock > h) & (clock > 1e-200)
    shorter = 2.0 * clock <= h
    while some(shorter):
        clock = where(shorter, 2.0 * clock, clock)
        shorter = 2.0 * clock <= h
    return clock
