"""Integrate rows until they are classified, and wait beside saddles where that is asked for.

An engine stops a row when its gradient is at rest. No norm can tell whether the row rests on a saddle or passes one
slowly, so the Hessian is examined. A row that it shows to be leaving goes on, and is examined again when its time has
doubled. A row that rests (critical/settling.py) has settled, at once. With `wait`, and only beside a normally
hyperbolic saddle, a settled row goes on until it leaves, or until the least positive double would have left twice over.

Waiting needs a method that neither damps nor rotates components far below its tolerance. An explicit method multiplies
a small unstable component by its stability polynomial, which is above 1 to the right of zero, and close to the
exponential as long as no step is longer than 1 / (the fastest rate out). DOP853 and RKC are explicit; Radau, BDF and
LSODA are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basins.classification.verdict import PATIENCE
from basins.integrators import engine_of
from basins.integrators.base import Engine, IntegrationRequest, IntegrationResult, Settings, Stop, Visits
from basins.landscapes.base import Landscape, Settling
from basins.landscapes.lengths import length

RELAX = 40
"""Relaxation takes this many e-folding times of the slowest attraction: from any distance down to rounding."""

LEAST = 5e-324
"""The least positive double: what an unstable component may be and not be zero."""

SLICE = 150_000
"""Evaluations of a leg of the wait: short of what the lanes engine spends on a plateau before it takes to Radau, whose
linear algebra would mix rounding into what is far below it."""

EXPLICIT = "DOP853"
"""The method that waits, for an engine whose own method is implicit."""

Rows = NDArray[np.int64]


@dataclass
class Followed:
    """Where rows ended: ends; settled: row -> what it settled on; outlasted: rows that stayed there for the whole
    wait.
    """

    ends: IntegrationResult
    settled: dict[int, Settling] = field(default_factory=dict)
    outlasted: set[int] = field(default_factory=set)


def follow(landscape: Landscape, leg: IntegrationRequest, settings: Settings, wait: bool = False) -> Followed:
    """Integrate every row until it is certified, has settled, or its budget or time is spent.

    wait: wait beside a saddle for rows that settle, so that some may be said to have outlasted it.
    """
    engine = engine_of(settings.engine)
    followed = Followed(engine.integrate(landscape, leg, settings))
    ends, visits = followed.ends, [(np.arange(len(leg.starts)), followed.ends.visits)]
    resting = np.flatnonzero(ends.stop == Stop.RESTING)
    while len(resting):
        seen = {row: read(landscape, leg, ends, row) for row in map(int, resting)}
        followed.settled |= {row: at for row, at in seen.items() if at is not None and at.rests}
        passing = [
            row for row in seen if row not in followed.settled and landscape.loss_and_gradient(ends.state[row])[1].any()
        ]
        if wait:
            beside = [row for row in seen if row in followed.settled]
            passing += _Wait(landscape, leg, settings, followed, visits).those_that_left(beside)
        rows = np.array(sorted(passing), dtype=np.int64)
        again = engine.integrate(landscape, onward(leg, ends, rows), settings)
        add(ends, rows, again)
        visits.append((rows, again.visits))
        resting = rows[again.stop == Stop.RESTING]
    followed.ends = replace(ends, visits=joined(visits))
    return followed


def read(landscape: Landscape, leg: IntegrationRequest, ends: IntegrationResult, row: int) -> Settling | None:
    return landscape.critical.settle(ends.state[row], length(leg.starts[row]))


def onward(leg: IntegrationRequest, ends: IntegrationResult, rows: Rows) -> IntegrationRequest:
    """The request for rows that go on; they are examined again when their time has doubled."""
    t = ends.t[rows]
    return IntegrationRequest(
        starts=ends.state[rows],
        t_start=t,
        level=leg.level[rows],
        rest_after=np.where(t > 0, 2 * t, np.nextafter(0.0, 1.0)),
        budget=np.maximum(1, leg.budget[rows] - ends.evaluations[rows]),
        t_end=leg.t_end[rows],
        max_step=leg.max_step[rows],
        watch=leg.watch[rows],
    )


def add(ends: IntegrationResult, rows: Rows, more: IntegrationResult) -> None:
    """Add the results of a further integration of these rows."""
    ends.state[rows], ends.t[rows], ends.stop[rows] = more.state, more.t, more.stop
    ends.steps[rows] += more.steps
    ends.evaluations[rows] += more.evaluations
    told = (ends.rejected[rows] >= 0) & (more.rejected >= 0)
    ends.rejected[rows] = np.where(told, ends.rejected[rows] + more.rejected, -1)
    ends.loss_increase[rows] = np.maximum(ends.loss_increase[rows], more.loss_increase)


def joined(parts: list[tuple[Rows, Visits]]) -> Visits:
    """The visits of several integrations as one table; each comes with the rows that its numbers stand for."""

    def column(name: str) -> Any:
        return np.concatenate([getattr(visits, name) for _, visits in parts])

    row = np.concatenate([rows[visits.row] for rows, visits in parts])
    return Visits(row, column("t"), column("gradient_norm"), column("state"))


class _Wait:
    """Integrates settled rows together, each on its own budget, until they leave or have outlasted the saddle."""

    def __init__(
        self,
        landscape: Landscape,
        leg: IntegrationRequest,
        settings: Settings,
        followed: Followed,
        visits: list[tuple[Rows, Visits]],
    ) -> None:
        self.landscape, self.leg, self.followed, self.visits = landscape, leg, followed, visits
        self.engine: Engine = engine_of(settings.engine)
        explicit = EXPLICIT in settings.method  # the lanes' two methods, and the reference engine's
        self.settings = settings if explicit else replace(settings, method=EXPLICIT)

    def those_that_left(self, rows: Sequence[int]) -> list[int]:
        """Wait beside the saddle of each row. Returns the rows that left; `followed` records the others."""
        settled, ends = self.followed.settled, self.followed.ends
        waiting = [row for row in rows if settled[row].hyperbolic and self._can_outlast(row)]
        times = [self._escape(row) for row in waiting]
        stayed = self._carry(waiting, times, [1 / settled[row].fastest_out for row in waiting])
        # What the tolerance leaves in the attracting directions decays before the distance is taken.
        times = [RELAX / settled[row].slowest_in for row in stayed]
        self._carry(stayed, times, [1 / settled[row].fastest for row in stayed])
        left = []
        for row in waiting:
            before, after = settled.pop(row), read(self.landscape, self.leg, ends, row)
            stop = Stop(ends.stop[row])
            if stop is not Stop.LEVEL and after is not None and after.rests and after.code == before.code:
                settled[row] = after
                if (
                    stop is Stop.RESTING
                    and after.settled
                    and self.landscape.critical.normally_hyperbolic(ends.state[row])
                ):
                    self.followed.outlasted.add(row)
            elif stop is Stop.RESTING:
                left.append(row)
        return left

    def _escape(self, row: int) -> float:
        """Twice the time in which the least positive double leaves along the slowest way out, until it is of the
        trajectory's size or of the landscape's."""
        size = max(
            self.landscape.critical.typical_size, length(self.leg.starts[row]), length(self.followed.ends.state[row])
        )
        return float(PATIENCE * (np.log(size) - np.log(LEAST)) / self.followed.settled[row].slowest_out)

    def _can_outlast(self, row: int) -> bool:
        """Whether the row's budget, and the digits of its time, are enough for the whole wait."""
        at, ends = self.followed.settled[row], self.followed.ends
        steps = self._escape(row) * at.fastest_out
        stiff = at.fastest / at.fastest_out
        each = 12 * max(1.0, stiff / 6)  # DOP853, which its stability holds to steps of 6 / (the fastest rate)
        if stiff > 6 and self.settings.method != EXPLICIT:
            each = 2 + np.sqrt(1.85 * stiff)  # stages of RKC
        if 1 / at.fastest_out < 1e3 * np.spacing(ends.t[row]):  # a time so large has no room for such steps
            return False
        return bool(steps * each <= self.leg.budget[row] - ends.evaluations[row])

    def _carry(self, rows: Sequence[int], times: Sequence[float], max_steps: Sequence[float]) -> list[int]:
        """Integrate these rows for so much longer, with steps no longer than these. Returns those that did."""
        ends, to = self.followed.ends, self.followed.ends.t.copy()
        to[list(rows)] += times
        longest = np.zeros_like(to)
        longest[list(rows)] = max_steps
        left = np.array(rows, dtype=np.int64)
        while len(left):
            short = onward(self.leg, ends, left)
            budget = np.minimum(short.budget, SLICE)
            t_end = np.minimum(self.leg.t_end[left], to[left])
            rest = np.full(len(left), np.inf)
            short = replace(short, rest_after=rest, t_end=t_end, max_step=longest[left], budget=budget)
            more = self.engine.integrate(self.landscape, short, self.settings)
            add(ends, left, more)
            self.visits.append((left, more.visits))
            there = (more.stop == Stop.T_END) & (more.t < self.leg.t_end[left])
            ends.stop[left[there]] = Stop.RESTING
            left = left[(more.stop == Stop.BUDGET) & (ends.evaluations[left] < self.leg.budget[left])]
        return [row for row in rows if ends.stop[row] == Stop.RESTING]
