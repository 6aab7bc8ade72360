"""The algebra l1(h): what the true matrix series differ from the computed ones (docs/proofs.md, steps 2 and 3).

A series is known by norms of its computed coefficients, scaled by h^i (i < p; i <= p for the layers, which are exact
polynomials), and by a rest whose l1(h) norm is at most tail (all of it in degrees >= p) + round (in any degree).
Series are numbered: W_l is l, S_l is m + l, F_l is 2 m + l, E is 3 m.

Of each series three numbers bound what it does on [0, h]: top, its norm there; turn, ||S(h) - S(0)||; bend, the mean
over [0, h] of its distance from its own chord, (1 - t/h) S(0) + (t/h) S(h).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from basins.codegen.vectors import larger
from basins.jit_cache import njit
from basins.proof.bounds import TINY, UP, frobenius, gamma, index
from basins.proof.shape import Array, Shape


class Models(NamedTuple):
    """Of the 3 m + 1 series: size, scaled (Q, p + 1): norms of coefficients, and times h^i; before (Q, p + 1): sums of
    scaled up to i; after (Q, p + 2): from i on; tail, round (Q,): of the rest; top, bend, turn (Q,)."""

    size: Array
    scaled: Array
    before: Array
    after: Array
    tail: Array
    round: Array
    top: Array
    bend: Array
    turn: Array


def models_for(shape: Shape, p: int) -> Models:
    series = 3 * shape.m + 1
    return Models(
        size=np.zeros((series, p + 1)),
        scaled=np.zeros((series, p + 1)),
        before=np.zeros((series, p + 1)),
        after=np.zeros((series, p + 2)),
        tail=np.zeros(series),
        round=np.zeros(series),
        top=np.zeros(series),
        bend=np.zeros(series),
        turn=np.zeros(series),
    )


@njit(cache=True, error_model="numpy")
def measure(shape: Any, models: Any, W: Any, S: Any, E: Any, F: Any, p: int) -> None:
    """The norms of all computed coefficients."""
    m, d, at, s_at, size = shape.m, shape.d, shape.at, shape.s_at, models.size
    for l in range(m):  # noqa: E741
        for i in range(p + 1):
            size[l, i] = frobenius(W, i, at[l], at[l + 1] - at[l])
        for i in range(p):
            size[m + l, i] = frobenius(S, i, s_at[l], s_at[l + 1] - s_at[l])
            size[2 * m + l, i] = frobenius(F, i, s_at[l], s_at[l + 1] - s_at[l])
    for i in range(p):
        size[3 * m, i] = frobenius(E, i, 0, d[m] * d[0])


@njit(cache=True, error_model="numpy")
def scale(models: Any, h: Any, p: int) -> None:
    """Norms times h^i, and their sums from either end."""
    size, scaled, before, after = models.size, models.scaled, models.before, models.after
    for series in range(size.shape[0]):
        k, factor, total = index(series), 1.0, 0.0
        for order in range(p + 1):
            i = index(order)
            scaled[k, i] = size[k, i] * factor
            total += scaled[k, i]
            before[k, i] = total
            factor *= h
        total = 0.0
        after[k, p + 1] = 0.0
        for order in range(p, -1, -1):
            total += scaled[k, index(order)]
            after[k, index(order)] = total


@njit(cache=True, error_model="numpy")
def product(models: Any, a: int, b: int, inner: int, p: int, unit: float, underflow: Any) -> Any:
    """Tail and round of the product of series a and b, inner dimension `inner`, whose coefficients below p were
    computed with unit roundoff `unit`."""
    scaled, before, after, tail, rounds = models.scaled, models.before, models.after, models.tail, models.round
    high, low = 0.0, 0.0
    for i in range(p + 1):
        high += scaled[index(a), index(i)] * after[index(b), index(p - i)]
        if i < p:
            low += scaled[index(a), index(i)] * before[index(b), index(p - 1 - i)]
    a_all, b_all = before[a, p], before[b, p]
    high += tail[a] * (b_all + tail[b] + rounds[b]) + (a_all + rounds[a]) * tail[b]
    low = gamma(inner + p + 1, unit) * low + rounds[a] * (b_all + rounds[b]) + a_all * rounds[b]
    return high * UP + TINY, low * UP + underflow


@njit(cache=True, error_model="numpy")
def defect(shape: Any, constants: Any, models: Any, h: Any, clock: Any, p: int, unit: float) -> Any:
    """Every series' rest at step h; a bound D of int ||u' - f(u)|| over the step, and the part of it that rounding has
    no share in, h tail / (p + 1): a tail's degrees are p and more. clock: the unit of time of the coefficients."""
    m, d = shape.m, shape.d
    scale(models, h / clock, p)
    tail, rounds, scaled = models.tail, models.round, models.scaled
    powers = 1.0
    for _ in range(p):
        powers *= h / clock
    underflow = TINY * larger(1.0, powers)
    tail[2 * m - 1], rounds[2 * m - 1] = TINY, underflow  # S_{m-1} is W_{m-1}, but for the degree p, which it lacks:
    tail[2 * m - 1] += scaled[m - 1, p]
    for l in range(m - 2, -1, -1):  # noqa: E741
        tail[m + l], rounds[m + l] = product(models, m + l + 1, l, d[l + 1], p, unit, underflow)
    E, P = 3 * m, m
    tail[E], rounds[E] = tail[P], rounds[P]
    network = scaled[P, 0]
    if shape.raw:
        tail[E] = tail[P] * constants.gram * UP + TINY
        rounds[E] = (rounds[P] + gamma(d[0], unit) * models.before[P, p]) * constants.gram * UP + underflow
        network *= constants.gram
    rounds[E] = (rounds[E] + unit * (1.0 + 1e-9) * (constants.target + network)) * UP
    F = 2 * m
    tail[F], rounds[F] = tail[E], rounds[E]
    if shape.raw:
        tail[F] = tail[E] * constants.gram * UP + TINY
        rounds[F] = (rounds[E] + gamma(d[0], unit) * models.before[E, p]) * constants.gram * UP + underflow
    for l in range(m - 1):  # noqa: E741
        tail[F + l + 1], rounds[F + l + 1] = product(models, F + l, l, d[l], p, unit, underflow)
    tails, others = tail[F + m - 1] * tail[F + m - 1], rounds[F + m - 1] * rounds[F + m - 1]
    for l in range(m - 1):  # noqa: E741
        high, low = product(models, m + l + 1, F + l, d[m], p, unit, underflow)
        tails += high * high
        others += low * low
    division = 0.0  # W[i+1] = fl(f[i] / (i + 1)) is off by unit (i + 1) ||W[i+1]||
    for l in range(m):  # noqa: E741
        one = 0.0
        for i in range(1, p + 1):
            one += i * scaled[l, i]
        division += one * one
    others = np.sqrt(others) + 1.01 * unit * np.sqrt(division) / h
    truncated = h * np.sqrt(tails) / (p + 1)
    return (truncated + h * (others + underflow)) * UP + TINY, truncated * UP


@njit(cache=True, error_model="numpy")
def chords(models: Any, first: Any, p: int) -> None:
    """top, bend and turn of every series; first (Q,): bounds of the norms of S(0), spectral where they are known."""
    scaled, tail, rounds = models.scaled, models.tail, models.round
    for k in range(scaled.shape[0]):
        rest = tail[k] + rounds[k]
        turn, bend = rest, 0.5 * rest
        for i in range(1, p + 1):
            turn += scaled[k, i]
            bend += (0.5 - 1.0 / (i + 1)) * scaled[k, i]
        models.turn[k], models.bend[k] = turn * UP, bend * UP
        models.top[k] = (first[k] + turn) * UP


@njit(cache=True, error_model="numpy")
def jump(models: Any, m: int, p: int, unit: float) -> Any:
    """||y - u(h-)||: y is Horner's rule for the increments, then one addition (docs/proofs.md, step 4)."""
    total = 0.0
    for l in range(m):  # noqa: E741
        moved = models.after[l, 1]
        one = 1.01 * unit * (models.scaled[l, 0] + moved) + gamma(2 * p + 1, unit) * moved
        total += one * one
    return np.sqrt(total) * UP + TINY
