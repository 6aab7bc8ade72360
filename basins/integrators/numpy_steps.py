"""The reference engine's side of a discrete dynamics: its NumPy step, one trajectory at a time."""

from __future__ import annotations

import numpy as np

from basins.dynamics.base import Dynamics
from basins.integrators.base import Array, IntegrationRequest, IntegrationResult, Settings, Stop, Visits, at_rest
from basins.landscapes.base import Landscape


def iterate(landscape: Landscape, dynamics: Dynamics, leg: IntegrationRequest, settings: Settings) -> IntegrationResult:
    """Carry every row of the leg to its stop by the dynamics' own steps."""
    N, size = leg.starts.shape
    state, t, stop = np.array(leg.starts), np.array(leg.t_start), np.empty(N, dtype=np.int8)
    steps, evaluations = np.zeros(N, dtype=np.int64), np.zeros(N, dtype=np.int64)
    increase = np.zeros(N)
    visits: list[tuple[int, float, float, Array]] = []
    with np.errstate(over="ignore", invalid="ignore"):  # a row that diverges has a stop of its own
        for row in range(N):
            one = _Row(landscape, dynamics, leg, row)
            stop[row] = one.run()
            state[row], t[row], steps[row] = one.state, one.t, one.steps
            evaluations[row], increase[row] = one.steps + 1, one.increase
            visits.extend((row, *visit) for visit in one.visits)
    found = Visits(
        np.array([visit[0] for visit in visits], dtype=np.int64),
        np.array([visit[1] for visit in visits]),
        np.array([visit[2] for visit in visits]),
        np.array([visit[3] for visit in visits]).reshape(len(visits), size),
    )
    return IntegrationResult(state, t, stop, steps, np.zeros(N, dtype=np.int64), evaluations, increase, found)


class _Row:
    """One row of a leg, on its way."""

    def __init__(self, landscape: Landscape, dynamics: Dynamics, leg: IntegrationRequest, row: int) -> None:
        self.landscape, self.dynamics, self.leg, self.row = landscape, dynamics, leg, row
        self.state, self.t, self.steps, self.increase = np.array(leg.starts[row]), float(leg.t_start[row]), 0, 0.0
        self.visits: list[tuple[float, float, Array]] = []

    def run(self) -> Stop:
        loss, slope, norm = self.measured()
        first_norm, before = norm, np.inf
        while True:
            stop = self.reason_to_stop(loss, slope, norm, first_norm)
            if stop is not None:
                return stop
            earlier, earlier_slope, earlier_loss = self.state, slope, loss
            self.state = self.dynamics.step(self.landscape, self.state)
            loss, slope, norm = self.measured()
            if self.leg.watch[self.row] and earlier_slope < before and earlier_slope <= slope:
                self.visits.append((self.t, earlier_slope, earlier))
            self.t, self.steps, before = self.t + 1.0, self.steps + 1, earlier_slope
            self.increase = max(self.increase, loss - earlier_loss)

    def measured(self) -> tuple[float, float, float]:
        """L, ||grad L|| and ||W||."""
        weights = self.state[: self.landscape.n]
        loss, gradient = self.landscape.loss_and_gradient(weights)
        return float(loss), float(np.sqrt(gradient @ gradient)), float(np.sqrt(weights @ weights))

    def reason_to_stop(self, loss: float, slope: float, norm: float, first_norm: float) -> Stop | None:
        """The contract's tests, in its order."""
        leg, row = self.leg, self.row
        if not (np.isfinite(loss) and np.isfinite(slope) and np.isfinite(self.state).all()):
            return Stop.NON_FINITE
        if loss < leg.level[row]:
            return Stop.LEVEL
        if self.t >= leg.t_end[row]:
            return Stop.T_END
        if self.t >= leg.rest_after[row] and at_rest(self.landscape.rest, slope, loss, max(norm, first_norm)):
            return Stop.RESTING
        if self.steps + 1 >= leg.budget[row]:
            return Stop.BUDGET
        return None
