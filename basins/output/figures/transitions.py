"""From saddle to saddle: the saddles that trajectories pass, and the transitions between them."""

from __future__ import annotations

from collections import Counter

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from basins.estimate.sentences import modes_text
from basins.output.figures.style import BLACK, BLUE, GREY, ORANGE, nothing, page, shortened, styled
from basins.summary.transitions import CENSORED, START, UNKNOWN, Node, Transitions

MOST, EDGES = 14, 24
"""The largest numbers of strata and of transitions drawn. The most frequent ones are chosen."""

COLOURS = {START: BLACK, CENSORED: GREY, UNKNOWN: GREY}
MARKERS = {START: ">", CENSORED: "X", UNKNOWN: "X"}


@styled
def transitions(graph: Transitions) -> Figure:
    """The graph: ranks from left to right, critical values from top to bottom. The width of an arrow is proportional to
    its share of the watched trajectories, which is printed beside it."""
    title = f"{shortened(graph.case.name)}: {graph.watched:,} watched trajectories, {graph.passed:,} saddles passed"
    if not graph.watched:
        return nothing(graph.sentence(), shortened(graph.case.name))
    nodes, edges, left_out = _most_used(graph)
    places = _positions(graph, nodes)
    figure, axes = page(5.0, 3.9)
    axes.set_axis_off()
    for (source, target), count in edges:
        _arrow(axes, places[source], places[target], count / graph.watched)
    d_y = graph.case.problem.d_y
    for node, (x, y) in places.items():
        colour = COLOURS.get(node, BLUE if node.bit_count() == d_y else ORANGE)
        marker = MARKERS.get(node, "o" if node.bit_count() == d_y else "s")
        axes.plot(x, y, marker=marker, color=colour, markersize=11, zorder=3, markeredgecolor="white")
        axes.annotate(
            _label(graph, node), (x, y), xytext=(0, -9), textcoords="offset points", ha="center", va="top",
            fontsize=8.5, zorder=5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        )  # fmt: skip
    xs, ys = np.array(list(places.values())).T
    axes.set(xlim=(xs.min() - 0.45, xs.max() + 0.45), ylim=(ys.min() - 0.2, ys.max() + 0.12))
    note = "rank rises to the right, the loss falls downwards; shares of those watched"
    note += f"; {left_out} rarer steps left out" if left_out else ""
    note += f"\n{graph.slow_downs:,} slow-downs near no saddle are not shown" if graph.slow_downs else ""
    axes.set_title(title)
    figure.text(0.5, 0.005, note, ha="center", va="bottom", fontsize=8, color=GREY)
    return figure


def _most_used(graph: Transitions) -> tuple[list[Node], list[tuple[tuple[Node, Node], int]], int]:
    """The most frequent nodes, the transitions between them by rising count, and the number of transitions left out."""
    traffic: Counter[Node] = Counter()
    for (source, target), count in graph.counts.items():
        traffic[source] += count
        traffic[target] += count
    nodes = [node for node, _ in traffic.most_common(MOST)]
    edges = sorted(graph.counts.items(), key=lambda item: -item[1])
    shown = [edge for edge in edges if set(edge[0]) <= set(nodes)][:EDGES]
    kept = {node for (source, target), _ in shown for node in (source, target)}
    return [node for node in nodes if node in kept], shown[::-1], len(edges) - len(shown)


def _positions(graph: Transitions, nodes: list[Node]) -> dict[Node, tuple[float, float]]:
    """Positions of the nodes. x: the rank; y: the order of the critical value among those of the nodes, evenly spaced
    so that near ones do not overlap."""
    strata = [node for node in nodes if node >= 0]
    loss = graph.case.problem.strata().loss
    order = sorted(strata, key=lambda mask: (loss(mask), -mask))
    steps = max(len(order) - 1, 1)
    places = {mask: (float(mask.bit_count()), k / steps) for k, mask in enumerate(order)}
    first = min((mask.bit_count() for mask in strata), default=0)
    last = max((mask.bit_count() for mask in strata), default=0)
    for node in nodes:
        if node == START:
            places[node] = (first - 1.0, 1.0)
        elif node < 0:
            places[node] = (float(last), 1.0 if node == CENSORED else 0.7)
    return places


def _arrow(axes: Axes, source: tuple[float, float], target: tuple[float, float], share: float) -> None:
    width = 0.6 + 5.0 * np.sqrt(share)
    bend = 0.12 if target[0] >= source[0] else 0.3
    axes.add_patch(
        FancyArrowPatch(
            source, target, connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>", mutation_scale=8 + 1.5 * width,
            linewidth=width, color=GREY, alpha=0.55, shrinkA=8, shrinkB=8, zorder=1,
        )
    )  # fmt: skip
    start, end = np.array(source), np.array(target)
    # The middle of arc3's curve is half the bend to the right of the chord, in display coordinates.
    at = start + 0.5 * (end - start)
    axes.annotate(
        _percent(share), at, fontsize=8, ha="center", va="center", zorder=4,
        xytext=_beside(source, target, bend), textcoords="offset points",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.8},
    )  # fmt: skip


def _beside(source: tuple[float, float], target: tuple[float, float], bend: float) -> tuple[float, float]:
    """The offset in points from the chord's middle to the curve's."""
    dx, dy = 90.0 * (target[0] - source[0]), 220.0 * (target[1] - source[1])
    return 0.5 * bend * dy, -0.5 * bend * dx


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 1e-3 else f"{100 * share:.1g} %"


def _label(graph: Transitions, node: Node) -> str:
    if node < 0:
        return graph.name(node)
    stratum = graph.case.problem.strata().of(node)
    name = modes_text(stratum.modes) if stratum.rank <= 5 else f"|S| = {stratum.rank}"
    return name if stratum.index is None else f"I({stratum.index}) {name}"
