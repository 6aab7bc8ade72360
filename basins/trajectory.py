"""One trajectory step by step, to be looked at: what a run keeps only the end of, integrated again by scipy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import integrate

from basins.integrators.base import Settings
from basins.landscapes.deep_linear import gradient
from basins.landscapes.deep_linear.problem import Problem

Array = NDArray[np.float64]


POINTS = 4
"""Points of a step that are kept: its end, and three before."""


@dataclass(frozen=True)
class Trajectory:
    """One integration: its accepted steps, and between them the solver's own interpolation.

    steps: accepted ones; t (T,); loss (T,); singular (T, d_y): of the network, in the coordinates in which the
    target has sigma; fitted (T, d_y): the diagonal of D_W, 1 where a mode is fitted; complete: whether t_end was
    reached on the budget.
    """

    steps: int
    t: Array
    loss: Array
    singular: Array
    fitted: Array
    complete: bool


def trajectory(
    problem: Problem, start: Array, t_end: float, settings: Settings, exact_zeros: bool = False
) -> Trajectory:
    """The flow from `start` (n,) to t_end, at the tolerances and on the budget of `settings`.

    By LSODA, which passes plateaus in few steps; exact_zeros: by DOP853, which keeps the zeros of a planted start.
    """
    t, states, complete = _steps(problem, start, t_end, settings, "DOP853" if exact_zeros else "LSODA")
    network = gradient.network(problem.unpack(states))
    if problem.flow == "raw":
        assert problem.gram_root is not None
        network = network @ problem.gram_root
    return Trajectory(
        steps=(len(t) - 1) // POINTS,
        t=t,
        loss=problem.loss(states),
        singular=np.asarray(np.linalg.svd(network, compute_uv=False), dtype=np.float64),
        fitted=problem.fitted(states),
        complete=complete,
    )


def losses(problem: Problem, starts: Array, t: Array, settings: Settings, exact_zeros: bool = False) -> Array:
    """The loss along the flow from starts (N, n) at times t (T,), (N, T); nan from where a budget was spent on."""
    found = np.full((len(starts), len(t)), np.nan)
    for row, start in enumerate(starts):
        one = trajectory(problem, start, float(t[-1]), settings, exact_zeros)
        reached = t <= one.t[-1]
        found[row, reached] = np.interp(t[reached], one.t, one.loss)
    return found


def _steps(problem: Problem, start: Array, t_end: float, settings: Settings, method: str) -> tuple[Array, Array, bool]:
    kind: Any = {"LSODA": integrate.LSODA, "DOP853": integrate.DOP853}[method]
    solver = kind(lambda _, W: -problem.gradient(W), 0.0, start, t_end, rtol=settings.rtol, atol=settings.atol)
    t, states = [np.zeros(1)], [np.array(start)[None]]
    while solver.status == "running" and solver.nfev < settings.budget:
        solver.step()
        if solver.status == "failed" or not np.isfinite(solver.y).all():
            break
        between = np.linspace(solver.t_old, solver.t, POINTS + 1)[1:]
        t.append(between)
        states.append(solver.dense_output()(between).T)
    return np.concatenate(t), np.concatenate(states), solver.status == "finished"
