"""The pooled estimate over the cases whose law has a density."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from basins.estimate.counts import Counts, StratumMeasure, saddle_measure, strata_measures
from basins.estimate.labels import Frames, Outcomes, frames_of, label_error, together, unchecked
from basins.estimate.measured import Measured
from basins.estimate.pairs import Draw, PairsEstimate, pairs_estimates
from basins.estimate.proved import Proved, together_proved
from basins.estimate.sentences import pooled_sentence
from basins.estimate.stages import grown
from basins.landscapes.base import CriticalSets
from basins.laws import stream_key
from basins.statistics.binomial import CONFIDENCE

if TYPE_CHECKING:
    from basins.experiment import Case


@dataclass(frozen=True, kw_only=True)
class PooledEstimate(Measured):
    """The pooled cases. Counts are added, and the measure is that of the mixture of the cases, each weighted by its
    number of trajectories. The bounds hold for it whether or not the cases agree (statistics/binomial.py).

    cases: keys; twins: keys left out because their starts are those of a pooled case (same problem, law and seed,
    another engine), so that they add no evidence; untestable: number of pooled cases whose shape cannot test the
    conjecture; strata: empty unless all cases have the same singular values; pairs: for random data, the share of bad
    pairs (pairs.py); unchecked: names, by key, of pooled cases whose labels no check could draw although others were
    checked, which makes the pool's label error unknown (None). The other fields are those of `Measured`.
    """

    cases: tuple[str, ...]
    twins: tuple[str, ...]
    untestable: int
    pairs: tuple[PairsEstimate, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "cases": list(self.cases),
            "twins": list(self.twins),
            "untestable": self.untestable,
            **self.measures(),
            "unchecked": dict(self.unchecked),
            "pairs": [pairs.to_dict() for pairs in self.pairs],
            "sentence": pooled_sentence(self),
        }


def pool(
    counted: Sequence[tuple[Case, Counts]],
    outcomes: Mapping[str, Outcomes | Frames] | None = None,
    drawn: Mapping[str, Draw] | None = None,
    proved: Mapping[str, Proved] | None = None,
    sizes: Callable[[Iterable[str]], Sequence[int]] = lambda keys: (),
) -> PooledEstimate:
    """Pool the cases; null laws are left out. By case key, outcomes: of label checks drawn at random from that case
    alone, or frames, which cases may share (labels.py); drawn: the random data; proved: the proved starts; sizes:
    of the stages of cases together (stages.py). Raises ArgumentError for more checks than labels.
    """
    kept: dict[int, tuple[Case, Counts]] = {}
    twins = []
    for case, counts in of_one_dynamics(counted):
        if case.law.null:
            continue
        # A case with another engine has the same starts, which must not count twice.
        points = stream_key(case.landscape, case.law)
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
    if cases and all(_same_sets(case.landscape.critical, cases[0].landscape.critical) for case in cases):
        strata = strata_measures(cases[0].landscape.critical, counts, max(case.settings.delta for case in cases))
    frames = {case.key: frames_of(case.key, one, (outcomes or {}).get(case.key)) for case, one in kept.values()}
    some = any(frame.outcomes for of_case in frames.values() for frame in of_case.values())
    out_of_reach = {case.key: case.name for case in cases if some and unchecked(frames[case.key])}
    testing = [one for one in kept.values() if one[0].question()[0]]
    of_pool = together_proved([(proved or {}).get(case.key) for case in cases])
    return PooledEstimate(
        cases=tuple(case.key for case in cases),
        twins=tuple(twins),
        untestable=len(cases) - len(testing),
        trajectories=counts.trajectories,
        minimum=counts.minimum,
        saddle=counts.saddle,
        censored=counts.censored,
        confidence=CONFIDENCE,
        saddle_measure=saddle_measure(counts),
        strata=strata,
        label_error=None if out_of_reach else label_error(counts, together(frames.values())),
        proved=of_pool,
        grown=grown(sizes([case.key for case in cases]), counts, of_pool),
        unchecked=out_of_reach,
        pairs=pairs_estimates(testing, drawn or {}),
    )


def of_one_dynamics(counted: Sequence[tuple[Case, Counts]]) -> Sequence[tuple[Case, Counts]]:
    """The cases that may be pooled: basins of one dynamics are not those of another. Those of the gradient flow where
    there are some, all where they share a dynamics, and none otherwise."""
    flows = [one for one in counted if not one[0].dynamics_kind]
    if flows:
        return flows
    return counted if len({str(case.dynamics_table) for case, _ in counted}) == 1 else []


def _same_sets(one: CriticalSets, other: CriticalSets) -> bool:
    """Whether two landscapes have the same critical sets with the same values, so that their counts can be added."""
    return one.fingerprint == other.fingerprint
