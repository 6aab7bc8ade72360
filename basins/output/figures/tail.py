"""A tail: P(T > t), or P(G < g), from level to level with its interval, what is predicted, and what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from basins.output.figures.style import (
    COLOURS,
    GREY,
    MARKERS,
    STYLES,
    legend_below,
    logarithmic,
    nothing,
    page,
    shortened,
    styled,
)
from basins.rare.known import known
from basins.rare.tail import CaseTail

Array = NDArray[np.float64]

MOST = 7
"""Lines that are told apart."""

BESIDE = 3.0
"""The predicted slope is drawn so many times above the estimate, where it can be told from it."""


@dataclass(frozen=True)
class TailLine:
    """One case; truth: thresholds and P where it is known, or None."""

    tail: CaseTail
    truth: tuple[Array, Array] | None = None


def line_of(tail: CaseTail) -> TailLine:
    """A case's tail with the truth where it is known; that may take some seconds."""
    return TailLine(tail, known(tail.case, tail.stratum, [level.threshold for level in tail.levels]))


@styled
def tail(lines: Sequence[TailLine]) -> Figure:
    """P against the threshold of up to seven cases, which split on the same coordinate: levels as points, hollow where
    double precision does not resolve them; a band of 95 % intervals; one alone has the predicted slope beside it."""
    shown = [line for line in lines if line.tail.levels][:MOST]
    if not shown:
        return nothing("no replicate has reached a level yet", "tail")
    near = shown[0].tail.stratum is not None
    figure, axes = page(4.6, 3.8)
    # With one hidden layer log P falls as t does, and as log t with more.
    straight = not near and all(line.tail.case.problem.H == 1 for line in shown)
    for k, line in enumerate(shown):
        _line(axes, line, k)
    logarithmic(axes, "y" if straight else "xy")
    if len(shown) == 1:
        _prediction(axes, shown[0].tail)
    if near:
        axes.invert_xaxis()
    target = shown[0].tail.plan.target
    axes.axhline(target, color=GREY, linewidth=0.9, linestyle=(0, (1, 1.5)), label=f"target {target:g}")
    lowest = min([target, *(level.P for line in shown for level in line.tail.levels)])
    axes.set_ylim(lowest / 5, 2.0)
    if near:
        axes.set(xlabel="gradient norm g at the stratum's critical value", ylabel="P(G < g)")
    else:
        axes.set(xlabel="time t of the gradient flow", ylabel="P(T > t): share not certified by t")
    if len(lines) > len(shown):
        axes.set_title(f"the first {len(shown)} of {len(lines)} cases", fontsize=9)
    legend_below(figure, axes)
    return figure


def _line(axes: Axes, line: TailLine, k: int) -> None:
    levels, colour = line.tail.levels, COLOURS[k]
    x, P = np.array([level.threshold for level in levels]), np.array([level.P for level in levels])
    resolved = np.array([level.resolved for level in levels])
    bounded = np.array([level.bounded for level in levels])
    plan = line.tail.plan
    label = f"{shortened(line.tail.case.name)} ({line.tail.replicates} replicates of {plan.population:,} chains)"
    axes.plot(x, P, color=colour, linestyle=STYLES[k], label=label)
    axes.plot(x[resolved], P[resolved], color=colour, linestyle="", marker=MARKERS[k], markersize=4)
    if not resolved.all():
        axes.plot(
            x[~resolved], P[~resolved], color=colour, linestyle="", marker=MARKERS[k], markersize=4,
            markerfacecolor="white", label="not resolved in double precision",
        )  # fmt: skip
    if bounded.any():
        lower, upper = (np.array([getattr(level, name) for level in levels]) for name in ("lower", "upper"))
        axes.fill_between(
            x,
            lower,
            upper,
            where=bounded,
            color=colour,
            alpha=0.2,
            linewidth=0,
            label="95 % intervals" if k == 0 else None,
        )
    if line.truth is not None:
        said = f"exact, {shortened(line.tail.case.name, 24)}"
        axes.plot(*line.truth, color="black", marker="x", linestyle="", markersize=6, label=said)


def _prediction(axes: Axes, tail: CaseTail) -> None:
    """A line of the predicted exponent, beside the deepest levels that are resolved."""
    exponent, last = tail.expected, tail.last
    if exponent is None or last is None or len(tail.levels) < 2:
        return
    first = tail.levels[max(0, tail.levels.index(last) - 4)].threshold
    x = np.geomspace(first, last.threshold, 50)
    sign = -1.0 if tail.stratum is None else 1.0
    P = BESIDE * last.P * (x / last.threshold) ** (sign * exponent)
    said = f"predicted slope, exponent {exponent:.3g} (heuristic)"
    axes.plot(x, P, color="black", linestyle=STYLES[3], label=said)
