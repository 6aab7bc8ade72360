"""From a batch of starts to their limits: levels, the engine, tighter re-integrations of saddles, and verdict.py's
judgement.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import number, switch
from basins.classification.certify_steps import follow_steps
from basins.classification.saddle_wait import Followed, follow
from basins.classification.verdict import IntegratedBatch, Limits, judge, visit_table
from basins.dynamics.base import Dynamics
from basins.dynamics.gradient_flow import FLOW
from basins.errors import ArgumentError
from basins.integrators import engine_of, method_of
from basins.integrators.base import Array, IntegrationRequest, IntegrationResult, Settings, refuse_settings
from basins.landscapes.base import Decided, Landscape, Reduction
from basins.landscapes.deep_linear.problem import Problem, the_problem
from basins.trajectories import along, finite_starts, times_of

CHECKS = (10, 100)
"""An outlasted saddle must be found again at tolerances this many times tighter."""


def integrate(
    problem: Problem,
    W0: ArrayLike,
    *,
    engine: str = Settings.engine,
    method: str | None = None,
    rtol: float = Settings.rtol,
    atol: float = Settings.atol,
    t_end: float = Settings.t_end,
    certify: bool = Settings.certify,
    at_start: bool = Settings.at_start,
    budget: int = Settings.budget,
    delta: float = Settings.delta,
    compress: bool = Settings.compress,
    wait: bool = False,
    dynamics: Dynamics = FLOW,
    t_eval: ArrayLike | None = None,
) -> Limits:
    """Integrate the flow from W0, (n,) or (N, n), to its limits.

    Local error of a step: atol + rtol |W_i| in the rms over components. With `certify` a row stops where a
    certificate proves its limit; `at_start` also tries those of t = 0 (theory.md 3b to 3d). With certify=False and
    t_end the flow is returned at exactly t_end. budget: evaluations of the vector field a trajectory may spend; what
    is not decided by then is censored. method: one of the engine's, its first if None. compress: integrate smaller
    states where the flow cannot tell the difference and it pays (compression/). wait: what has settled beside a saddle
    is `censored` at once, as are the rows of a law with a density; with wait=True it is waited beside, until it leaves
    or has outlasted the saddle (docs/verdicts.md). dynamics: another one than the gradient flow (dynamics/base.py): its
    steps are taken instead, t counts them, and no row waits beside a saddle. A verdict is of the computed trajectory.

    t_eval: times (T,), rising, finite, from 0 to t_end: the limits then have the flow at these times too,
    `limits.trajectory` (`basins.trajectory`). It is integrated once more for that, on a budget of its own, and no
    certificate stops it; the limits are those without t_eval, bit for bit. Raises ArgumentError for values that have no
    meaning.
    """
    chosen = engine_of(engine)
    settings = Settings(
        engine=engine,
        method=method_of(chosen, method, dynamics),
        rtol=rtol,
        atol=atol,
        t_end=number(t_end, "t_end"),
        certify=certify,
        at_start=at_start,
        budget=budget,
        delta=delta,
        compress=compress,
    )
    refuse_settings(settings, dynamics)
    starts = np.atleast_2d(finite_starts(the_problem(problem), W0))
    refuse_unproved(problem, dynamics, settings.certify)
    if t_eval is not None and not dynamics.continuous:
        what = f"t_eval with {dynamics.text}"
        raise ArgumentError(what, where="t_eval", remedy="leave it out: it is available only for the gradient flow")
    times = None if t_eval is None else times_of(t_eval, settings.t_end)
    watch = np.ones(len(starts), dtype=bool)
    limits = integrate_batch(problem, starts, settings, watch, switch(wait, "wait"), dynamics)
    return limits if times is None else replace(limits, trajectory=along(problem, starts, times, settings))


def refuse_unproved(landscape: Landscape, dynamics: Dynamics, certify: bool) -> None:
    """Raises ArgumentError where a landscape proves nothing of a dynamics: every row would be censored."""
    if certify and not landscape.critical.certificates(dynamics):
        what = f"{landscape.size_text} has no certificate for {dynamics.text}, so every trajectory would be censored"
        remedy = "give certify = false and t_end, or a dynamics of which the landscape's `certificates` knows something"
        raise ArgumentError(what, where="dynamics", remedy=remedy)


def integrate_batch(
    landscape: Landscape,
    starts: Array,
    settings: Settings,
    watch: NDArray[np.bool_],
    wait: bool = False,
    dynamics: Dynamics = FLOW,
) -> Limits:
    """The limits of starts (N, n), validated; visits are kept for the rows in `watch` (N,).

    wait: whether rows may outlast a saddle. Of a case it is its law's: `law.null`, no setting, and in no key.
    """
    critical, N = landscape.critical, len(starts)
    at_start = critical.at_start(starts) if settings.at_start else Decided.nothing(N)
    levels = critical.levels(starts, settings.delta) if settings.certify else np.full(N, -np.inf)
    levels = np.where(at_start.verdict >= 0, np.inf, levels)  # a row decided at t = 0 stops there
    small = reduction_in(landscape, settings, dynamics)
    there, begin = (landscape, starts) if small is None else (small.landscape, small.compress(starts))
    leg = _leg(dynamics.begin(begin), levels, settings, watch)
    if dynamics.continuous:
        followed = follow(there, leg, settings, wait)
        outlasted = _in_digits(landscape, starts, followed, _found_again(there, leg, settings, followed))
    else:
        followed, outlasted = follow_steps(there, dynamics, begin, leg, settings), frozenset[int]()
    ends = _weights(followed.ends, there.n)
    changed = there.critical.drift(begin, ends.state, ends.t) if dynamics.conserves else np.full(N, np.nan)
    visits = visit_table(there, ends.visits)
    if small is not None:
        state = small.expand(ends.state, starts)
        ends = replace(ends, state=np.where((ends.t > 0)[:, None], state, starts))
    batch = IntegratedBatch(starts, ends, at_start, followed.settled, outlasted, changed, visits)
    return judge(landscape, batch, settings.delta, dynamics)


def _weights(ends: IntegrationResult, n: int) -> IntegrationResult:
    """The same ends and visits, of the weights alone: the first n numbers of a state."""
    if ends.state.shape[1] == n:
        return ends
    visits = replace(ends.visits, state=np.ascontiguousarray(ends.visits.state[:, :n]))
    return replace(ends, state=np.ascontiguousarray(ends.state[:, :n]), visits=visits)


def reduction_in(landscape: Landscape, settings: Settings, dynamics: Dynamics = FLOW) -> Reduction | None:
    """The reduction under which these settings integrate the landscape, if any."""
    return landscape.reduce() if settings.compress and dynamics.equivariant else None


def _leg(starts: Array, level: Array, settings: Settings, watch: NDArray[np.bool_]) -> IntegrationRequest:
    """The leg from t = 0 to the end."""
    rest_after = 0.0 if settings.certify else np.inf
    return IntegrationRequest.of(
        starts, settings.budget, level=level, rest_after=rest_after, t_end=settings.t_end, watch=watch
    )


def _found_again(landscape: Landscape, leg: IntegrationRequest, settings: Settings, followed: Followed) -> list[int]:
    """The rows that outlasted, and do so on the same critical set at tighter tolerances; the evaluations that takes are
    added to theirs."""
    rows = np.array(sorted(followed.outlasted), dtype=np.int64)
    for factor in CHECKS:
        tighter = settings.tighter(factor)
        if tighter is None or not len(rows):
            return []
        unwatched = np.zeros(len(rows), dtype=bool)
        again = follow(landscape, _leg(leg.starts[rows], leg.level[rows], tighter, unwatched), tighter, wait=True)
        followed.ends.evaluations[rows] += again.ends.evaluations
        same = [
            k in again.outlasted and again.settled[k].code == followed.settled[row].code
            for k, row in enumerate(map(int, rows))
        ]
        rows = rows[same]
    return list(map(int, rows))


def _in_digits(landscape: Landscape, starts: Array, followed: Followed, rows: list[int]) -> frozenset[int]:
    """Those of the rows that stay as long in many digits, from their starts in the landscape's own coordinates."""
    found = set()
    for row in rows:
        at, until = followed.settled[row], float(followed.ends.t[row])
        if landscape.critical.stays(starts[row], at.code, until, at.fastest):
            found.add(row)
    return frozenset(found)
