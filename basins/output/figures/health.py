"""The quality and the cost of the integration: drift of the invariants against the tolerance, and evaluations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
from basins.summary import CaseSummary
from basins.summary.histogram import LogHistogram

MOST = 7


@styled
def drift(cases: Sequence[CaseSummary]) -> Figure:
    """The drift of the invariants C_j, relative to the layers they are made of: the share of trajectories with more.
    The flow keeps the C_j exactly, so drift is integration error. The vertical lines are the tolerances rtol."""
    shown = [case for case in cases if case.drift.total][:MOST]
    if not shown:
        return nothing("no trajectory is counted yet", "drift of the invariants")
    figure, axes = page(4.6, 3.5)
    for k, case in enumerate(shown):
        _more(axes, case.drift, k, f"{shortened(case.case.name)} ({case.drift.total:,})")
    rtols = sorted({case.case.settings.rtol for case in shown})
    if not any(np.size(line.get_xdata()) for line in axes.lines):  # no invariant drifts at all
        axes.set_xlim(rtols[0] / 10, 10 * rtols[-1])
    for rtol in rtols:
        axes.axvline(rtol, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=0)
        axes.annotate(
            f"rtol {rtol:g}", (rtol, 1.0), xycoords=("data", "axes fraction"), xytext=(3, -2),
            textcoords="offset points", fontsize=8, color=GREY, va="top",
        )  # fmt: skip
    of = " or ".join(dict.fromkeys(case.drift_of for case in shown))
    decades(axes, *axes.get_xlim())
    axes.set(xlabel=f"largest relative drift of an invariant, {of}", ylabel="share with more")
    _title(axes, cases, shown)
    legend_below(figure, axes)
    return figure


@styled
def cost(cases: Sequence[CaseSummary]) -> Figure:
    """Evaluations of the vector field: the share of trajectories that take more, and each case's mean."""
    shown = [case for case in cases if case.evaluations.total][:MOST]
    if not shown:
        return nothing("no trajectory is counted yet", "cost")
    figure, axes = page(4.6, 3.5)
    for k, case in enumerate(shown):
        mean = case.total_evaluations / case.trajectories
        _more(axes, case.evaluations, k, f"{shortened(case.case.name)} ({case.trajectories:,}; mean {mean:,.0f})")
    of = " or ".join(dict.fromkeys(case.evaluations_of for case in shown))
    decades(axes, *axes.get_xlim())
    axes.set(xlabel=f"evaluations of the vector field, {of}", ylabel="share with more")
    _title(axes, cases, shown)
    legend_below(figure, axes)
    return figure


def _more(axes: Axes, counted: LogHistogram, k: int, label: str) -> None:
    """The share of numbers that are at least x."""
    more = 1 - counted.below() / counted.total
    changes = np.flatnonzero(np.diff(more))
    part = slice(max(int(changes[0]) - 1, 0), int(changes[-1]) + 2) if len(changes) else slice(0, 1)
    x, y = counted.edges[part], more[part]
    logarithmic(axes, "xy")
    axes.step(x[y > 0], y[y > 0], where="post", color=COLOURS[k], linestyle=STYLES[k], label=label)


def _title(axes: Axes, cases: Sequence[CaseSummary], shown: Sequence[CaseSummary]) -> None:
    if len(cases) > len(shown) == MOST:
        axes.set_title(f"the first {MOST} of {len(cases)} cases", fontsize=9)
