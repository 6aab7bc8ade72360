"""Combines independent replicates into P(T > t) with an interval at each splitting level, and gives warnings.

All replicates use the same thresholds, so their estimates P_1, ..., P_m of P(T > t) are independent, identically
distributed and unbiased. Each is a product of many shares and so nearly lognormal, with a long tail to the right: a
t-interval on the P_i lies too low when it misses. So the interval is one for the mean of a lognormal law, computed from
the logs, whose mean is l and variance s^2: the generalised interval of Krishnamoorthy and Mathew (J. Stat. Plan.
Inference 115, 2003), the quantiles of

    G = l + Z s / sqrt(m V) + s^2 / (2 V),    Z standard normal, V = chi^2_{m-1} / (m - 1).

The last term accounts for the uncertainty of s^2 / 2 itself. It makes the bound grow fast where replicates disagree, as
it must: if none of eight replicates found the rare large value, their s is too small. (Cox's interval, with
s^2 / 2 +- t times its deviation, bounds from above at 92.4 % instead of 95 % for s = 0.5 and m = 8.) Coverage is tested
on lognormal samples and on chains whose law is known, and measured on other laws in docs/calibration.md. With at least
CALIBRATED replicates it is as stated where a replicate's estimate is a product of shares, but not where few replicates
find much of P.

In two cases there is no interval (`NONE`), and P is reported alone. One is fewer than FEWEST replicates, since two that
are equal by chance would give an interval of width zero. The other is replicates that are all equal, which happens with
few chains, and always if every chain is inside. Then the spread is zero because it was not observed, not because there
is none. The within-run deviation cannot replace it, for the following reason.

The within-run deviation, sqrt(sum_k spread_k / p_k^2 / m) (splitting_step.share; Au and Beck, 2001; Cerou and Guyader,
2007), is computed from one replicate at a time. It treats splitting levels as independent and misses regions that a
replicate never found. It is printed beside the interval and never enters it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from basins.errors import ArgumentError
from basins.integrators.base import Array
from basins.rare.replicates import STEADY, SplittingLevel
from basins.rounding import EPS
from basins.statistics.binomial import CONFIDENCE

FEWEST = 4
"""Replicates below which there is no interval."""

CALIBRATED = 8
"""The number of replicates from which the interval is calibrated (docs/calibration.md)."""

COLLAPSED = 10
"""A warning is given if the median number of ancestors with descendants is below this."""

DISAGREE = 0.01
"""Between- and within-replicate errors disagree if their variances' ratio exceeds this upper quantile of
chi^2 / (m - 1)."""


NODES = 1000
"""Number of quantiles of V used in `offsets`."""

EQUAL = 16 * EPS
"""Logs that differ by less than this, relative to the largest or to 1, are equal up to the rounding of their sums."""

NONE = (float("nan"),) * 3
"""No interval."""


@dataclass(frozen=True)
class Estimated:
    """P(T > t), or P(G < g), at a splitting level with threshold t or g. P: the mean of the replicates; [lower, upper]:
    the interval at CONFIDENCE; bound: the one-sided upper bound; all three are nan if there is no interval; deviation:
    of log P between replicates, s; within: the within-run deviation (root mean square over replicates); exponent: |d
    log P / d log threshold| from the previous level; rate: -d log P / dt; acceptance: share of accepted moves;
    autocorrelation: of the chains over the level's sweeps (mean over replicates); ancestors, fewest_ancestors: median
    and minimum over replicates; tighter, rounded: shares that stay inside under perturbation (nan: not measured);
    undecided: how many of `trajectories` were undecided and counted as inside.
    """

    level: int
    threshold: float
    P: float
    lower: float
    upper: float
    bound: float
    deviation: float
    within: float
    exponent: float
    rate: float
    acceptance: float
    autocorrelation: float
    ancestors: float
    fewest_ancestors: int
    tighter: float
    rounded: float
    undecided: int
    trajectories: int
    evaluations: int

    @property
    def bounded(self) -> bool:
        """Whether there is an interval."""
        return not np.isnan(self.bound)

    @property
    def resolved(self) -> bool:
        """Whether double precision and the tolerances decide membership reliably."""
        return self.rounded >= STEADY and not self.tighter < STEADY


def log_mean_interval(logs: Array) -> tuple[float, float, float]:
    """(lower, upper) two-sided and the one-sided upper bound on the log of the mean of a lognormal law, at CONFIDENCE,
    from a sample of logs (m,); NONE if all are equal up to rounding.

    Raises ArgumentError for fewer than FEWEST, and for logs that are not finite: a replicate that died out estimates 0,
    which no lognormal law allows.
    """
    m = len(logs)
    if m < FEWEST:
        raise ArgumentError(
            f"{m} replicates", where="replicates", remedy=f"give at least {FEWEST}: fewer give no interval"
        )
    if not np.isfinite(logs).all():
        raise ArgumentError(
            f"logs {np.asarray(logs).tolist()}", where="replicates", remedy="leave out levels that not all reached"
        )
    mean, s = float(logs.mean()), float(logs.std(ddof=1))
    if s <= EQUAL * max(1.0, float(np.abs(logs).max())):
        return NONE
    lower, upper, bound = offsets(s, m)
    return mean + lower, mean + upper, mean + bound


def offsets(s: float, m: int) -> tuple[float, float, float]:
    """The offsets that `log_mean_interval` adds to the mean of m logs with deviation s > 0. P(G <= g) is computed as a
    mean over V, at NODES of its quantiles."""
    V = stats.chi2.ppf((np.arange(NODES) + 0.5) / NODES, m - 1) / (m - 1)
    shift, width = s**2 / (2 * V), s / np.sqrt(m * V)

    def quantile(q: float) -> float:
        def excess(g: float) -> float:
            return float(stats.norm.cdf((g - shift) / width).mean()) - q

        low, high = -s, s
        while excess(low) > 0:
            low -= 2 * (high - low)
        while excess(high) < 0:
            high += 2 * (high - low)
        return float(brentq(excess, low, high, xtol=1e-6 * s))

    return quantile(0.5 - CONFIDENCE / 2), quantile(0.5 + CONFIDENCE / 2), quantile(CONFIDENCE)


def combine(replicates: Sequence[Sequence[SplittingLevel]]) -> list[Estimated]:
    """The splitting levels that all replicates (two or more) reached with at least one chain inside, in order; without
    intervals for fewer than FEWEST replicates."""
    depth = min(len(levels) - (levels[-1].ending == "extinct") if levels else 0 for levels in replicates)
    rows: list[Estimated] = []
    before: tuple[float, Array] | None = None
    spread = np.zeros(len(replicates))
    for k in range(depth):
        at = [levels[k] for levels in replicates]
        logs, x = np.array([one.log_P for one in at]), at[0].threshold
        spread += np.array([one.result.spread / one.result.p**2 for one in at])
        lower, upper, bound = log_mean_interval(logs) if len(logs) >= FEWEST else NONE
        exponent = rate = float("nan")
        if before is not None:
            fall = before[1] - logs
            rate = float(fall.mean()) / abs(x - before[0])
            if before[0] > 0:
                exponent = float(fall.mean()) / abs(float(np.log(x / before[0])))
        tried = [move for one in at for move in one.result.moves.values()]
        rows.append(
            Estimated(
                level=k + 1,
                threshold=x,
                P=float(np.exp(logs).mean()),
                lower=float(np.exp(np.minimum(0.0, lower))),
                upper=float(np.exp(np.minimum(0.0, upper))),
                bound=float(np.exp(np.minimum(0.0, bound))),
                deviation=float(logs.std(ddof=1)),
                within=float(np.sqrt(spread.mean())),
                exponent=exponent,
                rate=rate,
                acceptance=sum(move.accepted for move in tried) / max(1, sum(move.proposed for move in tried)),
                autocorrelation=float(np.mean([one.result.autocorrelation for one in at])),
                ancestors=float(np.median([one.ancestors for one in at])),
                fewest_ancestors=min(one.ancestors for one in at),
                tighter=float(np.mean([one.tighter for one in at])),
                rounded=float(np.mean([one.rounded for one in at])),
                undecided=sum(one.result.undecided for one in at),
                trajectories=sum(one.result.trajectories for one in at),
                evaluations=sum(one.result.evaluations for one in at),
            )
        )
        before = x, logs
    return rows


def warnings(rows: Sequence[Estimated], replicates: int) -> list[str]:
    """The warnings, one line each."""
    lines = []
    if replicates < FEWEST:
        lines.append(f"{replicates} replicates: fewer than {FEWEST} give no interval, and so no bound")
    elif replicates < CALIBRATED:
        lines.append(
            f"{replicates} replicates: the interval is calibrated for {CALIBRATED} or more (docs/calibration.md)"
        )
    equal = [row.level for row in rows if not row.bounded]
    if replicates >= FEWEST and equal:
        numbers = ", ".join(map(str, equal[:6])) + (", ..." if len(equal) > 6 else "")
        lines.append(f"all replicates are equal at level {numbers}: their spread gives no interval there")
    most = stats.chi2.ppf(1 - DISAGREE, replicates - 1) / (replicates - 1)
    apart = [row for row in rows if row.deviation**2 > most * row.within**2]
    if apart:
        worst = max(apart, key=_over_within)
        lines.append(
            f"replicates differ by {_over_within(worst):.1f} times their within-run error at level {worst.level} (from "
            f"level {apart[0].level} on): chains mix slowly there; the interval uses the spread of the replicates"
        )
    few = [row for row in rows if row.ancestors < COLLAPSED]
    if few:
        lines.append(
            f"fewer than {COLLAPSED} of a replicate's first draws have descendants from level {few[0].level} on (the "
            f"last: {rows[-1].ancestors:g}, fewest {rows[-1].fewest_ancestors}): raise the population or the sweeps"
        )
    undecided = sum(row.undecided for row in rows)
    if undecided:
        asked = sum(row.trajectories for row in rows)
        lines.append(
            f"{undecided:,} of {asked:,} trajectories ended undecided and were counted as inside, which can only raise "
            "P: raise [engine] budget"
        )
    return lines


def _over_within(row: Estimated) -> float:
    return row.deviation / row.within if row.within > 0 else float("inf")
