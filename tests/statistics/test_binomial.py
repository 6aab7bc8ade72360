"""Coverage of the intervals, by exact binomial sums instead of draws. The same test detects a narrower interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from basins.errors import ArgumentError
from basins.statistics.binomial import one_sided_lower, one_sided_upper, two_sided

Bounds = Callable[[int, int], tuple[float, float]]
N = 400
EXPECTED = (0.0, 0.1, 1.0, 10.0)
"""N p, the expected count, as in a run with no or few saddles."""


def coverage(weights: NDArray[np.float64], p: float, bounds: Bounds) -> float:
    """Exact probability that the interval of a count with these weights, shape (n + 1,), contains p."""
    n = len(weights) - 1
    # Counts beyond the mass that doubles can see change nothing and cost two special functions each.
    seen = np.flatnonzero(weights > 1e-18)
    inside = [k for k in seen if bounds(int(k), n)[0] <= p <= bounds(int(k), n)[1]]
    return float(weights[inside].sum())


def binomial(n: int, p: float) -> NDArray[np.float64]:
    return np.asarray(stats.binom.pmf(np.arange(n + 1), n, p))


def upper(k: int, n: int) -> tuple[float, float]:
    return 0.0, one_sided_upper(k, n)


def lower(k: int, n: int) -> tuple[float, float]:
    return one_sided_lower(k, n), 1.0


def both(k: int, n: int) -> tuple[float, float]:
    return two_sided(k, n, 0.05)


@pytest.mark.parametrize("mean", EXPECTED)
@pytest.mark.parametrize("bounds", [upper, lower, both])
def test_the_interval_covers(bounds: Bounds, mean: float) -> None:
    for p in (mean / N, 1 - mean / N):
        assert coverage(binomial(N, p), p, bounds) >= 0.95 - 1e-12


@pytest.mark.parametrize("mean", EXPECTED)
def test_the_interval_covers_by_simulation(mean: float) -> None:
    """The same by draws at the size of a run: the count of misses is itself binomial, with p at most 5 %."""
    n, draws = 20_000, 2_000
    counts = np.random.default_rng(20_000).binomial(n, mean / n, size=draws)
    misses = sum(mean / n > one_sided_upper(int(k), n) for k in counts)
    assert stats.binom.sf(misses - 1, draws, 0.05) > 1e-6


def wald(k: int, n: int) -> tuple[float, float]:
    half = 1.645 * np.sqrt(k * (n - k) / n) / n
    return 0.0, k / n + half


def a_tenth_narrower(k: int, n: int) -> tuple[float, float]:
    return 0.0, 0.9 * one_sided_upper(k, n)


def one_count_short(k: int, n: int) -> tuple[float, float]:
    return 0.0, one_sided_upper(max(k - 1, 0), n)


@pytest.mark.parametrize("bounds", [wald, a_tenth_narrower, one_count_short])
def test_a_narrower_interval_is_caught(bounds: Bounds) -> None:
    """The check works: the assertion of test_the_interval_covers fails for these. At 2.9957 / N a count of 0 just
    covers."""
    means = (*EXPECTED, 2.9)
    assert min(coverage(binomial(N, mean / N), mean / N, bounds) for mean in means) < 0.95 - 1e-3


def test_the_bound_of_a_run_without_saddles() -> None:
    assert one_sided_upper(0, 20_000) == pytest.approx(1.498e-4, rel=2e-4)
    assert one_sided_upper(0, 20_000) == pytest.approx(1 - 0.05 ** (1 / 20_000), rel=1e-11)


def test_edges() -> None:
    assert one_sided_lower(0, 7) == 0.0
    assert one_sided_upper(7, 7) == 1.0
    assert one_sided_lower(7, 7) == pytest.approx(0.05 ** (1 / 7), rel=1e-13)
    assert two_sided(0, 1, 0.05) == (0.0, pytest.approx(0.975, rel=1e-13))
    assert two_sided(1, 1, 0.05) == (pytest.approx(0.025, rel=1e-13), 1.0)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 2**10, 0.05 / 2**40])
@pytest.mark.parametrize(("k", "n"), [(0, 20_000), (1, 20_000), (300, 20_000), (19_999, 20_000), (3, 7)])
def test_the_bounds_are_the_tails_of_the_binomial(k: int, n: int, alpha: float) -> None:
    """By definition, against scipy's sums: P(Bin(n, upper) <= k) = P(Bin(n, lower) >= k) = alpha / 2."""
    low, high = two_sided(k, n, alpha)
    assert stats.binom.cdf(k, n, high) == pytest.approx(alpha / 2, rel=1e-6)
    assert k == 0 or stats.binom.sf(k - 1, n, low) == pytest.approx(alpha / 2, rel=1e-6)


@pytest.mark.parametrize("shares", [(0.0, 1.0), (0.2, 0.8), (0.0, 0.02), (0.001, 0.05)])
def test_the_interval_covers_the_mean_of_a_pool(shares: tuple[float, float]) -> None:
    """Two cases of unequal probability, pooled: the interval covers their weighted mean (Hoeffding 1956)."""
    for sizes in ((100, 100), (30, 170)):
        weights = np.convolve(binomial(sizes[0], shares[0]), binomial(sizes[1], shares[1]))
        mean = float(np.dot(sizes, shares)) / sum(sizes)
        for bounds in (upper, lower, both):
            assert coverage(weights, mean, bounds) >= 0.95 - 1e-12


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_invalid_counts_are_refused(k: int, n: int) -> None:
    with pytest.raises(ArgumentError, match="0 <= k <= n"):
        one_sided_upper(k, n)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, float("nan")])
def test_invalid_confidences_are_refused(level: float) -> None:
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        one_sided_lower(0, 5, level)
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        two_sided(0, 5, level)
