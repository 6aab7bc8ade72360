"""From a batch of starts to its limits: run the engine, wait beside what has settled, and have limits.py judge.

An engine stops a row whose gradient is at rest. Whether it rests on a saddle or passes one slowly, no norm can tell,
so the row is taken on here, by the reference engine, with steps short enough to decay to rounding: until it goes on,
or it has outlasted the predicted escape ten times over, or its budget is spent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from basins import certificates
from basins.certificates import level
from basins.engines import engine_of, method_of
from basins.engines.base import Array, Ends, Leg, Settings, Stop, U, Visits
from basins.engines.reference import Reference
from basins.errors import ArgumentError
from basins.limits import (
    PATIENCE,
    Course,
    Limits,
    Settling,
    invariant_levels,
    invariant_modes,
    judge,
    settling,
)
from basins.problem import Problem

RELAX = 40
"""Relaxation takes this many e-folding times of the slowest attraction: from any distance down to rounding."""

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
) -> Limits:
    """Integrate the flow from W0, (n,) or (N, n), to its limits.

    Local error of a step: atol + rtol |W_i| in the rms over components. With `certify` a row stops where a
    certificate proves its limit; `at_start` also tries those of t = 0 (theory.md 3b to 3d). With certify=False and
    t_end the flow is returned at exactly t_end. budget: evaluations of the vector field a trajectory may spend; what
    is not decided by then is censored. method: one of the engine's, its first if None. Raises ArgumentError for
    values that have no meaning.
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
    )
    starts = np.atleast_2d(problem.state(W0))
    if not np.isfinite(starts).all():
        row = int(np.flatnonzero(~np.isfinite(starts).all(axis=1))[0])
        raise ArgumentError("a start that is not finite", where=f"W0, row {row}", remedy="give finite states")
    return integrate_batch(problem, starts, settings, np.ones(len(starts), dtype=bool))


def integrate_batch(problem: Problem, starts: Array, settings: Settings, watch: NDArray[np.bool_]) -> Limits:
    """The limits of starts (N, n), validated; visits are kept for the rows in `watch` (N,)."""
    N = len(starts)
    rate, least_rank = np.zeros(N), np.zeros(N, dtype=np.int64)
    known = np.zeros(N, dtype=bool)
    if settings.at_start:
        found = certificates.at_start(problem, starts)
        free = ~invariant_modes(problem, starts).any(axis=-1)
        known = found.global_minimum & free
        rate[known], least_rank[known] = found.rate[known], found.least_rank[known]

    levels = _levels(problem, starts, settings)
    leg = Leg(
        starts=np.ascontiguousarray(starts),
        t_start=np.zeros(N),
        level=np.where(known, np.inf, levels),  # a row certified at t = 0 stops there
        rest_after=np.full(N, 0.0 if settings.certify else np.inf),
        budget=np.full(N, settings.budget),
        t_end=np.full(N, settings.t_end),
        max_step=np.full(N, np.inf),
        watch=watch,
    )
    ends = engine_of(settings.engine).integrate(problem, leg, settings)

    settled: dict[int, Settling] = {}
    outlasted: set[int] = set()
    late_visits: list[tuple[int, Visits]] = []
    for row in map(int, np.flatnonzero(ends.stop == Stop.RESTING)):
        size = float(np.linalg.norm(starts[row]))
        watcher = _Watcher(problem, settings, levels[row], size, bool(watch[row]))
        watcher.take_over(ends, row)
        watcher.wait()
        watcher.hand_back(ends, row)
        late_visits.extend((row, visits) for visits in watcher.visits)
        if watcher.settled is not None:
            settled[row] = watcher.settled
            if watcher.outlasted and watcher.found_again(starts[row]):
                outlasted.add(row)
            ends.evaluations[row] += watcher.spent_on_checks

    return judge(
        problem,
        Course(
            starts, ends.state, ends.t, ends.stop, ends.steps, ends.rejected, ends.evaluations, ends.loss_increase,
            rate, least_rank, settled, frozenset(outlasted), _joined(ends.visits, late_visits),
        ),
        settings.delta,
    )  # fmt: skip


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


