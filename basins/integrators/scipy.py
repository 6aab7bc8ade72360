"""The reference engine: scipy's adaptive solvers, one trajectory at a time.

It drives the solver classes behind scipy.integrate.solve_ivp step by step and takes the steps solve_ivp takes. The
loop is ours because solve_ivp's events see sign changes only: a start below the level would never stop, and no
budget would hold.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basins.dynamics.base import Dynamics
from basins.integrators import numpy_steps
from basins.integrators.base import Array, IntegrationRequest, IntegrationResult, Settings, Stop, Visits, at_rest
from basins.landscapes.base import Landscape

if TYPE_CHECKING:
    from scipy.integrate import OdeSolver

STAGES = {"RK45": 6, "DOP853": 12}
"""Evaluations that an attempted step of an explicit method takes: scipy's n_stages."""

METHODS = (*STAGES, "Radau", "BDF", "LSODA")


class Field:
    """The vector field of one trajectory, counting its evaluations and keeping the last one."""

    def __init__(self, landscape: Landscape) -> None:
        self.landscape = landscape
        self.evaluations = 0
        self.state: Array | None = None
        self.velocity: Array = np.empty(0)
        self.loss = np.inf

    def __call__(self, t: float, W: Array) -> Array:
        self.evaluations += 1
        loss, gradient = self.landscape.loss_and_gradient(W)
        velocity = np.negative(gradient)
        self.state, self.velocity, self.loss = W, velocity, float(loss)
        return velocity

    def at(self, W: Array) -> tuple[float, float]:
        """Loss and gradient norm at an accepted state: for free where the step's last evaluation was there."""
        if self.state is not W:
            self(0.0, W)
        return self.loss, float(np.sqrt(self.velocity @ self.velocity))


@dataclass(frozen=True)
class Recorded:
    """The path of one row: its start, and of each accepted step some states of the solver's own interpolation.

    t (T,) and state (T, n), T = 1 + points * steps, where every points-th is the end of a step; stop: why it ends.
    """

    t: Array
    state: Array
    steps: int
    stop: Stop


