"""Runs side by side: a row a case, and exact tests of whether what was counted differs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from basins.comparison.several import Path, opened
from basins.estimate import CaseEstimate
from basins.estimate.sentences import size_of
from basins.laws import stream_key
from basins.run_tables import Run
from basins.status import seconds_spent

if TYPE_CHECKING:
    import pandas as pd

METHOD = (
    "Fisher's exact test, two-sided, of the counts of two runs; p adjusted by Holm (1979) over all the tests of this "
    "comparison, so that at 0.05 the chance of any false alarm among them is at most 5 %."
)


@dataclass(frozen=True)
class Row:
    """A case of a run.

    run: what it is called beside the others; seed; trajectories: those counted, of planned; lower, upper: bounds of the
    saddle basins' measure at 95 %, one-sided, None for a null law; with_label_error: the upper one with label error
    counted in, None where no label was checked; tried, proved: starts, 0 where none was tried; proved_upper: the bound
    on these alone, None without; evaluations: of the vector field, mean of a trajectory; core_seconds: of all that was
    integrated, by telemetry, None where there is none.
    """

    run: str
    case: str
    key: str
    size: str
    law: str
    seed: int
    trajectories: int
    planned: int
    minimum: int
    saddle: int
    censored: int
    lower: float | None
    upper: float | None
    with_label_error: float | None
    tried: int
    proved: int
    proved_upper: float | None
    evaluations: float | None
    core_seconds: float | None


@dataclass(frozen=True)
class Test:
    """Whether a count differs between a case of one run and the corresponding one of another.

    what: "saddle", "censored" or "not proved"; counts: of each, (count, of so many); p: by Fisher's exact test; p_holm:
    adjusted for all tests of the comparison; skipped: why there is none, then p and p_holm are None.
    """

    case: str
    runs: tuple[str, str]
    what: str
    counts: tuple[tuple[int, int], tuple[int, int]]
    p: float | None
    p_holm: float | None = None
    skipped: str = ""


@dataclass(frozen=True)
class Comparison:
    """Rows, tests, and what is to be known of either: notes."""

    rows: tuple[Row, ...]
    tests: tuple[Test, ...]
    notes: tuple[str, ...]
    method: str = METHOD

    def to_pandas(self) -> pd.DataFrame:
        """The rows, a column a field of `Row`."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows], columns=[field.name for field in fields(Row)])

    def tests_to_pandas(self) -> pd.DataFrame:
        """The tests, a column a field of `Test`."""
        import pandas as pd

        return pd.DataFrame([asdict(test) for test in self.tests], columns=[field.name for field in fields(Test)])

    def to_csv(self) -> str:
        """The rows as CSV, every digit."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: "" if value is None else value for name, value in asdict(row).items()} for row in self.rows
        )
        return text.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare(*runs: Path) -> Comparison:
    """Runs, by path or opened, side by side, each whole or in progress.

    Cases correspond where they have the same key (problem, law and settings), else the same name, else where each of
    two runs has one alone; of these, counts are tested. Raises ArgumentError for fewer than two runs, RunError for a
    place that is none or is damaged.
    """
    named = opened(runs)
    estimates = {name: run.estimate() for name, run in named.items()}
    rows = []
    for name, run in named.items():
        spent = seconds_spent(run.files)
        for one in estimates[name].cases:
            rows.append(_row(name, run, one, spent.get(one.case)))
    tests: list[Test] = []
    unmatched: list[str] = []
    for first, second in combinations(named, 2):
        pairs = list(_corresponding(estimates[first].cases, estimates[second].cases))
        unmatched += (
            [] if pairs else [f"{first} and {second} have no corresponding cases: nothing is tested between them."]
        )
        for mine, theirs in pairs:
            tests += _tests(named, (first, second), (mine, theirs))
    return Comparison(tuple(rows), tuple(_adjusted(tests)), (*unmatched, *_notes(named, rows)))


def _row(name: str, run: Run, one: CaseEstimate, seconds: float | None) -> Row:
    evaluations = sum(int(blocks["evaluations"].sum()) for blocks in run.stream("blocks", one.case, ["evaluations"]))
    proved, error = one.proved, one.label_error
    return Row(
        run=name,
        case=one.name,
        key=one.case,
        size=size_of(one),
        law=one.law,
        seed=run.manifest.seed,
        trajectories=one.trajectories,
        planned=one.planned,
        minimum=one.minimum,
        saddle=one.saddle,
        censored=one.censored,
        lower=None if one.null else one.saddle_measure.lower,
        upper=None if one.null else one.saddle_measure.upper,
        with_label_error=None if one.null or error is None else error.saddle_measure.upper,
        tried=0 if proved is None else proved.tried,
        proved=0 if proved is None else proved.proved,
        proved_upper=None if proved is None else proved.upper,
        evaluations=evaluations / one.trajectories if one.trajectories else None,
        core_seconds=seconds,
    )


def _corresponding(
    ours: Sequence[CaseEstimate], theirs: Sequence[CaseEstimate]
) -> Iterator[tuple[CaseEstimate, CaseEstimate]]:
    by_key, by_name = {one.case: one for one in theirs}, {one.name: one for one in theirs}
    taken: set[str] = set()
    left = []
    for one in ours:
        other = by_key.get(one.case) or by_name.get(one.name)
        if other is None or other.null != one.null or other.case in taken:
            left.append(one)
        else:
            taken.add(other.case)
            yield one, other
    ours_alone = [one for one in left if not one.null]
    theirs_alone = [one for one in theirs if one.case not in taken and not one.null]
    if len(ours_alone) == len(theirs_alone) == 1:
        yield ours_alone[0], theirs_alone[0]


def _tests(runs: dict[str, Run], names: tuple[str, str], pair: tuple[CaseEstimate, CaseEstimate]) -> Iterator[Test]:
    one, other = pair
    cases = [runs[name].case(of.case) for name, of in zip(names, pair, strict=True)]
    seeds = {runs[name].manifest.seed for name in names}
    skipped = ""
    if len(seeds) == 1 and len({stream_key(case.landscape, case.law) for case in cases}) == 1:
        skipped = "the same starts (problem, law and seed): the counts are not independent"
    elif not one.trajectories or not other.trajectories:
        skipped = "nothing is counted yet"
    counted = {
        "saddle": [(of.saddle, of.trajectories) for of in pair],
        "censored": [(of.censored, of.trajectories) for of in pair],
    }
    if one.proved is not None and other.proved is not None:
        counted["not proved"] = [(of.tried - of.proved, of.tried) for of in (one.proved, other.proved)]
    name = one.name if one.name == other.name else f"{one.name} / {other.name}"
    for what, (mine, theirs) in counted.items():
        p = None if skipped else fisher(mine, theirs)
        yield Test(name, names, what, (mine, theirs), p, skipped=skipped)


def fisher(one: tuple[int, int], other: tuple[int, int]) -> float:
    """p, two-sided, of (count, of so many) against another, by Fisher's exact test (scipy.stats.fisher_exact)."""
    from scipy.stats import fisher_exact

    (a, n), (b, m) = one, other
    return min(1.0, float(fisher_exact(np.array([[a, n - a], [b, m - b]])).pvalue))


