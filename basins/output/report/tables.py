"""The tables of the report. All cells are text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basins.estimate import CaseEstimate, Estimate
from basins.estimate.sentences import at_most, modes_text, number, size_of
from basins.landscapes.base import NEAR
from basins.output.strata import strata_cells, strata_headings
from basins.summary import CaseSummary
from basins.summary.survival import Survival
from basins.summary.tails import Fit, Tails, p_sentence, p_text
from basins.summary.transitions import Transitions

if TYPE_CHECKING:
    import pandas as pd

    from basins.landscapes.deep_linear.problem import Problem
    from basins.run_tables import Run

LISTED = 24
"""The largest number of rows in a table of transitions or strata."""


@dataclass(frozen=True)
class Table:
    """A caption, columns and rows of text. text: indices of left-aligned columns; wrap: of columns that may wrap;
    marked: column -> predicate of the cells that are highlighted."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: Sequence[int] = (0,)
    wrap: Sequence[int] = ()
    marked: Mapping[int, Callable[[str], bool]] = field(default_factory=dict)


def some(cell: str) -> bool:
    """Whether a cell holds a count other than zero."""
    return cell != "0"


def _with_error(case: CaseEstimate) -> str:
    """The bound that includes the label error; if every start was tried, the bound by proofs, which has none."""
    if case.null:
        return ""
    if case.proved is not None and case.proved.every:
        return f"{at_most(case.proved.upper)} by proofs"
    return "not measured" if case.label_error is None else at_most(case.label_error.saddle_measure.upper)


def case_table(estimate: Estimate, read: Sequence[CaseSummary]) -> Table:
    """One row per case: counts, bound, drift and cost."""
    rows = []
    for case, summary in zip(estimate.cases, read, strict=True):
        N = case.trajectories
        bound = "null law" if case.null else at_most(case.saddle_measure.upper) if N else "1"
        rows.append(
            (
                case.name,
                size_of(case),
                case.law,
                f"{N:,}" if case.planned == N else f"{N:,} of {case.planned:,}",
                f"{case.minimum:,}",
                f"{case.saddle:,}",
                f"{case.censored:,}",
                bound,
                _with_error(case),
                f"{summary.worst_drift:.2g}" if np.isfinite(summary.worst_drift) else "",
                f"{summary.total_evaluations / N:,.0f}" if N else "",
            )
        )
    columns = (
        "case", "widths", "law", "trajectories", "minimum", "saddle", "censored", "bound", "with label error",
        "worst drift", "evaluations",
    )  # fmt: skip
    caption = (
        "Cases. Bound: on the measure of the saddle basins, one-sided at 95 %, counting a censored row as a saddle; "
        "evaluations: of the vector field, mean per trajectory."
    )
    return Table(caption, columns, rows, text=(0, 1, 2), wrap=(0, 2))


def strata_table(case: CaseEstimate) -> Table:
    """The critical sets on which a case's trajectories end."""
    names = [modes_text(one.modes) if case.conjecture else one.of.name for one in case.strata]
    rows = [strata_cells(case, stratum, name) for stratum, name in zip(case.strata, names, strict=True)]
    of = "Strata I(j)" if case.conjecture else "Critical sets"
    return Table(f"{of}, by falling loss, and how many trajectories end there", strata_headings(case), rows, text=(1,))


def survival_sentence(curve: Survival) -> str:
    """What survival adds to the estimate, with its least value. The bound itself is not repeated."""
    if curve.never == 0:
        return f"Survival falls to 0: all {curve.N:,} trajectories are certified."
    text = (
        f"Survival falls to (saddle + censored) / N = {curve.never:,} / {curve.N:,}, the share behind the bound above: "
        "every saddle basin lies inside the set not certified by t, for every t."
    )
    if np.isfinite(curve.first_censored):
        text += (
            f" From the first censored stop, t = {curve.first_censored:.4g}, on S is an upper bound: a censored row "
            "counts as not certified. (The Kaplan-Meier estimator, which assumes random censoring, would be too low: "
            "a budget stops exactly the slow ones.)"
        )
    return text


def exact_sentence(curve: Survival, t: NDArray[np.float64], S: NDArray[np.float64]) -> str:
    """The comparison of the exact law with the counts."""
    lower, upper = curve.band("dkw")
    at = np.searchsorted(curve.t, t)
    below = int(np.count_nonzero(upper[at] >= S))
    inside = int(np.count_nonzero((upper[at] >= S) & (lower[at] <= S)))
    return (
        f"The exact law of the times at which the loss level is passed is known (rare/truth.py). At {len(t)} times "
        f"compared, it is below the upper end of the joint 95 % band (DKW) at {below} and inside the band at {inside}. "
        "It should be below everywhere: a row's time is the end of the step that passed the loss level, which is late "
        "by part of a step."
    )


