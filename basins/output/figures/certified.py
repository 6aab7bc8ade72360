"""The share of starts whose limit is proved at t = 0, by shape and scale, in total and by each argument separately."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from basins.output.figures.style import COLOURS, MARKERS, line_style, nothing, page, shortened, styled

MOST, ROWS = 7, 24
"""The largest numbers of lines and of rows on a figure."""

ARGUMENTS = {
    "share": "by any argument",
    "rate": "by the rate (3b)",
    "rank": "by the ranks (3c, 3d)",
    "level": "by the loss level (3a)",
}
"""The columns of shares, and the argument that each counts separately."""


@styled
def certified(shares: pd.DataFrame, left_out: int = 0) -> Figure:
    """Draw a table with the columns shape (text), scale, those of ARGUMENTS, and draws, with 95 % intervals: one panel
    per argument with one line per shape over the scales; or, if scales are text (other laws) or every shape has only
    one, one row per case. At most seven lines, or 24 rows. left_out: number of cases that are not in the table."""
    if shares.empty:
        return nothing("no shape to show", "certified at t = 0")
    numbers = pd.api.types.is_numeric_dtype(shares["scale"])
    lines = numbers and shares.groupby("shape")["scale"].nunique().max() > 1
    return _lines(shares) if lines else _points(shares, left_out)


def _lines(shares: pd.DataFrame) -> Figure:
    shapes = list(dict.fromkeys(shares["shape"]))
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    scales = sorted(shares["scale"].unique())
    panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    for axes, (column, name) in zip(panels, ARGUMENTS.items(), strict=True):
        for k, shape in enumerate(shapes[:MOST]):
            one = shares[shares["shape"] == shape].sort_values("scale")
            error = _errors(one[column], one["draws"])
            axes.errorbar(one["scale"], one[column], error, capsize=2, markersize=4.5, label=shape, **line_style(k))
        axes.set(xscale="log", ylim=(-0.03, 1.03), title=name)
        axes.set_xticks(scales, [f"{scale:g}" for scale in scales])
        axes.minorticks_off()
    for axes in panels[2:]:
        axes.set_xlabel("scale of the Gaussian law")
    for axes in panels[::2]:
        axes.set_ylabel("certified at t = 0")
    title = f"{int(shares['draws'].min()):,} draws per point"
    title += f"; the first {MOST} of {len(shapes)} shapes" if len(shapes) > MOST else ""
    figure.suptitle(title, fontsize=9, x=0.01, ha="left")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", title="widths", fontsize=8)
    return figure


def _points(shares: pd.DataFrame, left_out: int) -> Figure:
    shown, left_out = shares.head(ROWS), left_out + max(len(shares) - ROWS, 0)
    figure, axes = page(5.6, 1.7 + 0.5 * len(shown))
    for k, (column, name) in enumerate(ARGUMENTS.items()):
        y = np.arange(len(shown)) + 0.19 * (k - 1.5)
        _row(axes, shown[column], shown["draws"], y, k, name)
    names = [f"{shape},\n{shortened(scale, 44)}" for shape, scale in zip(shown["shape"], shown["scale"], strict=True)]
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set(ylim=(len(shown) - 0.5, -0.5), xlim=(-0.03, 1.03))
    axes.set_xlabel(f"certified at t = 0 ({int(shown['draws'].min()):,} draws, 95 %)")
    if left_out:
        axes.set_title(f"the first {len(shown)} of {len(shown) + left_out} cases", fontsize=9)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    return figure


def _row(axes: Axes, share: pd.Series[float], draws: pd.Series[int], y: np.ndarray, k: int, name: str) -> None:
    axes.errorbar(
        share, y, xerr=_errors(share, draws), capsize=2, color=COLOURS[k], marker=MARKERS[k], markersize=4.5,
        linestyle="", label=name,
    )  # fmt: skip


def _errors(share: pd.Series[float], draws: pd.Series[int]) -> np.ndarray:
    """The lengths of the 95 % intervals below and above each share, (2, N)."""
    from basins.statistics.binomial import two_sided

    ends = [two_sided(round(s * n), int(n), 0.05) for s, n in zip(share, draws, strict=True)]
    lower, upper = np.transpose(ends)
    return np.maximum([share - lower, upper - share], 0)