class Reference:
    """scipy.integrate's solvers behind the engine contract; methods RK45, DOP853, Radau, BDF, LSODA."""

    name = "reference"
    methods = METHODS

    def notes(self, landscape: Landscape) -> tuple[str, ...]:
        """Nothing: every shape runs alike."""
        return ()

    def integrate(self, landscape: Landscape, leg: IntegrationRequest, settings: Settings) -> IntegrationResult:
        """Carry every row to its stop, one after the other."""
        N, n = leg.starts.shape
        state, t = np.array(leg.starts), np.array(leg.t_start)
        stop = np.empty(N, dtype=np.int8)
        steps, rejected, evaluations = (np.zeros(N, dtype=np.int64) for _ in range(3))
        loss_increase = np.zeros(N)
        visits: list[tuple[int, float, float, Array]] = []
        with _quiet():
            for row in range(N):
                one = _Trajectory(landscape, leg, settings, row)
                stop[row] = one.run()
                state[row], t[row] = one.state, one.t
                steps[row], rejected[row], evaluations[row] = one.steps, one.rejected(), one.field.evaluations
                loss_increase[row] = one.loss_increase
                visits.extend((row, *visit) for visit in one.visits)
        return IntegrationResult(state, t, stop, steps, rejected, evaluations, loss_increase, _visits(visits, n))

    def iterate(
        self, landscape: Landscape, dynamics: Dynamics, leg: IntegrationRequest, settings: Settings
    ) -> IntegrationResult:
        """Carry every row to its stop by the dynamics' NumPy step, one after the other."""
        return numpy_steps.iterate(landscape, dynamics, leg, settings)

    def record(self, landscape: Landscape, leg: IntegrationRequest, settings: Settings, points: int) -> list[Recorded]:
        """Carry every row to its stop as `integrate` does, and keep its path: `points` states of each accepted step,
        evenly spaced in time, the step's end the last. A step to a state that is not finite is left out. What the
        interpolation evaluates (three evaluations a step of DOP853) counts against the budget.
        """

        def evenly(before: float, after: float) -> Array:
            return np.linspace(before, after, points + 1)[1:]

        found = []
        with _quiet():
            for row in range(len(leg.starts)):
                one = _Trajectory(landscape, leg, settings, row, evenly)
                stop = one.run()
                t, state = (np.concatenate(parts) for parts in (one.path_t, one.path))
                found.append(Recorded(t, state, (len(t) - 1) // points, stop))
        return found

    def record_at(
        self, landscape: Landscape, leg: IntegrationRequest, settings: Settings, times: Array
    ) -> Iterator[tuple[Array, float, Stop, int]]:
        """Carry every row to leg.t_end, and read it at `times` (T,), rising, after t_start and up to t_end: of each
        row the states (k, n) at the first k of the times, those that it came to; the time it came to; why it stopped;
        and its evaluations, those spent on these states included.

        An explicit method comes to a time by a shorter step from where the step over it began: its interpolation is 29
        times the tolerance off where stability holds the steps (DOP853 beside the minimum of a chain of four weights),
        the shorter step once. It is not told of t_end and steps over it, so a state depends on no other time that is
        asked for. The others interpolate, and end a step at t_end, so that a state may depend on t_end: without one
        LSODA's first step from where the slope is zero would be infinite.
        """
        explicit = settings.method in STAGES

        def asked(before: float, after: float) -> Array:
            return times[(times > before) & (times <= after)]

        for row in range(len(leg.starts)):
            with _quiet():
                one = _Trajectory(landscape, leg, settings, row, asked, bound=np.inf if explicit else None)
                one.lands = explicit
                stop = one.run()
            yield np.concatenate(one.path)[1:], one.t, stop, one.field.evaluations


@contextmanager
def _quiet() -> Iterator[None]:
    """A start may overflow, and LSODA may give up: a row's fate, with a stop of its own, and no reason to warn."""
    with np.errstate(over="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="lsoda:", category=UserWarning)
        yield


class _Trajectory:
    """One row of a leg, on its way. kept: of a step from one time to another the times, in it, at which states are kept
    in `path`, at times `path_t`; bound: the time that no step goes beyond, t_end unless it is given."""

    def __init__(
        self,
        landscape: Landscape,
        leg: IntegrationRequest,
        settings: Settings,
        row: int,
        kept: Callable[[float, float], Array] | None = None,
        bound: float | None = None,
    ) -> None:
        self.landscape, self.settings, self.kept = landscape, settings, kept
        self.field = Field(landscape)
        self.state, self.t = np.array(leg.starts[row]), float(leg.t_start[row])
        self.level, self.rest_after = float(leg.level[row]), float(leg.rest_after[row])
        self.t_end, self.max_step = float(leg.t_end[row]), float(leg.max_step[row])
        self.bound = self.t_end if bound is None else bound
        self.budget, self.watched = int(leg.budget[row]), bool(leg.watch[row])
        self.first_norm = float(np.sqrt(self.state @ self.state))
        self.steps, self.solver_evaluations, self.loss_increase = 0, 0, 0.0
        self.visits: list[tuple[float, float, Array]] = []
        self.path_t, self.path = [np.array([self.t])], [self.state[None].copy()]
        self.lands = False

    def run(self) -> Stop:
        loss, gradient_norm = self.field.at(self.state)
        stop = self.reason_to_stop(loss, gradient_norm)
        if stop is not None:
            return stop
        try:
            solver = self.solver()
        except ValueError:  # scipy refuses a start whose field is not finite
            return Stop.NON_FINITE
        before = np.inf  # the gradient norm one step earlier, for visits
        while True:
            earlier = self.state, self.t, gradient_norm
            evaluations = self.field.evaluations
            try:
                solver.step()
            except ValueError:  # a Jacobian or stage that is not finite, in scipy's linear algebra
                return Stop.NON_FINITE
            self.solver_evaluations += self.field.evaluations - evaluations
            if solver.status == "failed":
                return Stop.STEP_UNDERFLOW if np.isfinite(self.field.velocity).all() else Stop.NON_FINITE
            self.steps += 1
            self.state, self.t = solver.y, float(solver.t)
            last_loss = loss
            loss, gradient_norm = self.field.at(self.state)
            self.loss_increase = max(self.loss_increase, loss - last_loss)
            if self.watched and earlier[2] < before and earlier[2] <= gradient_norm:
                self.visits.append((earlier[1], earlier[2], earlier[0]))
            before = earlier[2]
            stop = self.reason_to_stop(loss, gradient_norm)
            if self.kept is not None and stop != Stop.NON_FINITE:
                assert solver.t_old is not None  # a step was taken
                between = self.kept(float(solver.t_old), self.t)
                if len(between):
                    self.path_t.append(between)
                    self.path.append(self.landed(solver, between) if self.lands else solver.dense_output()(between).T)
            if stop is not None:
                return stop

    def landed(self, solver: Any, times: Array) -> Array:
        """States (k, n) at times in the last step, each by one step of the explicit method from where it began."""
        states = np.empty((len(times), len(self.state)))
        slopes = np.empty((solver.n_stages, len(self.state)))
        slopes[0] = solver.K[0]  # the slope where the step began
        for k, t in enumerate(times):
            h = t - solver.t_old
            for stage in range(1, solver.n_stages):
                ahead = h * (solver.A[stage, :stage] @ slopes[:stage])
                slopes[stage] = self.field(solver.t_old + solver.C[stage] * h, solver.y_old + ahead)
            states[k] = solver.y if t == solver.t else solver.y_old + h * (solver.B @ slopes)
        return states

    def reason_to_stop(self, loss: float, gradient_norm: float) -> Stop | None:
        """The contract's tests, in its order."""
        if not (np.isfinite(loss) and np.isfinite(gradient_norm) and np.isfinite(self.state).all()):
            return Stop.NON_FINITE
        if loss < self.level:
            return Stop.LEVEL
        if self.t >= self.t_end:
            return Stop.T_END
        if self.t >= self.rest_after:
            norm = max(self.first_norm, float(np.sqrt(self.state @ self.state)))
            if at_rest(self.landscape.rest, gradient_norm, loss, norm):
                return Stop.RESTING
        if self.field.evaluations >= self.budget:
            return Stop.BUDGET
        return None

    def solver(self) -> OdeSolver[Any]:
        from scipy import integrate  # as slow to import as all of basins: only who integrates waits for it

        method, settings = self.settings.method, self.settings
        options: dict[str, Any] = {"rtol": settings.rtol, "atol": settings.atol, "max_step": self.max_step}
        if method not in STAGES:
            options["jac"] = lambda t, W: -self.landscape.hessian(W)
        solver: OdeSolver[Any] = getattr(integrate, method)(self.field, self.t, self.state, self.bound, **options)
        return solver

    def rejected(self) -> int:
        """Rejected steps: an explicit attempt costs its stages in evaluations, so attempts are known; -1 for implicit
        methods.
        """
        stages = STAGES.get(self.settings.method)
        return -1 if stages is None else self.solver_evaluations // stages - self.steps


def _visits(rows: list[tuple[int, float, float, Array]], n: int) -> Visits:
    def column(k: int, kind: type) -> NDArray[np.float64]:
        return np.array([visit[k] for visit in rows], dtype=kind)

    states = np.array([visit[3] for visit in rows]).reshape(len(rows), n)
    return Visits(np.array([visit[0] for visit in rows], dtype=np.int64), column(1, float), column(2, float), states)
