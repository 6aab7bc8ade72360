"""Counts -> the measure of the saddle basins, with exact intervals. Knows the store and no engine.

Of N trajectories drawn from a law, k_s end on a saddle and k_c are censored. The estimate of the saddle-basin
measure is k_s / N; its lower bound takes k = k_s, its upper bound k = k_s + k_c, for a censored row may be one. Each
stratum has a two-sided interval at 0.05 / (number of strata), so all hold together; a censored row counts in the
upper end of every stratum it may still reach: those with (1 - delta) 1/2 sum_{S^c} sigma^2 <= L at its stop, with
the margin delta of the verdict `minimum` (theory.md 3a).

A run in progress is counted over a contiguous prefix of ids: fast shards finish first, so what is finished is biased.
All of it speaks of computed trajectories: how many of them are labelled wrong is not measured here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basins.certificates import can_test
from basins.errors import RunError
from basins.intervals import ALPHA, LEVEL, one_sided_lower, one_sided_upper, two_sided
from basins.laws import Law, Planted, stream_key
from basins.limits import REASONS, Reason
from basins.sentences import pooled_sentence, sentence
from basins.strata import Strata, modes_to_mask

if TYPE_CHECKING:
    from basins.experiment import Case
    from basins.store.run import Run

Array = NDArray[np.float64]

LISTED = 32
"""Up to this many strata all are listed; beyond it those that were met."""


# --- what was counted ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """Trajectories by where they go.

    minimum: those at a global minimum; saddles: bitmask of S -> those on that saddle stratum; censored_losses: the
    loss at the stop of each censored one, units of L, nan where it was not finite or its rounding is too large to
    exclude a stratum by it.
    """

    minimum: int = 0
    saddles: Mapping[int, int] = field(default_factory=dict)
    censored_losses: Array = field(default_factory=lambda: np.empty(0))

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
        )

    def may_reach(self, critical_value: float, delta: float) -> int:
        """Censored trajectories that may still end at this critical value; one that is not finite may end anywhere."""
        excluded = self.censored_losses < (1 - delta) * critical_value
        return self.censored - int(np.count_nonzero(excluded))


# --- what is estimated -----------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class CaseEstimate:
    """The measures of one case.

    case: its key; law: in words; null: whether the law has no density; planted: the modes it was planted to fit, None
    for other laws; widths; planned: trajectories of the whole run; trajectories: those counted; level: confidence
    of the one-sided bounds of saddle_measure; strata: by falling loss; reasons: why rows were censored; can_test,
    shape: whether this shape can test the conjecture, and why; doubtful: ids worth a look, the first few that are
    not what the case should show.
    """

    case: str
    name: str
    law: str
    null: bool
    planted: tuple[int, ...] | None
    widths: tuple[int, ...]
    planned: int
    trajectories: int
    minimum: int
    saddle: int
    censored: int
    level: float
    saddle_measure: Measure
    strata: tuple[StratumMeasure, ...]
    reasons: Mapping[str, int]
    can_test: bool
    shape: str
    doubtful: tuple[int, ...] = ()

    @property
    def H(self) -> int:
        """Number of hidden layers."""
        return len(self.widths) - 2

    def to_dict(self) -> dict[str, Any]:
        """What `basins estimate --json` prints of the case. label_error is null: it is not measured."""
        return {
            "case": self.case,
            "name": self.name,
            "law": self.law,
            "null": self.null,
            "widths": list(self.widths),
            "planned": self.planned,
            "trajectories": self.trajectories,
            "minimum": self.minimum,
            "saddle": self.saddle,
            "censored": self.censored,
            "reasons": dict(self.reasons),
            "level": self.level,
            "saddle_measure": self.saddle_measure.to_dict(),
            "label_error": None,
            "strata": [stratum.to_dict() for stratum in self.strata],
            "can_test": self.can_test,
            "sentence": sentence(self),
        }


@dataclass(frozen=True)
class PooledEstimate:
    """Cases whose law has a density, pooled: counts are added, and the measure is that of the mixture of the cases,
    each with the weight of its trajectories. The bounds hold for it whether or not the cases agree (intervals.py).

    cases: keys; twins: keys left out because their initial points are those of a pooled case (same problem, law and
    seed, another engine), so that they are no further evidence; untestable: pooled cases whose shape cannot test
    the conjecture; strata: only where all have the same singular values, else empty.
    """

    cases: tuple[str, ...]
    twins: tuple[str, ...]
    untestable: int
    trajectories: int
    minimum: int
    saddle: int
    censored: int
    level: float
    saddle_measure: Measure
    strata: tuple[StratumMeasure, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "cases": list(self.cases),
            "twins": list(self.twins),
            "untestable": self.untestable,
            "trajectories": self.trajectories,
            "minimum": self.minimum,
            "saddle": self.saddle,
            "censored": self.censored,
            "level": self.level,
            "saddle_measure": self.saddle_measure.to_dict(),
            "label_error": None,
            "strata": [stratum.to_dict() for stratum in self.strata],
            "sentence": pooled_sentence(self),
        }


@dataclass(frozen=True)
class Estimate:
    """What a run says so far: case by case, and pooled."""

    experiment: str
    cases: tuple[CaseEstimate, ...]
    pooled: PooledEstimate

    def to_dict(self) -> dict[str, Any]:
        return {
            "experiment": self.experiment,
            "cases": [case.to_dict() for case in self.cases],
            "pooled": self.pooled.to_dict(),
        }


# --- from counts to measures -----------------------------------------------------------------------------------------


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


def case_estimate(
    case: Case, counts: Counts, reasons: Mapping[str, int] | None = None, doubtful: Sequence[int] = ()
) -> CaseEstimate:
    """The measures of one case from its counts."""
    problem = case.problem
    shape = can_test(problem.widths)
    return CaseEstimate(
        case=case.key,
        name=case.name,
        law=law_text(case.law),
        null=case.law.null,
        planted=_planted(case.law),
        widths=problem.widths,
        planned=case.trajectories,
        trajectories=counts.trajectories,
        minimum=counts.minimum,
        saddle=counts.saddle,
        censored=counts.censored,
        level=LEVEL,
        saddle_measure=saddle_measure(counts),
        strata=strata_measures(problem.strata(), counts, case.settings.delta),
        reasons=dict(reasons or {}),
        can_test=shape.can_test,
        shape=shape.sentence,
        doubtful=tuple(doubtful),
    )


def pool(counted: Sequence[tuple[Case, Counts]]) -> PooledEstimate:
    """The pool of the cases whose law has a density; see PooledEstimate. A null law never enters it."""
    kept: dict[int, tuple[Case, Counts]] = {}
    twins = []
    for case, counts in counted:
        if case.law.null:
            continue
        # A case of another engine has the same initial points: it must not count twice.
        points = stream_key(case.problem, case.law)
        if points not in kept:
            kept[points] = case, counts
        elif counts.trajectories > kept[points][1].trajectories:
            twins.append(kept[points][0].key)
            kept[points] = case, counts
        else:
            twins.append(case.key)
    cases = [case for case, _ in kept.values()]
    counts = sum((counts for _, counts in kept.values()), Counts())
    strata: tuple[StratumMeasure, ...] = ()
    if cases and all(np.array_equal(case.problem.sigma, cases[0].problem.sigma) for case in cases):
        strata = strata_measures(cases[0].problem.strata(), counts, max(case.settings.delta for case in cases))
    return PooledEstimate(
        cases=tuple(case.key for case in cases),
        twins=tuple(twins),
        untestable=sum(not can_test(case.problem.widths).can_test for case in cases),
        trajectories=counts.trajectories,
        minimum=counts.minimum,
        saddle=counts.saddle,
        censored=counts.censored,
        level=LEVEL,
        saddle_measure=saddle_measure(counts),
        strata=strata,
    )


# --- from a run to counts --------------------------------------------------------------------------------------------

DOUBTFUL = 3
"""So many ids worth a look are kept of each case."""


def estimate_run(run: Run) -> Estimate:
    """The estimate of a run, whole or in progress. Raises RunError for a damaged file."""
    from basins.store.commit import check_shards

    check_shards(run.files, run.manifest)
    counted = [(case, *_count(run, case)) for case in run.manifest.cases]
    return Estimate(
        experiment=run.manifest.name,
        cases=tuple(case_estimate(*one) for one in counted),
        pooled=pool([(case, counts) for case, counts, _, _ in counted]),
    )


def _count(run: Run, case: Case) -> tuple[Counts, dict[str, int], list[int]]:
    """Counts over the contiguous prefix of ids, censored rows by reason, and the first ids worth a look."""
    blocks = run.blocks(case.key, contiguous=True)
    N = int(blocks["count"].sum())
    if not np.array_equal(blocks["first_id"], np.concatenate([[0], np.cumsum(blocks["count"])])[:-1]):
        raise RunError("ids are missing between blocks", where=f"{run.path}, case {case.key}", remedy="run it again")
    saddles: Counter[int] = Counter()
    for row in blocks["strata"]:
        for stratum in row:
            if stratum["verdict"] == "saddle":
                saddles[int(stratum["modes"])] += int(stratum["count"])

    losses, reasons = np.empty(0), dict[str, int]()
    if blocks["censored"].any():
        rows = run.trajectories(case.key, ["id", "loss", "reason"], verdict="censored", contiguous=True)
        rows = rows[rows["id"] < N]  # shards may have come since the blocks were read
        losses = rows["loss"].to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        losses[(rows["reason"] == REASONS[Reason.rounding]).to_numpy()] = np.nan  # a loss that excludes nothing
        reasons = {str(reason): int(count) for reason, count in rows["reason"].value_counts().items() if count}
    counts = Counts(int(blocks["minimum"].sum()), dict(saddles), losses)
    if counts.trajectories != N:
        raise RunError(
            f"verdicts of {counts.trajectories:,} trajectories are counted, of {N:,} that are there",
            where=f"{run.path}, case {case.key}",
            remedy="a file was changed: move the case's shards away and run again",
        )
    return counts, reasons, _doubtful(run, case, counts)


def _doubtful(run: Run, case: Case, counts: Counts) -> list[int]:
    """The first few ids that are not what the case should show: saddles, or in a control what is not as planted."""
    planted = _planted(case.law)
    if planted is None:
        if case.law.null or not counts.saddle:
            return []
        rows = run.trajectories(case.key, ["id"], verdict="saddle", contiguous=True)
    else:
        mask = modes_to_mask(planted)
        if counts.saddles.get(mask, 0) == counts.trajectories:
            return []
        rows = run.trajectories(case.key, ["id", "verdict", "modes"], contiguous=True)
        rows = rows[~((rows["verdict"] == "saddle") & (rows["modes"] == mask).fillna(False))]
    return [int(i) for i in rows["id"][:DOUBTFUL]]


def _planted(law: Law) -> tuple[int, ...] | None:
    return law.modes if isinstance(law, Planted) else None


def law_text(law: Law) -> str:
    """A law in words: "gaussian, scale 0.5"; a full draw goes without saying."""
    said = [f"{name} {_value(value)}" for name, value in law.parameters().items() if (name, value) != ("draw", "full")]
    return ", ".join([law.name, *said])


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "{" + ",".join(_value(one) for one in value) + "}"
    return value if isinstance(value, str) else f"{value:g}"
