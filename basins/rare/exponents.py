"""The exponents that theory predicts for tails, P(T > t) ~ t^-kappa and P(G < g) ~ g^power (heuristic)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import Stratum


def kappa(problem: Problem, rank: int | None = None) -> float | None:
    """min over r < d_y and sets K of at least 3 layers of sum_{j in K} (d_j - r)(d_{j-1} - r) / (|K| - 2), d_0 read as
    d_y; None for H = 1, whose tail is exponential. rank: only this r, for the non-strict points of rank r."""
    if problem.H < 2:
        return None
    ranks = range(problem.d_y) if rank is None else (rank,)
    return min(size / (layers - 2) for r in ranks for layers, size in _defects(problem, r, least=3))


def approach_power(problem: Problem, stratum: Stratum) -> float | None:
    """min over sets K of at least 2 layers of sum_{j in K} (d_j - r)(d_{j-1} - r) / (|K| - 1); None where S is not
    {1..r}, and for H = 1 beyond chains, where the exponent depends on rates that vary along the stratum.

    If the layers in K are of size eps in the modes that are not fitted, as a share eps^sum of the starts has them, the
    loss is that of I(S) minus a product of |K| such numbers. Where it passes the loss of I(S), one of them is zero, and
    the gradient is the product of the others, G ~ eps^(|K| - 1). This is exact for scalar chains: (H + 1)/H (with a
    logarithm at H = 1).
    """
    if stratum.modes != tuple(range(stratum.rank)) or (problem.H == 1 and problem.n > 2):
        return None
    return min(size / (layers - 1) for layers, size in _defects(problem, stratum.rank, least=2))


def _defects(problem: Problem, r: int, least: int) -> Iterator[tuple[int, int]]:
    """(|K|, sum_{j in K} (d_j - r)(d_{j-1} - r)) of all sets K of at least `least` layers, d_0 read as d_y."""
    d = (problem.d_y, *problem.widths[1:])
    for many in range(least, len(d)):
        for K in combinations(range(1, len(d)), many):
            yield many, sum((d[j] - r) * (d[j - 1] - r) for j in K)
