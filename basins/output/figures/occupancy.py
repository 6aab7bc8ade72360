"""The measure of each stratum's basin, with intervals; and the bound on the saddle basins, case by case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from basins.estimate import CaseEstimate
from basins.estimate.sentences import modes_text
from basins.output.figures.style import BLACK, BLUE, GREY, ORANGE, logarithmic, nothing, page, shortened, styled

MOST = 32
"""The largest number of bars or rows on a figure."""


@styled
def occupancy(case: CaseEstimate) -> Figure:
    """A case's strata from left to right by falling loss: measure and 95 % intervals (jointly), on a logarithmic scale.

    A stratum on which no trajectory ends has no point; its interval reaches down to zero and is drawn as an arrow.
    """
    title = f"{shortened(case.name)}: where {case.trajectories:,} trajectories end"
    if not case.trajectories:
        return nothing("no trajectory is counted yet", title)
    strata = case.strata[:MOST]
    figure, axes = page(min(max(4.2, 1.2 + 0.42 * len(strata)), 7.0), 3.2)
    floor = min(0.1 / case.trajectories, 0.3 * min((s.lower for s in strata if s.lower > 0), default=1.0))
    met: set[str] = set()
    for x, stratum in enumerate(strata):
        is_minimum = stratum.is_minimum
        colour, marker = (BLUE, "o") if is_minimum else (ORANGE, "s")
        label = "global minima" if is_minimum else "a saddle stratum"
        if stratum.count:
            share = stratum.count / case.trajectories
            error = [[share - max(stratum.lower, floor)], [max(stratum.upper - share, 0.0)]]
            axes.errorbar(
                x, share, _lengths(error), color=colour, marker=marker, capsize=3, markersize=6,
                label=None if label in met else label,
            )  # fmt: skip
        else:
            label = "none: upper end of the interval"
            axes.plot([x, x], [floor, stratum.upper], color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
            axes.plot(
                x, stratum.upper, color=GREY, marker="v", linestyle="", markersize=6,
                label=None if label in met else label,
            )  # fmt: skip
        met.add(label)
        high = max(stratum.upper, stratum.count / case.trajectories)
        axes.annotate(
            f"{stratum.count:,}", (x, high), xytext=(0, 5), textcoords="offset points", ha="center", fontsize=8,
            rotation=90 if len(strata) > 8 else 0,
        )  # fmt: skip
    logarithmic(axes, "y")
    axes.set(ylim=(floor, 8.0), ylabel="measure of the basin", xlim=(-0.6, len(strata) - 0.4))
    names = [modes_text(s.modes) if len(s.modes) <= 4 else f"|S| = {s.rank}" for s in strata]
    if strata and not case.conjecture:
        names = [s.of.name.replace(" ", "\n") for s in strata]
    elif any(s.index is not None for s in strata):
        names = [f"I({s.index})\n{name}" if s.index else name for s, name in zip(strata, names, strict=True)]
    steep = len(strata) > 8
    axes.set_xticks(range(len(strata)), names, rotation=90 if steep else 0, fontsize=8)
    axes.set_title(title)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _lengths(error: list[list[float]]) -> list[list[float]]:
    """Lengths of error bars, with negative rounding errors set to zero."""
    return [[max(one, 0.0) for one in side] for side in error]


@styled
def bounds(cases: Sequence[CaseEstimate]) -> Figure:
    """The saddle-basin measure of each case whose law has a density: estimate and bounds, one-sided at 95 %."""
    shown = [case for case in cases if not case.null and case.trajectories]
    if not shown:
        return nothing("no case whose law has a density is counted yet")
    left_out = len(shown) - MOST
    shown = sorted(shown, key=lambda case: case.saddle_measure.upper, reverse=True)[:MOST] if left_out > 0 else shown
    figure, axes = page(4.8, 1.1 + 0.28 * len(shown))
    floor = 0.3 * min(case.saddle_measure.upper for case in shown)
    positive = [case.saddle_measure.lower for case in shown if case.saddle_measure.lower > 0]
    floor = min([floor, *(0.5 * lower for lower in positive)])
    for y, case in enumerate(shown):
        measure = case.saddle_measure
        colour = ORANGE if case.saddle else BLACK if case.censored else BLUE
        axes.plot([max(measure.lower, floor), measure.upper], [y, y], color=colour, linewidth=1.4)
        axes.plot(measure.upper, y, color=colour, marker="<", markersize=6, linestyle="")
        if measure.lower > 0:
            axes.plot(measure.lower, y, color=colour, marker=">", markersize=6, linestyle="")
            axes.plot(measure.estimate or np.nan, y, color=colour, marker="s", markersize=5, linestyle="")
    axes.set_yticks(
        range(len(shown)), [f"{shortened(case.name)} ({case.trajectories:,})" for case in shown], fontsize=8
    )
    logarithmic(axes, "x")
    axes.set(xlim=(floor, min(1.5, 10 * max(c.saddle_measure.upper for c in shown))))
    axes.set(ylim=(len(shown) - 0.5, -0.5), xlabel="saddle measure, bounds at 95 %")
    if left_out > 0:
        axes.set_title(f"the {MOST} loosest of {MOST + left_out} cases", fontsize=9)
    for colour, marker, label in (
        (BLUE, "<", "no saddle, none censored"),
        (BLACK, "<", "no saddle, some censored"),
        (ORANGE, "s", "saddles"),
    ):
        if any((ORANGE if c.saddle else BLACK if c.censored else BLUE) == colour for c in shown):
            axes.plot([], [], color=colour, marker=marker, label=label)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure
