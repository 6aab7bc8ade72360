"""The sentence that states what an estimate means for the conjecture. There is one form for each possible result.

Every bound is followed by what it does not cover: it is about computed trajectories, some of which may have a wrong
label. If `basins verify` measured the label error, the bound that includes it follows. If starts were proved, the bound
that rests on them alone follows, which uses no label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING

from basins.classification.verdict import REASONS, Reason

if TYPE_CHECKING:
    from basins.estimate import CaseEstimate, PairsEstimate, PooledEstimate
    from basins.estimate.counts import StratumMeasure
    from basins.estimate.labels import Checked, LabelError
    from basins.estimate.measured import Measured
    from basins.estimate.proved import Proved
    from basins.estimate.stages import Grown

LABELS = "label error: not measured"
"""Printed with every bound if no label was checked."""

PROVED = "label error: none"
"""Printed with a bound that rests on proved starts alone (docs/proofs.md)."""

_REMEDIES = {
    Reason.evaluation_budget: "basins extend RUN --budget B, or raise engine.budget",
    Reason.step_underflow: "try another engine.method, or loosen engine.rtol",
    Reason.non_finite: "lower the law's scale",
    Reason.settled: "give a start to basins.integrate(..., wait=True), which waits beside the saddle",
    Reason.t_end: "raise engine.t_end, or leave it out",
    Reason.rounding: "lower the law's scale",
}
REMEDIES = {REASONS[reason]: remedy for reason, remedy in _REMEDIES.items()}
"""The remedy for censored rows, by reason."""

WAITED = "basins extend RUN --budget B, or tighten engine.rtol and engine.atol"
"""The remedy for settled rows of a null law, which are waited for within their budget."""


def sentence(case: CaseEstimate) -> str:
    """What the case means for the conjecture. Its bounds are those of `saddle_measure`, of the proved starts, and of
    all stages of a run that has grown."""
    said = _at_this_size(case)
    return said if case.grown is None else f"{said} {grown_sentence(case.grown)}"


def _at_this_size(case: CaseEstimate) -> str:
    if case.proved is None:
        return _as_computed(case)
    if case.proved.every and case.proved.proved == case.proved.tried and not case.saddle:
        return _all_proved(case, case.proved)
    return f"{_as_computed(case)} {proofs(case.proved, 'this law', case.trajectories)}"


def _all_proved(case: CaseEstimate, proved: Proved) -> str:
    """The sentence when every counted start is proved, so that the labels no longer matter."""
    text = proofs(proved, "this law", case.trajectories)
    if case.censored:
        verb = "row is censored; its start is" if case.censored == 1 else "rows are censored; their starts are"
        text += f" As computed, {case.censored:,} {verb} proved all the same."
    return f"{case.shape} So this checks the machinery. {text}" if not case.can_test else text


def proofs(proved: Proved, laws: str, trajectories: int) -> str:
    """The bound that rests on proved starts alone. trajectories: the number counted, of which all or some were
    tried."""
    left = proved.tried - proved.proved
    some = "" if proved.every else f" tried (of {trajectories:,})"
    if not proved.proved:
        return f"Of {proved.tried:,} starts{some} none is proved to flow to a global minimum: proofs bound nothing."
    if not left:
        text = f"Of {proved.tried:,} starts{some} every one is proved to flow to a global minimum: the"
    else:
        which = "the other one counts as a saddle" if left == 1 else f"the other {left:,} count as saddles"
        text = (
            f"Of {proved.tried:,} starts{some} {proved.proved:,} {'is' if proved.proved == 1 else 'are'} proved to "
            f"flow to a global minimum, and {which}: so the"
        )
    text += (
        f" saddle basins hold less than {at_most(proved.upper)} of {laws}, at {_percent(proved.confidence)} "
        f"confidence; {PROVED}."
    )
    if proved.saddles:
        ids = ", ".join(map(str, proved.contradicted))
        which = f" (id {ids}{', ...' * (proved.saddles > len(proved.contradicted))})" * bool(ids)
        one = proved.saddles == 1
        text += (
            f" {proved.saddles:,} of them {'is' if one else 'are'} labelled saddle{which}: "
            f"{'that label is' if one else 'those labels are'} wrong."
        )
    return text


def _as_computed(case: CaseEstimate) -> str:
    if case.trajectories == 0:
        return (
            "Nothing to count yet: shard 0 is not there, and only shards without a gap from the first are counted. "
            "Wait if the run is at work, or give its command again to go on."
        )
    if case.planted is not None:
        return _control(case)
    if case.null:
        return (
            f"{_of(case.saddle, case)} end on a saddle. A null law (its starts fill no volume): that says nothing of "
            "the conjecture, and enters no bound."
        )
    if not case.conjecture:
        return _counts_alone(case)
    if not case.can_test:
        return _cannot_test(case)
    if case.saddle:
        return (
            f"{_of(case.saddle, case)} end on a saddle ({_strata_met(case)}): evidence against the conjecture, if the "
            f"labels are right. {_between(case)}; {labels(case)}. {_check(case)}"
        )
    bound = (
        f"the saddle basins hold less than {at_most(case.saddle_measure.upper)} of this law, at "
        f"{_percent(case.confidence)} confidence; {labels(case)}."
    )
    if case.censored:
        agree = settled_alike(case)
        return (
            f"No saddle among {case.trajectories:,} trajectories, but {_censored(case)}. Each counts as a saddle in "
            f"the bound: {bound}{' ' * bool(agree)}{agree}"
        )
    return f"No saddle among {case.trajectories:,} trajectories, none censored: as the conjecture has it, {bound}"


def _counts_alone(case: CaseEstimate) -> str:
    """What is counted, without a word on a conjecture that is made for the gradient flow of deep linear networks."""
    censored = f"; {_censored(case)}; each counts as a saddle in the bound" if case.censored else ", none censored"
    where = f" ({_strata_met(case)})" if case.saddle else ""
    return (
        f"{case.minimum:,} of {case.trajectories:,} trajectories end at a global minimum, {case.saddle:,} on a "
        f"saddle{where}{censored}. {_between(case)}; {labels(case)}."
    )


def pooled_sentence(pooled: PooledEstimate) -> str:
    """What the pool means, and how it was made."""
    if pooled.trajectories == 0:
        return "Nothing to pool: no trajectory of a law with a density is counted, or each case has its own dynamics."
    m = len(pooled.cases)
    laws = "this law" if m == 1 else "the mixture of these laws, each weighted by its trajectories"
    parts = [
        f"Pooled, {m} case{'s' * (m > 1)}: {pooled.saddle:,} saddles and {pooled.censored:,} censored among "
        f"{pooled.trajectories:,} trajectories. The saddle basins hold less than "
        f"{at_most(pooled.saddle_measure.upper)} of {laws}, at {_percent(pooled.confidence)} confidence; "
        f"{labels(pooled, pooled.unchecked)}."
    ]
    if pooled.proved is not None:
        parts.append(proofs(pooled.proved, laws, pooled.trajectories))
    if pooled.grown is not None:
        parts.append(grown_sentence(pooled.grown))
    if m > 1:
        parts.append("This bounds no single case.")
    if pooled.untestable:
        which = "This shape" if m == 1 else f"The shape of {pooled.untestable} of them"
        parts.append(f"{which} cannot test the conjecture: its zero is a theorem, and no evidence.")
    if pooled.twins:
        parts.append(
            f"Left out: {len(pooled.twins)} with the same starts as one of these (another engine), no further evidence."
        )
    return " ".join(parts)


def grown_sentence(grown: Grown) -> str:
    """How often a run has grown, and the bounds that hold however it was decided when to stop."""
    sizes = [f"{size:,}" for size in grown.sizes]
    shown = sizes if len(sizes) <= 6 else [*sizes[:2], "...", *sizes[-3:]]
    times = {1: "once", 2: "twice"}.get(grown.times, f"{grown.times:,} times")
    measure, percent = grown.saddle_measure, _percent(grown.level)
    above = f"more than {at_least(measure.lower)} and " if measure.lower > 0 else ""
    proofs = "" if grown.proved is None else f", and less than {at_most(grown.proved)} by proofs alone"
    return (
        f"The run has grown {times} ({' -> '.join(shown)}). The bound above is for a size that was fixed beforehand; "
        f"this one holds whenever growing is stopped: {above}less than {at_most(measure.upper)}{proofs}, at {percent} "
        f"confidence (stage {len(sizes)}: exact, at alpha = {grown.upper_alpha:.3g})."
    )


def pairs_sentence(pairs: PairsEstimate) -> str:
    """What random pairs (X, Y) mean for almost every pair."""
    N, share = pairs.trajectories, pairs.share
    censored = f", {pairs.with_censored:,} more a censored one, which counts as a saddle" * (pairs.with_censored > 0)
    above = f"more than {at_least(share.lower)} and " if share.lower > 0 else ""
    return (
        f"Of {pairs.pairs:,} random pairs (X, Y), {pairs.data}, each with at least {N:,} trajectories, "
        f"{pairs.with_saddle:,} {'has' if pairs.with_saddle == 1 else 'have'} a saddle{censored}. So {above}less than "
        f"{at_most(share.upper)} of all pairs are bad, at {_percent(pairs.confidence)} confidence: bad is a pair whose "
        f"saddle basins hold at least {at_least(pairs.eps)} of the law, what {N:,} trajectories show. Hits cluster by "
        "pair: more trajectories lower that figure, more pairs alone lower the share. This takes every label for right."
    )


def labels(measured: Measured, unchecked: Mapping[str, str] | None = None) -> str:
    """The label error of the labels that a bound rests on, and the bound that includes it (labels.py). unchecked:
    names, by key, of the cases that make a pool's label error unknown.
    """
    error = measured.label_error
    if error is None and unchecked:
        names = [f"'{name}'" for name in unchecked.values()]
        which = f"case {names[0]}" if len(names) == 1 else f"{len(names):,} cases ({', '.join(names[:4])}"
        more = "" if len(names) == 1 else ", ...)" if len(names) > 4 else ")"
        return f"label error: unknown, because no label of {which}{more} could be drawn for a check"
    if error is None:
        return LABELS
    rows = [_checked("minima", error.minimum)] + [_checked("saddles", error.saddle)] * (measured.saddle > 0)
    within = error.saddle_measure
    above = f"more than {at_least(within.lower)} and " if within.lower > 0 else ""
    return (
        f"label error: {', '.join(rows)}; with it included, {above}less than {at_most(within.upper)} at the "
        f"same confidence{_more(error)}"
    )


def _checked(what: str, rows: Checked) -> str:
    undecided = f" and {rows.undecided:,} are undecided" if rows.undecided else ""
    every = "all " if rows.checked and rows.checked == rows.rows else ""
    return f"of {every}{rows.checked:,} {what} checked {rows.disagreed:,} disagree{undecided}"


def _more(error: LabelError) -> str:
    """What would reduce the label error."""
    rows = error.minimum
    if rows.uncovered:
        return (
            f" ({rows.uncovered:,} minima count as wrong, because no kept check was drawn from them: run basins verify "
            "RUN again)"
        )
    if rows.checked >= error.needed:
        return ""
    return f" ({error.needed:,} minima checked and none wrong would make their error as small as the bound)"


def _control(case: CaseEstimate) -> str:
    assert case.planted is not None
    where = next((s for s in case.strata if s.modes == case.planted), None)
    found = 0 if where is None else where.count
    name = stratum_text(where.index if where else None, case.planted)
    if found == case.trajectories:
        return (
            f"Control, planted on {name}: it should read 100 % saddle there, and does ({found:,} of {found:,}): the "
            "detector works."
        )
    censored = f"; {_censored(case)}" if case.censored else ""
    return (
        f"CONTROL FAILED: planted on {name}, it should read 100 % saddle there and reads {found:,} of "
        f"{case.trajectories:,} ({case.minimum:,} minimum{censored}). Trust no count of this run before that is "
        f"explained. {_check(case)}"
    )


def _cannot_test(case: CaseEstimate) -> str:
    if case.saddle:
        return (
            f"{case.shape} Yet {_of(case.saddle, case)} are labelled saddle ({_strata_met(case)}): suspect the labels "
            f"before the theorem. {_between(case)}; {labels(case)}. {_check(case)}"
        )
    censored = f", but {_censored(case)}" if case.censored else ", none censored"
    agree = settled_alike(case)
    return (
        f"{case.shape} So this checks the machinery: no saddle among {case.trajectories:,} trajectories{censored} "
        f"(bound {at_most(case.saddle_measure.upper)}; {labels(case)}).{' ' * bool(agree)}{agree}"
    )


def _between(case: CaseEstimate) -> str:
    measure = case.saddle_measure
    censored = f" (with {case.censored:,} censored)" if case.censored else ""
    return (
        f"Saddle-basin measure {number(measure.estimate or 0.0)}, more than {at_least(measure.lower)} and less than "
        f"{at_most(measure.upper)}{censored}, each at {_percent(case.confidence)} confidence"
    )


def _check(case: CaseEstimate) -> str:
    if not case.doubtful:
        return ""
    return f"Look at one: basins show RUN --case {case.case} --id {case.doubtful[0]} --reintegrate"


def _censored(case: CaseEstimate) -> str:
    reasons = sorted(case.reasons.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{reason}: {count:,}" for reason, count in reasons)
    remedy = f"; {remedy_of(reasons[0][0], case.null)}" if reasons and reasons[0][0] in REMEDIES else ""
    verb = "is" if case.censored == 1 else "are"
    return f"{case.censored:,} {verb} censored ({text}{remedy})"


def remedy_of(reason: str, null: bool) -> str:
    """The remedy for rows censored for this reason, under a null law or under one with a density."""
    return WAITED if null and reason == REASONS[Reason.settled] else REMEDIES[reason]


def settled_alike(case: CaseEstimate) -> str:
    """A remark if several rows of a law with a density have settled, all of them beside one stratum."""
    if case.null or len(case.settled) != 1:
        return ""
    [(modes, count)] = case.settled.items()
    if count < 2:
        return ""
    index = next((s.index for s in case.strata if s.modes == modes), None)
    text = f"All {count:,} settled rows whose loss identifies a stratum are beside one, {stratum_text(index, modes)}"
    if modes == case.beside:
        return f"{text}: the starts of this law lie beside it, so this is no evidence."
    if case.H == 1 or modes != tuple(range(len(modes))):
        return f"{text}: all its saddles are strict, and their basins are null by theorem (docs/verdicts.md)."
    return (
        f"{text}: evidence against the conjecture would look like this, if survival also stops falling (basins plot "
        "survival RUN, docs/verdicts.md)."
    )


def _strata_met(case: CaseEstimate) -> str:
    met = [s for s in case.strata if s.count and not s.is_minimum]
    most = sorted(met, key=lambda s: -s.count)[:4]
    parts = [f"{set_text(s)}: {s.count:,}" for s in most]
    return "; ".join(parts) + ("; ..." if len(met) > 4 else "")


def _of(count: int, case: CaseEstimate) -> str:
    return f"{count:,} of {case.trajectories:,} trajectories"


def set_text(measured: StratumMeasure) -> str:
    """The name of a critical set: I(3), S = {0,2} for a deep linear network, else the landscape's own name."""
    if measured.column == "modes":
        return stratum_text(measured.index, measured.modes)
    return measured.of.name


