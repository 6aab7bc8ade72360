"""Rows to their fate: an engine carries them, and what comes to rest is looked at until it is decided.

An engine stops a row whose gradient is at rest. Whether it rests on a saddle or passes one slowly, no norm can tell.
Where the unstable directions are empty to rounding, the row is taken on by the reference engine, with steps short
enough to decay to rounding, until it leaves or has outlasted the predicted escape ten times over. Any other row
passes, and its engine carries it on; it is looked at again when as much time has gone by as so far.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.classification.verdict import PATIENCE, SETTLED, Settling, settling
from basins.integrators import engine_of
from basins.integrators.base import Ends, Leg, Settings, Stop, Visits
from basins.integrators.scipy import Reference
from basins.landscapes.deep_linear.problem import Problem

RELAX = 40
"""Relaxation takes this many e-folding times of the slowest attraction: from any distance down to rounding."""


@dataclass
class Followed:
    """Where rows ended: ends; settled: row -> what it settled on; outlasted: rows that stayed there for the whole
    wait.
    """

    ends: Ends
    settled: dict[int, Settling] = field(default_factory=dict)
    outlasted: set[int] = field(default_factory=set)


def follow(problem: Problem, leg: Leg, settings: Settings) -> Followed:
    """Carry every row of the leg until it is certified, has settled, or its budget or time is spent."""
    engine = engine_of(settings.engine)
    followed = Followed(engine.integrate(problem, leg, settings))
    ends, visits = followed.ends, [(np.arange(len(leg.starts)), followed.ends.visits)]
    size = np.sqrt(np.einsum("ni,ni->n", leg.starts, leg.starts))
    resting = np.flatnonzero(ends.stop == Stop.RESTING)
    while len(resting):
        passing = []
        for row in map(int, resting):
            watcher = _Watcher(problem, settings, leg, ends, row, float(size[row]))
            watcher.stay()
            visits.extend((np.array([row]), part) for part in watcher.visits)
            if watcher.settled is not None:
                followed.settled[row] = watcher.settled
                if watcher.outlasted:
                    followed.outlasted.add(row)
            elif watcher.passes:
                passing.append(row)
        rows = np.array(passing, dtype=np.int64)
        again = engine.integrate(problem, _onward(leg, ends, rows), settings)
        _add(ends, rows, again)
        visits.append((rows, again.visits))
        resting = rows[again.stop == Stop.RESTING]
    followed.ends = replace(ends, visits=_joined(visits))
    return followed


def _onward(leg: Leg, ends: Ends, rows: NDArray[np.int64]) -> Leg:
    """The leg that carries passing rows on: next looked at when as much time has gone by as so far."""
    t = ends.t[rows]
    return Leg(
        starts=ends.state[rows],
        t_start=t,
        level=leg.level[rows],
        rest_after=np.where(t > 0, 2 * t, np.nextafter(0.0, 1.0)),
        budget=np.maximum(1, leg.budget[rows] - ends.evaluations[rows]),
        t_end=leg.t_end[rows],
        max_step=leg.max_step[rows],
        watch=leg.watch[rows],
    )


def _add(ends: Ends, rows: NDArray[np.int64], more: Ends) -> None:
    """What another leg of these rows adds to their ends."""
    ends.state[rows], ends.t[rows], ends.stop[rows] = more.state, more.t, more.stop
    ends.steps[rows] += more.steps
    ends.evaluations[rows] += more.evaluations
    told = (ends.rejected[rows] >= 0) & (more.rejected >= 0)
    ends.rejected[rows] = np.where(told, ends.rejected[rows] + more.rejected, -1)
    ends.loss_increase[rows] = np.maximum(ends.loss_increase[rows], more.loss_increase)


def _joined(parts: list[tuple[NDArray[np.int64], Visits]]) -> Visits:
    """Visits of several legs, each with the rows its own numbers stand for, as one table."""

    def column(name: str) -> Any:
        return np.concatenate([getattr(visits, name) for _, visits in parts])

    row = np.concatenate([rows[visits.row] for rows, visits in parts])
    return Visits(row, column("t"), column("gradient_norm"), column("state"))


class _Watcher:
    """One row at rest, carried on by the reference engine until it leaves, or has outlasted its escape."""

    def __init__(self, problem: Problem, settings: Settings, leg: Leg, ends: Ends, row: int, size: float) -> None:
        self.problem, self.leg, self.ends, self.row, self.size = problem, leg, ends, np.array([row]), size
        self.engine = Reference()
        # Any method will do beside a saddle; an engine whose own is not scipy's gets DOP853.
        method = settings.method if settings.method in self.engine.methods else "DOP853"
        self.settings = replace(settings, engine=self.engine.name, method=method)
        self.settled: Settling | None = None
        self.outlasted = False
        self.visits: list[Visits] = []

    @property
    def t(self) -> float:
        return float(self.ends.t[self.row[0]])

    @property
    def passes(self) -> bool:
        """Whether the row is to be carried on by its own engine."""
        return bool(self.ends.stop[self.row[0]] == Stop.RESTING)

    def read(self) -> Settling | None:
        return settling(self.problem, self.ends.state[self.row[0]], self.size)

    def stay(self) -> None:
        """Relax onto the stratum and wait beside it, for as long as the row stays."""
        near = self.read()
        if near is None or near.leaving > SETTLED:
            return
        relaxed = self.t + RELAX * max(1 / near.fastest, min(1 / near.slowest, self.t))
        stop = self.carry(relaxed, 1 / near.fastest)
        near = self.read() if stop is not Stop.LEVEL else None
        if near is None or not near.settled:
            return
        if stop is not Stop.RESTING:  # budget or time is spent
            self.settled = near
            return
        wait = PATIENCE * near.escape_time
        spent, steps = self.ends.evaluations[self.row[0]], self.ends.steps[self.row[0]]
        if wait * near.fastest * spent / steps > self.leg.budget[self.row[0]] - spent:
            self.settled = near  # no budget outlasts it
            return
        stop = self.carry(self.t + wait, 1 / near.fastest)
        after = self.read() if stop is not Stop.LEVEL else None
        if after is not None and after.settled and after.modes == near.modes:
            self.settled, self.outlasted = after, stop is Stop.RESTING

    def carry(self, until: float, max_step: float) -> Stop:
        """A leg of the same trajectory with short steps, on the row's own budget. RESTING where it came to `until`."""
        row, leg = self.row, self.leg
        short = replace(
            _onward(leg, self.ends, row),
            rest_after=np.array([np.inf]),
            t_end=np.minimum(leg.t_end[row], until),
            max_step=np.array([max_step]),
        )
        more = self.engine.integrate(self.problem, short, self.settings)
        _add(self.ends, row, more)
        self.visits.append(more.visits)
        if more.stop[0] == Stop.T_END and more.t[0] < leg.t_end[row[0]]:
            self.ends.stop[row] = Stop.RESTING
        return Stop(self.ends.stop[row[0]])
