"""What could be wrong with the result of a run: alarms at the top of the page, and doubts at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from basins.estimate import CaseEstimate, Estimate
from basins.estimate.sentences import number, sentence, settled_alike
from basins.landscapes.base import NEAR
from basins.summary import CaseSummary

if TYPE_CHECKING:
    from basins.run_tables import Run

DRIFT = 100.0
"""The ratio of drift to rtol from which the report comments on it."""


class Alarm(NamedTuple):
    """A fact that a reader must know first: its heading and its text."""

    title: str
    text: str


def failed_controls(estimate: Estimate) -> list[CaseEstimate]:
    """Planted cases that have trajectories but are not 100 % saddle on their planted stratum."""
    return [case for case in estimate.cases if case.planted is not None and case.trajectories and not _as_planted(case)]


def _as_planted(case: CaseEstimate) -> bool:
    return any(s.modes == case.planted and s.count == case.trajectories for s in case.strata)


def alarms(run: Run, estimate: Estimate) -> list[Alarm]:
    """The alarms: a failed control, saddles where there should be none, a run that is unfinished or empty."""
    found = [Alarm("A control failed.", f"{case.name}: {sentence(case)}") for case in failed_controls(estimate)]
    saddles = [case for case in estimate.cases if not case.null and case.saddle]
    if saddles:
        names = ", ".join(f"{case.name} ({case.saddle:,} of {case.trajectories:,})" for case in saddles[:6])
        found.append(Alarm("Saddles were found.", f"{names}. Look at each of them before drawing conclusions."))
    if all(case.trajectories == 0 for case in estimate.cases):
        found.append(Alarm("Nothing is counted yet.", "No case has its first shard; the rest is only the plan."))
        return found
    missing = sum(len(shards) for shards in run.missing().values())
    if missing:
        shards = sum(run.manifest.plan(case).shards for case in run.manifest.cases)
        text = f"{missing:,} of {shards:,} shards are missing; each case is counted up to its first gap."
        found.append(Alarm("This run is not finished.", text))
    empty = [case.name for case in estimate.cases if case.trajectories == 0]
    if empty:
        more = f" and {len(empty) - 6} more" if len(empty) > 6 else ""
        found.append(Alarm("Cases without trajectories:", ", ".join(empty[:6]) + more + "."))
    only_censored = [c.name for c in estimate.cases if c.trajectories and c.censored == c.trajectories]
    if only_censored:
        text = f"{', '.join(only_censored[:6])}: these decide nothing, and bound nothing."
        found.append(Alarm("Only censored rows:", text))
    return found


def doubts(estimate: Estimate, summaries: Sequence[CaseSummary]) -> list[str]:
    """One entry for each way in which the result could mislead, most serious first."""
    return [
        *_control(estimate),
        *_contradictions(estimate),
        *_labels(estimate),
        *_censored(estimate),
        *(f"{case.name}. {settled_alike(case)}" for case in estimate.cases if settled_alike(case)),
        *_shapes(estimate),
        *_drift(summaries),
        "A certificate is about the computed state, not about the exact flow from the start: an integration error may "
        "carry a trajectory across a basin's boundary. The label error, if it was measured, is the effect of such "
        "errors; a proved start has none (docs/proofs.md).",
        "A bound is about the law that was drawn from. The run cannot detect a set of starts of measure zero, or one "
        "that this law hardly ever draws, and a bound above zero never proves that a measure is zero.",
        "Certification times are ends of steps: the flow passed the loss level up to a step earlier. Survival is late "
        "by that much; exponents of tails are hardly affected.",
        "A trajectory is stopped once its limit is proved. The saddles it passed are known only up to there, and only "
        f"for watched trajectories; what counts as passing, a distance of at most {NEAR:g}, is a convention.",
    ]


def _control(estimate: Estimate) -> list[str]:
    planted = [case for case in estimate.cases if case.planted is not None and case.trajectories]
    if not planted:
        return [
            "No control: no case of this run starts on a saddle's stable manifold, so nothing here shows that the "
            "detector would recognise a saddle."
        ]
    if failed_controls(estimate):
        return ["A control failed (see the top): until that is explained, no count of this run can be trusted."]
    n = sum(case.trajectories for case in planted)
    return [
        f"The control: {n:,} planted starts were all labelled saddle, so a saddle that is reached is detected. They "
        "are kept there by exact zeros; saddles reached otherwise are harder to detect (docs/verdicts.md)."
    ]


def _contradictions(estimate: Estimate) -> list[str]:
    return [
        f"{case.name}: {case.proved.saddles:,} of its rows labelled saddle are proved to flow to a global minimum (id "
        f"{', '.join(map(str, case.proved.contradicted))}): look at them first."
        for case in estimate.cases
        if case.proved is not None and case.proved.saddles
    ]


def _labels(estimate: Estimate) -> list[str]:
    free = [case for case in estimate.cases if not case.null and case.trajectories]
    every = [case.proved for case in free if case.proved is not None and case.proved.every]
    if free and len(every) == len(free):
        left = sum(one.tried - one.proved for one in every)
        rest = f"; the {left:,} others count as saddles there" * bool(left)
        return [
            f"Label error: none in the bounds that rest on proofs alone. Of {sum(one.tried for one in every):,} starts "
            f"{sum(one.proved for one in every):,} are proved to flow to a global minimum (docs/proofs.md){rest}."
        ]
    errors = [case.label_error.minimum for case in free if case.label_error is not None]
    if not errors:
        return [
            "Label error: not measured. The bounds take every label as right; `basins verify` integrates a sample "
            "again at 100 times tighter tolerances, and gives the bounds that include the label error."
        ]
    rows, wrong, undecided, uncovered = (
        sum(getattr(one, name) for one in errors) for name in ("checked", "disagreed", "undecided", "uncovered")
    )
    text = (
        f"Label error: of {rows:,} minima integrated again, {wrong:,} disagreed and {undecided:,} were undecided, "
        "which counts as wrong. The tighter integration is taken as the truth. Each case gives its bound with the "
        "label error included."
    )
    if uncovered:
        text += f" {uncovered:,} minima that no check could draw count as wrong."
    without = [case.name for case in free if case.label_error is None]
    if without:
        names = ", ".join(without[:6]) + (", ..." if len(without) > 6 else "")
        text += f" No label was checked in: {names}. There the bounds take every label as right."
    return [text]


def _censored(estimate: Estimate) -> list[str]:
    free = [case for case in estimate.cases if not case.null]
    N, censored = sum(case.trajectories for case in free), sum(case.censored for case in free)
    if not N:
        return []
    if not censored:
        return ["Censored: none, so no trajectory is undecided."]
    worst = max(free, key=lambda case: case.censored / max(case.trajectories, 1))
    share = number(censored / N)
    return [
        f"Censored: {censored:,} of {N:,} trajectories ({share}), most in {worst.name} ({worst.censored:,} of "
        f"{worst.trajectories:,}). Each counts as a saddle in the bounds. A budget censors exactly the slow ones, "
        "which are those that passed closest to a saddle. They must neither be left out nor be taken as lost at random."
    ]


def _shapes(estimate: Estimate) -> list[str]:
    found = []
    proved = [case for case in estimate.cases if not case.null and not case.can_test]
    if proved:
        names = ", ".join(case.name for case in proved[:6]) + (", ..." if len(proved) > 6 else "")
        found.append(f"Shapes for which the conjecture is a theorem: {names}. Their zero is no evidence for it.")
    null = [case.name for case in estimate.cases if case.null]
    if null:
        names = ", ".join(null[:6]) + (", ..." if len(null) > 6 else "")
        found.append(f"Null laws, whose starts fill no volume: {names}. They enter no bound.")
    return found


def _drift(summaries: Sequence[CaseSummary]) -> list[str]:
    beyond = [one for one in summaries if one.worst_drift > DRIFT * one.case.settings.rtol]
    known = [one for one in summaries if one.worst_drift == one.worst_drift]
    if not known:
        return []
    worst = max(known, key=lambda one: one.worst_drift / one.case.settings.rtol)
    ratio = worst.worst_drift / worst.case.settings.rtol
    text = (
        f"Drift of the invariants, which the flow keeps exactly: at most {worst.worst_drift:.3g} relative, in "
        f"{worst.case.name}, {ratio:.3g} times rtol"
    )
    if beyond:
        return [f"{text}. That is more than {DRIFT:g} times: look at the slowest rows of that case."]
    return [f"{text}: the integration keeps the invariants."]