def stratum_text(index: int | None, modes: Sequence[int]) -> str:
    """The name of a stratum: I(3), S = {0,2}."""
    S = modes_text(modes)
    return f"S = {S}" if index is None else f"I({index}), S = {S}"


def modes_text(modes: Sequence[int]) -> str:
    """S as a set of positions in sigma: {0,2}, or {} if empty."""
    return "{" + ",".join(map(str, modes)) + "}"


def size_of(case: CaseEstimate) -> str:
    """The size of the case's landscape: widths from d_x to d_y, or the landscape's own description."""
    return widths_text(case.widths) if case.conjecture else case.size_text


def widths_text(widths: Iterable[int]) -> str:
    """Widths from d_x to d_y: 4-4-4-3."""
    return "-".join(map(str, widths))


def number(value: float, rounding: str = ROUND_HALF_EVEN) -> str:
    """A measure in four figures: 0, 1.498e-4, 0.1234, 1. Bounds are rounded outward, see at_most and at_least."""
    if value in (0.0, 1.0):
        return str(int(value))
    # Near 1 the distance to 1 has four figures.
    small = min(value, 1 - value) if value > 0.9 else value
    exponent = Decimal(small).adjusted() - 3
    rounded = Decimal(value).quantize(Decimal(1).scaleb(exponent), rounding)
    if rounded in (0, 1):
        return str(int(rounded))
    if rounded >= Decimal("0.001"):
        return f"{rounded.normalize():f}"
    return f"{rounded:.3e}".replace("e-0", "e-")


def at_most(value: float) -> str:
    """An upper bound in four figures, never below it."""
    return number(value, ROUND_CEILING)


def at_least(value: float) -> str:
    """A lower bound in four figures, never above it."""
    return number(value, ROUND_FLOOR)


def _percent(confidence: float) -> str:
    return f"{100 * confidence:g} %"
