"""One start along its computed path, an enclosure of the exact one around it, to the test that proves its label.

docs/proofs.md has the theorem; the steps named below are its algorithm's. Compiled once for all shapes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from basins.jit_cache import njit
from basins.proof.bounds import LARGEST, TINY, UP, exp_up, perron, power, schatten4
from basins.proof.cholesky import largest_eigenvalue, minus_hessian, prefixes
from basins.proof.double_double import V, end_point_pairs, products_pairs, taylor_pairs
from basins.proof.log_norm import Node, block_norms, errors, node_for, second_order, spectral, tube, without
from basins.proof.models import Models, chords, defect, jump, measure, models_for
from basins.proof.shape import Array, Shape
from basins.proof.taylor import end_point, products, taylor
from basins.rounding import U

GOES_ON, PROVED, ERROR, STEPS, STEP_SIZE, SIZE, NON_FINITE = range(-2, 5)
"""What became of a row; from 0 on why it is not proved (prove.Unproved)."""

TURNS = 12
"""Power iterations for a Perron root."""

HALVINGS = 12
"""A step that finds no tube is halved this many times."""

LONGEST = 1e10
"""No step is longer: its powers must not overflow."""

GROWTH = 3.0
"""No step is longer than this over the logarithmic norm at its beginning."""

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


class Path(NamedTuple):
    """Taylor coefficients: W (p + 1, n), S, E, F (p, ...), and their lower parts if the arithmetic is in pairs."""

    W: Array
    S: Array
    E: Array
    F: Array
    W_low: Array
    S_low: Array
    E_low: Array
    F_low: Array


class Scratch(NamedTuple):
    """C, C_tube (m, m), J (3, m), b (m,), v (2, m); N and L (n, n) for Cholesky, else empty."""

    C: Array
    C_tube: Array
    J: Array
    b: Array
    v: Array
    N: Array
    L: Array


class Knots(NamedTuple):
    """The enclosures of one row, for those who check them: h (K,) the step that led to each, W and W_low (K, n) whose
    sum is the centre, error (K,) the radius. Empty: not kept."""

    h: Array
    W: Array
    W_low: Array
    error: Array


class Ended(NamedTuple):
    """Of N rows at their last knot: code (above), t, error: the enclosure's radius, margin: the radius the test would
    have allowed there, growth: the sum of the steps' bounds of int lambda_max(-Hess L), steps."""

    code: Any
    t: Array
    error: Array
    margin: Array
    growth: Array
    steps: Any


def path_for(shape: Shape, tier: Tier) -> Path:
    p, n, s, e = tier.p, int(shape.at[-1]), int(shape.s_at[-1]), int(shape.d[-1] * shape.d[0])
    sizes = [(p + 1, n), (p, s), (p, e), (p, s)]
    W, S, E, F = (np.zeros(size) for size in sizes)
    W_low, S_low, E_low, F_low = (np.zeros(size if tier.pairs else (size[0], 0)) for size in sizes)
    return Path(W, S, E, F, W_low, S_low, E_low, F_low)


def scratch_for(shape: Shape, tier: Tier) -> Scratch:
    m = shape.m
    square = (int(shape.at[m]),) * 2 if tier.cholesky else (0, 0)
    return Scratch(
        np.zeros((m, m)), np.zeros((m, m)), np.zeros((3, m)), np.zeros(m), np.zeros((2, m)),
        np.zeros(square), np.zeros(square),
    )  # fmt: skip


def ended_for(N: int) -> Ended:
    code, steps = np.full(N, GOES_ON, dtype=np.int64), np.zeros(N, dtype=np.int64)
    return Ended(code, np.zeros(N), np.zeros(N), np.zeros(N), np.zeros(N), steps)


def work_for(shape: Shape, tier: Tier) -> tuple[Path, Models, Node, Scratch]:
    """The memory that `carry` works in."""
    return path_for(shape, tier), models_for(shape, tier.p), node_for(shape, tier.pairs), scratch_for(shape, tier)


# --- at a knot --------------------------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy", forceinline=True)
def growth_at(shape: Any, constants: Any, tier: Any, node: Any, scratch: Any, guess: float) -> float:
    """A bound of max(0, lambda_max(-Hess L)) at the node, whose W is given: all that is known of it is filled in."""
    if tier.pairs:
        products_pairs(
            shape, constants, node.W, node.W_low, node.S, node.S_low, node.E, node.E_low, node.F, node.F_low, 0
        )
        errors(shape, constants, node, V, U)
    else:
        products(shape, constants, node.W, node.S, node.E, node.F, 0)
        errors(shape, constants, node, U, 0.0)
    spectral(shape, node)
    block_norms(shape, node)
    norms = perron(node.K, shape.m, scratch.v, TURNS)
    if not tier.cholesky:
        return norms
    rounding = minus_hessian(shape, constants, node, scratch.N)
    found = largest_eigenvalue(scratch.N, norms, guess, scratch.L) + rounding
    return min(norms, found * UP)


