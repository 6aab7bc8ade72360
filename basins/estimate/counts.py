"""Trajectories by where they go, and the measures that such counts bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basins.landscapes.deep_linear.strata import Strata
from basins.statistics.binomial import ALPHA, LEVEL, one_sided_lower, one_sided_upper, two_sided

if TYPE_CHECKING:
    from basins.estimate.labels import LabelError

Array = NDArray[np.float64]

LISTED = 32
"""Up to this many strata all are listed; beyond it those that were met."""


@dataclass(frozen=True)
class Counts:
    """Trajectories by where they go.

    minimum: those at a global minimum; saddles: bitmask of S -> those on that saddle stratum; censored_losses: the
    loss at the stop of each censored one, units of L, nan where it was not finite or its rounding is too large to
    exclude a stratum by it; settled: bitmask of S -> those of the censored ones that rest beside that saddle stratum,
    where their loss says which: they enter no bound as such.
    """

    minimum: int = 0
    saddles: Mapping[int, int] = field(default_factory=dict)
    censored_losses: Array = field(default_factory=lambda: np.empty(0))
    settled: Mapping[int, int] = field(default_factory=dict)

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
        )

    def may_reach(self, critical_value: float, delta: float) -> int:
        """Censored trajectories that may still end at this critical value; one that is not finite may end anywhere."""
        excluded = self.censored_losses < (1 - delta) * critical_value
        return self.censored - int(np.count_nonzero(excluded))


@dataclass(frozen=True)
class Measure:
    """A probability: its estimate, None where nothing was counted, and the interval [lower, upper]."""

    estimate: float | None
    lower: float
    upper: float

    def to_dict(self) -> dict[str, float | None]:
        return {"estimate": self.estimate, "lower": self.lower, "upper": self.upper}


@dataclass(frozen=True)
class StratumMeasure:
    """A stratum I(j), how many trajectories end on it, and the interval of its basin's measure."""

    index: int | None
    modes: tuple[int, ...]
    rank: int
    loss: float
    count: int
    lower: float
    upper: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "modes": list(self.modes),
            "rank": self.rank,
            "loss": self.loss,
            "count": self.count,
            "lower": self.lower,
            "upper": self.upper,
        }


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a case's estimate and a pool's share: counts and the measures they bound.

    level: confidence of the one-sided bounds of saddle_measure, which speaks of the labels as computed; strata: by
    falling loss; label_error: what `basins verify` found of the labels, and the bounds with that counted in; None
    where none of these labels was checked.
    """

    trajectories: int
    minimum: int
    saddle: int
    censored: int
    level: float
    saddle_measure: Measure
    strata: tuple[StratumMeasure, ...]
    label_error: LabelError | None = None

    def measures(self) -> dict[str, Any]:
        """These fields, as `basins estimate --json` prints them."""
        return {
            "trajectories": self.trajectories,
            "minimum": self.minimum,
            "saddle": self.saddle,
            "censored": self.censored,
            "level": self.level,
            "saddle_measure": self.saddle_measure.to_dict(),
            "label_error": None if self.label_error is None else self.label_error.to_dict(),
            "strata": [stratum.to_dict() for stratum in self.strata],
        }


def saddle_measure(counts: Counts, level: float = LEVEL) -> Measure:
    """The measure of the saddle basins: k_s / N, lower at k_s, upper at k_s + k_c, each one-sided at `level`."""
    N = counts.trajectories
    if N == 0:
        return Measure(None, 0.0, 1.0)
    return Measure(
        counts.saddle / N,
        one_sided_lower(counts.saddle, N, level),
        one_sided_upper(counts.saddle + counts.censored, N, level),
    )


def strata_measures(strata: Strata, counts: Counts, delta: float) -> tuple[StratumMeasure, ...]:
    """Every stratum, or those met where there are more than 32, with intervals that hold together at 95 %."""
    N, alpha = counts.trajectories, ALPHA / len(strata)
    full = len(strata) - 1
    by_mask = {**counts.saddles, full: counts.minimum}
    if len(strata) <= LISTED:
        listed: Iterable[Any] = strata
    else:
        met = [strata.of(mask) for mask, count in by_mask.items() if count]
        listed = sorted(met, key=lambda stratum: (-stratum.loss, stratum.mask))
    measures = []
    for stratum in listed:
        count = by_mask.get(stratum.mask, 0)
        lower, upper = 0.0, 1.0
        if N:
            lower = two_sided(count, N, alpha)[0]
            upper = two_sided(count + counts.may_reach(stratum.loss, delta), N, alpha)[1]
        measures.append(StratumMeasure(stratum.index, stratum.modes, stratum.rank, stratum.loss, count, lower, upper))
    return tuple(measures)