def tail_sentences(fitted: Tails) -> list[str]:
    """The tail as text: the range, the law that fits better, and the prediction."""
    tail = fitted.tail
    if not fitted.fits:
        return [f"The tail of the certification times: too few to fit. Predicted, {fitted.prediction.text}."]
    text = (
        f"The tail of the certification times, from t = {tail.edges[0]:.4g} (where {number(tail.share)} of the law is "
        f"left) to {tail.edges[-1]:.4g}: {tail.certified:,} certified, {tail.later:,} later or never. "
    )
    if fitted.better is None:
        text += f"Neither law fits better (Vuong's test, {p_sentence(fitted.vuong)}). "
    else:
        text += f"Of the two laws the {fitted.better} fits better (Vuong's test, {p_sentence(fitted.vuong)}). "
    text += f"Predicted, {fitted.prediction.text}"
    exponent, law = fitted.prediction.exponent, fitted.power_law
    if exponent is not None and law is not None:
        inside = law.lower <= exponent <= law.upper
        text += f"; that is {'inside' if inside else 'outside'} the interval of this range"
        if not inside:
            text += (
                ". A prediction is a limit for t to infinity, reached slowly: see how the exponent moves with the range"
            )
    return [text + "."]


def tail_table(fitted: Tails, exponents: pd.DataFrame) -> list[Table]:
    """The two fits, and the exponent over later and later ranges."""
    if not fitted.fits:
        return []
    rows = [_fit(one) for one in fitted.fits]
    columns = ("law", "rate or exponent", "95 % interval", "distance", "p, goodness of fit")
    found = [Table("Tail: maximum likelihood on the range stated below", columns, rows)]
    if len(exponents) > 1:
        found.append(
            Table(
                "Tail: the power law's exponent, from later and later starts",
                ("share left", "from t", "to t", "certified", "exponent", "95 % interval", "p"),
                [
                    (
                        f"{row['share']:g}",
                        f"{row['start']:.4g}",
                        f"{row['end']:.4g}",
                        f"{row['certified']:,}",
                        f"{row['exponent']:.4g}",
                        f"[{row['lower']:.4g}, {row['upper']:.4g}]",
                        p_text(row["p_value"], row["p_at_floor"]),
                    )
                    for row in _records(exponents)
                ],
                text=(),
            )
        )
    return found


def _fit(one: Fit) -> tuple[str, ...]:
    interval = f"[{one.lower:.4g}, {one.upper:.4g}]"
    return one.kind, f"{one.rate:.4g}", interval, f"{one.distance:.3g}", p_text(one.p_value, one.p_at_floor)


def transition_tables(graph: Transitions) -> list[Table]:
    """The strata that trajectories pass, and the transitions between them; empty if no id was watched."""
    if not graph.watched:
        return []
    strata, edges = graph.strata_table(), graph.table()
    found: list[Table] = []
    if not strata.empty:
        met = [
            (
                row["stratum"],
                f"{row['trajectories']:,}",
                number(row["share"]),
                f"{row['stays']:,}",
                f"{row['cut']:,}",
                f"{_time(row['dwell_5'])}, {_time(row['dwell_50'])}, {_time(row['dwell_95'])}",
                f"{row['closest']:.3g}",
                f"{row['closest_median']:.3g}",
                f"{row['least_norm']:.3g}",
            )
            for row in _records(strata.head(LISTED))
        ]
        columns = (
            "stratum", "trajectories", "share", "stays", "cut by censoring", "dwell time: 5, 50, 95 %",
            "least distance", "median", "least |grad L|",
        )  # fmt: skip
        caption = f"Saddles passed on the way: distances relative to the weights about to grow, at most {NEAR:g}"
        found.append(Table(caption, columns, met))
    increments = ", ".join(f"{step:+d}: {count:,}" for step, count in graph.rank_increments.items())
    steps = [
        (
            row["source"],
            row["target"],
            f"{row['count']:,}",
            f"{number(row['share'])} [{row['lower']:.3g}, {row['upper']:.3g}]",
        )
        for row in _records(edges.head(LISTED))
    ]
    caption = (
        f"Transitions, by falling count. Rank increments between strata: {increments or 'none, no such transition'}"
    )
    if len(edges) > LISTED:
        caption += f". The first {LISTED} of {len(edges)}"
    leaving = ("from", "to", "count", "share of those that leave, 95 %")
    return [*found, Table(caption, leaving, steps, text=(0, 1))]


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return table.to_dict("records")  # type: ignore[return-value]


def _time(t: float) -> str:
    return "" if np.isnan(t) else f"{t:.3g}"


def assumptions(run: Run) -> list[Table]:
    """The paper's assumptions for each problem of the run: number, statement, whether it holds, and the evidence."""
    found: dict[str, tuple[Problem, list[str]]] = {}
    for case in (one for one in run.manifest.cases if one.of_the_paper):
        found.setdefault(case.problem.digest, (case.problem, []))[1].append(case.name)
    tables = []
    for problem, names in list(found.values())[:6]:
        rows = [
            (str(one.number), one.statement, {True: "yes", False: "no", None: "not looked at"}[one.holds], one.evidence)
            for one in problem.assumptions()
        ]
        cases = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        caption = f"Assumptions: {problem.flow} flow, widths {'-'.join(map(str, problem.widths))} ({cases})"
        if len(found) > 6:
            caption += f"; the first 6 of {len(found)} problems are shown"
        tables.append(Table(caption, ("", "assumption", "holds", "by"), rows, text=(0, 1, 2, 3), wrap=(1, 3)))
    return tables
