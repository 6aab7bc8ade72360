"""One replicate of splitting, level by level; and the pilot, which finds the times that the replicates then share.

The pilot takes as its next time the p_0-quantile of T over its population, replicates take the pilot's times. So these
are constants for the replicates, whose estimates are then independent and unbiased; the pilot's own estimate is used
for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from basins.engines.base import Array
from basins.rare.chains import Climb, Population, Reaction, climb
from basins.rare.streams import Stream
from basins.rounding import EPS

Ending = Literal["", "target", "resolution", "extinct", "levels"]
"""Why there is no level after this: "" there is one."""

PILOT = 0
"""The pilot's number; replicates count from 1."""

MOST_LEVELS = 200

LAST = 0.95
"""The last level aims at so much of the target, so as not to end a count above it."""

STEADY = 0.9
"""Double precision resolves {T > t} while this share of those in it stay in it when looked at otherwise."""

PROBES = 128
"""How many are looked at otherwise, a level."""

TIGHTER = 100.0

CAP = 2.0
"""T is told up to so many times the time before, again and again, until few enough wait."""


@dataclass(frozen=True)
class Plan:
    """How to split. target: of P; population: N; p_0: the share that the pilot's levels keep; sweeps: moves of each
    chain at a level; seed: of all streams.
    """

    target: float
    population: int
    p_0: float
    sweeps: int
    seed: int


@dataclass(frozen=True)
class Level:
    """A level of a replicate: number (from 1), t, log P(T > t) so far, what came of it, ancestors that have
    descendants, and the shares of PROBES that stay in {T > t} with the tolerances TIGHTER times tighter (nan where
    they cannot be), and with every weight changed by its rounding.
    """

    number: int
    t: float
    log_P: float
    climb: Climb
    ancestors: int
    tighter: float
    rounded: float
    ending: Ending


def next_level(
    reaction: Reaction, plan: Plan, key: int, replicate: int, before: Population, at: Level | None, times: Array | None
) -> tuple[Population, Level]:
    """The level after `at` (None: the first). times: the pilot's, None for the pilot itself."""
    number = 1 if at is None else at.number + 1
    stream = Stream(plan.seed, key, replicate, number)
    t_before, log_P = (0.0, 0.0) if at is None else (at.t, at.log_P)
    extra = (0, 0)
    if times is None:
        left = LAST * plan.target / float(np.exp(log_P))
        t, *spent = next_time(reaction, before, t_before, max(plan.p_0, left))
        extra = (spent[0], spent[1])
    else:
        t = float(times[number - 1])
    after, came = climb(reaction, before, t, plan.sweeps, stream)
    came = replace(came, trajectories=came.trajectories + extra[0], evaluations=came.evaluations + extra[1])
    log_P = log_P + float(np.log(came.p)) if came.p > 0 else -np.inf
    tighter, rounded = (float("nan"),) * 2 if not len(after) else steadiness(reaction, after, t, stream)
    ending = _ending(plan, log_P, number, min(rounded, 1.0 if np.isnan(tighter) else tighter), times)
    ancestors = len(np.unique(after.ancestor))
    return after, Level(number, t, log_P, came, ancestors, tighter, rounded, ending)


def _ending(plan: Plan, log_P: float, number: int, steady: float, times: Array | None) -> Ending:
    if np.isinf(log_P):  # the pilot's time was told leg by leg: where nobody waits then, T is not resolved
        return "resolution" if times is None else "extinct"
    if times is not None:
        return "levels" if number == len(times) else ""
    if steady < STEADY:
        return "resolution"
    if log_P <= np.log(plan.target):
        return "target"
    return "levels" if number == MOST_LEVELS else ""


def next_time(reaction: Reaction, before: Population, t: float, share: float) -> tuple[float, int, int]:
    """(t', trajectories, evaluations): a time that about this share of a population that waits at t outlasts."""
    N = len(before)
    wanted = max(1, int(share * N))  # of those that wait longest
    T = np.full(N, np.inf)
    rows, now, evaluations = np.arange(N), 0.0, 0
    state, cap = reaction.dwell.begin(reaction.whitening.weights(before.z)), t
    step = 1.0 / reaction.whitening.problem.sigma_min
    while True:
        cap = max(CAP * cap, cap + step)
        flight = reaction.dwell.carry(state, now, cap)
        evaluations += flight.evaluations
        T[rows] = flight.T
        rows, state, now = rows[flight.waiting], flight.state[flight.waiting], cap
        if len(rows) < wanted or (flight.undecided.any() and flight.undecided.sum() >= wanted):
            break
    falling = np.sort(T)[::-1]
    t_next = float(falling[min(wanted, N - 1)])
    return max(t_next if np.isfinite(t_next) else cap, float(np.nextafter(t, np.inf))), N, evaluations


def steadiness(reaction: Reaction, population: Population, t: float, stream: Stream) -> tuple[float, float]:
    """The shares of PROBES, drawn, that stay in {T > t}: at tighter tolerances, and with W changed by W eps (+-1)."""
    z = population.z[stream.integers(len(population), PROBES)]
    W = reaction.whitening.weights(z)
    sign = np.where(stream.uniforms(*W.shape) < 0.5, -1.0, 1.0)
    rounded = reaction.dwell.starts(W * (1.0 + sign * EPS), t)
    sharper = reaction.dwell.tighter(TIGHTER)
    tighter = float("nan") if sharper is None else float(sharper.starts(W, t).waiting.mean())
    return tighter, float(rounded.waiting.mean())
