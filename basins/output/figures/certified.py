"""The share of starts whose limit is proved at t = 0, by shape and scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from basins.output.figures.style import look, nothing, page, shortened, styled

MOST = 7


@styled
def certified(shares: pd.DataFrame) -> Figure:
    """Columns shape (text), scale, share, draws: a line a shape over the scales, with 95 % intervals; or, where scales
    are words (other laws) or every shape has one, a point a row. At most seven lines."""
    from basins.statistics.binomial import two_sided

    if shares.empty:
        return nothing("no shape to show", "certified at t = 0")
    shapes = list(dict.fromkeys(shares["shape"]))
    numbers = pd.api.types.is_numeric_dtype(shares["scale"])
    lines = numbers and shares.groupby("shape")["scale"].nunique().max() > 1
    if not lines:
        return _points(shares)
    figure, axes = page(5.0, 3.3)
    for k, shape in enumerate(shapes[:MOST]):
        one = shares[shares["shape"] == shape].sort_values("scale")
        lower, upper = np.transpose(
            [two_sided(round(s * n), int(n), 0.05) for s, n in zip(one["share"], one["draws"], strict=True)]
        )
        error = np.maximum([one["share"] - lower, upper - one["share"]], 0)
        axes.errorbar(one["scale"], one["share"], error, capsize=2, markersize=4.5, label=shape, **look(k))
    said = f"{int(shares['draws'].min()):,} draws a point"
    axes.set(xscale="log", ylim=(-0.03, 1.03), xlabel="scale of the Gaussian law", ylabel="certified at t = 0")
    scales = sorted(shares["scale"].unique())
    axes.set_xticks(scales, [f"{scale:g}" for scale in scales])
    axes.minorticks_off()
    axes.set_title(said + (f"; the first {MOST} of {len(shapes)} shapes" if len(shapes) > MOST else ""), fontsize=9)
    figure.legend(loc="outside right upper", title="widths", fontsize=8)
    return figure


def _points(shares: pd.DataFrame) -> Figure:
    from basins.statistics.binomial import two_sided

    shown = shares.head(32)
    figure, axes = page(4.8, 1.2 + 0.36 * len(shown))
    for y, (share, draws) in enumerate(zip(shown["share"], shown["draws"], strict=True)):
        lower, upper = two_sided(round(share * draws), int(draws), 0.05)
        axes.errorbar(
            share, y, xerr=[[max(share - lower, 0)], [max(upper - share, 0)]], capsize=3, color="#0072B2", marker="o"
        )
    names = [f"{shape},\n{shortened(scale, 44)}" for shape, scale in zip(shown["shape"], shown["scale"], strict=True)]
    axes.set_yticks(range(len(shown)), names, fontsize=8)
    axes.set(ylim=(len(shown) - 0.5, -0.5), xlim=(-0.03, 1.03))
    axes.set_xlabel(f"certified at t = 0 ({int(shown['draws'].min()):,} draws, 95 %)")
    return figure
