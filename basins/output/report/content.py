"""The content of the report: sentences, tables of text, figures. Everything is read once, case by case."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import basins
from basins.estimate import CaseEstimate, Estimate
from basins.estimate.sentences import pairs_sentence, pooled_sentence, sentence, size_of
from basins.landscapes.base import NEAR
from basins.output.figures.certified import certified
from basins.output.figures.health import cost, drift
from basins.output.figures.occupancy import bounds, occupancy
from basins.output.figures.of_run import certified_shares, sampled
from basins.output.figures.staircase import Flows, staircase
from basins.output.figures.style import svg
from basins.output.figures.survival import Line, survival
from basins.output.figures.transitions import transitions
from basins.output.report import doubts
from basins.output.report.doubts import Alarm
from basins.output.report.tables import (
    Table,
    assumptions,
    case_table,
    exact_sentence,
    strata_table,
    survival_sentence,
    tail_sentences,
    tail_table,
    transition_tables,
)
from basins.store import layout
from basins.store.commit import experiment_text
from basins.summary import CaseSummary
from basins.summary.reading import Reading
from basins.summary.survival import exact_points
from basins.summary.survival import survival as survival_of
from basins.summary.tails import SAMPLES, exponents, tails
from basins.summary.transitions import Transitions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from basins.run_tables import Run

DETAILED = 8
"""The largest number of cases with their own section. Cases with saddles or censored rows have precedence."""

QUESTION = (
    "A deep linear network trained by gradient flow converges to a critical point. The overfitting conjecture says "
    "that from almost every start this is a global minimum. How much of the law of starts flows to a saddle instead?"
)


@dataclass(frozen=True)
class Picture:
    """A figure in the page: its data URI, its size in pixels at 96 per inch, its caption and its alternative text."""

    uri: str
    width: int
    height: int
    caption: str
    alt: str


@dataclass(frozen=True)
class CaseSection:
    """The section of one case: its description, its sentences, its tables and figures."""

    name: str
    what: str
    sentence: str
    tables: Sequence[Table]
    notes: Sequence[str]
    figures: Sequence[Picture]


@dataclass(frozen=True)
class Page:
    """Everything on the page, in order."""

    name: str
    question: str
    alarms: Sequence[Alarm]
    verdict: str
    also: Sequence[str]
    cases: Table
    overview: Sequence[Picture]
    details: Sequence[CaseSection]
    left_out: str
    doubts: Sequence[str]
    assumptions: Sequence[Table]
    health: Sequence[Picture]
    experiment: str
    provenance: Table
    version: str = field(default=basins.__version__)
    command: str = "basins run"


def content(read: Reading) -> Page:
    """The content of a run's page. Raises RunError for a damaged run."""
    run, estimate, summaries = read.run, read.estimate, read.summaries()
    detailed = cases_with_sections(estimate)
    by_key = {one.case.key: one for one in summaries}
    left = len(estimate.cases) - len(detailed)
    return Page(
        name=estimate.experiment,
        question=QUESTION,
        alarms=doubts.alarms(run, estimate),
        verdict=verdict(estimate),
        also=[pairs_sentence(pairs) for pairs in estimate.pooled.pairs],
        cases=case_table(estimate, summaries),
        overview=_overview(estimate, summaries),
        details=[_section(read, case, by_key[case.case]) for case in detailed],
        left_out=f"{left:,} more cases are only in the table." if left else "",
        doubts=doubts.doubts(estimate, summaries),
        assumptions=assumptions(run),
        health=_health(run, summaries),
        experiment=experiment_text(run.files),
        provenance=_provenance(run),
    )


def cases_with_sections(estimate: Estimate) -> list[CaseEstimate]:
    """The cases that have a section, in the experiment's order. Cases with saddles or censored rows are chosen
    first."""

    def dull(case: CaseEstimate) -> tuple[bool, bool, int]:
        odd = case.saddle if case.planted is None else case.trajectories - case.saddle
        return (not odd, not case.censored, 0 if case.can_test else 1)

    picked = sorted(estimate.cases, key=dull)[:DETAILED]
    return [case for case in estimate.cases if case in picked]


