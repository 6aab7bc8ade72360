"""What the command line prints: results laid out by rich, on at most 100 columns, the same on a terminal and in a pipe
but for colour."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from basins.describe import Description, PlannedCase
from basins.estimate import CaseEstimate, Estimate, Measure, PooledEstimate, law_text
from basins.experiment import Case, Experiment
from basins.limits import REASONS, Reason
from basins.screen import columns, counted, duration, heading, indented, paragraph, size
from basins.screen import console as console
from basins.sentences import (
    at_least,
    at_most,
    modes_text,
    number,
    pairs_sentence,
    pooled_sentence,
    sentence,
    stratum_text,
    widths_text,
)
from basins.show import Again, Row, Shown, compared, why
from basins.strata import mask_to_modes

FEW = 20
"""Up to so many cases are each printed in full."""

MODES_LISTED = 12
"""Modes of one stratum that a table has room for."""


# --- estimate -------------------------------------------------------------------------------------------------------


def print_estimate(out: Console, estimate: Estimate) -> None:
    """Every case, then the pool where it adds something. Of more than FEW cases those that are as the conjecture has
    them, and controls that read as they should, are said in a line each."""
    plain = [case for case in estimate.cases if case.planned == case.trajectories and _plain(case)]
    right = [case for case in estimate.cases if case.planted is not None and not _alarm(case) and case.trajectories]
    folded = {case.case for case in (*plain, *right)} if len(estimate.cases) > FEW else set()
    for case in estimate.cases:
        if case.case not in folded:
            print_case(out, case)
    if folded:
        _folded(out, plain, right)
    if len(estimate.pooled.cases) + len(estimate.pooled.twins) > 1:
        print_pool(out, estimate.pooled)


def _plain(case: CaseEstimate) -> bool:
    """A law with a density, no saddle and none censored."""
    return not case.null and not case.saddle and not case.censored and case.trajectories > 0


def _folded(out: Console, plain: Sequence[CaseEstimate], right: Sequence[CaseEstimate]) -> None:
    heading(out, f"{len(plain) + len(right)} cases", "as they should be; --case shows one in full")
    if plain:
        bounds = [case.saddle_measure.upper for case in plain]
        many = sum(case.trajectories for case in plain)
        paragraph(
            out,
            f"{counted(len(plain), 'case')}, {many:,} trajectories: no saddle, none censored. Each alone bounds its "
            f"saddle basins at {100 * plain[0].level:g} %, one-sided: the tightest below {at_most(min(bounds))}, the "
            f"loosest below {at_most(max(bounds))}.",
        )
    if right:
        paragraph(out, f"{counted(len(right), 'control')}: 100 % saddle where they were planted.")
    out.print()


def print_left(out: Console, estimate: Estimate, budget: int) -> None:
    """What an extension to this budget left undecided, and how to go on."""
    spent = sum(case.reasons.get(REASONS[Reason.evaluation_budget], 0) for case in estimate.cases)
    if spent:
        rows = counted(spent, "trajectory", "trajectories")
        said = f"{rows} spent all of them: give more, or leave them censored."
    else:
        said = "No trajectory that ended at its budget is left."
    out.print(f"extended to {budget:,} evaluations. {said}", soft_wrap=True)


def print_case(out: Console, case: CaseEstimate) -> None:
    """Heading, strata, the bound, and the sentence."""
    part = "" if case.trajectories == case.planned else f" of {case.planned:,}"
    null = ", null" if case.null else ""
    heading(out, case.name, f"{widths_text(case.widths)}, {case.law}{null}, {case.trajectories:,}{part} trajectories")
    if case.trajectories:
        indented(out, _strata(case))
        share = number(case.saddle_measure.estimate or 0.0)
        bounds = _one_sided(case, case.saddle_measure)
        said = f"saddle share {share}" if case.null else f"saddle-basin measure {share}, {bounds}"
        paragraph(out, f"{case.minimum:,} minimum, {case.saddle:,} saddle, {case.censored:,} censored; {said}")
        if case.label_error is not None and not case.null:
            paragraph(out, f"with label error counted in: {_one_sided(case, case.label_error.saddle_measure)}")
    paragraph(out, sentence(case), style=_alarm(case))
    out.print()


def print_pool(out: Console, pooled: PooledEstimate) -> None:
    heading(out, "pooled", f"laws with a density, {pooled.trajectories:,} trajectories")
    paragraph(out, pooled_sentence(pooled))
    for pairs in pooled.pairs:
        paragraph(out, pairs_sentence(pairs))
    out.print()


def _strata(case: CaseEstimate) -> Table:
    table = columns("j", "modes S", "rank", "loss", "count", "measure", "95 % interval, jointly")
    for stratum in case.strata:
        is_minimum = stratum.rank == case.widths[-1]
        style = "" if not stratum.count else "green" if is_minimum or case.planned is not None else ""
        if stratum.count and not is_minimum:
            style = "green" if stratum.modes == case.planted else "bold red"
        table.add_row(
            "" if stratum.index is None else str(stratum.index),
            _modes(stratum.modes),
            str(stratum.rank),
            f"{stratum.loss:.6g}",
            f"{stratum.count:,}",
            number(stratum.count / case.trajectories),
            f"[{at_least(stratum.lower)}, {at_most(stratum.upper)}]",
            style=style,
        )
    return table


def _one_sided(case: CaseEstimate, measure: Measure) -> str:
    said = [f"above {at_least(measure.lower)}"] * (measure.lower > 0) + [f"below {at_most(measure.upper)}"]
    return f"{' and '.join(said)}{', each' * (len(said) > 1)} at {100 * case.level:g} %, one-sided"


def _alarm(case: CaseEstimate) -> str:
    if case.planted is not None:
        return "" if case.saddle == case.trajectories else "bold red"
    return "bold red" if case.saddle and not case.null else "bold"


# --- the plan -------------------------------------------------------------------------------------------------------


def print_plan(out: Console, experiment: Experiment, plan: Sequence[PlannedCase], workers: int, where: str) -> None:
    """What `basins run` would do, and what it would cost."""
    heading(out, experiment.name, f"{counted(len(plan), 'case')}, seed {experiment.seed}")
    table = columns("case", "law", "trajectories", "blocks", "shards", "each", "one worker", "disk", text=(0, 1), gap=2)
    for planned in plan:
        table.add_row(
            planned.case.name,
            law_text(planned.case.law),
            f"{planned.case.trajectories:,}",
            f"{planned.blocks:,}",
            f"{planned.shards:,}",
            duration(planned.cost.seconds),
            duration(planned.seconds),
            size(planned.size),
        )
    indented(out, table)
    _pilot(out, experiment)
    total = sum(planned.case.trajectories for planned in plan)
    paragraph(
        out,
        f"{total:,} trajectories in {counted(sum(planned.shards for planned in plan), 'shard')}: about "
        f"{duration(wall(plan, workers))} on {counted(workers, 'worker')} like this machine's once started, about "
        f"{size(sum(planned.size for planned in plan))} in {where}. Nothing was written.",
    )


def _pilot(out: Console, experiment: Experiment) -> None:
    if experiment.auto:
        blocks = experiment.blocks_per_shard
        said = f"blocks_per_shard = {blocks} by a pilot on this machine; a run keeps that of its own, at its creation."
        paragraph(out, said)


def wall(plan: Sequence[PlannedCase], workers: int) -> float:
    """Seconds on so many workers: the work shared evenly, but no less than one shard takes."""
    longest = max(planned.seconds / planned.shards for planned in plan)
    return max(sum(planned.seconds for planned in plan) / workers, longest)


# --- describe -------------------------------------------------------------------------------------------------------


def print_description(out: Console, experiment: Experiment, described: Sequence[Description], workers: int) -> None:
    """Each problem once, then the cases that are made of it."""
    _pilot(out, experiment)
    for digest in dict.fromkeys(one.case.problem.digest for one in described):
        group = [one for one in described if one.case.problem.digest == digest]
        _problem(out, experiment, group[0])
        for one in group:
            _case(out, experiment, one, workers)


def _problem(out: Console, experiment: Experiment, one: Description) -> None:
    problem = one.case.problem
    heading(out, experiment.name, one.case.source)
    condition = "" if problem.condition is None else f", cond(X) = {problem.condition:.4g}"
    paragraph(
        out,
        f"{problem.flow} flow, widths {widths_text(problem.widths)}: H = {problem.H}, a state has n = {problem.n} "
        f"numbers{condition}",
    )
    sigma = ", ".join(f"{s:.6g}" for s in problem.sigma[:16]) + (", ..." if problem.d_y > 16 else "")
    paragraph(out, f"sigma = {sigma}")
    if problem.least_squares_loss is not None:
        paragraph(out, f"least-squares loss {problem.least_squares_loss:.6g} (no network is below it; not part of L)")
    for note in (note for note in problem.notes if note not in one.case.source):
        paragraph(out, f"note: {note}")
    out.print()
    table = columns("", "assumption", "holds", "by", text=(1, 3))
    for assumption in problem.assumptions():
        holds = {True: "yes", False: "no", None: "not looked at"}[assumption.holds]
        table.add_row(str(assumption.number), assumption.statement, holds, assumption.evidence)
    indented(out, table)
    out.print()
    if one.strata:
        shown = f"the first {len(one.strata)} of {1 << problem.d_y:,}" if len(one.strata) < 1 << problem.d_y else ""
        table = columns("j", "modes S", "rank", "loss", "dimension", "unstable", text=(1,), hide=problem.H > 1)
        for stratum in one.strata:
            table.add_row(
                str(stratum.index),
                _modes(stratum.modes),
                str(stratum.rank),
                f"{stratum.loss:.6g}",
                *([] if problem.H > 1 else [str(stratum.dimension), str(stratum.unstable_index)]),
            )
        indented(out, table)
        if shown:
            paragraph(out, f"({shown} strata)")
    paragraph(out, one.shape.sentence, style="bold")
    out.print()


def _case(out: Console, experiment: Experiment, one: Description, workers: int) -> None:
    case, cost = one.case, one.cost
    heading(out, case.name, f"case {case.key}, {law_text(case.law)}{', null' if case.law.null else ''}")
    settings = case.settings
    paragraph(
        out,
        f"engine {settings.engine} {settings.method}, rtol {settings.rtol:g}, atol {settings.atol:g}, budget "
        f"{settings.budget:,} evaluations",
    )
    for note in one.notes:
        paragraph(out, note)
    paragraph(
        out,
        f"certified global at t = 0 (theory.md 3b to 3d): {one.certified:,} of {one.starts:,} starts, "
        f"{100 * one.certified / one.starts:.3g} %",
    )
    if one.shape.can_test and not case.law.null:
        paragraph(
            out,
            "left to test the conjecture, a saddle without negative curvature not being excluded (3a to 3e): "
            f"{one.testing:,} of {one.starts:,} starts, {100 * one.testing / one.starts:.3g} %",
        )
    verdicts = ", ".join(f"{count} {name}" for name, count in cost.verdicts.items())
    paragraph(
        out,
        f"a trajectory costs {duration(cost.seconds)} and {cost.evaluations:,.0f} evaluations (mean of "
        f"{cost.trajectories}: {verdicts})",
    )
    of_case = experiment.plan(case)
    planned = PlannedCase(case, of_case.blocks, of_case.shards, cost)
    paragraph(
        out,
        f"the case: {case.trajectories:,} trajectories in {counted(of_case.shards, 'shard')}, about "
        f"{duration(wall([planned], workers))} on {counted(workers, 'worker')} once started, {size(planned.size)}",
    )
    out.print()


# --- show -----------------------------------------------------------------------------------------------------------


def print_row(out: Console, shown: Shown) -> None:
    """One row: why, every number, and its visits."""
    case, row = shown.case, shown.row
    heading(out, f"id {row['id']}", f"case {case.name}, {widths_text(case.problem.widths)}, {law_text(case.law)}")
    if not shown.kept:
        paragraph(out, 'This row was not kept (rows = "exceptions"): the trajectory was integrated again just now.')
    if shown.layer:
        paragraph(
            out, f"Of layer {shown.layer}: integrated again with a budget of {case.settings.budget:,} evaluations."
        )
    paragraph(out, why(case, row), style="bold")
    out.print()
    table = Table.grid(padding=(0, 3, 0, 0))
    for name, value in row.items():
        if name != "id":
            table.add_row(Text(name, style="dim"), _value(name, value))
    indented(out, table)
    if shown.visits is None:
        paragraph(out, "no visits: this id was not watched (visits_every)")
    elif not shown.visits:
        paragraph(out, "no visits: its gradient norm had no local minimum on the way")
    else:
        out.print()
        paragraph(out, "visits: closest approaches, where the gradient norm has a local minimum")
        table = columns("number", "t", "loss", "gradient norm", "nearest stratum", text=(4,))
        for visit in shown.visits:
            table.add_row(
                str(visit["number"]),
                f"{visit['t']:.6g}",
                _value("loss", visit["loss"]),
                _value("gradient_norm", visit["gradient_norm"]),
                _nearest(case, visit),
            )
        indented(out, table)
    out.print()


def print_again(out: Console, shown: Shown, first: Again, second: Again | None) -> None:
    """The re-integrations, side by side with the stored row, and what they say."""
    table = columns(
        "", "stored" if shown.kept else "just now", "again", *(["tighter"] if second else []), text=(0, 1, 2, 3)
    )
    for name, value in shown.row.items():
        if name == "id":
            continue
        others = [again.row[name] for again in (first, second) if again is not None]
        table.add_row(
            name,
            *(_value(name, one) for one in (value, *others)),
            style="" if value == others[0] else "bold red",
        )
    indented(out, table)
    for said in compared(shown, first, second):
        paragraph(out, said, style="bold red" if "ANOTHER" in said else "bold")
    out.print()


def _value(name: str, value: object) -> str:
    if value is None:
        return "unknown" if name in ("modes", "rank", "rejected") else "none"
    if name == "modes":
        return _modes(mask_to_modes(int(str(value))))
    if isinstance(value, float):
        return f"{value:.10g}" if name in ("loss", "t") else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _nearest(case: Case, visit: Row) -> str:
    if visit["modes"] is None:
        return "unknown"
    stratum = case.problem.strata().of(int(visit["modes"]))
    return stratum_text(stratum.index, stratum.modes)


# --- small things ---------------------------------------------------------------------------------------------------


def _modes(modes: Sequence[int]) -> str:
    """S, cut short where it is long: {0,1,...,17} of 15 modes."""
    if len(modes) <= MODES_LISTED:
        return modes_text(modes)
    return modes_text(modes[:MODES_LISTED])[:-1] + f",...}} ({len(modes)})"
