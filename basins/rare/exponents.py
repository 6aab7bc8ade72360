"""The exponents that theory expects of tails, P(T > t) ~ t^-kappa and P(G < g) ~ g^power (heuristic)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import Stratum


def kappa(problem: Problem, rank: int | None = None) -> float | None:
    """min over r < d_y and sets K of at least 3 layers of sum_{j in K} (d_j - r)(d_{j-1} - r) / (|K| - 2), d_0 read as
    d_y; None for H = 1, whose tail is exponential. rank: of this r alone, what the non-strict points of rank r hold."""
    if problem.H < 2:
        return None
    ranks = range(problem.d_y) if rank is None else (rank,)
    return min(size / (layers - 2) for r in ranks for layers, size in _defects(problem, r, least=3))


def approach_power(problem: Problem, stratum: Stratum) -> float | None:
    """min over sets K of at least 2 layers of sum_{j in K} (d_j - r)(d_{j-1} - r) / (|K| - 1); None where S is not
    {1..r}, and for H = 1 beyond chains, where it hangs on rates that differ along the stratum.

    With the layers of K of size eps in the modes that are not fitted, which a share eps^sum of starts has, the loss is
    that of I(S) less a product of |K| of such numbers. Where it passes that of I(S) with one of them zero, the gradient
    is the product of the others, G ~ eps^(|K| - 1). Exact for scalar chains: (H + 1)/H (and a logarithm at H = 1).
    """
    if stratum.modes != tuple(range(stratum.rank)) or (problem.H == 1 and problem.n > 2):
        return None
    return min(size / (layers - 1) for layers, size in _defects(problem, stratum.rank, least=2))


def _defects(problem: Problem, r: int, least: int) -> Iterator[tuple[int, int]]:
    """(|K|, sum_{j in K} (d_j - r)(d_{j-1} - r)) of all sets K of so many layers, d_0 read as d_y."""
    d = (problem.d_y, *problem.widths[1:])
    for many in range(least, len(d)):
        for K in combinations(range(1, len(d)), many):
            yield many, sum((d[j] - r) * (d[j - 1] - r) for j in K)
