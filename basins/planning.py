"""How many trajectories, checked labels and random pairs a wanted bound takes, and what that costs.

All exact, by the intervals that `estimate` will use: with k of the N trajectories expected to be saddles or censored,
N is the least for which the bound is met. A censored share c counts as c N saddles: a bound below c is out of reach.
The bound with label error counted in is u(k + W of N), with W the bound on the wrong ones among the N - k minima, each
at 1 - alpha/2 (estimate/labels.py). N is the least that meets half of the bound with W = 0, and what is then left of
the bound is allowed to W: so many minima are checked as make it no larger, never more than there are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from basins import laws
from basins.classification.classify_batch import integrate_batch
from basins.describe import sample_cost
from basins.errors import ArgumentError
from basins.estimate.pairs import SEEN, smallest_seen
from basins.experiment import Case, Experiment
from basins.statistics import hypergeometric
from basins.statistics.binomial import LEVEL, one_sided_upper, trials
from basins.verify.labels import tighter_settings

MOST = 1 << 60
"""Trajectories beyond which nothing is planned."""

TIMED = 4
"""Rows integrated again for what the check of a label costs."""


@dataclass(frozen=True)
class Needed:
    """What a bound takes.

    bound, level, saddles, censored_share: as asked; trajectories: for the bound of the labels as computed; labelled:
    the same for the bound with label error counted in, together with `checked` minima, of which none may be wrong;
    pairs: random pairs (X, Y), all clean, for `share` of bad ones, None where no share was asked; eps: the least
    saddle-basin measure that makes a pair bad, if `trajectories` are shared out among them.
    """

    bound: float
    level: float
    saddles: int
    censored_share: float
    trajectories: int
    labelled: int
    checked: int
    share: float | None
    pairs: int | None
    eps: float | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "bound": self.bound,
            "level": self.level,
            "saddles": self.saddles,
            "censored_share": self.censored_share,
            "trajectories": self.trajectories,
            "with_label_error": {"trajectories": self.labelled, "checked": self.checked},
            "share": self.share,
            "pairs": self.pairs,
            "eps": self.eps,
        }


@dataclass(frozen=True)
class CaseCost:
    """What a case takes: seconds of one worker like this machine for a trajectory and for the check of a label (None
    where its tolerances cannot be tightened), and the share of its sampled trajectories that was censored.
    """

    case: Case
    seconds: float
    check_seconds: float | None
    sampled: int
    censored: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "case": self.case.key,
            "name": self.case.name,
            "seconds": self.seconds,
            "check_seconds": self.check_seconds,
            "sampled": self.sampled,
            "censored": self.censored,
        }


def needed(
    bound: float, level: float = LEVEL, saddles: int = 0, censored_share: float = 0.0, share: float | None = None
) -> Needed:
    """What it takes to bound the saddle basins' measure by `bound`, and by `share` the share of bad pairs.

    saddles: so many are expected; censored_share: so much of all trajectories. Raises ArgumentError for numbers without
    a meaning, or a bound that no number of trajectories reaches.
    """
    for name, value in (("bound", bound), ("level", level), ("share", share)):
        if value is not None and not 0 < value < 1:
            raise ArgumentError(f"{name} = {value!r}", where=name, remedy="give a number between 0 and 1")
    if not 0 <= censored_share < 1:
        raise ArgumentError(f"censored_share = {censored_share!r}", where="censored_share", remedy="give 0 to 1")
    if saddles < 0:
        raise ArgumentError(f"saddles = {saddles}", where="saddles", remedy="give a number of at least 0")
    half = 1 - (1 - level) / 2
    trajectories = _trajectories(bound, level, saddles, censored_share)
    labelled = _trajectories(bound / 2, half, saddles, censored_share)
    pairs = None if share is None else trials(min(share * SEEN, 1 - 1e-9), 0, level)
    return Needed(
        bound=bound,
        level=level,
        saddles=saddles,
        censored_share=censored_share,
        trajectories=trajectories,
        labelled=labelled,
        checked=_checks(bound, half, saddles + ceil(censored_share * labelled), labelled),
        share=share,
        pairs=pairs,
        eps=None if pairs is None else smallest_seen(max(1, ceil(trajectories / pairs))),
    )


def _trajectories(bound: float, level: float, saddles: int, censored_share: float) -> int:
    """The least N, a power of two above it and bisection down, with saddles + ceil(c N) of N bounded by `bound`."""
    if censored_share == 0:
        return trials(bound, saddles, level)

    def enough(N: int) -> bool:
        k = saddles + ceil(censored_share * N)
        return k < N and one_sided_upper(k, N, level) <= bound

    high = 1
    while not enough(high):
        high *= 2
        if censored_share >= bound or high > MOST:
            raise ArgumentError(
                f"bound = {bound:g} is out of reach: a censored share of {censored_share:g} counts against it",
                where="bound",
                remedy="censor less (a larger engine.budget), or ask for a larger bound",
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _checks(bound: float, level: float, k: int, N: int) -> int:
    """Minima to check, none wrong, so that N trajectories, k of them saddles or censored, are bounded by `bound`."""
    low, high = k, N  # the bound rises with the count, to 1 at N
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one_sided_upper(middle, N, level) <= bound else (low, middle)
    return hypergeometric.draws(low - k, N - k, level)


def costs(experiment: Experiment) -> tuple[CaseCost, ...]:
    """What each case with a density costs, measured on its own first trajectories."""
    return tuple(_cost(experiment, case) for case in experiment.cases if not case.law.null)


def _cost(experiment: Experiment, case: Case) -> CaseCost:
    cost = sample_cost(experiment, case)
    return CaseCost(case, cost.seconds, _check_seconds(experiment, case), cost.trajectories, cost.verdicts["censored"])


def _check_seconds(experiment: Experiment, case: Case) -> float | None:
    """Seconds of the check of a label, mean of the first few trajectories."""
    settings = tighter_settings(case)
    if settings is None:
        return None
    starts = laws.starts(case.problem, case.law, experiment.seed, 0)[: min(TIMED, case.trajectories)]
    integrate_batch(case.problem, starts[:1], settings, np.zeros(1, dtype=bool), case.law.null)  # what happens once
    clock = time.perf_counter()
    integrate_batch(case.problem, starts, settings, np.zeros(len(starts), dtype=bool), case.law.null)
    return (time.perf_counter() - clock) / len(starts)


def mean_seconds(costs: Sequence[CaseCost]) -> tuple[float, float | None]:
    """Seconds of a trajectory and of a label's check, the trajectories shared out evenly among the cases."""
    checks = [cost.check_seconds for cost in costs if cost.check_seconds is not None]
    return float(np.mean([cost.seconds for cost in costs])), float(np.mean(checks)) if checks else None
