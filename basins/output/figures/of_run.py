"""The figures of a run: reads or integrates what each needs, and draws it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from basins import laws
from basins.certified_share import certified_share
from basins.errors import ArgumentError
from basins.estimate import law_text
from basins.estimate.sentences import widths_text
from basins.laws import BLOCK
from basins.output.figures.certified import ARGUMENTS, ROWS, certified
from basins.output.figures.health import cost, drift
from basins.output.figures.occupancy import bounds, occupancy
from basins.output.figures.staircase import Flows, staircase
from basins.output.figures.style import shortened
from basins.output.figures.survival import Line
from basins.output.figures.survival import survival as draw_survival
from basins.output.figures.trajectory import trajectory as draw_trajectory
from basins.output.figures.transitions import transitions
from basins.show import one_case, show
from basins.summary.reading import Reading
from basins.summary.survival import exact_points, survival
from basins.summary.tails import tails
from basins.trajectories import losses, steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from basins.experiment import Case
    from basins.run_tables import Run

SAMPLE = 12
"""The number of trajectories of a case, the first ones, that are integrated again for the staircase."""


def of_loss(read: Reading, case: str | None = None) -> Figure:
    """Loss against time for a case's first trajectories."""
    the_case = one_case(read.run, case)
    return staircase(the_case.problem, [sampled(read.run, the_case)])


def sampled(run: Run, case: Case, count: int = SAMPLE) -> Flows:
    """The first trajectories of a case, integrated again to twice the time at which most of them were stopped."""
    count = min(count, case.trajectories)
    starts = laws.starts(case.problem, case.law, run.manifest.seed, 0)[:count]
    shards = run.committed(case.key)
    rows = next(run.stream("trajectories", case.key, ["id", "t"], shards=[0])) if 0 in shards else None
    stops = np.zeros(0) if rows is None else rows["t"].to_numpy()[rows["id"].to_numpy() < BLOCK]
    natural = 10 / case.problem.sigma_min
    end = max(2 * float(np.quantile(stops, 0.9)), natural) if len(stops) else 3 * natural
    t = np.concatenate([[0.0], np.geomspace(1e-4 * end, end, 400)])
    planted = isinstance(case.law, laws.Planted)
    return Flows(f"{case.name}: {law_text(case.law)}", t, losses(case.problem, starts, t, case.settings, planted))


def of_occupancy(read: Reading, case: str | None = None) -> Figure:
    """The limits of a case's trajectories; without a case, the bound on the saddle basins of each case."""
    cases = read.estimate.cases
    if case is None and len(cases) > 1:
        return bounds(cases)
    key = one_case(read.run, case).key
    return occupancy(next(one for one in cases if one.case == key))


def of_survival(read: Reading, case: str | None = None) -> Figure:
    """S(t) of a case with its tail, or of all cases together."""
    chosen = read.summaries(case)
    alone = len(chosen) == 1
    lines = []
    for one in chosen:
        curve = survival(one)
        fitted = tails(one) if alone and one.minimum and one.case.of_the_paper else None
        exact = exact_points(one.case, curve) if alone else None
        lines.append(Line(one.case.name, curve, fitted, exact, one.case.dynamics.time))
    return draw_survival(lines)


def of_visits(read: Reading, case: str | None = None) -> Figure:
    """The transition graph of a case."""
    return transitions(read.transitions(one_case(read.run, case).key))


def of_certified(read: Reading, case: str | None = None) -> Figure:
    """The share of each case's starts that is certified at t = 0."""
    return certified(*certified_shares(read.run, case))


def certified_shares(run: Run, case: str | None = None) -> tuple[pd.DataFrame, int]:
    """A row per case whose law has a density: shape, scale, the shares of its first starts that are certified by any
    argument and by each, and draws. Also the number of cases left out because a figure has no room for them.

    If the cases are Gaussian and differ by widths and scale, shape is the widths and scale a number, so that a sweep
    over scales makes lines. Otherwise shape is the case's name with its widths, and scale the law as text.
    """
    cases = [one for one in Reading(run).cases(case) if not one.law.null and one.of_the_paper]
    widths = [widths_text(one.problem.widths) for one in cases]
    scales = [one.law.scale if isinstance(one.law, laws.Gaussian) else None for one in cases]
    lines = len(set(widths)) < len(cases) == len(set(zip(widths, scales, strict=True)))
    lines = lines and all(isinstance(scale, float) for scale in scales)
    rows = []
    room = len(cases) if lines else ROWS
    for one, shape, scale in list(zip(cases, widths, scales, strict=True))[:room]:
        found = certified_share(one.problem, one.law, run.manifest.seed, delta=one.settings.delta)
        named = (shape, scale) if lines else (f"{shortened(one.name)} {shape}", law_text(one.law))
        counts = (found.certified, found.rate, found.rank, found.level)
        rows.append((*named, *(count / found.starts for count in counts), found.starts))
    table = pd.DataFrame(rows, columns=["shape", "scale", *ARGUMENTS, "draws"])
    return table, len(cases) - len(rows)


def of_drift(read: Reading, case: str | None = None) -> Figure:
    """Drift of the invariants, for a case or for all."""
    return drift(read.summaries(case))


def of_cost(read: Reading, case: str | None = None) -> Figure:
    """Evaluations of the vector field, for a case or for all."""
    return cost(read.summaries(case))


FIGURES: dict[str, Callable[[Reading, str | None], Figure]] = {
    "loss": of_loss,
    "occupancy": of_occupancy,
    "survival": of_survival,
    "visits": of_visits,
    "certified": of_certified,
    "drift": of_drift,
    "cost": of_cost,
}
"""The figures of `basins plot NAME RUN`, by name."""


def figure_of(run: Run, name: str, case: str | None = None) -> Figure:
    """One of `FIGURES`. Raises ArgumentError for another name, or if a case has to be named."""
    if name not in FIGURES:
        raise ArgumentError(f"no figure {name!r}", where="name", remedy=f"choose one of {', '.join(FIGURES)}")
    return FIGURES[name](Reading(run), case)


def of_trajectory(run: Run, id: int, case: str | None = None) -> Figure:
    """One trajectory of the run, integrated again to four times the time at which it was stopped.

    Raises ArgumentError for an id or a case that is not in the plan, RunError for one that is not computed yet.
    """
    shown = show(run, id, case)
    the_case, row = shown.case, shown.row
    start = laws.starts(the_case.problem, the_case.law, run.manifest.seed, id // BLOCK)[id % BLOCK]
    end = max(4 * float(row["t"]), 10 / the_case.problem.sigma_min)
    one = steps(the_case.problem, start, end, the_case.settings, row["certificate"] == "invariant")
    known = [v for v in shown.visits or () if v["loss"] is not None]
    visits = [(float(v["t"]), float(v["loss"]), bool(v["passes"])) for v in known]
    title = f"{shortened(the_case.name)}, id {id}: {row['verdict']}" + (f" ({row['reason']})" if row["reason"] else "")
    return draw_trajectory(the_case.problem, one, title, float(row["t"]) or None, visits)
