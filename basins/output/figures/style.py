"""The line_style of figures: for print and for screens, distinguishable without colour.

Uses Okabe and Ito's colours, each with its own line style and marker. Does not use pyplot: each function returns a
Figure that belongs to the caller, and no global state changes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import numpy as np

from basins.errors import ArgumentError
from basins.extras import importing

with importing("matplotlib", "a figure"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter

P = ParamSpec("P")

BLACK, BLUE, ORANGE, GREEN, PINK, SKY, YELLOW = (
    "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00",
)  # fmt: skip
GREY = "#6b6b6b"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW, BLACK)
STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
WIDTH, HEIGHT = 4.5, 3.2
"""Width in inches: a column of a page. On a screen of 400 pixels, letters are still 9 pixels high."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

SWEPT = re.compile(r"\b(?:\w+\.)+(\w+) = ")
"""A swept key in a case's name."""

FORMS = ("png", "svg", "pdf")

RC: Any = {  # the exact type would list all of matplotlib's settings
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "lines.linewidth": 1.3,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a "$" in a name is printed as such
    "svg.hashsalt": "basins",
    "figure.dpi": 110,
    "savefig.dpi": 160,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorator: draw with the settings of this module, whatever the caller's settings are."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context({**matplotlib.rcParamsDefault, **RC}):
            return draw(*args, **kwargs)

    return drawn


def page(width: float = WIDTH, height: float = HEIGHT) -> tuple[Figure, Axes]:
    """A figure with one set of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend under the axes, in two columns if its labels are short, else in one column on a higher page."""
    handles, labels = axes.get_legend_handles_labels()
    columns = 1 if max(map(len, labels), default=0) > 30 else 2
    rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + 0.17 * max(0, rows - 4))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8)


def decades(axes: Axes, low: float, high: float) -> None:
    """A logarithmic t axis from low to high, at least a decade, with labels only at the decades, where they do not
    overlap."""
    if high < 100 * low:
        low, high = 10 ** np.floor(np.log10(low)), 10 ** np.ceil(np.log10(high))
    if high <= low:
        low, high = low / 10, 10 * low
    logarithmic(axes, "x")
    axes.set_xlim(low, high)


def logarithmic(axes: Axes, which: str) -> None:
    """Logarithmic axes, "x", "y" or "xy", with plain-text labels at powers of ten, which matplotlib would typeset."""
    for name in which:
        axes.set(**{f"{name}scale": "log"})
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_formatter(FuncFormatter(lambda x, _: power_of_ten(x)))
        axis.set_minor_formatter(NullFormatter())


def shortened(name: str, most: int = 40) -> str:
    """A name that fits in a legend. In the name of a swept case, such as "iris, network.hidden = [4, 4], law.scale =
    0.5", keys lose their tables. Long names are cut in the middle, because names of a sweep differ at their ends."""
    name = SWEPT.sub(r"\1 ", name)
    if len(name) <= most:
        return name
    tail = 2 * most // 3
    return f"{name[: most - tail - 1]}…{name[-tail:]}"


def power_of_ten(x: float) -> str:
    """10⁻³ for 0.001; "" for a number that is not a power of ten."""
    exponent = round(float(np.log10(x))) if x > 0 else 0
    if not np.isclose(x, 10.0**exponent):
        return ""
    return "1" if exponent == 0 else "10" + str(exponent).translate(SUPERSCRIPTS) if exponent != 1 else "10"


def line_style(k: int) -> dict[str, Any]:
    """Colour, line style and marker of the k-th line."""
    return {"color": COLOURS[k % 7], "linestyle": STYLES[(k + k // 7) % 7], "marker": MARKERS[k % 7]}


def nothing(message: str, title: str = "") -> Figure:
    """A figure with a message why there is nothing to draw."""
    figure, axes = page(height=1.2)
    axes.set_axis_off()
    axes.text(0.5, 0.5, message, ha="center", va="center", wrap=True, color=GREY, transform=axes.transAxes)
    if title:
        axes.set_title(title)
    return figure


def svg(figure: Figure) -> bytes:
    """The figure as SVG, the same bytes each time: letters are paths, so that no font is needed, and there is no
    date."""
    out = io.BytesIO()
    with matplotlib.rc_context(RC):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def format_of(file: str) -> str:
    """The format that a file name asks for: png, svg or pdf. Raises ArgumentError for any other."""
    form = file.rpartition(".")[2].lower() if "." in file else ""
    if form not in FORMS:
        raise ArgumentError(f"no figure format {form!r}", where=file, remedy=f"end it in .{', .'.join(FORMS)}")
    return form


def encoded(figure: Figure, form: str) -> bytes:
    """The figure as the content of a png, svg or pdf file, the same bytes each time."""
    if form == "svg":
        return svg(figure)
    out = io.BytesIO()
    with matplotlib.rc_context(RC):
        figure.savefig(out, format=form, metadata={"CreationDate": None} if form == "pdf" else {"Software": None})
    return out.getvalue()
