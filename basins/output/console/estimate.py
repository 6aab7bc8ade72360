"""The output of `basins estimate`: every case with its strata, the bound and the sentence, then the pool."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from basins.classification.verdict import REASONS, Reason
from basins.estimate import CaseEstimate, Estimate, Measure, PooledEstimate
from basins.estimate.sentences import at_least, at_most, number, pairs_sentence, pooled_sentence, sentence, size_of
from basins.output.console.screen import columns, counted, heading, indented, paragraph, shortened
from basins.output.strata import strata_cells, strata_headings

FEW = 8
"""The largest number of cases that are all printed in full."""

ALARMS = 4
"""Of more, so many of those that are not as they should be."""


def print_estimate(out: Console, estimate: Estimate) -> None:
    """Print every case, then the pool if it has more than one case. With more than FEW cases: a table of all, and in
    full those with saddles and controls that fail."""
    plain = [case for case in estimate.cases if case.planned == case.trajectories and _plain(case)]
    right = [case for case in estimate.cases if case.planted is not None and not _alarm(case) and case.trajectories]
    shown = list(estimate.cases)
    if len(shown) > FEW:
        heading(out, f"{len(shown):,} cases", "--case PART shows one in full")
        indented(out, _table(estimate.cases))
        _folded(out, plain, right)
        shown = [case for case in shown if _alarm(case) == "bold red" and case.trajectories][:ALARMS]
    for case in shown:
        print_case(out, case)
    if len(estimate.pooled.cases) + len(estimate.pooled.twins) > 1:
        print_pool(out, estimate.pooled)


def _plain(case: CaseEstimate) -> bool:
    """A law with a density, no saddle and none censored."""
    return not case.null and not case.saddle and not case.censored and case.trajectories > 0


def _folded(out: Console, plain: Sequence[CaseEstimate], right: Sequence[CaseEstimate]) -> None:
    if plain:
        bounds = [case.saddle_measure.upper for case in plain]
        many = sum(case.trajectories for case in plain)
        paragraph(
            out,
            f"{counted(len(plain), 'case')}, {many:,} trajectories: no saddle, none censored. Each alone bounds its "
            f"saddle basins at {100 * plain[0].confidence:g} %, one-sided: the tightest below {at_most(min(bounds))}, "
            f"the loosest below {at_most(max(bounds))}.",
        )
    proofs = [case.proved for case in plain if case.proved is not None and case.proved.every]
    every = [proved for proved in proofs if proved.proved == proved.tried]
    if every:
        paragraph(
            out,
            f"Of {counted(len(every), 'case')} every start is proved to flow to a global minimum; label error there: "
            "none.",
        )
    if right:
        paragraph(out, f"{counted(len(right), 'control')}: 100 % saddle where they were planted.")
    out.print()


def _table(cases: Sequence[CaseEstimate]) -> Table:
    """One row per case; widths and law only where the names do not tell the cases apart by what was swept."""
    swept = all(" = " in case.name for case in cases)
    what = () if swept else ("widths", "law")
    names = ("case", *what, "counted", "minimum", "saddle", "censored", "bound", "proved")
    table = columns(*names, text=(0,) if swept else (0, 2), gap=2)
    for case in cases:
        part = "" if case.trajectories == case.planned else f" of {case.planned:,}"
        table.add_row(
            case.name,
            *(() if swept else (size_of(case), case.law)),
            f"{case.trajectories:,}{part}",
            f"{case.minimum:,}",
            f"{case.saddle:,}",
            f"{case.censored:,}",
            "null" if case.null else at_most(case.saddle_measure.upper),
            "" if case.proved is None else f"{case.proved.proved:,}/{case.proved.tried:,}",
            style="bold red" if case.trajectories and _alarm(case) == "bold red" else "",
        )
    return table


def print_undecided(out: Console, estimate: Estimate, budget: int) -> None:
    """Print how many trajectories an extension to this budget left undecided, and the remedy."""
    spent = sum(case.reasons.get(REASONS[Reason.evaluation_budget], 0) for case in estimate.cases)
    if spent:
        rows = counted(spent, "trajectory", "trajectories")
        said = f"{rows} used up this budget: give more, or leave them censored."
    else:
        said = "No trajectory is left that ended at its budget."
    out.print(f"extended to {budget:,} evaluations. {said}", soft_wrap=True)


def print_case(out: Console, case: CaseEstimate) -> None:
    """Print a case: heading, strata, the bound, and the sentence."""
    part = "" if case.trajectories == case.planned else f" of {case.planned:,}"
    null = ", null" if case.null else ""
    heading(out, case.name, f"{size_of(case)}, {case.law}{null}, {case.trajectories:,}{part} trajectories")
    if case.trajectories:
        indented(out, _strata(case))
        share = number(case.saddle_measure.estimate or 0.0)
        bounds = _one_sided(case, case.saddle_measure)
        said = f"saddle share {share}" if case.null else f"saddle-basin measure {share}, {bounds}"
        paragraph(out, f"{case.minimum:,} minimum, {case.saddle:,} saddle, {case.censored:,} censored; {said}")
        if case.label_error is not None and not case.null:
            paragraph(out, f"with label error included: {_one_sided(case, case.label_error.saddle_measure)}")
        if case.proved is not None:
            left = case.proved.tried - case.proved.proved
            said = f"{case.proved.tried:,} starts tried, {case.proved.proved:,} proved, {left:,} not"
            paragraph(out, f"{said}; saddle-basin measure below {at_most(case.proved.upper)} by proofs alone")
    paragraph(out, sentence(case), style=_alarm(case))
    out.print()


def print_pool(out: Console, pooled: PooledEstimate) -> None:
    heading(out, "pooled", f"laws with a density, {pooled.trajectories:,} trajectories")
    paragraph(out, pooled_sentence(pooled))
    for pairs in pooled.pairs:
        paragraph(out, pairs_sentence(pairs))
    out.print()


def _strata(case: CaseEstimate) -> Table:
    table = columns(*strata_headings(case))
    for stratum in case.strata:
        is_minimum = stratum.is_minimum
        style = "" if not stratum.count else "green" if is_minimum or case.planned is not None else ""
        if stratum.count and not is_minimum:
            style = "green" if stratum.modes == case.planted else "bold red"
        name = shortened(stratum.modes) if case.conjecture else stratum.of.name
        table.add_row(*strata_cells(case, stratum, name), style=style)
    return table


def _one_sided(case: CaseEstimate, measure: Measure) -> str:
    said = [f"above {at_least(measure.lower)}"] * (measure.lower > 0) + [f"below {at_most(measure.upper)}"]
    return f"{' and '.join(said)}{', each' * (len(said) > 1)} at {100 * case.confidence:g} %, one-sided"


def _alarm(case: CaseEstimate) -> str:
    if case.planted is not None:
        return "" if case.saddle == case.trajectories else "bold red"
    return "bold red" if case.saddle and not case.null else "bold"
