"""One trajectory step by step, to be looked at: what a run keeps only the end of, integrated again by scipy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import integrate

from basins import flow
from basins.engines.base import Settings
from basins.problem import Problem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """The accepted steps of one integration.

    t (T,); loss (T,); singular (T, d_y): of the network, in the coordinates in which the target has sigma; fitted
    (T, d_y): the diagonal of D_W, 1 where a mode is fitted; complete: whether t_end was reached on the budget.
    """

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
    network = flow.network(problem.unpack(states))
    if problem.flow == "raw":
        assert problem.gram_root is not None
        network = network @ problem.gram_root
    return Trajectory(
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
    t, states = [0.0], [np.array(start)]
    while solver.status == "running" and solver.nfev < settings.budget:
        solver.step()
        if solver.status == "failed" or not np.isfinite(solver.y).all():
            break
        t.append(float(solver.t))
        states.append(np.array(solver.y))
    return np.array(t), np.array(states), solver.status == "finished"