@njit(cache=True, error_model="numpy", forceinline=True)
def allowed(shape: Any, constants: Any, node: Any, scratch: Any, radius: float) -> Any:
    """The last test (docs/proofs.md, step 7) at a node: whether every state within `radius` lies below the level, and
    about which radius would have passed."""
    m, first = shape.m, node.first
    room = constants.level - first[3 * m]
    if not room > 0.0:
        return False, 0.0
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
            scratch.C[i, j] = without(scratch.b, m, i, j, -1) * UP if i != j else 0.0
    bend = perron(scratch.C, m, scratch.v, TURNS) * constants.gram_top * UP
    passed = first[3 * m] + (slope * radius + 0.5 * bend * (radius * radius)) * UP < constants.level * (1.0 - 1e-12)
    return passed, 2.0 * room / (slope + np.sqrt(slope * slope + 2.0 * bend * room))


@njit(cache=True, error_model="numpy", forceinline=True)
def state_of(shape: Any, constants: Any, node: Any) -> Any:
    """||W||, and the product of 1 + ||W_l||, with those of T and G."""
    square, product = 0.0, 1.0 + constants.target
    for l in range(shape.m):  # noqa: E741
        square += node.first[l] * node.first[l]
        product *= 1.0 + node.first[l]
    return np.sqrt(square), product * (1.0 + constants.gram) * (1.0 + constants.gram)


# --- between two knots ------------------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy", forceinline=True)
def coefficients(shape: Any, constants: Any, tier: Any, path: Any, models: Any, node: Any, clock: float) -> None:
    """The Taylor coefficients at the node and their norms (step 1), in powers of t / clock."""
    n = shape.at[shape.m]
    for q in range(n):
        path.W[0, q] = node.W[0, q]
    if tier.pairs:
        for q in range(n):
            path.W_low[0, q] = node.W_low[0, q]
        taylor_pairs(
            shape, constants, path.W, path.W_low, path.S, path.S_low, path.E, path.E_low, path.F, path.F_low, tier.p,
            clock,
        )  # fmt: skip
    else:
        taylor(shape, constants, path.W, path.S, path.E, path.F, tier.p, clock)
    measure(shape, models, path.W, path.S, path.E, path.F, tier.p)
    if tier.pairs:
        for k in range(models.size.shape[0]):
            for i in range(models.size.shape[1]):
                models.size[k, i] *= 1.0 + 2.0 * U  # the lower parts


@njit(cache=True, error_model="numpy", forceinline=True)
def at_step(
    shape: Any, constants: Any, tier: Any, models: Any, first: Any, scratch: Any, h: float, clock: float
) -> Any:
    """The defect of a step h, the truncation's part of it, and the second-order term of the growth (steps 2, 3, 5)."""
    unit = V if tier.pairs else U
    D, truncated = defect(shape, constants, models, h, clock, tier.p, unit)
    chords(models, first, tier.p)
    second_order(shape, models, constants.gram_top, tier.cholesky, scratch.J, scratch.C)
    return D, truncated, perron(scratch.C, shape.m, scratch.v, TURNS)


@njit(cache=True, error_model="numpy", forceinline=True)
def step_size(
    shape: Any, constants: Any, tier: Any, models: Any, first: Any, scratch: Any, size: float, h: float,
    longest: float, clock: float,
) -> float:  # fmt: skip
    """About the largest step whose defect is at most tol ||W|| and whose second-order term is at most the cap (step 3);
    nan where there is none."""
    p, tries = tier.p, 0
    best = np.nan
    while tries < 40:
        tries += 1
        _, truncated, bend = at_step(shape, constants, tier, models, first, scratch, h, clock)
        by_tail = tier.tol * size / truncated
        by_bend = tier.cap / (h * bend)
        if not (by_tail >= 0.0 and by_bend >= 0.0):
            h *= 0.01  # overflow: much too long
            continue
        factor = min(power(min(by_tail, 1e30), 1.0 / (p + 1)), power(min(by_bend, 1e30), 0.333))
        if by_tail >= 1.0 and by_bend >= 1.0:
            best = h
            if factor < 1.15 or tries > 8 or h >= longest:
                return best
            h = min(longest, h * min(4.0, 0.98 * factor))
        elif np.isfinite(best):
            return best
        else:
            h *= max(0.1, 0.96 * factor)
    return best


@njit(cache=True, error_model="numpy", forceinline=True)
def error_after(
    shape: Any, constants: Any, tier: Any, models: Any, scratch: Any, h: float, error: float, D: float, step: float,
    rate: float,
) -> Any:  # fmt: skip
    """The radius after a step and the step's growth (step 6): a tube is looked for that the error does not leave.

    D: bound of the defect; step: the jump at its end; rate: mean of the nodes' values plus the second-order term. nan
    where no tube is found.
    """
    reach = 1.2 * (error + D) + step
    for _ in range(6):
        tube(shape, constants, models, (reach + step) * UP, tier.cholesky, scratch.J, scratch.b, scratch.C_tube)
        g = h * (rate + perron(scratch.C_tube, shape.m, scratch.v, TURNS)) * UP
        new = (exp_up(g) * (error + D) + step) * UP
        if new < reach:
            return new, g
        reach = 1.1 * new
        if not reach < 1e100:
            break
    return np.nan, np.nan


