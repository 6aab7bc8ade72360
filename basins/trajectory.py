"""Integrates one trajectory again by scipy and records its steps. A run keeps only the end of a trajectory."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from basins.integrators.base import Array, Leg, Settings, Stop
from basins.integrators.scipy import Recorded, Reference
from basins.landscapes.deep_linear import gradient
from basins.landscapes.deep_linear.problem import Problem

POINTS = 4
"""The number of points kept per step: its end, and three before it."""


@dataclass(frozen=True)
class Trajectory:
    """One integration: its accepted steps, and the solver's interpolation between them.

    steps: number of accepted steps; t (T,): units of time of the flow; loss (T,); singular (T, d_y): singular values of
    the network, in the coordinates in which the target has sigma; fitted (T, d_y): the diagonal of D_W, 1 for a fitted
    mode; complete: whether t_end was reached within the budget.
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
    """The flow from `start` (n,) to t_end, with the tolerances and the budget of `settings`.

    Uses LSODA, which passes plateaus in few steps; with exact_zeros DOP853, which keeps the zeros of a planted start.
    """
    path = _flow(problem, start, t_end, settings, "DOP853" if exact_zeros else "LSODA")
    network = gradient.network(problem.unpack(path.state))
    if problem.flow == "raw":
        assert problem.gram_root is not None
        network = network @ problem.gram_root
    return Trajectory(
        steps=path.steps,
        t=path.t,
        loss=problem.loss(path.state),
        singular=np.asarray(np.linalg.svd(network, compute_uv=False), dtype=np.float64),
        fitted=problem.fitted(path.state),
        complete=path.stop == Stop.T_END,
    )


def losses(problem: Problem, starts: Array, t: Array, settings: Settings, exact_zeros: bool = False) -> Array:
    """The loss along the flow from starts (N, n) at times t (T,): shape (N, T), nan once a budget is spent."""
    found = np.full((len(starts), len(t)), np.nan)
    for row, start in enumerate(starts):
        one = trajectory(problem, start, float(t[-1]), settings, exact_zeros)
        reached = t <= one.t[-1]
        found[row, reached] = np.interp(t[reached], one.t, one.loss)
    return found


def _flow(problem: Problem, start: Array, t_end: float, settings: Settings, method: str) -> Recorded:
    """The steps of the reference integrator, which only the budget can stop before t_end."""
    leg = Leg(
        starts=np.array(start, dtype=np.float64)[None],
        t_start=np.zeros(1),
        level=np.full(1, -np.inf),
        rest_after=np.full(1, np.inf),
        budget=np.full(1, settings.budget),
        t_end=np.full(1, t_end),
        max_step=np.full(1, np.inf),
        watch=np.zeros(1, dtype=bool),
    )
    (path,) = Reference().record(problem, leg, replace(settings, method=method), POINTS)
    return path
