"""One start along its computed path, an enclosure of the exact one around it, to the test that proves its label.

docs/proofs.md has the theorem; the steps named below are its algorithm's. Compiled once for all shapes and tiers. Rows
of the tiers without Cholesky are carried side by side instead (carry_lanes.py), to the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from basins.jit_cache import njit
from basins.proof.bounds import TINY, UP, perron
from basins.proof.cholesky import largest_eigenvalue, minus_hessian
from basins.proof.double_double import V, end_point_pairs, products_pairs, taylor_pairs
from basins.proof.log_norm import block_norms, errors, spectral
from basins.proof.models import jump, measure
from basins.proof.steps import (
    GOES_ON,
    GROWTH,
    HALVINGS,
    LONGEST,
    NON_FINITE,
    STEP_SIZE,
    TURNS,
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


@njit(cache=True, error_model="numpy")
def growth_at(
    shape: Any, constants: Any, tier: Any, node: Any, scratch: Any, guess: float, pairs: bool | None
) -> float:
    """A bound of max(0, lambda_max(-Hess L)) at the node in any tier; guess: where Cholesky looks first."""
    if pairs is not None:
        products_pairs(
            shape, constants, node.W, node.W_low, node.S, node.S_low, node.E, node.E_low, node.F, node.F_low, 0
        )
        errors(shape, constants, node, V, U)
        spectral(shape, node)
        block_norms(shape, node)
        norms: float = perron(node.K, shape.m, scratch.v, TURNS)
    else:
        norms = norms_at(shape, constants, node, scratch)
    if not tier.cholesky:
        return norms
    rounding = minus_hessian(shape, constants, node, scratch.N)
    found = largest_eigenvalue(scratch.N, norms, guess, scratch.L) + rounding
    least: float = min(norms, found * UP)
    return least


@njit(cache=True, error_model="numpy")
def coefficients_pairs(
    shape: Any, constants: Any, tier: Any, path: Any, models: Any, node: Any, clock: float
) -> None:  # fmt: skip
    """`coefficients` in pairs."""
    for q in range(shape.at[shape.m]):
        path.W[0, q], path.W_low[0, q] = node.W[0, q], node.W_low[0, q]
    taylor_pairs(
        shape, constants, path.W, path.W_low, path.S, path.S_low, path.E, path.E_low, path.F, path.F_low, tier.p,
        clock,
    )  # fmt: skip
    measure(shape, models, path.W, path.S, path.E, path.F, tier.p)
    for k in range(models.size.shape[0]):
        for i in range(models.size.shape[1]):
            models.size[k, i] *= 1.0 + 2.0 * U  # the lower parts


@njit(cache=True, error_model="numpy", nogil=True)
def carry(
    shape: Any, constants: Any, tier: Any, path: Any, models: Any, node: Any, scratch: Any, starts: Any, radius: Any,
    rows: Any, ended: Any, knots: Any, pairs: bool | None,
) -> None:  # fmt: skip
    """Try to prove each of `rows` of starts (N, n), every start within radius (N,) of it included; fills in `ended`
    (N,). knots: where the last row's enclosures go. pairs: True if the tier's arithmetic is in pairs, else None: a
    type of its own, so that what is compiled for one has nothing of the other."""
    m, n, unit = shape.m, shape.at[shape.m], U if pairs is None else V
    first = np.zeros(3 * m + 1)
    for row in rows:
        for q in range(n):
            node.W[0, q] = starts[row, q]
        for q in range(node.W_low.shape[1]):
            node.W_low[0, q] = 0.0
        t, error, growth, steps, h, clock = 0.0, radius[row], 0.0, 0, 0.0, 1.0
        rate = growth_at(shape, constants, tier, node, scratch, 0.0, pairs)
        while True:
            keep(knots, node, steps, h, error)
            passed, margin = allowed(shape, constants, node, scratch, error)
            size, product = state_of(shape, constants, node)
            code = judge(constants, tier.most_steps, size, product, node.first[3 * m], passed, error, steps)
            if code != GOES_ON:
                break
            for k in range(3 * m + 1):
                first[k] = node.first[k]
            longest = min(LONGEST, GROWTH / (rate + TINY))
            h = min(longest, first_step(h, first, size, m))
            clock = power_of_two(clock, h)
            if pairs is None:
                coefficients(shape, constants, tier, path, models, node, clock)
            else:
                coefficients_pairs(shape, constants, tier, path, models, node, clock)
            h = step_size(shape, constants, tier, models, first, scratch, size, h, longest, clock, unit, True)
            new, g, rate_after = np.nan, np.nan, np.nan
            for _ in range(HALVINGS):
                D, _, bend = at_step(shape, constants, tier, models, first, scratch, h, clock, unit)
                step = jump(models, m, tier.p, unit)
                if pairs is None:
                    end_point(path.W, h / clock, tier.p, n, node.W)
                else:
                    end_point_pairs(path.W, path.W_low, h / clock, tier.p, n, node.W, node.W_low)
                rate_after = growth_at(shape, constants, tier, node, scratch, rate, pairs)
                mean = (0.5 * (rate + rate_after) + bend) * UP
                new, g = error_after(shape, constants, tier, models, scratch, h, error, D, step, mean, True)
                if new < np.inf:
                    break
                h *= 0.5
            if not new < np.inf:
                code = STEP_SIZE if rate_after < np.inf else NON_FINITE
                break
            t, error, growth, steps, rate = t + h, new, growth + g, steps + 1, rate_after
        ended.code[row], ended.t[row], ended.error[row], ended.margin[row] = code, t, error, margin
        ended.growth[row], ended.steps[row] = growth, steps


@njit(cache=True, error_model="numpy")
def keep(knots: Any, node: Any, k: int, h: float, error: float) -> None:
    """The k-th knot, if there is room."""
    if k < len(knots.h):
        knots.h[k], knots.error[k] = h, error
        for q in range(node.W.shape[1]):
            knots.W[k, q] = node.W[0, q]
        for q in range(node.W_low.shape[1]):
            knots.W_low[k, q] = node.W_low[0, q]
