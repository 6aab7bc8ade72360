"""Engines side by side in one run: trajectories a second to the loss level, same starts, same tolerances, one core.

    OMP_NUM_THREADS=1 python benchmarks/engines.py [--seconds 4] [--error]

Each engine takes turns with the others and the best turn counts, so that a busy machine blurs the ratios as little as
can be. A lanes row also says how fast its bare step runs, against DGEMM in the same run; --error adds the rms error of
a state at t = 1 against rtol 1e-13. The scipy rows run behind basins' reference engine.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

from basins import Problem
from basins.engines.base import Ends, Leg, Settings
from basins.engines.group import call
from basins.engines.kernel import Shape
from basins.engines.lanes import Lanes, _aligned, shape_of
from basins.engines.machine import compiled
from basins.engines.reference import Reference
from basins.engines.tableau import dop853

CASES = (
    ((2, 2, 2, 2), 0.5),
    ((4, 4, 3), 1.0),
    ((5, 4, 4, 3), 0.5),
    ((8, 8, 8, 8, 4), 0.5),
    ((16, 20, 10), 0.5),
)
SCIPY = ("RK45", "DOP853", "LSODA")


@dataclass
class Entry:
    """An engine on one case: how many trajectories a turn does, what a turn is, and its best time in seconds."""

    name: str
    count: int
    turn: Callable[[], object]
    best: float = np.inf


def leg(problem: Problem, count: int, scale: float, *, level: bool = True, t_end: float = np.inf) -> Leg:
    """Gaussian starts that stop at the level (or at t_end)."""

    def column(value: float) -> np.ndarray:
        return np.full(count, value)

    stop = 0.5 * problem.sigma_min**2 * (1 - 1e-6) if level else -np.inf
    return Leg(
        np.random.default_rng(0).normal(size=(count, problem.n)) * scale,
        column(0.0),
        column(stop),
        column(np.inf),
        np.full(count, 200_000),
        column(t_end),
        column(np.inf),
        np.zeros(count, dtype=bool),
    )


def work(shape: Shape) -> float:
    """Multiply-adds of an attempted step, a lane: twelve evaluations, the tableau's sums, the norms."""
    tableau = dop853()
    terms = sum(len(part) for part in (*tableau.rows, tableau.weights, tableau.fifth, tableau.third))
    return tableau.stages * shape.multiply_adds + shape.n * (terms + 8)


@njit
def repeat(step: int, where: tuple[int, ...], count: int) -> None:
    """Call a step `count` times."""
    for _ in range(count):
        call(step, where)


def step_rate(shape: Shape, lanes: int) -> Callable[[], float]:
    """Returns a measurement of the bare step's GF/s."""
    code, n = compiled(shape, lanes), shape.n
    # order of the arguments of kernel.attempt: old, slope, new, new_slope, h, scratch, shared, out
    memory = [_aligned(size * lanes) for size in (n, n, n, n, 1, shape.scratch, shape.parameters, 5)]
    memory[0][:] = np.random.default_rng(0).normal(size=n * lanes) * 0.3
    memory[4][:] = 0.01
    memory[6][:] = 1e-8
    where = tuple(part.ctypes.data for part in memory)
    steps = 1 + int(2e6 / (work(shape) * lanes))

    def measure(owners: object = (code, memory)) -> float:  # the addresses live as long as these
        best = np.inf
        for _ in range(20):
            start = time.perf_counter()
            repeat(code.attempt, where, steps)
            best = min(best, time.perf_counter() - start)
        return 2 * work(shape) * lanes * steps / best / 1e9

    return measure


def dgemm_rate() -> float:
    """One core's DGEMM in GF/s."""
    a = np.random.default_rng(0).normal(size=(400, 400))
    best = np.inf
    for _ in range(10):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * 400**3 / best / 1e9


def run_case(widths: tuple[int, ...], scale: float, seconds: float, error: bool) -> list[str]:
    """The table's rows for one case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        problem = Problem.from_spectrum(np.linspace(2, 0.5, widths[-1]), d_x=widths[0], hidden=widths[1:-1])
    shape, lanes = shape_of(problem), Lanes()
    settings = {name: Settings(engine="reference", method=name) for name in SCIPY}
    ours = Settings(engine="lanes", method="DOP853")
    few, many = leg(problem, 4, scale), leg(problem, 4096 if problem.n < 100 else 1024, scale)

    start = time.perf_counter()
    compiled(shape, lanes.lanes)
    compile_time = time.perf_counter() - start
    lanes.integrate(problem, leg(problem, 4, scale), ours)
    entries = [Entry("lanes", len(many.t_start), lambda: lanes.integrate(problem, many, ours))]
    for method in SCIPY:
        entries.append(Entry(f"scipy {method}", 4, lambda m=method: Reference().integrate(problem, few, settings[m])))
    step, rate, dgemm = step_rate(shape, lanes.lanes), 0.0, 0.0
    step()  # compiles `repeat`
    until = time.perf_counter() + seconds
    turns = 0
    while turns < 3 or time.perf_counter() < until:
        for entry in entries:
            start = time.perf_counter()
            entry.turn()
            entry.best = min(entry.best, time.perf_counter() - start)
        rate, dgemm, turns = max(rate, step()), max(dgemm, dgemm_rate()), turns + 1
    fastest = entries[0].best / entries[0].count
    rows = []
    for entry in entries:
        each = entry.best / entry.count
        extra = f"step {rate:.1f} GF/s = {100 * rate / dgemm:.0f} % of DGEMM; compiles in {compile_time:.2f} s"
        if entry.name != "lanes":
            extra = ""
        rows.append(f"| {widths}, {scale} | {entry.name} | {1 / each:,.0f} | {each / fastest:,.0f} | {extra} |")
    if error:
        rows[0] += f" rms error {rms_error(problem, lanes, ours, scale):.1e} |"
    return rows


def rms_error(problem: Problem, lanes: Lanes, settings: Settings, scale: float) -> float:
    """Of a state at t = 1, against DOP853 at rtol 1e-13."""
    task = leg(problem, 8, scale, level=False, t_end=1.0)
    exact = Settings(engine="reference", method="DOP853", rtol=1e-13, atol=1e-15)
    ends: list[Ends] = [lanes.integrate(problem, task, settings), Reference().integrate(problem, task, exact)]
    return float(np.sqrt(np.mean((ends[0].state - ends[1].state) ** 2)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="for each case, at least")
    parser.add_argument("--error", action="store_true", help="measure the lanes' error too")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise SystemExit("set OMP_NUM_THREADS=1: one core each is what is compared")
    print(f"{platform.machine()}, numpy {np.__version__}, lanes {Lanes().lanes}")
    print("| widths, scale | engine | trajectories/s | times slower | |\n|---|---|---|---|---|")
    for widths, scale in CASES:
        print(*run_case(widths, scale, arguments.seconds, arguments.error), sep="\n", flush=True)


if __name__ == "__main__":
    main()
