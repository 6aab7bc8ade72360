"""The lanes engine: scipy's DOP853 for several trajectories side by side, one in each lane of the vector registers.

It takes the steps solve_ivp(method="DOP853") takes, to rounding. With its first method, DOP853-RKC, a row whose step is
held down by stability and not by accuracy goes on with RKC (plateau.py) until DOP853 does as well (docs/plateaus.md).
Where LLVM has no target for this CPU the reference engine does the work, with a warning that says so.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from basins.engines.base import Array, Ends, Leg, Settings, Stop, Visits
from basins.engines.kernel import Shape
from basins.engines.machine import Kernel, kernel
from basins.engines.reference import Reference
from basins.problem import Problem

WIDTHS = (("avx512f", 8), ("avx", 4))
"""Doubles in a vector register, by the CPU feature that brings them; 2 without any."""

SWITCHING = "DOP853-RKC"
"""The method of these lanes: DOP853, and RKC (plateau.py) wherever stability and not accuracy holds its step down."""

CACHE = 512 * 1024
"""Bytes of second-level cache a core has on the CPUs in use; beyond it a step runs from memory, and `notes` says so."""


class EngineWarning(UserWarning):
    """The engine asked for cannot run here, and another does its work."""


def shape_of(problem: Problem) -> Shape:
    """What of a problem the generated code depends on."""
    return Shape(problem.widths, raw=problem.gram_root is not None)


@cache
def native_lanes() -> int:
    """Doubles in this CPU's vector registers."""
    features = llvm.get_host_cpu_features()
    return next((width for feature, width in WIDTHS if features.get(feature)), 2)


@cache
def compiled_or_none(shape: Shape, lanes: int) -> Kernel | None:
    """The kernel of a shape, or None, with a warning, where LLVM cannot compile for this CPU."""
    try:
        return kernel(shape, lanes)
    except RuntimeError as error:
        warnings.warn(
            f"no LLVM target for this CPU ({error}): the reference engine integrates instead",
            EngineWarning,
            stacklevel=4,
        )
        return None


class Lanes:
    """scipy's DOP853 in vector lanes behind the engine contract."""

    name = "lanes"
    methods = (SWITCHING, "DOP853")

    def __init__(self, lanes: int | None = None) -> None:
        self._lanes = lanes

    @property
    def lanes(self) -> int:
        """Lanes of a group: one vector register's, so that all stages stay in cache. It changes speed and no byte."""
        return native_lanes() if self._lanes is None else self._lanes

    def notes(self, problem: Problem) -> tuple[str, ...]:
        """What a user should know about running this problem here, a line each; none for shapes that fit."""
        shape = shape_of(problem)
        size = 8 * self.lanes * (4 * shape.n + shape.scratch)
        if size <= CACHE:
            return ()
        return (
            f"widths {problem.widths}: a group's step takes {size / 2**20:.1f} MiB, "
            f"more than a core's {CACHE / 2**20:.1f} MiB of cache, so it runs from memory",
        )

    def integrate(self, problem: Problem, leg: Leg, settings: Settings) -> Ends:
        """Carry every row to its stop, `lanes` rows at a time."""
        code = compiled_or_none(shape_of(problem), self.lanes)
        if code is None:
            return Reference().integrate(problem, leg, settings)
        return run(code, problem, leg, settings)


PATIENCE = 40
"""Stiff steps of DOP853 before a row is taken to be on a plateau; twice as many each time after."""


PLATEAU = 180_000
"""A row that has spent so many evaluations and is still on a plateau goes to the reference engine's Radau, which
crosses the longest in some 2,000 of them (0.2 s of Python). No share of the budget: a larger budget has to continue
the same path (`basins extend`)."""

STAGES = 512
"""A row that wants more stages than this in a step goes to Radau at once."""

DENSE = 256
"""Radau factors matrices of the state's size: a larger state stays with RKC, whatever it takes."""


def run(code: Kernel, problem: Problem, leg: Leg, settings: Settings) -> Ends:
    """Carry every row to its stop with a compiled kernel: DOP853, RKC on plateaus, Radau beyond."""
    from basins.engines import group, plateau  # bring numba, which takes its time: only who integrates waits for it

    N, n, lanes = *leg.starts.shape, code.lanes
    shared = [np.array([settings.atol, settings.rtol]), problem.target.ravel()]
    if problem.gram_root is not None:
        shared.append(problem.gram_root.ravel())
    parameters = np.concatenate(shared)
    explicit: Any = group.drive
    stabilised: Any = plateau.drive
    scratch = _aligned((code.shape.scratch + 8) * lanes)
    groups, prepared = (_aligned(4 * n * lanes) for _ in range(2))
    switches = settings.method == SWITCHING
    course = _Course(leg, PATIENCE if switches else np.iinfo(np.int64).max)
    dense = n <= DENSE
    stages = min(STAGES, plateau.most_stages(settings.rtol)) if dense else plateau.most_stages(settings.rtol)
    resist = [np.zeros(0, dtype=np.int64)]
    rows = np.arange(N)
    while len(rows) or not course.visits:
        part = course.phase(rows)
        visits = explicit(
            code.attempt, code.first, code.trial, n, problem.H, problem.gram_norm,
            groups.reshape(2, 2, n, lanes), prepared.reshape(4, n, lanes), scratch, parameters,
            *part.asked, *part.told, part.first_norm, part.before, part.patience, part.size,
        )  # fmt: skip
        course.add(part, visits)
        rows = rows[part.stop == group.STIFF]
        if not len(rows):
            break
        part = course.phase(rows, PLATEAU if dense else None)
        visits = stabilised(
            code.stage, stages, dense, n, problem.target.size, problem.H, problem.gram_norm,
            settings.atol, settings.rtol, _aligned(7 * n * lanes).reshape(7, n, lanes), scratch, parameters,
            _aligned(4 * lanes).reshape(4, lanes),
            *part.asked[:2], part.size, *part.asked[2:], part.first_norm, part.before, *part.told,
        )  # fmt: skip
        course.add(part, visits)
        course.patience[rows] *= 2
        spent = (part.stop == Stop.BUDGET) & dense & (leg.budget[rows] > PLATEAU)
        resist.append(rows[spent | (part.stop == plateau.RESISTS)])
        rows = rows[part.stop == plateau.BACK]
    rows = np.sort(np.concatenate(resist))
    if len(rows):
        implicit = replace(settings, engine=Reference.name, method="Radau")
        course.take(rows, Reference().integrate(problem, Leg(*course.phase(rows).asked), implicit))
    return course.ends()


