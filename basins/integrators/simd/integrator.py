"""The lanes engine: scipy's DOP853 for several trajectories side by side, one in each lane of the vector registers.

It takes the steps solve_ivp(method="DOP853") takes, to rounding. With its first method, DOP853-RKC, a row whose step is
held down by stability and not by accuracy goes on with RKC (rkc.py) until DOP853 does as well (docs/plateaus.md).
Where LLVM has no target for this CPU the reference engine does the work, with a warning that says so.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from basins.dynamics.base import Dynamics
from basins.integrators.base import Array, IntegrationRequest, IntegrationResult, Settings, Stop, Visits
from basins.integrators.scipy import Reference
from basins.integrators.simd.kernel import Kernel, kernel
from basins.integrators.simd.memory import aligned
from basins.integrators.simd.row_states import BACK, RESISTS, ROW, STIFF, Rows
from basins.integrators.simd.step_code import scratch_of
from basins.landscapes.base import GradientCode, Landscape

WIDTHS = (("avx512f", 8), ("avx", 4))
"""Doubles in a vector register, by the CPU feature that brings them; 2 without any."""

SWITCHING = "DOP853-RKC"
"""The method of these lanes: DOP853, and RKC (rkc.py) wherever stability and not accuracy holds its step down."""

CACHE = 512 * 1024
"""Bytes of second-level cache a core has on the CPUs in use; beyond it a step runs from memory, and `notes` says so."""


class EngineWarning(UserWarning):
    """The engine asked for cannot run here, and another does its work."""


@cache
def native_lanes() -> int:
    """Doubles in this CPU's vector registers."""
    features = llvm.get_host_cpu_features()
    return next((width for feature, width in WIDTHS if features.get(feature)), 2)


@cache
def compiled_or_none(code: GradientCode, lanes: int) -> Kernel | None:
    """The kernel of a landscape's code, or None, with a warning, where LLVM cannot compile for this CPU."""
    try:
        return kernel(code, lanes)
    except RuntimeError as error:
        _warn_of_no_target(error)
        return None


def _warn_of_no_target(error: RuntimeError) -> None:
    what = f"no LLVM target for this CPU ({error}): the reference engine integrates instead"
    warnings.warn(what, EngineWarning, stacklevel=5)


class Lanes:
    """scipy's DOP853 in vector lanes behind the engine contract."""

    name = "lanes"
    methods: tuple[str, ...] = (SWITCHING, "DOP853")

    def __init__(self, lanes: int | None = None) -> None:
        self._lanes = lanes

    @property
    def lanes(self) -> int:
        """Lanes of a group: one vector register's, so that all stages stay in cache. It changes speed and no byte."""
        return native_lanes() if self._lanes is None else self._lanes

    def notes(self, landscape: Landscape) -> tuple[str, ...]:
        """What a user should know about integrating this landscape here, a line each; none for states that fit."""
        code = landscape.gradient_code()
        if code is None:
            return ("it has no generated code: scipy's solvers integrate it, one trajectory at a time",)
        size = 8 * self.lanes * (4 * code.n + scratch_of(code))
        if size <= CACHE:
            return ()
        return (
            f"{landscape.size_text}: a group's step takes {size / 2**20:.1f} MiB, "
            f"more than a core's {CACHE / 2**20:.1f} MiB of cache, so it runs from memory",
        )

    def integrate(self, landscape: Landscape, leg: IntegrationRequest, settings: Settings) -> IntegrationResult:
        """Carry every row to its stop, `lanes` rows at a time."""
        gradient_code = landscape.gradient_code()
        code = None if gradient_code is None else compiled_or_none(gradient_code, self.lanes)
        if code is None:
            # LSODA, too, changes its method where a row is stiff.
            method = "LSODA" if settings.method == SWITCHING else settings.method
            return Reference().integrate(landscape, leg, replace(settings, engine=Reference.name, method=method))
        return run(code, landscape, leg, settings)

    def iterate(
        self, landscape: Landscape, dynamics: Dynamics, leg: IntegrationRequest, settings: Settings
    ) -> IntegrationResult:
        """Carry every row to its stop by steps of a discrete dynamics, `lanes` rows at a time; by the reference engine
        where landscape or dynamics has no vector code."""
        code, step = landscape.gradient_code(), dynamics.step_code()
        if code is None or step is None:
            return Reference().iterate(landscape, dynamics, leg, settings)
        from basins.integrators.simd import fixed_step

        try:
            kernel = fixed_step.step_kernel(code, step, self.lanes)
        except RuntimeError as error:
            _warn_of_no_target(error)
            return Reference().iterate(landscape, dynamics, leg, settings)
        return fixed_step.run(kernel, landscape, dynamics, leg, settings)


ASKED = ("level", "rest_after", "budget", "t_end", "max_step", "watch")
COUNTS = ("steps", "rejected", "evaluations")

PATIENCE = 40
"""Stiff steps of DOP853 before a row is taken to be on a plateau; twice as many each time after."""


PLATEAU = 180_000
"""A row that has spent so many evaluations on a plateau and is still there goes to the reference engine's Radau, which
crosses the longest in some 2,000 of them (0.2 s of Python). It is not a share of the budget, because a larger budget
has to continue the same path (`basins extend`)."""

DENSE = 256
"""Radau factors matrices of the state's size, so a larger state stays with RKC, however long that takes."""


