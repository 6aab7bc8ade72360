"""The output of `basins describe` and of `--dry-run`: an experiment's plan and cost, its problems and cases."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from basins.certified_share import CertifiedShare
from basins.description import Description, PlannedCase
from basins.estimate import law_text
from basins.estimate.sentences import widths_text
from basins.experiment import Experiment
from basins.landscapes.deep_linear.problem import Problem
from basins.output.console.screen import columns, counted, duration, heading, indented, paragraph, shortened, size


def print_plan(out: Console, experiment: Experiment, plan: Sequence[PlannedCase], workers: int, where: str) -> None:
    """Print what `basins run` would do, and its cost."""
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
        text = f"blocks_per_shard = {blocks} by a pilot on this machine; a run keeps the number from its creation."
        paragraph(out, text)


def wall(plan: Sequence[PlannedCase], workers: int) -> float:
    """Seconds on this number of workers: the work divided evenly, but at least the time of one shard."""
    longest = max(planned.seconds / planned.shards for planned in plan)
    return max(sum(planned.seconds for planned in plan) / workers, longest)


def print_cases(out: Console, experiment: Experiment) -> None:
    """A row a case, of an experiment with many."""
    cases = experiment.cases
    heading(out, experiment.name, f"{len(cases):,} cases, seed {experiment.seed}; --case PART describes one")
    _pilot(out, experiment)
    table = columns("case", "widths", "law", "trajectories", "shards", "can test", text=(0, 2), gap=2)
    for case in cases:
        table.add_row(
            case.name,
            widths_text(case.landscape.widths) if isinstance(case.landscape, Problem) else case.landscape.size_text,
            f"{law_text(case.law)}{', null' if case.law.null else ''}",
            f"{case.trajectories:,}",
            f"{experiment.plan(case).shards:,}",
            "" if case.law.null else "yes" if case.landscape.question()[0] else "no",
        )
    indented(out, table)
    shards = sum(experiment.plan(case).shards for case in cases)
    paragraph(
        out,
        f"{sum(case.trajectories for case in cases):,} trajectories in {counted(shards, 'shard')}. Can test: whether a "
        "run of this shape can tell something of the conjecture that is not proved. `basins run --dry-run` has the "
        "cost of each.",
    )


def print_description(out: Console, experiment: Experiment, described: Sequence[Description], workers: int) -> None:
    """Print each problem once, followed by its cases."""
    _pilot(out, experiment)
    for digest in dict.fromkeys(one.case.problem.digest for one in described):
        group = [one for one in described if one.case.problem.digest == digest]
        _problem(out, experiment, group[0])
        for one in group:
            _case(out, experiment, one, workers)


def _problem(out: Console, experiment: Experiment, one: Description) -> None:
    problem = one.case.problem
    heading(out, experiment.name, one.case.source)
    for line in one.case.reading:
        paragraph(out, line)
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
                shortened(stratum.modes),
                str(stratum.rank),
                f"{stratum.loss:.6g}",
                *([] if problem.H > 1 else [str(stratum.dimension), str(stratum.unstable_index)]),
            )
        indented(out, table)
        if shown:
            paragraph(out, f"({shown} strata)")
    paragraph(out, one.shape.sentence, style="bold")
    out.print()


def _of(part: int, found: CertifiedShare) -> str:
    return f"{part:,} of {found.starts:,} starts, {100 * part / found.starts:.3g} %"


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
    found = one.at_start
    paragraph(
        out,
        f"certified global at t = 0: {_of(found.certified, found)}; by the rate (theory.md 3b) {found.rate:,}, by the "
        f"ranks (3c, 3d) {found.rank:,}, by the loss level (3a) {found.level:,}, each counted separately",
    )
    if one.shape.can_test and not case.law.null:
        paragraph(
            out,
            "left to test the conjecture, a saddle without negative curvature not being excluded (3a to 3e): "
            f"{_of(found.testing, found)}",
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
