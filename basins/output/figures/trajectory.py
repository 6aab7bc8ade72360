"""One trajectory: its loss between the critical values, and the network's singular values as they grow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from basins.landscapes.deep_linear.problem import Problem
from basins.output.figures.staircase import draw_levels, strata_with_lines
from basins.output.figures.style import BLACK, BLUE, COLOURS, GREY, HEIGHT, ORANGE, STYLES, WIDTH, decades, styled
from basins.trajectories import Steps

MOST = 7


@styled
def trajectory(
    problem: Problem,
    one: Steps,
    title: str,
    stop: float | None = None,
    visits: Sequence[tuple[float, float, bool]] = (),
    label: str | None = None,
) -> Figure:
    """Two panels over the same times. stop: the time at which the run stopped the trajectory; visits: (t, loss, whether
    it passes a saddle) of each; label: what the curve of the loss is, its steps by default."""
    figure = Figure(figsize=(WIDTH + 1.0, 2 * HEIGHT - 0.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    after = one.t > 0
    first = min([_begins(one), *(0.7 * t for t, _, _ in visits if t > 0)])
    levels = strata_with_lines(problem)
    draw_levels(above, levels, max(float(one.loss.max()), levels[0].loss))
    above.plot(one.t[after], one.loss[after], color=BLUE, label=label or f"loss, {one.steps:,} steps")
    for passes, name, face in ((True, "passes a saddle", ORANGE), (False, "slow-down", "white")):
        # A visit at t = 0 is drawn at the edge.
        at = [(max(t, first), loss) for t, loss, passing in visits if passing == passes]
        if at:
            above.plot(
                *zip(*at, strict=True), color=ORANGE, marker="s", linestyle="", markersize=5, markerfacecolor=face,
                label=f"{name} ({len(at)})",
            )  # fmt: skip
    for k in range(min(problem.d_y, MOST)):
        label = f"sigma[{k}] = {problem.sigma[k]:.4g}"
        below.axhline(problem.sigma[k], color=COLOURS[k], linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
        below.plot(one.t[after], one.singular[after, k], color=COLOURS[k], linestyle=STYLES[k], label=label)
    fitted = (one.fitted > 0.5).sum(axis=1)
    rank = below.twinx()
    rank.step(one.t[after], fitted[after], where="post", color=BLACK, linewidth=0.9, linestyle=(0, (1, 1)))
    rank.set(ylim=(-0.1, problem.d_y + 0.1), ylabel="modes fitted (dotted)")
    rank.set_yticks(range(0, problem.d_y + 1, max(1, problem.d_y // 5)))
    rank.spines["right"].set_visible(True)
    if stop:
        for axes in (above, below):
            axes.axvline(stop, color=GREY, linewidth=0.9, linestyle=(0, (4, 2, 1, 2)), zorder=0)
        above.plot([], [], color=GREY, linewidth=0.9, linestyle=(0, (4, 2, 1, 2)), label=f"its stop, t = {stop:.4g}")
    above.set(ylabel="loss L", title=title)
    below.set(xlabel="time t of the gradient flow", ylabel="singular values of the network")
    decades(above, first, float(one.t[-1]))
    above.legend(loc="lower left", bbox_to_anchor=(0, 0.04))
    more = f", the first {MOST} of {problem.d_y}" if problem.d_y > MOST else ""
    below.legend(loc="upper left", title=f"dotted: sigma{more}", title_fontsize=8, fontsize=8)
    return figure


def _begins(one: Steps) -> float:
    """The time at which the loss has fallen by a hundredth; a thousandth of the last time if it never has."""
    fallen = np.flatnonzero(one.loss < 0.99 * one.loss[0])
    first = float(one.t[max(int(fallen[0]) - 1, 1)]) if len(fallen) else float(one.t[-1]) / 1000
    return max(min(first, float(one.t[-1]) / 10), float(one.t[1]))
