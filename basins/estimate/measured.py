"""The fields that the estimate of a case and that of a pool have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from basins.estimate.counts import Measure, StratumMeasure
from basins.estimate.labels import LabelError
from basins.estimate.proved import Proved
from basins.estimate.stages import Grown


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Counts, and the measures they bound.

    confidence: of the one-sided bounds of saddle_measure, which takes the labels as computed; strata: by falling
    loss; label_error: the result of `basins verify` and the bounds that include it, None if no label was checked;
    proved: the proved starts and the bound that rests on them alone, None if there are none, and for a pool also if
    some of its trajectories were not tried; grown: of a run that has grown, the bounds that hold in all its stages
    (stages.py).
    """

    trajectories: int
    minimum: int
    saddle: int
    censored: int
    confidence: float
    saddle_measure: Measure
    strata: tuple[StratumMeasure, ...]
    label_error: LabelError | None = None
    proved: Proved | None = None
    grown: Grown | None = None

    def measures(self) -> dict[str, Any]:
        """The JSON values of these fields, as `basins estimate --json` prints them."""
        return {
            "trajectories": self.trajectories,
            "minimum": self.minimum,
            "saddle": self.saddle,
            "censored": self.censored,
            "level": self.confidence,
            "saddle_measure": self.saddle_measure.to_dict(),
            "label_error": None if self.label_error is None else self.label_error.to_dict(),
            "proved": None if self.proved is None else self.proved.to_dict(),
            "grown": None if self.grown is None else self.grown.to_dict(),
            "strata": [stratum.to_dict() for stratum in self.strata],
        }
