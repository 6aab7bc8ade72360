"""The estimate of one case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from basins.estimate.counts import Counts, saddle_measure, strata_measures
from basins.estimate.labels import Frames, Outcomes, label_error
from basins.estimate.measured import Measured
from basins.estimate.proved import Proved
from basins.estimate.sentences import sentence
from basins.estimate.stages import grown
from basins.estimate.table import CaseTable, said_of
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import mask_to_modes
from basins.laws import Law, NearPlanted, Planted, law_text
from basins.rows import html
from basins.statistics.binomial import CONFIDENCE

if TYPE_CHECKING:
    from basins.experiment import Case


@dataclass(frozen=True, kw_only=True, repr=False)
class CaseEstimate(Measured, CaseTable):
    """The measures of one case.

    case: its key; law: as text; null: whether the law has no density; planted: the modes that a planted law fits, None
    for other laws; widths; planned: trajectories of the whole run; trajectories: those counted; reasons: number of
    censored rows by reason; can_test, shape: whether this shape can test the conjecture, and why; doubtful: the first
    few ids that are not what the case should show; settled: number of rows that settled beside a saddle, by the modes
    of the only stratum with their loss; beside: the modes of the stratum that the law's starts lie beside, None for
    other laws. The other fields are those of `Measured`.
    """

    case: str
    name: str
    law: str
    null: bool
    planted: tuple[int, ...] | None
    widths: tuple[int, ...]
    planned: int
    reasons: Mapping[str, int]
    can_test: bool
    shape: str
    doubtful: tuple[int, ...] = ()
    settled: Mapping[tuple[int, ...], int] = field(default_factory=dict)
    beside: tuple[int, ...] | None = None
    size_text: str = ""
    conjecture: bool = True

    @property
    def H(self) -> int:
        """Number of hidden layers."""
        return len(self.widths) - 2

    def __repr__(self) -> str:
        return f"CaseEstimate({said_of(self)})"

    def _repr_html_(self) -> str:
        return html(self.name, self.to_pandas(), [said_of(self)])

    def to_dict(self) -> dict[str, Any]:
        """The values that `basins estimate --json` prints for the case."""
        return {
            "case": self.case,
            "name": self.name,
            "law": self.law,
            "null": self.null,
            "widths": list(self.widths),
            "planned": self.planned,
            **self.measures(),
            "reasons": dict(self.reasons),
            "can_test": self.can_test,
            "sentence": sentence(self),
        }


def case_estimate(
    case: Case,
    counts: Counts,
    reasons: Mapping[str, int] | None = None,
    doubtful: Sequence[int] = (),
    outcomes: Outcomes | Frames | None = None,
    proved: Proved | None = None,
    sizes: Sequence[int] = (),
) -> CaseEstimate:
    """The measures of one case from its counts.

    outcomes: of label checks drawn at random from all of the case's labels, or frames (labels.py); proved: its proved
    starts (proved.py); sizes: of the stages of a run that has grown (stages.py). Raises ArgumentError for more checks
    than labels.
    """
    landscape = case.landscape
    tests, shape = case.question()
    return CaseEstimate(
        case=case.key,
        name=case.name,
        law=law_text(case.law),
        null=case.law.null,
        planted=planted_modes(case.law),
        widths=landscape.widths if isinstance(landscape, Problem) else (),
        size_text=case.size_text,
        conjecture=case.of_the_paper,
        planned=case.trajectories,
        trajectories=counts.trajectories,
        minimum=counts.minimum,
        saddle=counts.saddle,
        censored=counts.censored,
        confidence=CONFIDENCE,
        saddle_measure=saddle_measure(counts),
        strata=strata_measures(landscape.critical, counts, case.settings.delta),
        label_error=label_error(counts, outcomes or {}),
        proved=proved,
        grown=None if case.law.null else grown(sizes, counts, proved),
        reasons=dict(reasons or {}),
        can_test=tests,
        shape=shape,
        doubtful=tuple(doubtful),
        settled={mask_to_modes(mask): count for mask, count in sorted(counts.settled.items())}
        if isinstance(landscape, Problem)
        else {},
        beside=case.law.modes if isinstance(case.law, NearPlanted) else None,
    )


def planted_modes(law: Law) -> tuple[int, ...] | None:
    """The modes that a planted law fits; None for other laws."""
    return law.modes if isinstance(law, Planted) else None