# --- a row ------------------------------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy", nogil=True)
def carry(
    shape: Any, constants: Any, tier: Any, path: Any, models: Any, node: Any, scratch: Any, starts: Any, radius: Any,
    rows: Any, ended: Any, knots: Any,
) -> None:  # fmt: skip
    """Try to prove each of `rows` of starts (N, n), every start within radius (N,) of it included; fills in `ended`
    (N,). knots: where the last row's enclosures go."""
    first = np.zeros(3 * shape.m + 1)
    for row in rows:
        carry_row(
            shape, constants, tier, path, models, node, scratch, starts[row], radius[row], row, ended, knots, first
        )


@njit(cache=True, error_model="numpy")
def carry_row(
    shape: Any, constants: Any, tier: Any, path: Any, models: Any, node: Any, scratch: Any, start: Any, radius: float,
    row: int, ended: Any, knots: Any, first: Any,
) -> None:  # fmt: skip
    """One row of `carry`."""
    m, n, unit = shape.m, shape.at[shape.m], V if tier.pairs else U
    for q in range(n):
        node.W[0, q] = start[q]
    for q in range(node.W_low.shape[1]):
        node.W_low[0, q] = 0.0
    t, error, growth, steps, h, clock = 0.0, radius, 0.0, 0, 0.0, 1.0
    rate = growth_at(shape, constants, tier, node, scratch, 0.0)
    while True:
        keep(knots, node, steps, h, error)
        passed, margin = allowed(shape, constants, node, scratch, error)
        code = judge(shape, constants, tier, node, passed, error, steps)
        if code != GOES_ON:
            break
        for k in range(3 * m + 1):
            first[k] = node.first[k]
        size, _ = state_of(shape, constants, node)
        longest = min(LONGEST, GROWTH / (rate + TINY))
        h = min(longest, first_step(h, first, size, m))
        clock = power_of_two(clock, h)
        coefficients(shape, constants, tier, path, models, node, clock)
        h = step_size(shape, constants, tier, models, first, scratch, size, h, longest, clock)
        new, g, rate_after = np.nan, np.nan, np.nan
        for _ in range(HALVINGS):
            D, _, bend = at_step(shape, constants, tier, models, first, scratch, h, clock)
            step = jump(models, m, tier.p, unit)
            if tier.pairs:
                end_point_pairs(path.W, path.W_low, h / clock, tier.p, n, node.W, node.W_low)
            else:
                end_point(path.W, h / clock, tier.p, n, node.W)
            rate_after = growth_at(shape, constants, tier, node, scratch, rate)
            mean = (0.5 * (rate + rate_after) + bend) * UP
            new, g = error_after(shape, constants, tier, models, scratch, h, error, D, step, mean)
            if np.isfinite(new):
                break
            h *= 0.5
        if not np.isfinite(new):
            code = STEP_SIZE if np.isfinite(rate_after) else NON_FINITE
            break
        t, error, growth, steps, rate = t + h, new, growth + g, steps + 1, rate_after
    ended.code[row], ended.t[row], ended.error[row], ended.margin[row] = code, t, error, margin
    ended.growth[row], ended.steps[row] = growth, steps


@njit(cache=True, error_model="numpy")
def first_step(h: float, first: Any, size: float, m: int) -> float:
    """Where to begin looking for a step: the last one, or a third of the time in which the state would change by its
    own size."""
    if h > 0.0:
        return h
    square = 0.0
    for l in range(m):  # noqa: E741
        speed = first[2 * m + l] * (first[m + l + 1] if l < m - 1 else 1.0)
        square += speed * speed
    h = 0.3 * size / np.sqrt(square)
    return h if h < LONGEST else LONGEST


@njit(cache=True, error_model="numpy")
def power_of_two(clock: float, h: float) -> float:
    """The power of two in (h / 2, h], from one to begin with; any if h is no number."""
    while clock > h and clock > 1e-200:
        clock *= 0.5
    while 2.0 * clock <= h:
        clock *= 2.0
    return clock


@njit(cache=True, error_model="numpy", forceinline=True)
def judge(shape: Any, constants: Any, tier: Any, node: Any, passed: bool, error: float, steps: int) -> int:
    """What becomes of the row at this knot. NaN fails every comparison that lets it go on."""
    size, product = state_of(shape, constants, node)
    residual = node.first[3 * shape.m]
    if not (size < np.inf and residual < np.inf):
        return NON_FINITE
    if not product < LARGEST:
        return SIZE
    if passed:
        return PROVED
    if not error < 10.0 * (size + constants.size) or residual < LOWEST * constants.level:
        return ERROR
    return GOES_ON if steps < tier.most_steps else STEPS


@njit(cache=True, error_model="numpy", forceinline=True)
def keep(knots: Any, node: Any, k: int, h: float, error: float) -> None:
    """The k-th knot, if there is room."""
    if k < len(knots.h):
        knots.h[k], knots.error[k] = h, error
        for q in range(node.W.shape[1]):
            knots.W[k, q] = node.W[0, q]
        for q in range(node.W_low.shape[1]):
            knots.W_low[k, q] = node.W_low[0, q]
