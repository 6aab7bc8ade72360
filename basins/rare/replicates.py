"""One replicate of splitting, level by level; and the pilot, which finds what the replicates then share.

The pilot takes as its next threshold the p_0-quantile of the coordinate over its population; replicates take the
pilot's thresholds, and its chains and sizes to make their moves of. So these are constants for the replicates, whose
estimates are then independent and unbiased, whatever the pilot has found; its own estimate is used for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from basins.integrators.base import Array
from basins.rare.splitting_step import Climb, Learned, Population, Reaction, climb
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
"""Double precision resolves a set while this share of those in it stay in it when looked at otherwise."""

PROBES = 128
"""How many are looked at otherwise, a level."""

TIGHTER = 100.0


@dataclass(frozen=True)
class Plan:
    """How to split. target: of P; population: N; p_0: the share that the pilot's levels keep; sweeps: moves of each
    chain at a level; seed: of all streams; stratum: J, on whose closest approach it splits, None: on T.
    """

    target: float
    population: int
    p_0: float
    sweeps: int
    seed: int
    stratum: int | None = None


@dataclass(frozen=True)
class Level:
    """A level of a replicate: number (from 1), threshold, log P(inside) so far, what came of it, ancestors that have
    descendants, and the shares of PROBES that stay inside with the tolerances TIGHTER times tighter (nan where they
    cannot be), and with every weight changed by its rounding.
    """

    number: int
    threshold: float
    log_P: float
    climb: Climb
    ancestors: int
    tighter: float
    rounded: float
    ending: Ending


def next_level(
    reaction: Reaction,
    plan: Plan,
    key: int,
    replicate: int,
    before: Population,
    at: Level | None,
    thresholds: Array | None,
    learned: Learned | None,
) -> tuple[Population, Level]:
    """The level after `at` (None: the first). thresholds: the pilot's, and learned: what it learned at this level; None
    for the pilot itself."""
    number = 1 if at is None else at.number + 1
    stream = Stream(plan.seed, key, replicate, number)
    here, log_P = (reaction.coordinate.first, 0.0) if at is None else (at.threshold, at.log_P)
    extra = [0, 0]
    if thresholds is None:
        left = LAST * plan.target / float(np.exp(log_P))
        share = max(plan.p_0, left)
        x, *extra = reaction.coordinate.next(reaction.whitening.weights(before.z), here, share)
    else:
        x = float(thresholds[number - 1])
    after, came = climb(reaction, before, x, plan.sweeps, stream, learned)
    came = replace(came, trajectories=came.trajectories + extra[0], evaluations=came.evaluations + extra[1])
    log_P = log_P + float(np.log(came.p)) if came.p > 0 else -np.inf
    tighter, rounded = (float("nan"),) * 2 if not len(after) else steadiness(reaction, after, x, stream)
    ending = _ending(plan, log_P, number, min(rounded, 1.0 if np.isnan(tighter) else tighter), thresholds)
    ancestors = len(np.unique(after.ancestor))
    return after, Level(number, x, log_P, came, ancestors, tighter, rounded, ending)


def _ending(plan: Plan, log_P: float, number: int, steady: float, thresholds: Array | None) -> Ending:
    if np.isinf(log_P):  # where nobody is inside the set that the pilot chose by them, it is not resolved
        return "resolution" if thresholds is None else "extinct"
    if thresholds is not None:
        return "levels" if number == len(thresholds) else ""
    if steady < STEADY:
        return "resolution"
    if log_P <= np.log(plan.target):
        return "target"
    return "levels" if number == MOST_LEVELS else ""


def steadiness(reaction: Reaction, population: Population, threshold: float, stream: Stream) -> tuple[float, float]:
    """The shares of PROBES, drawn, that stay inside: at tighter tolerances, and with W changed by W eps (+-1)."""
    z = population.z[stream.integers(len(population), PROBES)]
    W = reaction.whitening.weights(z)
    sign = np.where(stream.uniforms(*W.shape) < 0.5, -1.0, 1.0)
    rounded = reaction.coordinate.starts(W * (1.0 + sign * EPS), threshold)
    sharper = reaction.coordinate.tighter(TIGHTER)
    tighter = float("nan") if sharper is None else float(sharper.starts(W, threshold).inside.mean())
    return tighter, float(rounded.inside.mean())
