"""The bounds without replacement: against exact fractions, coverage enumerated for every w, and sizes of a run."""

from __future__ import annotations

from fractions import Fraction
from math import comb, exp, fsum, log1p

import pytest

from basins.errors import ArgumentError
from basins.statistics.binomial import one_sided_upper
from basins.statistics.hypergeometric import at_least, at_most, draws, lower, upper

ALPHAS = [0.05, 0.025, 1e-4]


def exactly(k: int, w: int, n: int, N: int) -> Fraction:
    """P(X = k) as a fraction."""
    if not 0 <= k <= w or not 0 <= n - k <= N - w:
        return Fraction(0)
    return Fraction(comb(w, k) * comb(N - w, n - k), comb(N, n))


@pytest.mark.parametrize("N", [1, 2, 7, 13])
def test_bounds_agree_with_exact_fractions(N: int) -> None:
    for alpha in ALPHAS:
        least = Fraction(alpha) * (1 - Fraction(1, 10**6))
        for n in range(N + 1):
            for k in range(n + 1):
                below = {w: sum(exactly(j, w, n, N) for j in range(k + 1)) for w in range(N + 1)}
                above = {w: sum(exactly(j, w, n, N) for j in range(k, n + 1)) for w in range(N + 1)}
                assert upper(k, n, N, 1 - alpha) == max(
                    w for w in below if below[w] >= least * (1 - Fraction(1, 10**6))
                )
                assert lower(k, n, N, 1 - alpha) == min(
                    w for w in above if above[w] >= least * (1 - Fraction(1, 10**6))
                )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_every_w_of_a_small_population_is_covered(alpha: float) -> None:
    """Exactly, for each w and n: the samples whose bound misses w have at most alpha between them."""
    for N in (5, 30):
        for n in range(N + 1):
            most = [upper(k, n, N, 1 - alpha) for k in range(n + 1)]
            least = [lower(k, n, N, 1 - alpha) for k in range(n + 1)]
            for w in range(N + 1):
                chances = [exactly(k, w, n, N) for k in range(n + 1)]
                assert sum(p for p, bound in zip(chances, most, strict=True) if bound < w) <= alpha
                assert sum(p for p, bound in zip(chances, least, strict=True) if bound > w) <= alpha


def test_bounds_smaller_by_one_would_miss() -> None:
    """The check can fail: a bound smaller by one misses some w more often than alpha."""
    N, n, alpha = 30, 20, 0.05
    worst = max(
        sum(exactly(k, w, n, N) for k in range(n + 1) if max(k, upper(k, n, N, 1 - alpha) - 1) < w)
        for w in range(N + 1)
    )
    assert worst > 2 * alpha


def test_a_census_leaves_nothing_to_infer() -> None:
    for N in (1, 10, 4_000, 10**10):
        for k in {0, 1, N // 2, N}:
            assert upper(k, N, N, 0.975) == lower(k, N, N, 0.975) == k
    assert (upper(0, 0, 50, 0.95), lower(0, 0, 50, 0.95)) == (50, 0)  # nothing drawn, nothing known


@pytest.mark.parametrize(
    ("k", "w", "n", "N"), [(0, 30, 700, 4_000), (3, 40, 700, 4_000), (60, 100, 900, 2_000), (500, 1_000, 900, 1_900)]
)
def test_tails_have_ten_digits(k: int, w: int, n: int, N: int) -> None:
    below = float(sum(exactly(j, w, n, N) for j in range(k + 1)))
    above = float(sum(exactly(j, w, n, N) for j in range(k, min(n, w) + 1)))
    assert at_most(k, w, n, N) == pytest.approx(below, rel=1e-10)
    assert at_least(k, w, n, N) == pytest.approx(above, rel=1e-10)


@pytest.mark.parametrize(
    ("k", "w", "n", "N"),
    [(0, 30_000, 10**6, 10**10), (5, 120_000, 10**6, 10**10), (3, 20, 5 * 10**9, 10**10), (60, 10**5, 10**6, 10**9)],
)
def test_tails_of_a_large_population_have_twelve_digits(k: int, w: int, n: int, N: int) -> None:
    terms = [none_drawn(w, n, N)]
    for j in range(k):
        terms.append(terms[-1] * (w - j) * (n - j) / ((j + 1) * (N - w - n + j + 1)))
    assert at_most(k, w, n, N) == pytest.approx(fsum(terms), rel=1e-12)


def none_drawn(w: int, n: int, N: int) -> float:
    """P(X = 0) to 12 digits, by the product over the wrong ones."""
    return exp(fsum(log1p(-n / (N - i)) for i in range(w)))


@pytest.mark.parametrize(("n", "N"), [(200, 400_000), (10**6, 10**10), (10**9, 10**10), (7 * 10**9, 10**10)])
def test_sizes_of_a_run_are_exact(n: int, N: int) -> None:
    most = upper(0, n, N, 0.975)
    for k in (1, 100, n // 1_000 or 2):
        assert lower(k, n, N, 0.975) < N * k / n < upper(k, n, N, 0.975)
    assert none_drawn(most, n, N) >= 0.025 * (1 - 1e-9)
    assert none_drawn(most + 1, n, N) < 0.025


def test_few_draws_of_many_agree_with_the_binomial() -> None:
    """n << N: the binomial bound, which ignores that rows run out, is the limit and never the tighter one."""
    for k, n in ((0, 200), (3, 200), (40, 1_000)):
        share = upper(k, n, 10**9, 0.975) / 10**9
        assert share == pytest.approx(one_sided_upper(k, n, 0.975), rel=1e-5)
        assert share <= one_sided_upper(k, n, 0.975)


@pytest.mark.parametrize(("w", "N"), [(0, 5), (2, 4_000), (2, 400_000), (29, 10**10), (7, 7), (9, 7)])
def test_draws_is_the_least_sufficient_number(w: int, N: int) -> None:
    n = draws(w, N, 0.975)
    assert 0 <= n <= N
    assert upper(0, n, N, 0.975) <= w
    assert n == 0 or upper(0, n - 1, N, 0.975) > w


@pytest.mark.parametrize(("k", "n", "N"), [(-1, 5, 9), (6, 5, 9), (0, 10, 9)])
def test_invalid_counts_are_refused(k: int, n: int, N: int) -> None:
    with pytest.raises(ArgumentError, match="0 <= k <= n <= N"):
        upper(k, n, N, 0.95)
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        lower(0, 1, 2, 1.0)
