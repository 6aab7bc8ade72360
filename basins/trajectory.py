"""One trajectory step by step, to be looked at: what a run keeps only the end of, integrated again by scipy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from basins.integrators.base import Array, Leg, Settings, Stop
from basins.integrators.scipy import Recorded, Reference
from basins.landscapes.deep_linear import gradient
from basins.landscapes.deep_linear.problem import Problem

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
    """The loss along the flow from starts (N, n) at times t (T,), (N, T); nan from where a budget was spent on."""
    found = np.full((len(starts), len(t)), np.nan)
    for row, start in enumerate(starts):
        one = trajectory(problem, start, float(t[-1]), settings, exact_zeros)
        reached = t <= one.t[-1]
        found[row, reached] = np.interp(t[reached], one.t, one.loss)
    return found


def _flow(problem: Problem, start: Array, t_end: float, settings: Settings, method: str) -> Recorded:
    """The steps of the reference integrator, which nothing stops before t_end but the budget."""
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
