"""The page of several runs: what they say together, side by side, and figures that draw all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basins.comparison import Comparison, compare, pool
from basins.comparison.several import Path, opened
from basins.errors import ArgumentError
from basins.estimate import CaseEstimate, Estimate
from basins.estimate.sentences import at_most, pairs_sentence, sentence, size_of
from basins.output.figures.of_several import FIGURES, Readings
from basins.output.report import doubts
from basins.output.report.content import QUESTION, CaseSection, Page, picture, verdict
from basins.output.report.tables import Table, assumptions, some, strata_table
from basins.store.commit import experiment_text

if TYPE_CHECKING:
    from basins.output.report.content import Picture
    from basins.store import Manifest

CAPTIONS = {
    "occupancy": "The bound of each case of each run on the measure of its saddle basins, one-sided at 95 %.",
    "survival": "Survival: the share not yet certified to end at a global minimum, run by run.",
    "drift": "Drift of the invariants against the tolerance, run by run.",
    "cost": "What a trajectory costs, in evaluations of the vector field, run by run.",
}


def content_of_several(*runs: Path) -> Page:
    """The content of the page. Where nothing may be pooled it says why, and puts the runs side by side."""
    named = opened(runs)
    read, side_by_side = Readings(named), compare(*named.values())
    together: Estimate | None = None
    try:
        together = pool(*named.values())
        said, also = verdict(together), [pairs_sentence(pairs) for pairs in together.pooled.pairs]
    except ArgumentError as error:
        said, also = f"Not pooled: {error.what}.", []
    alarms = [alarm for name, one in read.readings.items() for alarm in doubts.alarms(named[name], one.estimate)]
    pictures = {name: _picture(read, name) for name in FIGURES}
    estimate = Estimate(" + ".join(named), tuple(read.estimates()), next(iter(read.readings.values())).estimate.pooled)
    return Page(
        name=" + ".join(named),
        question=QUESTION,
        alarms=alarms,
        verdict=said,
        also=[*also, *side_by_side.notes],
        cases=_table(side_by_side),
        overview=[pictures["occupancy"], pictures["survival"]],
        details=[] if together is None else [_section(one) for one in together.cases],
        left_out="Each run has a page of its own with more: basins report RUN.",
        doubts=doubts.doubts(estimate, read.summaries()),
        assumptions=[*([_tests(side_by_side)] if side_by_side.tests else []), *assumptions(next(iter(named.values())))],
        health=[pictures["drift"], pictures["cost"]],
        experiment="\n".join(f"# {name}\n{experiment_text(run.files)}" for name, run in named.items()),
        provenance=Table(
            "Where this comes from",
            ("run", "experiment, SHA-256", "seed", "schema", "basins"),
            [
                (name, run.manifest.digest, str(run.manifest.seed), str(run.manifest.schema), _basins(run.manifest))
                for name, run in named.items()
            ],
            text=(0, 1),
            wrap=(1,),
        ),
    )


def _basins(manifest: Manifest) -> str:
    return dict(manifest.versions).get("basins", "")


def _picture(read: Readings, name: str) -> Picture:
    return picture(FIGURES[name](read), CAPTIONS[name], "A line or a bar for each run; numbers are in the table above.")


def _section(case: CaseEstimate) -> CaseSection:
    what = f"{size_of(case)}, {case.law}{', null' if case.null else ''}, {case.trajectories:,} trajectories, together"
    return CaseSection(case.name, what, sentence(case), [strata_table(case)] if case.trajectories else [], [], [])


def _table(found: Comparison) -> Table:
    rows = [
        (
            row.run,
            row.case,
            row.size,
            row.law,
            f"{row.trajectories:,}" if row.trajectories == row.planned else f"{row.trajectories:,} of {row.planned:,}",
            f"{row.minimum:,}",
            f"{row.saddle:,}",
            f"{row.censored:,}",
            "null law" if row.upper is None else at_most(row.upper),
            f"{row.proved:,} of {row.tried:,}" if row.tried else "",
            "" if row.evaluations is None else f"{row.evaluations:,.0f}",
        )
        for row in found.rows
    ]
    columns = (
        "run", "case", "size", "law", "trajectories", "minimum", "saddle", "censored", "bound", "proved",
        "evaluations",
    )  # fmt: skip
    caption = "Cases of each run. Bound: as basins estimate has it; evaluations: of the vector field, a trajectory."
    return Table(caption, columns, rows, text=(0, 1, 2, 3), wrap=(0, 1, 3), marked={6: some})


def _tests(found: Comparison) -> Table:
    rows = [
        (
            test.case,
            " / ".join(test.runs),
            test.what,
            " / ".join(f"{count:,} of {of:,}" for count, of in test.counts),
            test.skipped or f"{test.p:.3g}",
            "" if test.p_holm is None else f"{test.p_holm:.3g}",
        )
        for test in found.tests
    ]
    caption = f"Do the runs differ? {found.method}"
    return Table(
        caption, ("case", "runs", "count", "counts", "p", "p, adjusted"), rows, text=(0, 1, 2, 3), wrap=(0, 1, 3)
    )
