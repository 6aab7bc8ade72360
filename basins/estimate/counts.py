"""Counts of trajectories by their limits, and the measures that such counts bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.base import CriticalSet, CriticalSets
from basins.statistics.binomial import ALPHA, CONFIDENCE, one_sided_lower, one_sided_upper, two_sided

Array = NDArray[np.float64]

LISTED = 32
"""Up to this many strata, all are listed; of more, only those that were reached."""


@dataclass(frozen=True)
class Counts:
    """Numbers of trajectories by their limits.

    minimum: at a global minimum; saddles: code of a critical set (for a deep linear network the bitmask of S) -> number
    on that saddle; minima: code -> number at that minimum if there are several, else empty; censored_losses: the loss
    of each censored trajectory at its stop, units of L, nan if it was not finite or its rounding is too large to
    exclude a set by it; settled: code -> number of censored trajectories at rest beside that saddle, where their loss
    identifies it (no bound uses this).
    """

    minimum: int = 0
    saddles: Mapping[int, int] = field(default_factory=dict)
    censored_losses: Array = field(default_factory=lambda: np.empty(0))
    settled: Mapping[int, int] = field(default_factory=dict)
    minima: Mapping[int, int] = field(default_factory=dict)

    @property
    def saddle(self) -> int:
        return sum(self.saddles.values())

    @property
    def censored(self) -> int:
        return len(self.censored_losses)

    @property
    def trajectories(self) -> int:
        return self.minimum + self.saddle + self.censored

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.minimum + other.minimum,
            dict(Counter(self.saddles) + Counter(other.saddles)),
            np.concatenate([self.censored_losses, other.censored_losses]),
            dict(Counter(self.settled) + Counter(other.settled)),
            dict(Counter(self.minima) + Counter(other.minima)),
        )

    def may_reach(self, critical_value: float, delta: float) -> int:
        """The number of censored trajectories that may still end at this critical value. Non-finite ones always may."""
        excluded = self.censored_losses < (1 - delta) * critical_value
        return self.censored - int(np.count_nonzero(excluded))


@dataclass(frozen=True)
class Measure:
    """A probability: its estimate, None if nothing was counted, and the interval [lower, upper]."""

    estimate: float | None
    lower: float
    upper: float

    def to_dict(self) -> dict[str, float | None]:
        return {"estimate": self.estimate, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True)
class StratumMeasure:
    """A critical set, the number of trajectories that end on it, and the interval for its basin's measure."""

    of: CriticalSet
    count: int
    lower: float
    upper: float
    column: str = "modes"

    @property
    def index(self) -> int | None:
        return self.of.index

    @property
    def modes(self) -> tuple[int, ...]:
        """S for a deep linear network: the bits of the code."""
        return tuple(i for i in range(self.of.code.bit_length()) if self.of.code >> i & 1)

    @property
    def rank(self) -> int:
        return self.of.rank

    @property
    def loss(self) -> float:
        return self.of.value

    @property
    def is_minimum(self) -> bool:
        return self.of.kind == "global minimum"

    def to_dict(self) -> dict[str, Any]:
        """JSON values. Sets of deep linear networks have `modes`; others have the code and its name."""
        deep_linear = self.column == "modes"
        name = {"modes": list(self.modes)} if deep_linear else {self.column: self.of.code, "name": self.of.name}
        return {
            "index": self.index,
            **name,
            "rank": self.rank,
            "loss": self.loss,
            "count": self.count,
            "lower": self.lower,
            "upper": self.upper,
        }


def saddle_measure(counts: Counts, confidence: float = CONFIDENCE) -> Measure:
    """The measure of the saddle basins: k_s / N, lower at k_s, upper at k_s + k_c, each one-sided at `confidence`."""
    N = counts.trajectories
    if N == 0:
        return Measure(None, 0.0, 1.0)
    return Measure(
        counts.saddle / N,
        one_sided_lower(counts.saddle, N, confidence),
        one_sided_upper(counts.saddle + counts.censored, N, confidence),
    )


def strata_measures(critical: CriticalSets, counts: Counts, delta: float) -> tuple[StratumMeasure, ...]:
    """The measures of all critical sets, or of those reached if there are more than 32, with intervals that hold
    together at 95 %."""
    N, sets = counts.trajectories, critical.count()
    alpha = ALPHA / sets
    only = critical.global_minimum
    by_code = {**counts.saddles, **(counts.minima if only is None else {only: counts.minimum})}
    listed = critical.listed() if sets <= LISTED else None
    if listed is None:
        met = [critical.describe(code) for code, count in by_code.items() if count]
        listed = sorted(met, key=lambda one: (-one.value, one.code))
    measures = []
    for one in listed:
        count = by_code.get(one.code, 0)
        lower, upper = 0.0, 1.0
        if N:
            lower = two_sided(count, N, alpha)[0]
            upper = two_sided(count + counts.may_reach(one.value, delta), N, alpha)[1]
        measures.append(StratumMeasure(one, count, lower, upper, critical.vocabulary.set_column))
    return tuple(measures)
