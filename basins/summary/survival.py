"""Survival: S(t) = P(T >= t), where T is the time at which a trajectory is certified to end at a global minimum.

Every saddle basin lies inside {not certified by t}, for every t, so S bounds the measure of the saddle basins from
above. Its least value is (saddle + censored) / N, the number behind the bound that `estimate` prints.

T is the end of the step that passed the loss level. The flow passed it up to a step earlier, so S lies above the flow's
own P(T > t) and is still an upper bound.

A saddle is never certified, and a censored row counts as not certified at all times. This is not the Kaplan-Meier
estimator, which would drop a row from those at risk when it is censored. That estimator assumes that censoring is
independent of the future, but a budget censors exactly the slow rows, so the tail would come out too thin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from basins.errors import ArgumentError
from basins.statistics.binomial import CONFIDENCE
from basins.summary import CaseSummary

if TYPE_CHECKING:
    import pandas as pd

    from basins.experiment import Case

Array = NDArray[np.float64]
Band = Literal["binomial", "dkw"]
BANDS: tuple[Band, ...] = ("binomial", "dkw")


@dataclass(frozen=True)
class Survival:
    """S at the edges of bins.

    t (M,): times, ascending, units of time of the flow; alive (M,): the number of the N trajectories not certified
    before each; never: saddle + censored; at_start: number certified at t = 0, None if unknown; first_censored: the
    earliest stop of a censored row, from which on S is only an upper bound, inf without any.
    """

    t: Array
    alive: NDArray[np.int64]
    N: int
    never: int
    at_start: int | None
    first_censored: float

    @property
    def S(self) -> Array:
        """P(not certified before t), (M,); nan if nothing is counted."""
        return self.alive / self.N if self.N else np.full(len(self.t), np.nan)

    @property
    def least(self) -> float | None:
        """(saddle + censored) / N, the least value of S; None if nothing is counted."""
        return self.never / self.N if self.N else None

    def band(self, kind: Band = "binomial", confidence: float = CONFIDENCE) -> tuple[Array, Array]:
        """(lower, upper), each (M,). binomial: exact (Clopper and Pearson), pointwise in t; dkw: simultaneous in t, by
        the inequality of Dvoretzky, Kiefer and Wolfowitz with Massart's constant, S +- sqrt(log(2/alpha) / 2N).
        Raises ArgumentError for another kind, and for a confidence outside (0, 1).
        """
        if kind not in BANDS:
            raise ArgumentError(f"no band {kind!r}", where="band", remedy=f"choose one of {', '.join(BANDS)}")
        if not 0 < confidence < 1:
            raise ArgumentError(
                f"confidence = {confidence!r}", where="confidence", remedy="give a value between 0 and 1"
            )
        if not self.N:
            return np.zeros(len(self.t)), np.ones(len(self.t))
        if kind == "dkw":
            reach = np.sqrt(np.log(2 / (1 - confidence)) / (2 * self.N))
            return np.maximum(self.S - reach, 0.0), np.minimum(self.S + reach, 1.0)
        return _clopper_pearson(self.alive, self.N, 1 - confidence)

    def shown(self) -> slice:
        """The edges between which S changes, and one more on either side."""
        changes = np.flatnonzero((self.alive < self.N) & (self.alive > self.never))
        if not len(changes):
            # All are certified at once: include the edge where they are gone.
            first = int(np.searchsorted(-self.alive, -self.never))
            return slice(max(first - 1, 0), first + 1)
        return slice(max(int(changes[0]) - 1, 0), int(changes[-1]) + 2)

    def table(self, kind: Band = "binomial", confidence: float = CONFIDENCE) -> pd.DataFrame:
        """One row per edge where S changes: t, not_certified, S, lower, upper. Empty if nothing is counted."""
        import pandas as pd

        lower, upper = self.band(kind, confidence)
        part = self.shown() if self.N else slice(0, 0)
        columns = {"t": self.t, "not_certified": self.alive, "S": self.S, "lower": lower, "upper": upper}
        return pd.DataFrame({name: values[part] for name, values in columns.items()})


def survival(summary: CaseSummary) -> Survival:
    """The survival of a case: by 1/16 octave if all rows are kept, else by octave."""
    certified = summary.certified
    return Survival(
        t=certified.edges,
        alive=summary.trajectories - certified.below(),
        N=summary.trajectories,
        never=summary.saddle + summary.censored,
        at_start=summary.at_start,
        first_censored=summary.first_censored,
    )


def exact_survival(case: Case, t: Array) -> Array | None:
    """P(T > t) of the case's law, (len(t),), if it is known (rare/truth.py): for Gaussian starts with all widths 1 and
    H <= 2, or with one input, one output and H = 1; otherwise None. nan before the time from which on it is known.

    A row's time is the end of the step that passed the loss level, which is later than T by part of a step.
    """
    known = _known(case)
    if known is None:
        return None
    from basins.rare import truth

    first, stops_at, scale = known
    return np.array(
        [truth.survival(case.problem, scale, float(s), loss_level=stops_at) if s >= first else np.nan for s in t]
    )


def exact_points(case: Case, curve: Survival, count: int = 12) -> tuple[Array, Array] | None:
    """(t, P(T > t)) at up to `count` of the curve's edges where it changes and the exact law is known; None if there
    are none."""
    known = _known(case)
    if known is None or not curve.N:
        return None
    t = curve.t[curve.shown()]
    t = t[t >= known[0]]
    if not len(t):
        return None
    t = t[np.unique(np.linspace(0, len(t) - 1, count).astype(int))]
    S = exact_survival(case, t)
    assert S is not None
    return t, S


def _known(case: Case) -> tuple[float, float, float | tuple[float, ...]] | None:
    """The time from which on the exact law is known, the loss level at which rows stop, and the law's scale."""
    from basins.landscapes.deep_linear.certificates import level
    from basins.laws import Gaussian
    from basins.rare import truth

    if not case.of_the_paper:
        return None
    problem, law = case.problem, case.law
    chain = set(problem.widths) == {1} and problem.H <= 2
    solved = chain or (problem.H == 1 and problem.d_x == problem.d_y == 1)
    if type(law) is not Gaussian or problem.flow != "reduced" or not solved or case.settings.at_start:
        return None
    stops_at = level(problem, 2 * case.settings.delta)  # classification/classify_batch.py
    return truth.descent_time(problem, loss_level=stops_at), stops_at, law.scale


def _clopper_pearson(k: NDArray[np.int64], n: int, alpha: float) -> tuple[Array, Array]:
    """`binomial.two_sided` for an array of counts."""
    from scipy.special import betainccinv, betaincinv

    lower, upper = np.zeros(len(k)), np.ones(len(k))
    some, rest = k > 0, k < n
    lower[some] = betaincinv(k[some], n - k[some] + 1, alpha / 2)
    upper[rest] = betainccinv(k[rest] + 1, n - k[rest], alpha / 2)
    return lower, upper