@dataclass
class _Watcher:
    """One row at rest, carried on by the reference engine until its fate is known."""

    problem: Problem
    settings: Settings
    level: float
    size: float
    watch: bool
    stop: Stop = Stop.RESTING
    settled: Settling | None = None
    outlasted: bool = False
    spent_on_checks: int = 0

    def __post_init__(self) -> None:
        self.engine = Reference()
        # Any method of the reference engine will do beside a saddle; an engine without one of its methods gets
        # scipy's DOP853.
        method = self.settings.method if self.settings.method in self.engine.methods else "DOP853"
        self.settings = replace(self.settings, engine="reference", method=method)
        self.visits: list[Visits] = []

    def take_over(self, ends: Ends, row: int) -> None:
        self.state, self.t = ends.state[row].copy(), float(ends.t[row])
        self.steps, self.rejected = int(ends.steps[row]), int(ends.rejected[row])
        self.evaluations, self.loss_increase = int(ends.evaluations[row]), float(ends.loss_increase[row])

    def hand_back(self, ends: Ends, row: int) -> None:
        ends.state[row], ends.t[row], ends.stop[row] = self.state, self.t, self.stop
        ends.steps[row], ends.rejected[row] = self.steps, self.rejected
        ends.evaluations[row], ends.loss_increase[row] = self.evaluations, self.loss_increase

    def wait(self) -> None:
        """Relax onto the stratum, wait beside it, and go on where it was only a passage."""
        while self.stop is Stop.RESTING:
            near = settling(self.problem, self.state, self.size)
            if near is not None:
                # A leg of the same trajectory with short steps: nothing is lost if it turns out to be a passage.
                time = RELAX * max(1 / near.fastest, min(1 / near.slowest, self.t))
                if (
                    self.carry(t_end=self.t + time, max_step=1 / near.fastest) is Stop.T_END
                    and self.t < self.settings.t_end
                ):
                    near = settling(self.problem, self.state, self.size)
                    if near is not None and near.settled and not self.outwait(near):
                        return
            if self.stop in (Stop.RESTING, Stop.T_END) and self.t < self.settings.t_end:
                # Not settled: a passage. Look again when as much time has passed as so far.
                self.carry(rest_after=2 * self.t if self.t > 0 else float(np.nextafter(0.0, 1.0)))
        if self.stop is not Stop.LEVEL:
            near = settling(self.problem, self.state, self.size)
            self.settled = near if near is not None and near.settled else None

    def outwait(self, near: Settling) -> bool:
        """Wait PATIENCE escape times beside the stratum. True if it went on; else `settled`, and `outlasted` if it
        stayed.
        """
        wait = PATIENCE * near.escape_time
        per_step = self.evaluations / max(self.steps, 1)
        if wait * near.fastest * per_step <= self.settings.budget - self.evaluations:
            if self.carry(t_end=self.t + wait, max_step=1 / near.fastest) is not Stop.T_END:
                return True
            after = settling(self.problem, self.state, self.size)
            if after is None or not after.settled or after.modes != near.modes:
                return True
            near, self.outlasted = after, self.t < self.settings.t_end
        self.settled, self.stop = near, Stop.RESTING
        return False

    def carry(self, *, t_end: float = np.inf, max_step: float = np.inf, rest_after: float = np.inf) -> Stop:
        """One leg by the reference engine, on the row's own budget; why it stopped."""
        leg = Leg(
            starts=self.state[None, :],
            t_start=np.array([self.t]),
            level=np.array([self.level]),
            rest_after=np.array([rest_after]),
            budget=np.array([max(1, self.settings.budget - self.evaluations)]),
            t_end=np.array([min(t_end, self.settings.t_end)]),
            max_step=np.array([max_step]),
            watch=np.array([self.watch]),
        )
        ends = self.engine.integrate(self.problem, leg, self.settings)
        self.state, self.t, self.stop = ends.state[0], float(ends.t[0]), Stop(ends.stop[0])
        self.steps += int(ends.steps[0])
        self.evaluations += int(ends.evaluations[0])
        self.rejected = -1 if min(self.rejected, ends.rejected[0]) < 0 else self.rejected + int(ends.rejected[0])
        self.loss_increase = max(self.loss_increase, float(ends.loss_increase[0]))
        self.visits.append(ends.visits)
        return self.stop

    def found_again(self, start: Array) -> bool:
        """Whether tighter re-integrations from the start outlast on the same stratum; what they spend is counted."""
        assert self.settled is not None
        for factor in CHECKS:
            tighter = self.settings.tighter(factor)
            if tighter is None:
                return False
            again = _Watcher(self.problem, tighter, self.level, self.size, watch=False)
            again.state, again.t = start.copy(), 0.0
            again.steps, again.rejected, again.evaluations, again.loss_increase = 0, 0, 0, 0.0
            again.carry(rest_after=0.0)
            again.wait()
            self.spent_on_checks += again.evaluations
            if not again.outlasted or again.settled is None or again.settled.modes != self.settled.modes:
                return False
        return True


def _joined(visits: Visits, late: list[tuple[int, Visits]]) -> Visits:
    """The engine's visits and those of rows carried on, in one table."""
    if not late:
        return visits
    row = [visits.row, *(np.full(len(part.row), at) for at, part in late)]

    def column(name: str) -> Any:
        return np.concatenate([getattr(visits, name), *(getattr(part, name) for _, part in late)])

    return Visits(np.concatenate(row), column("t"), column("gradient_norm"), column("state"))
