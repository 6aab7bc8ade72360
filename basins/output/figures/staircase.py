"""Loss against time for a sample of flows, with the critical values as lines: the staircase of the paper's Fig. 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from basins.estimate.sentences import modes_text
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import Stratum
from basins.output.figures.style import COLOURS, GREY, STYLES, decades, nothing, page, shortened, styled

Array = NDArray[np.float64]

LINES = 16
"""Up to this many strata, each has a line; of more, only S = {}, {0}, {0,1}, ..., which small starts pass."""


@dataclass(frozen=True)
class Flows:
    """Curves of one kind: t (T,), loss (k, T), nan where a curve has ended, and their label."""

    label: str
    t: Array
    loss: Array


@styled
def staircase(problem: Problem, flows: Sequence[Flows]) -> Figure:
    """The loss along sampled flows, between the critical values; the number of curves is in the legend."""
    if not any(np.isfinite(one.loss[:, one.t > 0]).any() for one in flows):
        return nothing("no curve gets beyond t = 0: one evaluation is all its budget", "loss")
    figure, axes = page(5.0, 3.3)
    top = max(float(np.nanmax(one.loss)) for one in flows)
    levels = strata_with_lines(problem)
    draw_levels(axes, levels, max(top, levels[0].loss))
    for k, one in enumerate(flows):
        many = len(one.loss)
        for row, loss in enumerate(one.loss):
            axes.plot(
                one.t,
                loss,
                color=COLOURS[k % 7],
                linestyle=STYLES[k % 7],
                linewidth=1.6 if many <= 3 else 1.0,
                alpha=0.9 if many <= 3 else 0.7,
                label=f"{shortened(one.label, 60)} ({many})" if row == 0 else None,
            )
    last = max(float(one.t[-1]) for one in flows)
    axes.set(xlabel="time t of the gradient flow", ylabel="loss L")
    decades(axes, _first_change(flows), last)
    figure.legend(loc="outside upper left")  # inside the axes it would cover the lowest lines
    return figure


def strata_with_lines(problem: Problem) -> list[Stratum]:
    """The strata that get a line, by falling loss."""
    strata = problem.strata()
    if 1 << problem.d_y <= LINES:
        return list(strata)
    return [strata.of(range(r)) for r in range(problem.d_y + 1)]


def draw_levels(axes: Axes, levels: Sequence[Stratum], top: float) -> None:
    """Draw the critical values as lines, with names at the right; names of near values are moved apart."""
    high, low = 1.04 * top, -0.04 * top
    axes.set_ylim(low, high)
    gap = (high - low) * 0.047
    shown = [stratum for stratum in levels if stratum.loss <= high]
    for stratum in shown:
        axes.axhline(stratum.loss, color=GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    if len(shown) * gap > high - low:
        shown = shown[:: int(np.ceil(len(shown) * gap / (high - low)))]
    places = spread([stratum.loss for stratum in shown], gap, low)
    for stratum, place in zip(shown, places, strict=True):
        name = f"S = {modes_text(stratum.modes)}" if len(stratum.modes) <= 4 else f"|S| = {stratum.rank}"
        text = name if stratum.index is None or len(levels) > LINES else f"I({stratum.index}), {name}"
        where = (1.01, place)
        axes.annotate(text, where, xycoords=("axes fraction", "data"), color=GREY, fontsize=8, va="center")


def spread(values: Sequence[float], gap: float, low: float) -> list[float]:
    """Falling values, moved apart as little as possible so that they differ by at least `gap` and none is below
    `low`."""
    places: list[float] = []
    for value in values:
        places.append(min(value, places[-1] - gap) if places else value)
    least = low
    for k in range(len(places) - 1, -1, -1):
        places[k] = max(places[k], least)
        least = places[k] + gap
    return places


def _first_change(flows: Sequence[Flows]) -> float:
    """The time at which the first curve has fallen by a hundredth. Before it all curves are flat."""
    first = np.inf
    for one in flows:
        for loss in one.loss:
            fallen = np.flatnonzero(loss < 0.99 * loss[0])
            if len(fallen):
                first = min(first, float(one.t[max(int(fallen[0]) - 1, 1)]))
    if not np.isfinite(first):
        return float(min(one.t[1] for one in flows))
    return first
