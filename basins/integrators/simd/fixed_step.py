"""A discrete dynamics for several trajectories side by side: its step as vector code, and the driver that repeats it.

A lane that ends takes a new start at once. The starts' slopes are evaluated for the whole group; lanes that are on
their way evaluate their own again, which changes nothing, so a row's bytes do not depend on its neighbours. The driver
knows no shape and no dynamics and calls both functions by address.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from basins.codegen.jit import load
from basins.codegen.llvm_ir import Function, Pointer, module
from basins.codegen.vector_sums import sum_of_squares
from basins.dynamics.base import Dynamics, StepCode
from basins.integrators.base import Array, IntegrationRequest, IntegrationResult, Settings, Visits
from basins.integrators.simd.memory import aligned
from basins.integrators.simd.row_states import GOES_ON, ROW, Rows
from basins.integrators.simd.stopping import call, reason, stop
from basins.integrators.simd.visits import doubled, first_of, is_visit, note, room_for
from basins.jit_cache import njit
from basins.landscapes.base import GradientCode, Landscape

LOSS, SLOPE, STATE = range(3)
"""Rows of a step's result."""

LANE = np.dtype(
    [
        ("row", np.int64),  # -1: none, and the lane runs along with h = 0
        ("t", np.float64),
        ("new", np.bool_),  # its slope is not evaluated yet
        ("loss", np.float64),
        ("slope", np.float64),
        ("earlier", np.float64),  # the slope a step before
    ],
    align=True,
)
"""What a lane is doing."""

# --- the code ---------------------------------------------------------------------------------------------------------


def emit_norms(f: Function, code: GradientCode, weights: Pointer, slope: Pointer, scratch: Pointer) -> None:
    """The result of a step: L, ||grad L|| and ||W||, from what the last evaluation of `slope` left in `scratch`."""
    f.store(code.emit_loss(f, scratch), f["out"] + LOSS)
    f.store(f.sqrt(sum_of_squares(f, slope, code.n)), f["out"] + SLOPE)
    f.store(f.sqrt(sum_of_squares(f, weights, code.n)), f["out"] + STATE)


def _first(code: GradientCode, lanes: int, velocity: Function) -> Function:
    """The slope at a start, and the three numbers of a step's result there."""
    f = Function("first", ("old", "slope", "scratch", "shared", "out"), lanes)
    f.call(velocity, f["old"], f["slope"], f["scratch"], f["shared"])
    emit_norms(f, code, f["old"], f["slope"], f["scratch"])
    return f


def source(code: GradientCode, step: StepCode, lanes: int) -> str:
    """The LLVM IR of one dynamics on one landscape, for groups of `lanes` lanes."""
    velocity = code.emit(lanes)
    return module([velocity, step.emit(code, lanes, velocity), _first(code, lanes, velocity)], lanes)


@dataclass(frozen=True)
class StepKernel:
    """Compiled code of a dynamics on a landscape: addresses of its functions, valid as long as this object lives."""

    lanes: int
    scratch: int
    step: int
    first: int
    engine: Any


@lru_cache(maxsize=64)
def step_kernel(code: GradientCode, step: StepCode, lanes: int) -> StepKernel:
    """The compiled code for this CPU, once a process. Raises RuntimeError where LLVM has no target for it."""
    engine, (at_step, at_first) = load(source(code, step, lanes), ("step", "first"))
    return StepKernel(lanes, code.scratch, at_step, at_first, engine)


# --- the driver -------------------------------------------------------------------------------------------------------


@njit(cache=True, error_model="numpy")
def refill(group: Any, state: Array, rows: Any, states: Array, asked: int) -> tuple[int, bool]:
    """The next rows into the lanes that are free; how many rows have been asked for, and whether some came now."""
    came = False
    for k in range(len(group)):
        if group[k].row < 0 and asked < len(state):
            lane = group[k]
            lane.row, lane.t, lane.new = asked, rows[asked].t, True
            lane.earlier = np.inf
            for i in range(state.shape[1]):
                states[i, k] = state[asked, i]
            asked += 1
            came = True
    return asked, came


@njit(cache=True, error_model="numpy")
def begin(group: Any, out: Array, rows: Any, states: Array, state: Array, H: int, gram_norm: float) -> None:
    """What the first evaluation says of the new rows; those that stop at once leave their lane."""
    for k in range(len(group)):
        lane = group[k]
        if lane.row < 0 or not lane.new:
            continue
        row = rows[lane.row]
        lane.new = False
        lane.loss, lane.slope = out[LOSS, k], out[SLOPE, k]
        row.first_norm, row.evaluations = out[STATE, k], 1
        why = reason(row, row.t, lane.loss, lane.slope, out[STATE, k], H, gram_norm)
        if why != GOES_ON:
            stop(lane, row, why, states, k, state)


@njit(cache=True, error_model="numpy", inline="always")
def advance(lane: Any, row: Any, out: Array, k: int, H: int, gram_norm: float) -> int:
    """The step is taken: the loss's increase, and why the row stops if it does."""
    loss, slope = out[LOSS, k], out[SLOPE, k]
    row.steps += 1
    row.evaluations += 1
    if loss - lane.loss > row.increase:
        row.increase = loss - lane.loss
    lane.earlier, lane.slope, lane.loss, lane.t = lane.slope, slope, loss, lane.t + 1.0
    return reason(row, lane.t, loss, slope, out[STATE, k], H, gram_norm)


@njit(cache=True, error_model="numpy", nogil=True)
def drive(
    step: int, first: int, H: int, gram_norm: float,
    states: Array, slopes: Array, h: Array, scratch: Array, shared: Array, out: Array, state: Array, rows: Rows,
) -> Any:  # fmt: skip
    """Repeat the step from each row's state to its stop, both (N, m) in `state`; returns the visits (visits.Visited).

    step, first: addresses; states (2, m, lanes), slopes (2, n, lanes): before and after a step; h (lanes,); out
    (3, lanes); scratch, shared: the code's. Visits of different rows come in no particular order.
    """
    m, lanes = state.shape[1], states.shape[2]
    at_h, at_scratch, at_shared, at_out = h.ctypes.data, scratch.ctypes.data, shared.ctypes.data, out.ctypes.data
    at = (states[0].ctypes.data, states[1].ctypes.data)
    at_slope = (slopes[0].ctypes.data, slopes[1].ctypes.data)
    group = np.zeros(lanes, dtype=LANE)
    for k in range(lanes):
        group[k].row = -1
    visits, visited = room_for(64, m), 0
    asked, side = 0, 0
    while True:
        asked, came = refill(group, state, rows, states[side], asked)
        if came:
            call(first, (at[side], at_slope[side], at_scratch, at_shared, at_out))
            begin(group, out, rows, states[side], state, H, gram_norm)
            continue
        active = 0
        for k in range(lanes):
            h[k] = 1.0 if group[k].row >= 0 else 0.0
            active += group[k].row >= 0
        if active == 0:
            return first_of(visits, visited)
        new = 1 - side
        call(step, (at[side], at_slope[side], at[new], at_slope[new], at_h, at_scratch, at_shared, at_out))
        while visited + lanes > len(visits.row):
            visits = doubled(visits)
        for k in range(lanes):
            lane = group[k]
            if lane.row < 0:
                continue
            row = rows[lane.row]
            if is_visit(lane, row, out[SLOPE, k]):
                note(visits, visited, lane, states[side], k)
                visited += 1
            why = advance(lane, row, out, k, H, gram_norm)
            if why != GOES_ON:
                stop(lane, row, why, states[new], k, state)
        side = new


def run(
    kernel: StepKernel, landscape: Landscape, dynamics: Dynamics, leg: IntegrationRequest, settings: Settings
) -> IntegrationResult:
    """Carry every row of the leg to its stop with compiled code."""
    lanes, m, N = kernel.lanes, dynamics.state_size(landscape.n), len(leg.starts)
    state, rows = np.array(leg.starts, dtype=np.float64, order="C"), np.zeros(N, dtype=ROW)
    rows["t"] = leg.t_start
    for name in ("level", "rest_after", "budget", "t_end", "watch"):
        rows[name] = getattr(leg, name)
    parameters = np.concatenate([[settings.atol, settings.rtol], landscape.parameters])
    rest, repeat = landscape.rest, drive
    row, t, slope, visited = repeat(
        kernel.step, kernel.first, rest.degree, rest.scale,
        aligned(2 * m * lanes).reshape(2, m, lanes), aligned(2 * landscape.n * lanes).reshape(2, landscape.n, lanes),
        aligned(lanes), aligned(max(1, kernel.scratch) * lanes), parameters, aligned(3 * lanes).reshape(3, lanes),
        state, rows,
    )  # fmt: skip
    order = np.argsort(row, kind="stable")  # lanes end in an order of their own
    visits = Visits(row[order], t[order], slope[order], visited[order])
    names = ("t", "stop", "steps", "rejected", "evaluations", "increase")
    at, why, steps, rejected, evaluations, increase = (rows[name].copy() for name in names)
    return IntegrationResult(state, at, why, steps, rejected, evaluations, increase, visits)
