"""The bounds of a run that has grown hold whatever rule stopped it; those for one size fixed beforehand do not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from scipy.stats import binom, norm

from basins.estimate import Counts
from basins.estimate.sentences import grown_sentence
from basins.estimate.stages import Grown, grown, lower_alpha, upper_alpha
from basins.statistics.binomial import one_sided_upper, two_sided

ALPHA = 0.05
Bound = Callable[[int, int, int], float]
"""(against, N, stage) -> an upper bound."""


@cache
def all_stages(k: int, N: int, stage: int) -> float:
    return two_sided(k, N, 2 * upper_alpha(k, stage))[1]


@cache
def by_stage_alone(k: int, N: int, stage: int) -> float:
    return two_sided(k, N, 2 * ALPHA * 0.5**stage)[1]


@cache
def of_one_size(k: int, N: int, stage: int) -> float:
    return one_sided_upper(k, N)


def missed_when_stopped(bound: Bound, p: float, sizes: Sequence[int], samples: int = 20_000) -> float:
    """How often the bound is below p where the run grows until it is: the worst rule, if sizes are fixed."""
    rng = np.random.default_rng(7)
    steps = np.diff([0, *sizes])
    counts = np.cumsum(rng.binomial(steps, p, size=(samples, len(sizes))), axis=1)
    missed = np.zeros(samples, dtype=bool)
    for k, N in enumerate(sizes):
        below = np.array([bound(count, N, k + 1) < p for count in range(counts[:, k].max() + 1)])
        missed |= below[counts[:, k]]
    return float(missed.mean())


@pytest.mark.parametrize("p", [0.002, 0.01, 0.3])
def test_growing_until_it_pleases_is_covered(p: float) -> None:
    sizes = [200 * 2**k for k in range(10)]
    margin = 3 * np.sqrt(ALPHA / 20_000)
    assert missed_when_stopped(all_stages, p, sizes) <= ALPHA + margin
    assert missed_when_stopped(of_one_size, p, sizes) > 2 * ALPHA  # what the bound of one size does not cover


def worst_choice(bound: Bound, p: float, first: int, most: int) -> float:
    """The chance that the bound is below p in the first stage, or in the second one, whose size is chosen by what the
    first has shown, to make it so: exact."""
    seen = np.arange(first + 1)
    chance = binom.pmf(seen, first, p)
    missed = np.array([bound(int(k), first, 1) < p for k in seen])
    total = float(chance[missed].sum())
    for k in seen[~missed & (chance > 1e-12)]:
        best = 0.0
        for more in range(1, most):
            N = first + more
            limit = next((j - 1 for j in range(int(k), N + 1) if bound(j, N, 2) >= p), N)
            best = max(best, float(binom.cdf(limit - k, more, p)) if limit >= k else 0.0)
        total += float(chance[k]) * best
    return total


def test_sizes_that_are_chosen_by_what_was_seen_are_covered() -> None:
    """Exact, of few trials: a first stage of 12, and a second one of whatever size is worst."""
    p, first = 0.5, 12
    assert worst_choice(by_stage_alone, p, first, 40) > worst_choice(all_stages, p, first, 40)
    assert worst_choice(all_stages, p, first, 40) <= ALPHA


def chance_with_the_worst_sizes(stages: int, alpha: float = ALPHA) -> float:
    """The chance that alpha/2^k alone misses in some stage, of a Brownian path (counts are large) whose owner chooses
    each next size to make it likeliest; by dynamic programming. x: how far the count is too low, in deviations."""
    x = np.linspace(-5, 5, 501)
    ratios = np.exp(np.concatenate([np.linspace(0.005, 0.2, 12), np.linspace(0.3, 6, 24)]))
    quantiles = norm.ppf((np.arange(200) + 0.5) / 200)
    later = np.zeros_like(x)  # the chance in the stages after the one that x is of
    for stage in range(stages, 1, -1):
        z = norm.isf(alpha * 0.5**stage)
        best = np.zeros_like(x)
        for ratio in ratios:
            mean, deviation = x / np.sqrt(ratio), np.sqrt(1 - 1 / ratio)
            reached = mean[:, None] + deviation * quantiles
            then = np.where(reached > z, 0.0, np.interp(reached, x, later)).mean(axis=1)
            best = np.maximum(best, norm.sf((z - mean) / deviation) + then)
        later = best
    z, weights = norm.isf(alpha / 2), norm.pdf(x)
    return float((weights * np.where(x > z, 1.0, later)).sum() / weights.sum())


def test_stages_alone_do_not_cover_sizes_that_are_chosen() -> None:
    assert 0.06 < chance_with_the_worst_sizes(6) < 0.07
    assert chance_with_the_worst_sizes(1) <= ALPHA


def test_at_every_size_at_once() -> None:
    """The bound by counts holds at every N together, by simulation at each of 3,000 sizes."""
    rng = np.random.default_rng(3)
    p, most, samples = 0.02, 3000, 2000
    counts = np.cumsum(rng.random((samples, most)) < p, axis=1)
    missed = np.zeros(samples, dtype=bool)
    for N in range(1, most + 1):
        at = counts[:, N - 1]
        below = np.array([two_sided(k, N, 2 * upper_alpha(k, 1))[1] < p for k in range(min(N, at.max()) + 1)])
        missed |= below[at]
    assert missed.mean() <= ALPHA + 3 * np.sqrt(ALPHA / samples)


def test_what_is_taken_adds_up_to_alpha() -> None:
    counts = range(100_000)
    assert sum(upper_alpha(k, 1) for k in counts) <= ALPHA
    assert sum(lower_alpha(k, 1) for k in range(1, 100_000)) <= ALPHA
    assert sum(upper_alpha(0, stage) for stage in range(1, 60)) <= ALPHA
    assert upper_alpha(0, 2) == ALPHA / 4
    assert upper_alpha(0, 5) == ALPHA / 32


def test_the_bounds_of_counts() -> None:
    one = grown((1000, 4000), Counts(minimum=4000))
    assert one is not None
    assert one.saddle_measure.upper == pytest.approx(1 - (ALPHA / 4) ** (1 / 4000), rel=1e-12)
    assert (one.saddle_measure.lower, one.saddle_measure.estimate, one.times) == (0.0, 0.0, 1)
    assert one.saddle_measure.upper > one_sided_upper(0, 4000)
    assert grown((4000,), Counts(minimum=4000)) is None
    assert grown((1000, 4000), Counts()) is None
    some = grown((1000, 2000, 4000), Counts(minimum=3990, saddles={0: 4}, censored_losses=np.full(6, np.nan)))
    assert some is not None
    assert some.upper_alpha == pytest.approx(ALPHA / (11 * 12))
    assert some.lower_alpha == pytest.approx(ALPHA / (4 * 5))
    assert 0 < some.saddle_measure.lower < 0.001 < some.saddle_measure.upper
    late = grown(tuple(range(1, 80)), Counts(minimum=79))
    assert late is not None
    assert 0 < late.saddle_measure.upper < 1


def test_it_is_said() -> None:
    one = grown((1000, 4000, 400_000), Counts(minimum=400_000))
    assert isinstance(one, Grown)
    assert grown_sentence(one) == (
        "The run has grown twice (1,000 -> 4,000 -> 400,000). The bound above is for a size that was fixed beforehand; "
        "this one holds whenever growing is stopped: less than 1.269e-5, at 95 % confidence (stage 3: exact, at "
        "alpha = 0.00625)."
    )
