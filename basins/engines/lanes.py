"""The lanes engine: scipy's DOP853 for several trajectories side by side, one in each lane of the vector registers.

It takes the steps solve_ivp(method="DOP853") takes, to rounding. Where LLVM has no target for this CPU the reference
engine does the work, with a warning that says so.
"""

from __future__ import annotations

import warnings
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

from basins.engines.base import Array, Ends, Leg, Settings, Visits
from basins.engines.kernel import Shape
from basins.engines.machine import Kernel, kernel
from basins.engines.reference import Reference
from basins.problem import Problem

WIDTHS = (("avx512f", 8), ("avx", 4))
"""Doubles in a vector register, by the CPU feature that brings them; 2 without any."""

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
    methods = ("DOP853",)

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


def run(code: Kernel, problem: Problem, leg: Leg, settings: Settings) -> Ends:
    """Carry every row to its stop with a compiled kernel."""
    from basins.engines.group import drive  # brings numba, which takes its time: only who integrates waits for it

    N, n = leg.starts.shape
    state, t, stop = np.empty((N, n)), np.empty(N), np.empty(N, dtype=np.int8)
    steps, rejected, evaluations = (np.zeros(N, dtype=np.int64) for _ in range(3))
    loss_increase = np.zeros(N)
    lanes = code.lanes
    shared = [np.array([settings.atol, settings.rtol]), problem.target.ravel()]
    if problem.gram_root is not None:
        shared.append(problem.gram_root.ravel())
    row, at, gradient_norm, states = drive(
        code.attempt,
        code.first,
        code.trial,
        n,
        problem.H,
        problem.gram_norm,
        _aligned(4 * n * lanes).reshape(2, 2, n, lanes),
        _aligned(4 * n * lanes).reshape(4, n, lanes),
        _aligned((code.shape.scratch + 7) * lanes),
        np.concatenate(shared),
        np.ascontiguousarray(leg.starts, dtype=np.float64),
        np.ascontiguousarray(leg.t_start, dtype=np.float64),
        np.ascontiguousarray(leg.level, dtype=np.float64),
        np.ascontiguousarray(leg.rest_after, dtype=np.float64),
        np.ascontiguousarray(leg.budget, dtype=np.int64),
        np.ascontiguousarray(leg.t_end, dtype=np.float64),
        np.ascontiguousarray(leg.max_step, dtype=np.float64),
        np.ascontiguousarray(leg.watch, dtype=np.bool_),
        state,
        t,
        stop,
        steps,
        rejected,
        evaluations,
        loss_increase,
    )
    order = np.argsort(row, kind="stable")  # lanes end in an order of their own
    visits = Visits(row[order], at[order], gradient_norm[order], states[order])
    return Ends(state, t, stop, steps, rejected, evaluations, loss_increase, visits)


def _aligned(numbers: int) -> Array:
    """Zeros that start on a cache line, as the kernel's loads need."""
    memory: NDArray[np.float64] = np.zeros(numbers + 16)
    skip = -memory.ctypes.data % 128 // 8
    return memory[skip : skip + numbers]
