"""States of the flow at given times: what diffrax calls saveat, and scipy t_eval.

The reference engine reads them off its solver's steps (`Reference.record_at`). The lanes engine ends a step at each
time, and goes on from there. Either way a state is as accurate as the solver's own steps. Nothing stops a row but the
last time, its budget, or a step or state that cannot be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basins.integrators import engine_of
from basins.integrators.base import Array, Engine, IntegrationRequest, Settings, Stop
from basins.integrators.scipy import Reference
from basins.landscapes.base import Landscape


@dataclass(frozen=True)
class AtTimes:
    """N rows at T times. state (N, T, n), nan at times that a row did not come to; reached (N,): the time that its
    integration came to, at most the last; stop (N,): T_END where it came to the last time, else why not; evaluations
    (N,)."""

    state: Array
    reached: Array
    stop: NDArray[np.int8]
    evaluations: NDArray[np.int64]


def at_times(landscape: Landscape, starts: Array, times: Array, settings: Settings) -> AtTimes:
    """The flow from starts (N, n), at t = 0, at `times` (T,): finite, rising, at least 0."""
    engine = engine_of(settings.engine)
    N, n = starts.shape
    found = AtTimes(
        state=np.full((N, len(times), n), np.nan),
        reached=np.zeros(N),
        stop=np.full(N, Stop.T_END, dtype=np.int8),
        evaluations=np.zeros(N, dtype=np.int64),
    )
    first = int(len(times) > 0 and times[0] == 0)
    if first:
        found.state[:, 0] = starts
    if first < len(times):
        read = _dense if isinstance(engine, Reference) else _step_to_each
        read(engine, landscape, starts, times, first, settings, found)
    return found


def _dense(
    engine: Engine, landscape: Landscape, starts: Array, times: Array, first: int, settings: Settings, found: AtTimes
) -> None:
    assert isinstance(engine, Reference)
    leg = IntegrationRequest.of(starts, settings.budget, t_end=float(times[-1]))
    for row, (states, t, stop, evaluations) in enumerate(engine.record_at(landscape, leg, settings, times[first:])):
        found.state[row, first : first + len(states)] = states
        found.reached[row], found.stop[row] = min(t, float(times[-1])), stop
        found.evaluations[row] = evaluations


def _step_to_each(
    engine: Engine, landscape: Landscape, starts: Array, times: Array, first: int, settings: Settings, found: AtTimes
) -> None:
    rows, state = np.arange(len(starts)), starts
    for k in range(first, len(times)):
        left = settings.budget - found.evaluations[rows]
        before = float(times[k - 1]) if k else 0.0
        step = IntegrationRequest.of(state, left, t_start=before, t_end=float(times[k]))
        ends = engine.integrate(landscape, step, settings)
        there = ends.stop == Stop.T_END
        found.state[rows[there], k] = ends.state[there]
        found.reached[rows], found.stop[rows] = ends.t, ends.stop
        found.evaluations[rows] += ends.evaluations
        spent = found.evaluations[rows] >= settings.budget
        if k + 1 < len(times):
            found.stop[rows[there & spent]] = Stop.BUDGET
            there &= ~spent
        rows, state = rows[there], ends.state[there]
        if not len(rows):
            return
