"""How many trajectories, checked labels and random pairs a bound needs, and their cost.

The numbers are exact for the intervals that `estimate` uses. If k of the N trajectories are expected to be saddles or
censored, N is the smallest number for which the bound is met. A censored share c counts as c N saddles, so a bound
below c cannot be reached.

The bound that includes label error is u(k + W of N), where W bounds the number of wrong labels among the N - k minima,
each at 1 - alpha/2 (estimate/labels.py). N is the smallest number that meets half of the bound with W = 0. The rest of
the bound is left to W: as many minima are checked as are needed to keep W within it, and never more than there are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from basins import laws
from basins.called_late import Printed
from basins.classification.classify_batch import integrate_batch
from basins.description import sample_cost
from basins.errors import ArgumentError
from basins.estimate.pairs import SEEN, smallest_seen
from basins.experiment import Case, Experiment
from basins.statistics import hypergeometric
from basins.statistics.binomial import CONFIDENCE, one_sided_upper, trials
from basins.verify.labels import tighter_settings

MOST = 1 << 60
"""The most trajectories that are planned."""

TIMED = 4
"""Rows integrated again to measure the cost of checking a label."""


@dataclass(frozen=True)
class Needed:
    """What a bound needs.

    bound, confidence, saddles, censored_share: the arguments; trajectories: number for the bound on the
    labels as computed; labelled: number for the bound that includes label error, with `checked` minima checked, none of
    which may be wrong; pairs: number of random pairs (X, Y), all without a saddle, that bounds the share of bad pairs
    by `share`, None if no share is given; eps: the smallest saddle-basin measure that makes a pair bad if
    `trajectories` are divided among the pairs.
    """

    bound: float
    confidence: float
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
            "level": self.confidence,
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
    """The cost of a case: seconds for a trajectory and for the check of a label, on one worker like this machine (None
    if its tolerances cannot be tightened); and how many of the sampled trajectories were censored.
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


@dataclass(frozen=True, repr=False)
class Plan(Printed):
    """What a bound needs, and of an experiment what that costs, case by case (those whose law has a density)."""

    needed: Needed
    costs: tuple[CaseCost, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What `basins plan --json` prints."""
        return self.needed.to_dict() | {"costs": [cost.to_dict() for cost in self.costs]}


def needed(
    bound: float,
    confidence: float = CONFIDENCE,
    saddles: int = 0,
    censored_share: float = 0.0,
    share: float | None = None,
) -> Needed:
    """What is needed to bound the measure of the saddle basins by `bound`, and the share of bad pairs by `share`.

    confidence: of the bound; saddles: the expected number of saddles; censored_share: the expected share of censored
    trajectories. Raises ArgumentError for numbers out of range, or a bound that no number of trajectories reaches.
    """
    for name, value in (("bound", bound), ("confidence", confidence), ("share", share)):
        if value is not None and not 0 < value < 1:
            raise ArgumentError(f"{name} = {value!r}", where=name, remedy="give a number between 0 and 1")
    if not 0 <= censored_share < 1:
        raise ArgumentError(f"censored_share = {censored_share!r}", where="censored_share", remedy="give 0 to 1")
    if saddles < 0:
        raise ArgumentError(f"saddles = {saddles}", where="saddles", remedy="give a number of at least 0")
    half = 1 - (1 - confidence) / 2
    trajectories = _trajectories(bound, confidence, saddles, censored_share)
    labelled = _trajectories(bound / 2, half, saddles, censored_share)
    pairs = None if share is None else trials(min(share * SEEN, 1 - 1e-9), 0, confidence)
    return Needed(
        bound=bound,
        confidence=confidence,
        saddles=saddles,
        censored_share=censored_share,
        trajectories=trajectories,
        labelled=labelled,
        checked=_checks(bound, half, saddles + ceil(censored_share * labelled), labelled),
        share=share,
        pairs=pairs,
        eps=None if pairs is None else smallest_seen(max(1, ceil(trajectories / pairs))),
    )


def _trajectories(bound: float, confidence: float, saddles: int, censored_share: float) -> int:
    """The smallest N for which saddles + ceil(c N) of N is bounded by `bound`; found by doubling, then bisection."""
    if censored_share == 0:
        return trials(bound, saddles, confidence)

    def enough(N: int) -> bool:
        k = saddles + ceil(censored_share * N)
        return k < N and one_sided_upper(k, N, confidence) <= bound

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


def _checks(bound: float, confidence: float, k: int, N: int) -> int:
    """How many minima must be checked, with none wrong, so that N trajectories, k of them saddles or censored, meet the
    bound."""
    low, high = k, N  # the bound rises with the count, to 1 at N
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one_sided_upper(middle, N, confidence) <= bound else (low, middle)
    return hypergeometric.draws(low - k, N - k, confidence)


def costs(experiment: Experiment) -> tuple[CaseCost, ...]:
    """The cost of each case whose law has a density, measured on its own first trajectories."""
    return tuple(_cost(experiment, case) for case in experiment.cases if not case.law.null)


def _cost(experiment: Experiment, case: Case) -> CaseCost:
    cost = sample_cost(experiment, case)
    return CaseCost(case, cost.seconds, _check_seconds(experiment, case), cost.trajectories, cost.verdicts["censored"])


def _check_seconds(experiment: Experiment, case: Case) -> float | None:
    """Mean seconds for the check of a label, over the first few trajectories."""
    settings = tighter_settings(case)
    if settings is None:
        return None
    starts = laws.starts(case.problem, case.law, experiment.seed, 0)[: min(TIMED, case.trajectories)]
    integrate_batch(case.problem, starts[:1], settings, np.zeros(1, dtype=bool), case.law.null)  # compile first
    clock = time.perf_counter()
    integrate_batch(case.problem, starts, settings, np.zeros(len(starts), dtype=bool), case.law.null)
    return (time.perf_counter() - clock) / len(starts)


def mean_seconds(costs: Sequence[CaseCost]) -> tuple[float, float | None]:
    """Mean seconds for a trajectory and for the check of a label, if trajectories are divided evenly among the
    cases."""
    checks = [cost.check_seconds for cost in costs if cost.check_seconds is not None]
    return float(np.mean([cost.seconds for cost in costs])), float(np.mean(checks)) if checks else None
