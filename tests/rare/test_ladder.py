"""An exponent fitted to counts: it is consistent, and its interval has the stated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from basins.errors import ArgumentError
from basins.rare.ladder import exponent

CASES = [
    pytest.param(1.0, 0.0, 300, marks=pytest.mark.slow),
    pytest.param(4.0, 3.5, 2000, marks=pytest.mark.slow),
    (2.0, 2.0, 4000),
]
X = np.log(np.geomspace(1.0, 3.0, 4))


def test_exact_shares_give_the_exponent() -> None:
    offsets = 2.0 * X
    q = 0.2 * np.exp(offsets - 2.5 * X)
    found = exponent(np.round(10**8 * q).astype(np.int64), 10**8, offsets, X)
    assert found.value == pytest.approx(2.5, abs=1e-5)
    assert found.low < 2.5 < found.high < found.low + 2e-3


@pytest.mark.parametrize(("theta", "offset", "trials"), CASES)
def test_the_interval_covers(theta: float, offset: float, trials: int, rng: np.random.Generator) -> None:
    """Of 200 intervals at 95 %, neither too many nor too few miss, so they are neither too narrow nor too wide."""
    q = 0.3 * np.exp((offset - theta) * (X - X[0]))
    missed = 0
    for counts in rng.binomial(trials, q, size=(200, 4)):
        missed += not exponent(counts, trials, offset * X, X).holds(theta)
    assert binom(200, 0.05).ppf(1e-3) <= missed <= binom(200, 0.05).ppf(0.999)


def test_a_smaller_alpha_widens_the_interval() -> None:
    counts = np.array([300, 280, 310, 290])
    wide, narrow = (exponent(counts, 1000, 3 * X, X, alpha=alpha) for alpha in (0.01, 0.2))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (5, 0, 0, 0), (100, 100, 100, 3)])
def test_uninformative_counts_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match="do not determine an exponent"):
        exponent(np.array(counts), 100, X, X)
