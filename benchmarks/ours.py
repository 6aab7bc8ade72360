"""basins' own engines, measured: trajectories a second of CPU time, the achieved error, the bare step against DGEMM."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
from numba import njit
from peers.common import best

from basins import Problem, laws
from basins.classification.classify_batch import integrate
from basins.integrators.base import IntegrationRequest, IntegrationResult, Settings
from basins.integrators.scipy import Reference
from basins.integrators.simd.dop853 import DOP853
from basins.integrators.simd.integrator import Lanes
from basins.integrators.simd.kernel import compiled
from basins.integrators.simd.memory import aligned
from basins.integrators.simd.step_code import OUT, scratch_of
from basins.integrators.simd.stopping import call
from basins.landscapes.deep_linear.critical_sets import VERDICTS
from basins.landscapes.deep_linear.gradient_code import DeepLinearCode


def spectrum_problem(widths: tuple[int, ...]) -> Problem:
    """sigma = linspace(2, 0.5, d_y); its tied subset sums are no matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Problem.from_spectrum(np.linspace(2, 0.5, widths[-1]), d_x=widths[0], hidden=widths[1:-1])


def random_problem(widths: tuple[int, ...], seed: int) -> Problem:
    """The reduced flow of random data: X (50, d_x), Y (50, d_y)."""
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(50, widths[0])), rng.normal(size=(50, widths[-1]))
    return Problem.from_data(X, Y, hidden=widths[1:-1])


def level(problem: Problem) -> float:
    """Where every engine stops: the level at which basins itself does."""
    return float(0.5 * problem.sigma_min**2 * (1 - 2e-6))


def at_rest() -> list[tuple[str, int, tuple[float, float, str]]]:
    """Rows at rest: what they are, how many, CPU seconds where nothing waits and where all are waited for, and their
    verdicts after that."""
    problem = Problem.from_spectrum([2.0, 1.0], d_x=2, hidden=(2,))
    near = laws.starts(problem, laws.NearPlanted((0,), 1e-200, 0.8), 0, 0)[:1024]
    sizes = np.random.default_rng(0).uniform(0.3, 1.0, size=(64, 3))
    tied = np.array([problem.pack([np.diag([x, y]), np.diag([z, -y])]) for x, y, z in sizes])
    integrate(problem, near[:8], wait=True)  # what is compiled once
    found = []
    for what, W in (("near_planted, distance 1e-200", near), ("antisymmetric (theory.md 6.8)", tied)):
        seconds = []
        for wait in (False, True):
            clock = time.process_time()
            ends = integrate(problem, W, wait=wait)
            seconds.append(time.process_time() - clock)
        counts = zip(VERDICTS, np.bincount(ends.verdict, minlength=3), strict=True)
        after = ", ".join(f"{count:,} {word}" for word, count in counts if count)
        found.append((what, len(W), (seconds[0], seconds[1], after)))
    return found


def draw(problem: Problem, count: int, scale: float) -> np.ndarray:
    """Gaussian starts above the level: an event sees crossings only."""
    starts = np.random.default_rng(0).normal(size=(count + count // 4 + 64, problem.n)) * scale
    return starts[problem.loss(starts) > level(problem)][:count]


def leg(problem: Problem, starts: np.ndarray, t_end: float | None = None) -> IntegrationRequest:
    """To the level, or to t_end."""
    N = len(starts)
    return IntegrationRequest(
        starts=starts,
        t_start=np.zeros(N),
        level=np.full(N, level(problem) if t_end is None else -np.inf),
        rest_after=np.full(N, np.inf),
        budget=np.full(N, 200_000),
        t_end=np.full(N, np.inf if t_end is None else t_end),
        max_step=np.full(N, np.inf),
        watch=np.zeros(N, dtype=bool),
    )


def lanes_to_level(problem: Problem, starts: np.ndarray, tol: float = 1e-8) -> Callable[[], IntegrationResult]:
    """One turn of the lanes engine, compiled already."""
    engine, settings, task = Lanes(), Settings(rtol=tol, atol=tol / 100), leg(problem, starts)
    engine.integrate(problem, leg(problem, starts[:4]), settings)
    return lambda: engine.integrate(problem, task, settings)


def reference_to_level(problem: Problem, starts: np.ndarray) -> Callable[[], IntegrationResult]:
    """One turn of the reference engine."""
    settings, task = Settings(engine="reference", method="DOP853"), leg(problem, starts)
    return lambda: Reference().integrate(problem, task, settings)


def states_at(problem: Problem, starts: np.ndarray, t: float, tol: float, engine: str = "lanes") -> np.ndarray:
    """States at t: by the lanes as they are by default, or by DOP853 in the reference engine."""
    who = Lanes() if engine == "lanes" else Reference()
    method = "DOP853-RKC" if engine == "lanes" else "DOP853"
    settings = Settings(engine=engine, method=method, rtol=tol, atol=tol / 100)
    return who.integrate(problem, leg(problem, starts, t), settings).state


def work(shape: DeepLinearCode) -> float:
    """Multiply-adds of an attempted step, a lane: twelve evaluations, the tableau's sums, the norms."""
    terms = sum(len(part) for part in (*DOP853.rows, DOP853.weights, DOP853.fifth, DOP853.third))
    return DOP853.stages * shape.multiply_adds + shape.n * (terms + 8)


@njit
def repeat(step: int, where: tuple[int, ...], count: int) -> None:
    """Call a step `count` times."""
    for _ in range(count):
        call(step, where)


def step_rate(problem: Problem) -> Callable[[], float]:
    """A measurement of the bare step's GF/s, compiled already."""
    shape, lanes = problem.gradient_code(), Lanes().lanes
    code, n = compiled(shape, lanes), shape.n
    # order of the arguments of kernel.attempt: old, slope, new, new_slope, h, scratch, shared, out
    memory = [aligned(size * lanes) for size in (n, n, n, n, 1, scratch_of(shape), 2 + shape.parameters, len(OUT))]
    memory[0][:] = np.random.default_rng(0).normal(size=n * lanes) * 0.3
    memory[4][:] = 0.01
    memory[6][:] = 1e-8
    where = tuple(part.ctypes.data for part in memory)
    steps = 1 + int(2e6 / (work(shape) * lanes))
    repeat(code.attempt, where, 1)

    def measure(owners: object = (code, memory)) -> float:  # the addresses live as long as these
        return (
            2e-9 * work(shape) * lanes * best(lambda: repeat(code.attempt, where, steps), steps, 0.1, time.perf_counter)
        )

    return measure


def dgemm_rate() -> float:
    """One core's DGEMM in GF/s."""
    a = np.random.default_rng(0).normal(size=(400, 400))
    return 2e-9 * 400**3 * best(lambda: a @ a, 1, 0.1, time.perf_counter)


def compile_seconds(problem: Problem) -> float:
    """A kernel's compile time, measured once: call it before anything else compiles the shape."""
    start = time.process_time()
    compiled(problem.gradient_code(), Lanes().lanes)
    return time.process_time() - start
