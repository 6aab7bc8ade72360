"""The exponent that theory expects of the tail P(T > t) ~ t^-kappa, H >= 2 (theory.md 5, heuristic)."""

from __future__ import annotations

from itertools import combinations

from basins.problem import Problem


def kappa(problem: Problem, rank: int | None = None) -> float | None:
    """min over r < d_y and sets K of at least 3 layers of sum_{j in K} (d_j - r)(d_{j-1} - r) / (|K| - 2), d_0 read as
    d_y; None for H = 1, whose tail is exponential. rank: of this r alone, what the non-strict points of rank r hold."""
    if problem.H < 2:
        return None
    d = (problem.d_y, *problem.widths[1:])
    layers = range(1, len(d))
    ranks = range(problem.d_y) if rank is None else (rank,)
    sizes = {r: {j: (d[j] - r) * (d[j - 1] - r) for j in layers} for r in ranks}
    return min(
        sum(sizes[r][j] for j in K) / (len(K) - 2)
        for r in ranks
        for many in range(3, len(d))
        for K in combinations(layers, many)
    )
