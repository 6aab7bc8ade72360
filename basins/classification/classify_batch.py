"""From a batch of starts to their limits: levels, the engine, tighter re-integrations of saddles, and verdict.py's
judgement.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins.arrays import number
from basins.classification.saddle_wait import Followed, follow
from basins.classification.verdict import Course, Limits, judge, visit_table
from basins.errors import ArgumentError
from basins.integrators import engine_of, method_of
from basins.integrators.base import Array, Leg, Settings
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
    wait: bool = False,
) -> Limits:
    """Integrate the flow from W0, (n,) or (N, n), to its limits.

    Local error of a step: atol + rtol |W_i| in the rms over components. With `certify` a row stops where a
    certificate proves its limit; `at_start` also tries those of t = 0 (theory.md 3b to 3d). With certify=False and
    t_end the flow is returned at exactly t_end. budget: evaluations of the vector field a trajectory may spend; what
    is not decided by then is censored. method: one of the engine's, its first if None. compress: integrate smaller
    states where the flow cannot tell the difference and it pays (compression/). wait: what has settled beside a saddle
    is `censored` at once, as are the rows of a law with a density; with wait=True it is waited beside, until it leaves
    or has outlasted the saddle (docs/verdicts.md). A verdict is of the computed trajectory. Raises ArgumentError for
    values that have no meaning.
    """
    chosen = engine_of(engine)
    settings = Settings(
        engine=engine,
        method=method_of(chosen, method),
        rtol=rtol,
        atol=atol,
        t_end=number(t_end, "t_end"),
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
    return integrate_batch(problem, starts, settings, np.ones(len(starts), dtype=bool), bool(wait))


def integrate_batch(
    problem: Problem, starts: Array, settings: Settings, watch: NDArray[np.bool_], wait: bool = False
) -> Limits:
    """The limits of starts (N, n), validated; visits are kept for the rows in `watch` (N,).

    wait: whether rows may outlast a saddle. Of a case it is its law's: `law.null`, no setting, and in no key.
    """
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
    followed = follow(there, leg, settings, wait)
    outlasted = _found_again(there, leg, settings, followed, _all_felt(problem, starts))
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


def _found_again(
    problem: Problem, leg: Leg, settings: Settings, followed: Followed, felt: NDArray[np.bool_]
) -> frozenset[int]:
    """The rows that outlasted, among those in `felt`, and do on the same stratum at tighter tolerances too; what that
    spends is the rows'."""
    rows = np.array([row for row in sorted(followed.outlasted) if felt[row]], dtype=np.int64)
    for factor in CHECKS:
        tighter = settings.tighter(factor)
        if tighter is None or not len(rows):
            return frozenset()
        unwatched = np.zeros(len(rows), dtype=bool)
        again = follow(problem, _leg(leg.starts[rows], leg.level[rows], tighter, unwatched), tighter, wait=True)
        followed.ends.evaluations[rows] += again.ends.evaluations
        same = [
            k in again.outlasted and again.settled[k].modes == followed.settled[row].modes
            for k, row in enumerate(map(int, rows))
        ]
        rows = rows[same]
    return frozenset(map(int, rows))


def _all_felt(problem: Problem, starts: Array) -> NDArray[np.bool_]:
    """Whether rounding lets the flow feel every entry of a start, (N,).

    A term of the field is a product of up to 2 H + 1 entries: where the least entry of a layer that is not zero, so
    often multiplied with itself, is below u times the layer's largest, a term may be lost in the sum that it is of, and
    with it the exact flow's way out.
    """
    felt = np.ones(len(starts), dtype=bool)
    for W_j in problem.unpack(starts):
        sizes = np.abs(W_j)
        least = np.where(sizes > 0, sizes, np.inf).min(axis=(-2, -1))
        felt &= least >= U ** (1 / (2 * problem.H + 1)) * sizes.max(axis=(-2, -1))
    return felt


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