def _adjusted(tests: Sequence[Test]) -> Iterator[Test]:
    """The tests with p adjusted by Holm's step-down method."""
    real = sorted((test.p, k) for k, test in enumerate(tests) if test.p is not None)
    adjusted: dict[int, float] = {}
    largest = 0.0
    for rank, (p, k) in enumerate(real):
        largest = max(largest, min(1.0, (len(real) - rank) * p))
        adjusted[k] = largest
    for k, test in enumerate(tests):
        yield Test(**{**_shallow(test), "p_holm": adjusted.get(k)})


def _shallow(test: Test) -> dict[str, Any]:
    return {field.name: getattr(test, field.name) for field in fields(Test)}


def _notes(runs: dict[str, Run], rows: Sequence[Row]) -> list[str]:
    found = []
    schemas = {name: run.manifest.schema for name, run in runs.items()}
    if len(set(schemas.values())) > 1:
        said = ", ".join(f"{name}: {schema}" for name, schema in schemas.items())
        found.append(f"The runs are of different schema versions ({said}); what is compared here all of them have.")
    versions = {run.manifest.versions for run in runs.values()}
    if len(versions) > 1:
        found.append("The runs were made with different versions of basins or of its packages.")
    grown = [name for name, run in runs.items() if run.manifest.stages]
    if grown:
        said = ", ".join(grown)
        found.append(
            f"Grown: {said}. The bounds and tests here are for sizes fixed beforehand; basins estimate has more."
        )
    running = [f"{row.run}: {row.case}" for row in rows if row.trajectories < row.planned]
    if running:
        more = f" and {len(running) - 3:,} more" if len(running) > 3 else ""
        found.append(f"Not finished, counted as far as ids have no gap: {', '.join(running[:3])}{more}.")
    return found
