"""The figure of trajectories at given times (basins/trajectories.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from basins.errors import ArgumentError
from basins.output.figures.staircase import Flows, staircase
from basins.output.figures.trajectory import trajectory as draw_trajectory
from basins.trajectories import Steps, Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def of_trajectory(found: Trajectory) -> Figure:
    """Of one row loss and singular values, of several their losses. Raises ArgumentError for fewer than two times after
    0 that a row came to."""
    loss = np.atleast_2d(found.loss)
    seen = np.isfinite(loss).any(axis=0)
    if (found.t[seen] > 0).sum() < 2:
        raise ArgumentError(
            "fewer than two times after 0 to draw", where="t_eval", remedy="ask for more times, or give a larger budget"
        )
    title = f"{len(found.t):,} times of the flow"
    if len(loss) > 1:
        return staircase(found.problem, [Flows(title, found.t, loss)])
    one = found[0]
    steps = Steps(len(one.t[seen]), one.t[seen], one.loss[seen], one.singular_values[seen], one.fitted[seen], True)
    return draw_trajectory(found.problem, steps, title, label=f"loss at {len(steps.t):,} times")
