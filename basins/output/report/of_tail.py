"""The page of a tail: its bound, the levels with their columns explained, the figure, and what could be wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence

from basins.estimate import law_text
from basins.estimate.sentences import at_least, at_most, number, stratum_text, widths_text
from basins.output.figures.tail import TailLine, line_of, tail
from basins.output.report.content import CaseSection, Page, Picture, picture
from basins.output.report.doubts import Alarm
from basins.output.report.page import rendered
from basins.output.report.tables import Table
from basins.rare import formatting
from basins.rare.combine import CALIBRATED
from basins.rare.record import TailManifest, read_manifest
from basins.rare.tail import CaseTail, read_tail
from basins.store import files_at
from basins.store.commit import experiment_text

QUESTION = (
    "A deep linear network trained by gradient flow converges to a critical point. The overfitting conjecture says "
    "that from almost every start it is a global minimum. Counting N starts bounds the saddle basins' measure by 3/N; "
    "a tail goes further, by splitting: it estimates the probability of a set that holds the basins, level by level."
)


def report_of_tail(run: str | os.PathLike[str]) -> str:
    """The page of the tail at a path, of its complete replicates. Raises RunError where there is none or too little of
    it, MissingExtraError without the extra."""
    files = files_at(run)
    manifest = read_manifest(files)
    return rendered(content_of_tail(manifest, read_tail(run), experiment_text(files)))


def content_of_tail(manifest: TailManifest, tails: Sequence[CaseTail], experiment: str) -> Page:
    """The content of a tail's page."""
    lines = [line_of(one) for one in tails]
    return Page(
        name=f"{manifest.name}: tail",
        question=QUESTION,
        alarms=_alarms(tails),
        verdict=_verdict(tails),
        also=[],
        cases=_cases(tails),
        overview=[_picture(lines)] if len(lines) > 1 else [],
        details=[_section(line, explained=line is lines[0]) for line in lines],
        left_out="",
        doubts=_doubts(tails),
        assumptions=[],
        health=[],
        experiment=experiment,
        provenance=_provenance(manifest),
        command="basins tail",
    )


def _alarms(tails: Sequence[CaseTail]) -> list[Alarm]:
    unbounded = [one.case.name for one in tails if one.last is None or not one.last.bounded]
    if not unbounded:
        return []
    return [Alarm("No bound:", f"{', '.join(unbounded[:6])}: an estimate without an interval bounds nothing.")]


def _verdict(tails: Sequence[CaseTail]) -> str:
    if len(tails) == 1:
        return formatting.sentences(tails[0])[0]
    said = [f"{one.case.name}: below {_bound(one)}" for one in tails]
    what = "saddle measure" if tails[0].stratum is None else "measure of the stratum's basin"
    return f"Bounds on the {what}, one-sided at 95 %. {'; '.join(said)}."


def _bound(one: CaseTail) -> str:
    return at_most(one.last.bound) if one.last is not None and one.last.bounded else "1"


def _cases(tails: Sequence[CaseTail]) -> Table:
    """A row a case: its deepest level that is resolved, and the bound from it."""
    near = tails[0].stratum is not None
    rows = []
    for one in tails:
        last = one.last
        over = [] if last is None else [formatting.slope(one, level) for level in one.levels[-3:]]
        rows.append(
            (
                one.case.name,
                widths_text(one.case.problem.widths),
                law_text(one.case.law),
                f"{one.replicates} of {one.plan.population:,} chains",
                "" if last is None else f"{last.threshold:.4g}",
                "" if last is None else number(last.P),
                f"[{at_least(last.lower)}, {at_most(last.upper)}]" if last is not None and last.bounded else "none",
                _bound(one),
                f"{sum(over) / len(over):.2f}" if over else "",
                "" if one.expected is None else f"{one.expected:.3g}",
            )
        )
    columns = (
        "case", "widths", "law", "replicates", "g" if near else "t", "P(G < g)" if near else "P(T > t)",
        "95 % interval", "bound", "slope", "predicted",
    )  # fmt: skip
    caption = (
        "Cases, at the deepest level that double precision resolves. Bound: one-sided at 95 %; slope: mean of the last "
        "three levels; predicted: asymptotically (heuristic)."
    )
    return Table(caption, columns, rows, text=(0, 1, 2, 3), wrap=(0, 2))


def _section(line: TailLine, explained: bool) -> CaseSection:
    """A case. explained: with what the columns say."""
    one = line.tail
    of = "" if one.stratum is None else f", {stratum_text(one.stratum.index, one.stratum.modes)}"
    what = f"{widths_text(one.case.problem.widths)}, {law_text(one.case.law)}{of}; {one.case.source}"
    first, *rest = formatting.sentences(one)
    headings = ("level", *formatting.headings(one.stratum)[1:])
    levels = Table("Splitting levels", headings, [tuple(formatting.row(one, level)) for level in one.levels])
    told = list(formatting.explanations(one.stratum).items())
    columns = Table("What the columns say", ("column", "what"), told, text=(0, 1), wrap=(1,))
    notes = [*rest, *([] if line.truth is None else [_exact(line)])]
    tables = [levels, columns] if explained else [levels]
    return CaseSection(one.case.name, what, first, tables, notes, [_picture([line])])


def _exact(line: TailLine) -> str:
    assert line.truth is not None
    levels = {level.threshold: level for level in line.tail.levels}
    at = [(levels[x], P) for x, P in zip(*line.truth, strict=True) if levels[x].bounded]
    inside = sum(level.lower <= P <= level.upper for level, P in at)
    return (
        f"P is known exactly here, at {len(at)} of the levels with an interval; the interval holds it at {inside} "
        "(levels of a run are not independent)."
    )


def _picture(lines: Sequence[TailLine]) -> Picture:
    near = lines[0].tail.stratum is not None
    event = "P(G < g): how near starts come to the stratum" if near else "P(T > t): the share not certified by t"
    return picture(
        tail(lines),
        f"{event}, from splitting level to splitting level, with 95 % intervals; hollow points are not resolved in "
        "double precision; crosses are exact values, where they are known.",
        "A probability that falls from level to level on a logarithmic scale; the numbers are in the tables.",
    )


def _doubts(tails: Sequence[CaseTail]) -> list[str]:
    found = [f"{one.case.name}: {said}." for one in tails for said in one.warnings]
    found.append(
        "The bounds concern computed trajectories: label error is not counted in. The column `kept` says how many "
        "chains stay inside under rounding and at tighter tolerances."
    )
    found.append(
        f"The interval is of the replicates' spread alone, and calibrated from {CALIBRATED} replicates on "
        "(docs/calibration.md). What no replicate has found, it does not hold."
    )
    return found


def _provenance(manifest: TailManifest) -> Table:
    plan = manifest.plan
    rows = [
        ("experiment, SHA-256", manifest.digest),
        ("seed", str(plan.seed)),
        ("target", f"{plan.target:g}"),
        ("splits on", "T, the time of the certificate" if plan.stratum is None else f"G, of I({plan.stratum})"),
        ("chains in a replicate", f"{plan.population:,}"),
        ("share that a level keeps", f"{plan.p_0:g}"),
        ("moves of a chain at a level", str(plan.sweeps)),
        *((f"made with {name}", version) for name, version in manifest.versions),
        *((f"case {case.name}", case.key) for case in manifest.cases),
    ]
    return Table("Where this comes from", ("what", "value"), rows, text=(0, 1), wrap=(1,))