def verdict(estimate: Estimate) -> str:
    """The sentence about the run, with its bound: that of the pool, or that of the only case with a density."""
    failed = doubts.failed_controls(estimate)
    free = [case for case in estimate.cases if not case.null]
    if len(free) == 1:
        text = sentence(free[0])
    elif free:
        text = pooled_sentence(estimate.pooled)
    else:
        text = "No case of this run has a law with a density, so it says nothing about the conjecture."
    return f"Not to be relied on, because the control failed: {text}" if failed else text


# --- figures ---------------------------------------------------------------------------------------------------------


def picture(figure: Figure, caption: str, alt: str) -> Picture:
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    uri = "data:image/svg+xml;base64," + base64.b64encode(svg(figure)).decode()
    return Picture(uri, width, height, caption, alt)


def _overview(estimate: Estimate, summaries: Sequence[CaseSummary]) -> list[Picture]:
    free = [case for case in estimate.cases if not case.null]
    found = []
    if len(free) > 1:
        found.append(
            picture(
                bounds(free),
                "The bound of each case on the measure of its saddle basins, one-sided at 95 %, from the case's own "
                "trajectories, without label error.",
                f"Upper bounds of {len(free)} cases on a logarithmic scale; the numbers are in the table above.",
            )
        )
    if len(summaries) > 1:
        curves = [Line(one.case.name, survival_of(one), time=one.case.dynamics.time) for one in summaries]
        found.append(
            picture(
                survival(curves),
                "Survival: the share not yet certified to end at a global minimum. A censored row counts as not "
                "certified.",
                "Survival curves of the cases, falling with time.",
            )
        )
    return found


def _section(read: Reading, case: CaseEstimate, summary: CaseSummary) -> CaseSection:
    what = f"{size_of(case)}, {case.law}{', null' if case.null else ''}; {summary.case.source}"
    if not case.trajectories:
        return CaseSection(case.name, what, sentence(case), [], [], [])
    curve = survival_of(summary)
    if not summary.case.of_the_paper:
        return _section_of_counts(case, summary, what)
    fitted = tails(summary, samples=SAMPLES) if summary.minimum else None
    graph = read.transitions(case.case)
    tables: list[Table] = [strata_table(case)]
    if fitted is not None:
        tables += tail_table(fitted, exponents(summary, samples=SAMPLES))
    tables += transition_tables(graph)
    exact = exact_points(summary.case, curve)
    line = Line(case.name, curve, fitted, exact)
    notes = [survival_sentence(curve), *([] if fitted is None else tail_sentences(fitted))]
    notes += [] if exact is None else [exact_sentence(curve, *exact)]
    notes.append(graph.sentence())
    if graph.never_met and graph.bound is not None:
        notes.append(_never_met(graph))
    figures = _case_figures(case, line, graph, sampled(read.run, summary.case))
    return CaseSection(case.name, what, sentence(case), tables, notes, figures)


def _section_of_counts(case: CaseEstimate, summary: CaseSummary, what: str) -> CaseSection:
    """Counts, measures and survival. Tails and passages exist only for the flow of deep linear networks."""
    curve = survival_of(summary)
    figures = [_occupancy(case), _survival(Line(case.name, curve, time=summary.case.dynamics.time))]
    return CaseSection(case.name, what, sentence(case), [strata_table(case)], [survival_sentence(curve)], figures)


def _never_met(graph: Transitions) -> str:
    names = [graph.name(mask) for mask in graph.never_met[:8]]
    more = f" and {len(graph.never_met) - 8:,} more" if len(graph.never_met) > 8 else ""
    assert graph.bound is not None
    return (
        f"Saddle strata that no watched trajectory passed: {'; '.join(names)}{more}. Each is passed, at a relative "
        f"distance of at most {NEAR:g}, by less than {graph.bound:.3g} of the law, at 95 % confidence, as far as "
        "visits show."
    )


