"""Fits the tail of the certification times T over a range [a, b) by an exponential law and a power law, by maximum
likelihood.

The fitted law is that of T given T >= a: P(T >= t) / P(T >= a) = exp(-theta x(t)), with x = t - a for the exponential
law and x = log(t / a) for the power law, whose exponent is theta. The data are counts in bins (case.py). Every
trajectory not certified by b (including saddles and censored rows) counts as "later than b", whatever its limit. So
censoring loses nothing as long as b is not after the first censored stop, and the default range ends there.

Interval: where the log-likelihood is within 1.92 of its maximum (Wilks; 95 %). Goodness of fit: the largest distance
between the two distribution functions at the edges, compared with that of samples of the fitted law of the same size,
each fitted again (Clauset, Shalizi and Newman 2009, section 4). The two laws are compared by their normalised
likelihood ratio (Vuong 1989; section 5 of Clauset et al.).

A predicted exponent is a limit for t -> infinity, which is reached slowly: `exponents` fits later and later ranges, and
the trend is more informative than one interval. Predictions: theory.md 2 (H = 1) and 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError
from basins.rare.exponents import kappa
from basins.summary import CaseSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
Kind = Literal["exponential", "power law"]
KINDS: tuple[Kind, ...] = ("exponential", "power law")

LEAST, BINS = 50, 3
"""The least numbers of certified times in the range, and of bins that contain them, for a fit."""

SHARE = 0.01
"""The share of the law that is left where the default range begins. It begins earlier if fewer than 2 LEAST times are
left there."""

SAMPLES, SEED = 100, 20220110
"""The number of samples of the fitted law for the goodness of fit, and the seed they are drawn with. Tables, figures
and the report use the same. No p-value is below 1 / (SAMPLES + 1); if no sample is as far, it is reported as less than
that."""


# --- the data -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tail:
    """Counts in a range. edges (m + 1,): a = edges[0] to b = edges[m]; counts (m,): certified in each bin; later:
    number not certified by b; N: number of all trajectories of the case."""

    edges: Array
    counts: Counts
    later: int
    N: int

    @property
    def certified(self) -> int:
        return int(self.counts.sum())

    @property
    def share(self) -> float:
        """P(T >= a), estimated from the counts."""
        return (self.certified + self.later) / self.N


def tail(summary: CaseSummary, start: float | None = None, end: float | None = None) -> Tail:
    """The counts of a case in the range [start, end), widened to the edges of bins. By default it extends from where
    1 % is left to the first censored stop or the slowest certified one. Raises ArgumentError for a range without a
    bin."""
    edges, below = summary.certified.edges, summary.certified.below()
    alive = summary.trajectories - below
    last = int(np.searchsorted(below, summary.minimum))  # the first edge beyond all certified times
    if end is None:
        last = min(last, int(np.searchsorted(edges, summary.first_censored, side="right")) - 1)
    else:
        last = int(np.searchsorted(edges, end))
    last = min(max(last, 0), len(edges) - 1)
    if start is None:
        wanted = max(SHARE * summary.trajectories, min(2 * LEAST, summary.minimum) + alive[last])
        first = max(int(np.searchsorted(-alive, -wanted, side="right")) - 1, 0)
    else:
        first = max(int(np.searchsorted(edges, start, side="right")) - 1, 0)
    if first >= last:
        if start is None and end is None:
            first = max(last - 1, 0)
        else:
            raise ArgumentError(f"no bin in [{start}, {end})", where="range", remedy="give a start before its end")
    return Tail(edges[first : last + 1], np.diff(below[first : last + 1]), int(alive[last]), summary.trajectories)


# --- the fit ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fit:
    """A law fitted to a range.

    kind; rate: theta, an exponent for the power law, 1/time for the exponential law; lower, upper: its 95 % interval;
    distance: the largest distance between the distribution functions; p_value: (1 + number of samples of the fitted law
    that are as far) / (1 + samples); p_at_floor: whether no sample is, so that p_value is only an upper bound;
    log_likelihood: of the range's counts.
    """

    kind: Kind
    rate: float
    lower: float
    upper: float
    distance: float
    p_value: float
    p_at_floor: bool
    log_likelihood: float

    def survival(self, t: Array, tail: Tail) -> Array:
        """The fitted P(T >= t), for t >= a."""
        fitted: Array = tail.share * np.exp(-self.rate * _x(self.kind, np.asarray(t), tail.edges[0]))
        return fitted


def fit(tail: Tail, kind: Kind, samples: int = SAMPLES) -> Fit | None:
    """The law of this kind that fits the range best. None if the range has fewer than 50 certified times, or if they
    are in fewer than 3 bins.

    samples: number for the goodness of fit; 0 leaves p_value nan. Raises ArgumentError for another kind.
    """
    if kind not in KINDS:
        raise ArgumentError(f"no law {kind!r}", where="kind", remedy=f"choose one of {', '.join(KINDS)}")
    if tail.certified < LEAST or np.count_nonzero(tail.counts) < BINS:
        return None
    x = _x(kind, tail.edges, tail.edges[0])
    rate = _rate(x, tail.counts, tail.later)
    peak = _log_likelihood(rate, x, tail.counts, tail.later)
    lower, upper = _crossings(x, tail.counts, tail.later, rate, peak - 1.920729)
    distance = _distance(rate, x, tail.counts, tail.later)
    p_value, at_floor = np.nan, False
    if samples:
        rng = np.random.default_rng(SEED)
        total = tail.certified + tail.later
        cells = np.append(-np.diff(np.exp(-rate * x)), np.exp(-rate * x[-1]))
        drawn = rng.multinomial(total, cells / cells.sum(), size=samples)
        far = [
            _distance(_rate(x, one[:-1], int(one[-1])), x, one[:-1], int(one[-1])) >= distance
            for one in drawn
            if one[:-1].any()
        ]
        p_value, at_floor = (1 + sum(far)) / (1 + len(far)), bool(far) and not any(far)
    return Fit(kind, rate, lower, upper, distance, p_value, at_floor, peak)


def p_text(p_value: float, at_floor: bool = False) -> str:
    """A p-value in two figures. At the floor of its samples, or of doubles, the number that it is less than."""
    from decimal import ROUND_CEILING, Decimal

    if not at_floor and p_value != 0:
        return f"{p_value:.2g}"
    least = Decimal(p_value if at_floor else float(np.finfo(np.float64).tiny))
    return f"< {float(least.quantize(Decimal(1).scaleb(least.adjusted()), ROUND_CEILING)):g}"


def p_sentence(p_value: float, at_floor: bool = False) -> str:
    """A p-value for use in a sentence: p = 0.32, p < 0.01."""
    text = p_text(p_value, at_floor)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _x(kind: Kind, t: Array, a: float) -> Array:
    return np.asarray(t - a if kind == "exponential" else np.log(t / a), dtype=np.float64)


def _log_likelihood(rate: float, x: Array, counts: Counts, later: int) -> float:
    """sum_i c_i log(e^{-theta x_i} - e^{-theta x_{i+1}}) - later theta x_m; bins without a count contribute nothing."""
    some = counts > 0
    width = np.diff(x)[some]
    inside = counts[some] @ (np.log(-np.expm1(-rate * width)) - rate * x[:-1][some])
    return float(inside - later * rate * x[-1])


def _slope(rate: float, x: Array, counts: Counts, later: int) -> float:
    """The derivative in theta, which is decreasing: sum_i c_i (d_i / (e^{theta d_i} - 1) - x_i) - later x_m."""
    some = counts > 0
    width = np.diff(x)[some]
    with np.errstate(over="ignore"):
        return float(counts[some] @ (width / np.expm1(rate * width) - x[:-1][some]) - later * x[-1])


def _rate(x: Array, counts: Counts, later: int) -> float:
    from scipy.optimize import brentq

    some = np.flatnonzero(counts)
    if not later and len(some) == 1 and some[0] == 0:
        return np.inf  # all in the first bin, so any large rate fits
    at = 1 / float(x[-1])
    low, high = at, at
    while _slope(low, x, counts, later) < 0:
        low /= 4
    while _slope(high, x, counts, later) > 0:
        high *= 4
    return float(brentq(_slope, low, high, args=(x, counts, later), xtol=1e-300, rtol=1e-12)) if low < high else at


def _crossings(x: Array, counts: Counts, later: int, rate: float, bound: float) -> tuple[float, float]:
    """The two rates at which the log-likelihood crosses `bound`, on either side of its maximum."""
    from scipy.optimize import brentq

    def above(theta: float) -> float:
        return _log_likelihood(theta, x, counts, later) - bound

    low, high = rate / 2, 2 * rate
    while above(low) > 0:
        low /= 2
    while above(high) > 0:
        high *= 2
    return float(brentq(above, low, rate)), float(brentq(above, rate, high))


def _distance(rate: float, x: Array, counts: Counts, later: int) -> float:
    total = counts.sum() + later
    seen = np.cumsum(counts) / total
    return float(np.abs(seen + np.expm1(-rate * x[1:])).max())


# --- comparison of the two --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tails:
    """Both laws on one range. better: the one that Vuong's test prefers at 5 %, None if it does not decide; vuong: its
    p-value; prediction: what theory.md predicts for the shape."""

    tail: Tail
    exponential: Fit | None
    power_law: Fit | None
    better: Kind | None
    vuong: float
    prediction: Prediction

    @property
    def fits(self) -> tuple[Fit, ...]:
        return tuple(one for one in (self.exponential, self.power_law) if one is not None)


def tails(summary: CaseSummary, start: float | None = None, end: float | None = None, samples: int = SAMPLES) -> Tails:
    """Fit both laws to a range of a case; see `tail` for the range."""
    of_case = tail(summary, start, end)
    exponential, power_law = (fit(of_case, kind, samples) for kind in KINDS)
    better, p_value = None, np.nan
    if exponential is not None and power_law is not None:
        better, p_value = _vuong(of_case, exponential, power_law)
    return Tails(of_case, exponential, power_law, better, p_value, prediction(summary.case.problem))


def _vuong(tail: Tail, one: Fit, other: Fit) -> tuple[Kind | None, float]:
    from scipy.special import erfc

    counts = np.append(tail.counts, tail.later)
    ratios = _cell_logs(tail, one) - _cell_logs(tail, other)
    some = counts > 0
    n, ratios, counts = counts.sum(), ratios[some], counts[some]
    mean = counts @ ratios / n
    spread = np.sqrt(counts @ (ratios - mean) ** 2 / n)
    if spread == 0:
        return None, 1.0
    p_value = float(erfc(abs(mean) * np.sqrt(n) / (np.sqrt(2) * spread)))
    if p_value > 0.05:
        return None, p_value
    return (one.kind if mean > 0 else other.kind), p_value


def _cell_logs(tail: Tail, fitted: Fit) -> Array:
    """The log-probabilities of each bin and of "later than b", (m + 1,)."""
    x = _x(fitted.kind, tail.edges, tail.edges[0])
    with np.errstate(divide="ignore"):
        inside = np.log(-np.expm1(-fitted.rate * np.diff(x))) - fitted.rate * x[:-1]
    return np.append(inside, -fitted.rate * x[-1])


SHARES = (0.1, 0.01, 1e-3, 1e-4, 1e-5)


def exponents(summary: CaseSummary, shares: Sequence[float] = SHARES, samples: int = SAMPLES) -> pd.DataFrame:
    """The power law fitted to ranges that start later and later, where these shares of the law are left: share, start,
    end, certified, exponent, lower, upper, p_value, p_at_floor. Shares with too few certified times are left out."""
    import pandas as pd

    rows = []
    alive = summary.trajectories - summary.certified.below()
    for share in shares:
        first = int(np.searchsorted(-alive, -share * summary.trajectories, side="right")) - 1
        if first < 0:
            continue
        try:
            later = tail(summary, float(summary.certified.edges[first]))
        except ArgumentError:  # the range ends at the first censored stop, before its start
            continue
        found = fit(later, "power law", samples)
        if found is not None:
            rows.append((share, later.edges[0], later.edges[-1], later.certified, *_numbers(found)))
    names = ["share", "start", "end", "certified", "exponent", "lower", "upper", "p_value", "p_at_floor"]
    return pd.DataFrame(rows, columns=names).drop_duplicates(["start", "end"], ignore_index=True)


def _numbers(found: Fit) -> tuple[float, float, float, float, bool]:
    return found.rate, found.lower, found.upper, found.p_value, found.p_at_floor


# --- predictions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prediction:
    """What theory.md predicts for the tail. kind; exponent: of a power law, else None; proved: False for a heuristic;
    text: a description with the section."""

    kind: Kind
    exponent: float | None
    proved: bool
    text: str


def prediction(problem: Problem) -> Prediction:
    """The prediction of theory.md: section 2 for H = 1, section 5 for scalar chains and for matrices."""
    if problem.H == 1:
        return Prediction(
            "exponential",
            None,
            False,
            "H = 1: exponential, with rates mixed over the base points of the strata (theory.md 2)",
        )
    exponent = kappa(problem)
    assert exponent is not None
    if set(problem.widths) == {1}:
        text = f"scalar chain, H = {problem.H}: power law of exponent (H + 1)/(H - 1) = {exponent:.4g} (theory.md 5)"
        return Prediction("power law", exponent, True, text)
    text = f"H = {problem.H}: power law of exponent kappa = {exponent:.4g}, a heuristic (theory.md 5)"
    return Prediction("power law", exponent, False, text)
