"""From a batch of starts to their limits: levels, the engine, tighter re-integrations of saddles, and verdict.py's
judgement.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.classification.saddle_wait import Followed, follow
from basins.classification.verdict import Course, Limits, judge, visit_table
from basins.errors import ArgumentError
from basins.integrators import engine_of, method_of
from basins.integrators.base import Array, Leg, Settings
from basins.integrators.scipy import Reference
from basins.landscapes.deep_linear import certificates
from basins.landscapes.deep_linear.certificates import level
from basins.landscapes.deep_linear.compression import Compression, compression
from basins.landscapes.deep_linear.planted import invariant_levels, invariant_modes
from basins.landscapes.deep_linear.problem import Problem
from basins.rounding import U

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
) -> Limits:
    """Integrate the flow from W0, (n,) or (N, n), to its limits.

    Local error of a step: atol + rtol |W_i| in the rms over components. With `certify` a row stops where a
    certificate proves its limit; `at_start` also tries those of t = 0 (theory.md 3b to 3d). With certify=False and
    t_end the flow is returned at exactly t_end. budget: evaluations of the vector field a trajectory may spend; what
    is not decided by then is censored. method: one of the engine's, its first if None. compress: integrate smaller
    states where the flow cannot tell the difference and it pays (compression/). Raises ArgumentError for values that
    have no meaning.
    """
    chosen = engine_of(engine)
    settings = Settings(
        engine=engine,
        method=method_of(chosen, method),
        rtol=rtol,
        atol=atol,
        t_end=float(t_end),
        certify=certify,
        at_start=at_start,
        budget=budget,
        delta=delta,
        compress=compress,
    )
    starts = np.atleast_2d(problem.state(W0))
    if not np.isfinite(starts).all():
        row = int(np.flatnonzero(~np.isfinite(starts).all(axis=1))[0])
        raise ArgumentError("a start that is not finite", where=f"W0, row {row}", remedy="give finite states")
    return integrate_batch(problem, starts, settings, np.ones(len(starts), dtype=bool))


def integrate_batch(problem: Problem, starts: Array, settings: Settings, watch: NDArray[np.bool_]) -> Limits:
    """The limits of starts (N, n), validated; visits are kept for the rows in `watch` (N,)."""
    from basins.landscapes.deep_linear.evaluation import drift  # brings numba, which takes its time

    N = len(starts)
    rate, least_rank = np.zeros(N), np.zeros(N, dtype=np.int64)
    known = np.zeros(N, dtype=bool)
    if settings.at_start:
        found = certificates.at_start(problem, starts)
        free = ~invariant_modes(problem, starts).any(axis=-1)
        known = found.global_minimum & free
        rate[known], least_rank[known] = found.rate[known], found.least_rank[known]

    # A row certified at t = 0 stops there.
    levels = np.where(known, np.inf, _levels(problem, starts, settings))
    small = compression_in(problem, settings)
    there, begin = (problem, starts) if small is None else (small.problem, small.compress(starts))
    leg = _leg(begin, levels, settings, watch)
    followed = follow(there, leg, settings)
    outlasted = frozenset(row for row in followed.outlasted if _found_again(there, leg, row, settings, followed))
    ends = followed.ends
    changed, visits = drift(there, begin, ends.state), visit_table(there, ends.visits)
    if small is not None:
        state = small.expand(ends.state, starts)
        ends = replace(ends, state=np.where((ends.t > 0)[:, None], state, starts))
    course = Course(starts, ends, rate, least_rank, followed.settled, outlasted, changed, visits)
    return judge(problem, course, settings.delta)


def compression_in(problem: Problem, settings: Settings) -> Compression | None:
    """The compression under which these settings integrate the problem, if any."""
    return compression(problem) if settings.compress else None


def _leg(starts: Array, level: Array, settings: Settings, watch: NDArray[np.bool_]) -> Leg:
    """The leg from t = 0 to the end."""
    N = len(starts)
    return Leg(
        starts=np.ascontiguousarray(starts),
        t_start=np.zeros(N),
        level=level,
        rest_after=np.full(N, 0.0 if settings.certify else np.inf),
        budget=np.full(N, settings.budget),
        t_end=np.full(N, settings.t_end),
        max_step=np.full(N, np.inf),
        watch=watch,
    )


def _found_again(problem: Problem, leg: Leg, row: int, settings: Settings, followed: Followed) -> bool:
    """Whether re-integrations at tighter tolerances outlast on the same stratum; what they spend is the row's."""
    method = settings.method if settings.method in Reference.methods else "DOP853"
    for factor in CHECKS:
        tighter = replace(settings, engine=Reference.name, method=method).tighter(factor)
        if tighter is None:
            return False
        one = slice(row, row + 1)
        again = follow(problem, _leg(leg.starts[one], leg.level[one], tighter, np.zeros(1, dtype=bool)), tighter)
        followed.ends.evaluations[row] += again.ends.evaluations[0]
        if 0 not in again.outlasted or again.settled[0].modes != followed.settled[row].modes:
            return False
    return True


def _levels(problem: Problem, starts: Array, settings: Settings) -> Array:
    """The loss level at which each row may stop, (N,): a margin of another delta below the certificate's own level, so
    that its re-evaluation cannot disagree by rounding; -inf where a row must not stop or no level can be resolved."""
    if not settings.certify:
        return np.full(len(starts), -np.inf)
    delta = 2 * settings.delta
    levels = np.full(len(starts), level(problem, delta))
    unfitted = invariant_modes(problem, starts)
    rows = np.flatnonzero(unfitted.any(axis=-1))
    if len(rows):
        floor, above = invariant_levels(problem, unfitted[rows], delta)
        resolved = settings.delta * above > 100 * U * floor
        levels[rows] = np.where(resolved, floor + above, -np.inf)
    return levels