def _case_figures(case: CaseEstimate, line: Line, graph: Transitions, flows: Flows) -> list[Picture]:
    found = [
        picture(
            staircase(graph.case.problem, [flows]),
            "Loss along the first trajectories, integrated again, between the critical values of the strata.",
            f"Loss of {len(flows.loss)} trajectories against time, with the critical values as horizontal lines.",
        ),
        _occupancy(case),
        _survival(line),
    ]
    if graph.watched:
        found.append(
            picture(
                transitions(graph),
                "From saddle to saddle: which strata watched trajectories pass, at local minima of the gradient norm "
                f"whose distance is at most {NEAR:g} of the weights about to grow; the others are slow-downs.",
                "A graph of strata with arrows between them; the shares are in the table above.",
            )
        )
    return found


def _occupancy(case: CaseEstimate) -> Picture:
    return picture(
        occupancy(case),
        "Where trajectories end: count and measure, with intervals that hold jointly at 95 %. A stratum on which none "
        "ends shows the upper end of its interval.",
        "Measures of the strata's basins on a logarithmic scale; the numbers are in the table above.",
    )


def _survival(line: Line) -> Picture:
    return picture(
        survival([line]),
        "Survival S(t) with a pointwise 95 % band. Every saddle basin lies inside the set not certified by t.",
        "The share not certified by t, falling with time, and fits to its tail; numbers are in the table above.",
    )


def _health(run: Run, summaries: Sequence[CaseSummary]) -> list[Picture]:
    counted = [one for one in summaries if one.trajectories]
    if not counted:
        return []
    found = [
        picture(
            drift(counted),
            "Drift of the invariants against the tolerance. The flow keeps them, so the drift is integration error.",
            "Share of trajectories with more than a given drift, and rtol as a vertical line.",
        ),
        picture(
            cost(counted),
            "Cost of a trajectory, in evaluations of the vector field.",
            "Share of trajectories that take more than a given number of evaluations.",
        ),
    ]
    shares, left_out = certified_shares(run)
    if not shares.empty:
        found.append(
            picture(
                certified(shares, left_out),
                "Share of starts whose limit is proved before any integration, from the invariants and the loss, and "
                "the share proved by each argument separately (theory.md 3).",
                "Shares certified at t = 0, by case.",
            )
        )
    return found


# --- provenance ------------------------------------------------------------------------------------------------------


def _provenance(run: Run) -> Table:
    manifest = run.manifest
    rows: list[tuple[str, str]] = [
        ("experiment, SHA-256", manifest.digest),
        ("seed", str(manifest.seed)),
        ("rows kept", manifest.rows),
        ("shards' digests, SHA-256 of all", _digest_of_digests(run)),
        ("schema of the run", str(manifest.schema)),
        *((f"layer {layer.number}", f"integrated again, budget {layer.budget:,}") for layer in run.layers),
        *((f"made with {name}", version) for name, version in manifest.versions),
    ]
    rows += [(f"case {case.name}", case.key) for case in manifest.cases]
    rows += [
        (f"problem {digest[:12]}", ", ".join(case.name for case in manifest.cases if case.landscape.digest == digest))
        for digest in dict.fromkeys(case.landscape.digest for case in manifest.cases)
    ]
    return Table("Where this comes from", ("what", "value"), rows, text=(0, 1), wrap=(1,))


def _digest_of_digests(run: Run) -> str:
    """One digest for the bytes of all shards, including layers; "none yet" if no digest is written."""
    paths = [path for path in run.files.paths("") if layout.batch_of(path[path.find("digests/") :]) is not None]
    if not paths:
        return "none yet"
    total = hashlib.sha256()
    for path in paths:
        total.update(run.files.get(path))
    return total.hexdigest()