def run(code: Kernel, landscape: Landscape, leg: IntegrationRequest, settings: Settings) -> IntegrationResult:
    """Carry every row to its stop with a compiled kernel: DOP853, RKC on plateaus, Radau beyond."""
    from basins.integrators.simd import driver, rkc

    n, lanes = leg.starts.shape[1], code.lanes
    parameters = np.concatenate([[settings.atol, settings.rtol], landscape.parameters])
    rest, residuals = landscape.rest, code.code.residuals
    explicit: Any = driver.drive
    stabilised: Any = rkc.drive
    scratch = aligned((scratch_of(code.code) + 8) * lanes)
    residual = scratch[: (residuals or 0) * lanes].reshape(-1, lanes)
    groups, prepared = (aligned(4 * n * lanes) for _ in range(2))
    switches = settings.method == SWITCHING and residuals is not None
    states = _RowStates(leg, PATIENCE if switches else np.iinfo(np.int64).max)
    dense = n <= DENSE
    stages = rkc.most_stages(settings.rtol)
    resist = [np.zeros(0, dtype=np.int64)]
    rows = np.arange(len(leg.starts))
    while len(rows) or not states.visits:
        state, part = states.phase(rows)
        visits = explicit(
            code.attempt, code.first, code.trial, rest.degree, rest.scale,
            groups.reshape(2, 2, n, lanes), prepared.reshape(4, n, lanes), scratch, parameters, state, part,
        )  # fmt: skip
        states.add(rows, state, part, visits)
        rows = rows[part["stop"] == STIFF]
        if not len(rows):
            break
        state, part = states.phase(rows, PLATEAU if dense else None)
        visits = stabilised(
            code.stage, stages, dense, rest.degree, rest.scale, settings.atol, settings.rtol,
            aligned(7 * n * lanes).reshape(7, n, lanes), scratch, parameters, residual,
            aligned(4 * lanes).reshape(4, lanes), state, part,
        )  # fmt: skip
        states.add(rows, state, part, visits)
        states.rows["patience"][rows] *= 2
        spent = (part["stop"] == Stop.BUDGET) & dense & (leg.budget[rows] > PLATEAU)
        resist.append(rows[spent | (part["stop"] == RESISTS)])
        rows = rows[part["stop"] == BACK]
    rows = np.sort(np.concatenate(resist))
    if len(rows):
        implicit = replace(settings, engine=Reference.name, method="Radau")
        states.take(rows, Reference().integrate(landscape, states.leg(rows), implicit))
    return states.ends()


class _RowStates:
    """The rows of a request over several phases: states (N, n), the driver's records (row_states.ROW), visits."""

    def __init__(self, leg: IntegrationRequest, patience: int) -> None:
        self.state = np.array(leg.starts, dtype=np.float64, order="C")
        self.rows = np.zeros(len(self.state), dtype=ROW)
        self.rows["t"] = leg.t_start
        for name in ASKED:
            self.rows[name] = getattr(leg, name)
        self.rows["patience"], self.rows["first_norm"], self.rows["before"] = patience, -1.0, np.inf
        self.visits: list[tuple[NDArray[Any], ...]] = []

    def phase(self, rows: NDArray[np.int64], most: int | None = None) -> tuple[Array, Rows]:
        """The states of these rows and the driver's record of each, with what is left of its budget, at most `most`."""
        part = self.rows[rows]
        allowed = part["budget"] if most is None else np.minimum(part["budget"], most)
        part["budget"] = np.maximum(1, allowed - part["evaluations"])
        for name in (*COUNTS, "increase"):
            part[name] = 0
        return self.state[rows], part

    def leg(self, rows: NDArray[np.int64]) -> IntegrationRequest:
        """The request for another engine to go on with these rows."""
        state, part = self.phase(rows)
        return IntegrationRequest(state, part["t"].copy(), *(part[name].copy() for name in ASKED))

    def add(self, rows: NDArray[np.int64], state: Array, part: Rows, visits: tuple[NDArray[Any], ...]) -> None:
        """Record the results of a phase for its rows."""
        for name in COUNTS:
            self.rows[name][rows] += part[name]
        self.rows["increase"][rows] = np.maximum(self.rows["increase"][rows], part["increase"])
        for name in ("t", "stop", "first_norm", "before", "size"):
            self.rows[name][rows] = part[name]
        self.state[rows] = state
        self.visits.append((rows[visits[0]], *visits[1:]))

    def take(self, rows: NDArray[np.int64], more: IntegrationResult) -> None:
        """Record the results of another engine, which integrated these rows to their end."""
        self.state[rows], self.rows["t"][rows], self.rows["stop"][rows] = more.state, more.t, more.stop
        self.rows["steps"][rows] += more.steps
        self.rows["rejected"][rows] = -1
        self.rows["evaluations"][rows] += more.evaluations
        self.rows["increase"][rows] = np.maximum(self.rows["increase"][rows], more.loss_increase)
        visits = more.visits
        self.visits.append((rows[visits.row], visits.t, visits.gradient_norm, visits.state))

    def ends(self) -> IntegrationResult:
        """Where all rows stopped."""
        row, t, gradient_norm, state = (np.concatenate(column) for column in zip(*self.visits, strict=True))
        order = np.argsort(row, kind="stable")  # lanes end in an order of their own
        visits = Visits(row[order], t[order], gradient_norm[order], state[order])
        t, stop, steps, rejected, evaluations, increase = (
            self.rows[name].copy() for name in ("t", "stop", *COUNTS, "increase")
        )
        return IntegrationResult(self.state, t, stop, steps, rejected, evaluations, increase, visits)
