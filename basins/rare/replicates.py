"""One replicate of splitting, level by level; and the pilot, which determines what all replicates share.

The pilot takes the p_0-quantile of the coordinate over its population as its next threshold. Replicates use the pilot's
thresholds, and they build their moves from its chains and sizes. These are constants for the replicates, so their
estimates are independent and unbiased, whatever the pilot found. The pilot's own estimate is not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from basins.integrators.base import Array
from basins.rare.level_streams import Stream
from basins.rare.splitting_step import Learned, LevelResult, Population, WhitenedCoordinate, advance
from basins.rounding import EPS

Ending = Literal["", "target", "resolution", "extinct", "levels"]
"""Why a splitting level is the last; "" if it is not."""

PILOT = 0
"""The pilot's number; replicates count from 1."""

MOST_LEVELS = 200

LAST = 0.95
"""The last splitting level aims at this part of the target, so that its estimate does not end just above the target."""

STEADY = 0.9
"""Double precision resolves a set while at least this share of its starts stays in it under perturbation."""

PROBES = 128
"""The number of starts that are perturbed at each splitting level."""

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
class SplittingLevel:
    """A splitting level of a replicate. number: from 1; log_P: of being inside so far; ancestors: the number of first
    draws that have descendants; tighter: the share of PROBES starts that stays inside with tolerances TIGHTER times
    tighter (nan if they cannot be tightened); rounded: the share that stays when every weight is changed by its
    rounding error; ending: why this level is the last, "" if it is not.
    """

    number: int
    threshold: float
    log_P: float
    result: LevelResult
    ancestors: int
    tighter: float
    rounded: float
    ending: Ending


def next_level(
    reaction: WhitenedCoordinate,
    plan: Plan,
    key: int,
    replicate: int,
    before: Population,
    at: SplittingLevel | None,
    thresholds: Array | None,
    learned: Learned | None,
) -> tuple[Population, SplittingLevel]:
    """The splitting level after `at` (None: the first). thresholds: those of the pilot; learned: what the pilot learned
    at this level; both are None for the pilot itself."""
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
    after, came = advance(reaction, before, x, plan.sweeps, stream, learned)
    came = replace(came, trajectories=came.trajectories + extra[0], evaluations=came.evaluations + extra[1])
    log_P = log_P + float(np.log(came.p)) if came.p > 0 else -np.inf
    tighter, rounded = (float("nan"),) * 2 if not len(after) else steadiness(reaction, after, x, stream)
    ending = _ending(plan, log_P, number, min(rounded, 1.0 if np.isnan(tighter) else tighter), thresholds)
    ancestors = len(np.unique(after.ancestor))
    return after, SplittingLevel(number, x, log_P, came, ancestors, tighter, rounded, ending)


def _ending(plan: Plan, log_P: float, number: int, steady: float, thresholds: Array | None) -> Ending:
    if np.isinf(log_P):  # for the pilot this means that the set it chose from these chains is not resolved
        return "resolution" if thresholds is None else "extinct"
    if thresholds is not None:
        return "levels" if number == len(thresholds) else ""
    if steady < STEADY:
        return "resolution"
    if log_P <= np.log(plan.target):
        return "target"
    return "levels" if number == MOST_LEVELS else ""


def steadiness(
    reaction: WhitenedCoordinate, population: Population, threshold: float, stream: Stream
) -> tuple[float, float]:
    """The shares of PROBES random chains that stay inside with tighter tolerances, and with W changed by W eps
    (+-1)."""
    z = population.z[stream.integers(len(population), PROBES)]
    W = reaction.whitening.weights(z)
    sign = np.where(stream.uniforms(*W.shape) < 0.5, -1.0, 1.0)
    rounded = reaction.coordinate.starts(W * (1.0 + sign * EPS), threshold)
    sharper = reaction.coordinate.tighter(TIGHTER)
    tighter = float("nan") if sharper is None else float(sharper.starts(W, threshold).inside.mean())
    return tighter, float(rounded.inside.mean())
