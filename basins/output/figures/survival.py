"""Survival S(t): the share not certified by t, with its band, the fitted tail and its prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from basins.dynamics.gradient_flow import FLOW
from basins.output.figures.style import (
    COLOURS,
    GREY,
    STYLES,
    decades,
    legend_below,
    logarithmic,
    nothing,
    page,
    shortened,
    styled,
)
from basins.summary.survival import Survival
from basins.summary.tails import Tails, p_sentence

Array = NDArray[np.float64]

MOST = 7
"""The largest number of lines, which must be distinguishable."""


@dataclass(frozen=True)
class Line:
    """One case: its name, S, the fitted tail if there is one, exact values (t, S) where they are known, and what its
    time counts."""

    name: str
    survival: Survival
    tails: Tails | None = None
    exact: tuple[Array, Array] | None = None
    time: str = FLOW.time


@styled
def survival(lines: Sequence[Line]) -> Figure:
    """S(t) of up to seven cases. A single case is drawn with its band (pointwise, 95 %), its fits and its
    prediction."""
    shown = [line for line in lines if line.survival.N][:MOST]
    if not shown:
        return nothing("no trajectory is counted yet", "survival")
    if all(line.survival.never == line.survival.N for line in shown):
        return nothing("none of the trajectories is certified to end at a global minimum: S(t) = 1", "survival")
    figure, axes = page(4.6, 3.8)
    floor = min(0.5 / line.survival.N for line in shown)
    decades(axes, *_span(shown))
    for k, line in enumerate(shown):
        _line(axes, line, k, alone=len(shown) == 1)
    logarithmic(axes, "y")
    axes.set_ylim(floor, 1.6)
    axes.set(xlabel=" / ".join(dict.fromkeys(line.time for line in shown)), ylabel="S(t): share not certified by t")
    if len(lines) > len(shown):
        axes.set_title(f"the first {len(shown)} of {len(lines)} cases", fontsize=9)
    legend_below(figure, axes)
    return figure


def _line(axes: Axes, line: Line, k: int, alone: bool) -> None:
    curve, colour = line.survival, COLOURS[k]
    first, last = axes.get_xlim()
    part = (curve.t > first / 2) & (curve.t < 2 * last)
    t, S = curve.t[part], curve.S[part]
    positive = S > 0
    label = f"{shortened(line.name)} (N = {curve.N:,})"
    axes.step(t[positive], S[positive], where="post", color=colour, linestyle=STYLES[k], label=label)
    if alone:
        lower, upper = curve.band()
        axes.fill_between(
            t, lower[part], upper[part], step="post", color=colour, alpha=0.2, linewidth=0, label="95 % band, pointwise"
        )
        if curve.least:
            text = f"(saddle + censored) / N = {curve.never:,} / {curve.N:,}"
            axes.axhline(curve.least, color=GREY, linewidth=0.9, linestyle=(0, (1, 1.5)), label=text)
        if np.isfinite(curve.first_censored):
            text = "first censored stop: S is an upper bound from here on"
            axes.axvline(curve.first_censored, color=GREY, linewidth=0.9, linestyle=(0, (4, 2, 1, 2)), label=text)
        if line.tails is not None and line.tails.fits:
            _tails(axes, line.tails)
    if line.exact is not None:
        axes.plot(*line.exact, color="black", marker="x", linestyle="", markersize=5, label="exact law")


def _tails(axes: Axes, tails: Tails) -> None:
    """Draw the fits, dashed over their range, and the predicted exponent as a line beside the data."""
    tail = tails.tail
    t = np.geomspace(max(tail.edges[0], 1e-300), tail.edges[-1], 100)
    for fit, k in ((tails.exponential, 1), (tails.power_law, 2)):
        if fit is None:
            continue
        value = f"rate {fit.rate:.3g}" if fit.kind == "exponential" else f"exponent {fit.rate:.3g}"
        text = f"{fit.kind}, {value} [{fit.lower:.3g}, {fit.upper:.3g}], {p_sentence(fit.p_value, fit.p_at_floor)}"
        axes.plot(t, fit.survival(t, tail), color=COLOURS[k], linestyle=STYLES[k], label=text)
    exponent = tails.prediction.exponent
    if exponent is not None:
        wide = np.geomspace(t[0], 4 * t[-1], 100)
        text = f"predicted slope, exponent {exponent:.3g}{'' if tails.prediction.proved else ' (heuristic)'}"
        axes.plot(wide, 2 * tail.share * (wide / t[0]) ** -exponent, color="black", linestyle=STYLES[3], label=text)


def _span(lines: Sequence[Line]) -> tuple[float, float]:
    """The range of t: from half the time at which a thousandth of those not certified at the start is certified, to the
    end."""
    first, last = np.inf, 0.0
    for curve in (line.survival for line in lines):
        gone = np.flatnonzero(curve.alive < 0.999 * curve.alive[0])
        if len(gone):
            first = min(first, float(curve.t[gone[0]]) / 2)
            last = max(last, float(curve.t[curve.shown()][-1]))
    return (first, 1.5 * last) if last else (0.1, 10.0)