@dataclass(frozen=True)
class _Phase:
    """Some rows' stretch with one method. asked: starts, t_start, level, rest_after, budget, t_end, max_step, watch;
    told: state, t, stop, steps, rejected, evaluations, loss_increase; the others go in and out."""

    rows: NDArray[np.int64]
    asked: tuple[NDArray[Any], ...]
    told: tuple[NDArray[Any], ...]
    first_norm: Array
    before: Array
    patience: NDArray[np.int64]
    size: Array

    @property
    def stop(self) -> NDArray[np.int8]:
        return self.told[2]


class _Course:
    """The rows of a leg over phases."""

    def __init__(self, leg: Leg, patience: int) -> None:
        N = len(leg.starts)
        self.leg = leg
        self.state, self.t = np.array(leg.starts, dtype=np.float64, order="C"), np.array(leg.t_start, dtype=np.float64)
        self.stop = np.empty(N, dtype=np.int8)
        self.steps, self.rejected, self.evaluations = (np.zeros(N, dtype=np.int64) for _ in range(3))
        self.increase = np.zeros(N)
        self.first_norm, self.before = np.full(N, -1.0), np.full(N, np.inf)
        self.patience, self.size = np.full(N, patience), np.zeros(N)
        self.visits: list[tuple[NDArray[Any], ...]] = []

    def phase(self, rows: NDArray[np.int64], most: int | None = None) -> _Phase:
        """The next phase of these rows, from where they are on what is left of their budgets, or of `most`."""
        leg, N = self.leg, len(rows)
        allowed = leg.budget[rows] if most is None else np.minimum(leg.budget[rows], most)
        budget = np.maximum(1, allowed - self.evaluations[rows])
        numbers = (leg.level, leg.rest_after, leg.t_end, leg.max_step)
        level, rest_after, t_end, max_step = (np.asarray(a[rows], dtype=np.float64) for a in numbers)
        asked: tuple[NDArray[Any], ...]
        asked = (self.state[rows], self.t[rows], level, rest_after, budget, t_end, max_step, leg.watch[rows])
        counts = (np.zeros(N, dtype=np.int64) for _ in range(3))
        told: tuple[NDArray[Any], ...]
        told = (np.empty((N, self.state.shape[1])), np.empty(N), np.empty(N, dtype=np.int8), *counts, np.zeros(N))
        return _Phase(rows, asked, told, self.first_norm[rows], self.before[rows], self.patience[rows], self.size[rows])

    def add(self, part: _Phase, visits: tuple[NDArray[Any], ...]) -> None:
        """What a phase told of its rows."""
        rows = part.rows
        self.state[rows], self.t[rows], self.stop[rows], steps, rejected, evaluations, increase = part.told
        self.steps[rows] += steps
        self.rejected[rows] += rejected
        self.evaluations[rows] += evaluations
        self.increase[rows] = np.maximum(self.increase[rows], increase)
        self.first_norm[rows], self.before[rows], self.size[rows] = part.first_norm, part.before, part.size
        self.visits.append((rows[visits[0]], *visits[1:]))

    def take(self, rows: NDArray[np.int64], more: Ends) -> None:
        """What another engine told of these rows, to their end."""
        self.state[rows], self.t[rows], self.stop[rows] = more.state, more.t, more.stop
        self.steps[rows] += more.steps
        self.rejected[rows] = -1
        self.evaluations[rows] += more.evaluations
        self.increase[rows] = np.maximum(self.increase[rows], more.loss_increase)
        visits = more.visits
        self.visits.append((rows[visits.row], visits.t, visits.gradient_norm, visits.state))

    def ends(self) -> Ends:
        """Where all rows stopped."""
        row, t, gradient_norm, state = (np.concatenate(column) for column in zip(*self.visits, strict=True))
        order = np.argsort(row, kind="stable")  # lanes end in an order of their own
        visits = Visits(row[order], t[order], gradient_norm[order], state[order])
        return Ends(self.state, self.t, self.stop, self.steps, self.rejected, self.evaluations, self.increase, visits)


def _aligned(numbers: int) -> Array:
    """Zeros that start on a cache line, as the kernel's loads need."""
    memory: NDArray[np.float64] = np.zeros(numbers + 16)
    skip = -memory.ctypes.data % 128 // 8
    return memory[skip : skip + numbers]
