"""Tails: exponents of known laws are covered, a wrong law is rejected, and censoring loses nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_runs import Fates, experiment, made
from scipy.stats import kstest

from basins import Problem
from basins.errors import ArgumentError
from basins.summary import CaseSummary, summarise
from basins.summary.histogram import log_edges
from basins.summary.tails import SAMPLES, Tail, exponents, fit, p_sentence, p_text, prediction, tail, tails

EDGES = log_edges(0, 20, 16)


def binned(t: np.ndarray, last: int = len(EDGES) - 1) -> Tail:
    """Times as the tail from t = 1 to the edge `last`."""
    below = np.searchsorted(np.sort(t), EDGES[: last + 1])
    return Tail(EDGES[: last + 1], np.diff(below), int((t >= EDGES[last]).sum()), len(t))


def pareto(rng: np.random.Generator, exponent: float, size: int) -> np.ndarray:
    return rng.uniform(size=size) ** (-1 / exponent)


@pytest.mark.parametrize("exponent", [0.5, 3.0])
@pytest.mark.parametrize("size", [60, 1000])
def test_the_interval_of_an_exponent_covers(exponent: float, size: int) -> None:
    rng = np.random.default_rng(5)
    found = [fit(binned(pareto(rng, exponent, size)), "power law", 0) for _ in range(250)]
    covered = np.mean([one is not None and one.lower <= exponent <= one.upper for one in found])
    assert covered > 0.95 - 3.5 * np.sqrt(0.05 * 0.95 / 250)
    assert np.mean([one.rate for one in found if one]) == pytest.approx(exponent, rel=0.05)


def test_the_interval_of_a_rate_covers() -> None:
    rng = np.random.default_rng(6)
    found = [fit(binned(1 + rng.exponential(4.0, 300)), "exponential", 0) for _ in range(250)]
    covered = np.mean([one is not None and one.lower <= 0.25 <= one.upper for one in found])
    assert covered > 0.95 - 3.5 * np.sqrt(0.05 * 0.95 / 250)


def test_times_beyond_the_range_are_counted() -> None:
    """The range ends at t = 4, and half the law is beyond: the exponent is that of the whole law."""
    rng = np.random.default_rng(7)
    t = pareto(rng, 0.5, 20_000)
    cut = binned(t, last=32)
    assert 0.45 < cut.later / len(t) < 0.55
    found = fit(cut, "power law", 0)
    assert found is not None
    assert found.lower < 0.5 < found.upper
    assert found.rate == pytest.approx(0.5, rel=0.03)


def test_with_fine_bins_the_fit_agrees_with_clauset() -> None:
    """With bins of 1/16 octave the estimate is that of the exact times, n / sum log t."""
    t = pareto(np.random.default_rng(8), 2.0, 5000)
    found = fit(binned(t), "power law", 0)
    assert found is not None
    assert found.rate == pytest.approx(len(t) / np.log(t).sum(), rel=2e-3)


@pytest.mark.slow
def test_p_values_of_the_right_law_are_uniform() -> None:
    rng = np.random.default_rng(9)
    found = [fit(binned(pareto(rng, 2.0, 300)), "power law", 60) for _ in range(60)]
    assert kstest([one.p_value for one in found if one], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("law", ["exponential", "power law"])
def test_the_wrong_law_is_rejected(law: str) -> None:
    rng = np.random.default_rng(10)
    t = 1 + rng.exponential(1.0, 3000) if law == "exponential" else pareto(rng, 3.0, 3000)
    of = binned(t)
    for kind in ("exponential", "power law"):
        found = fit(of, kind, 40)  # type: ignore[arg-type]
        assert found is not None
        assert (found.p_value > 0.05) == (kind == law)


def test_a_p_value_at_the_floor_of_its_samples_is_printed_as_less_than_it() -> None:
    """If none of 100 samples is as far, the value is 1/101, and only p < 0.01 is known."""
    wrong = fit(binned(pareto(np.random.default_rng(10), 3.0, 3000)), "exponential")
    assert wrong is not None
    assert (wrong.p_value, wrong.p_at_floor) == (1 / (SAMPLES + 1), True)
    assert p_sentence(wrong.p_value, wrong.p_at_floor) == "p < 0.01"
    right = fit(binned(pareto(np.random.default_rng(10), 3.0, 3000)), "power law")
    assert right is not None
    assert not right.p_at_floor
    assert p_sentence(right.p_value) == f"p = {right.p_value:.2g}"
    untested = fit(binned(pareto(np.random.default_rng(10), 3.0, 3000)), "power law", 0)
    assert untested is not None
    assert (np.isnan(untested.p_value), untested.p_at_floor) == (True, False)


@pytest.mark.parametrize(
    ("p_value", "at_floor", "text"),
    [
        (1 / 101, True, "< 0.01"), (1 / 201, True, "< 0.005"), (1 / 3, True, "< 0.4"), (2 / 101, False, "0.02"),
        (1.0, False, "1"), (float("nan"), False, "nan"), (0.0, False, "< 3e-308"), (3e-40, False, "3e-40"),
    ],
)  # fmt: skip
def test_the_text_of_a_p_value_is_true(p_value: float, at_floor: bool, text: str) -> None:
    assert p_text(p_value, at_floor) == text
    assert p_sentence(p_value, at_floor) in (f"p = {text}", f"p {text}")


def summary_of(path: Path, t: np.ndarray, censored: tuple[int, ...] = ()) -> CaseSummary:
    return summarise(made(path, experiment(len(t)), {"gaussian": Fates(t, {}, censored)}), "gaussian")


def test_both_laws_are_compared(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    heavy = tails(summary_of(tmp_path / "a", 0.01 * pareto(rng, 2.0, 20_000)), start=0.02, samples=20)
    light = tails(summary_of(tmp_path / "b", 0.5 + rng.exponential(1.0, 20_000)), start=1.0, samples=20)
    assert (heavy.better, light.better) == ("power law", "exponential")
    assert heavy.power_law is not None
    assert heavy.power_law.lower < 2.0 < heavy.power_law.upper
    assert light.exponential is not None
    assert light.exponential.lower < 1.0 < light.exponential.upper
    t = np.array([2.0, 4.0])
    assert light.exponential.survival(t, light.tail) == pytest.approx(np.exp(-(t - 0.5)), rel=0.1)


def test_the_range_ends_before_the_first_censored_stop(tmp_path: Path) -> None:
    """Rows censored at t = 8 and later count as later than 8, whatever their limit."""
    t = pareto(np.random.default_rng(12), 1.0, 5000)
    slow = tuple(np.flatnonzero(t > 8)[::2].tolist())
    stopped = t.copy()
    stopped[list(slow)] = 8.0
    of = tail(summary_of(tmp_path, stopped, slow), start=1.0)
    assert of.edges[-1] == 8.0
    assert of.later == int((t >= 8).sum())
    found = fit(of, "power law", 0)
    assert found is not None
    assert found.lower < 1.0 < found.upper


def test_a_range_by_default_and_by_hand(tmp_path: Path) -> None:
    t = pareto(np.random.default_rng(13), 2.0, 20_000)
    summary = summary_of(tmp_path, t)
    of = tail(summary)
    assert 0.01 <= of.share < 0.012
    assert of.certified == int((t >= of.edges[0]).sum())
    assert of.later == 0
    by_hand = tail(summary, 2.1, 6.0)  # to the edges on either side
    assert by_hand.edges[0] <= 2.1 < by_hand.edges[1]
    assert by_hand.edges[-2] < 6.0 <= by_hand.edges[-1]
    with pytest.raises(ArgumentError, match="no bin"):
        tail(summary, 8.0, 2.0)


def test_exponents_for_later_and_later_starts(tmp_path: Path) -> None:
    """A law whose local exponent falls to 1: each later range has an exponent nearer to it."""
    q = np.random.default_rng(14).uniform(size=50_000)
    t = 1 / q + 3 / np.sqrt(q)
    table = exponents(summary_of(tmp_path, t), shares=(0.5, 0.1, 0.01), samples=0)
    assert len(table) == 3
    assert table["exponent"].is_monotonic_decreasing
    assert table["exponent"].iloc[-1] < 1.2 < table["exponent"].iloc[0]


def test_too_few_times_are_not_fitted(tmp_path: Path) -> None:
    few = tails(summary_of(tmp_path / "few", np.arange(1.0, 21.0)))
    assert (few.exponential, few.power_law, few.better, few.fits) == (None, None, None, ())
    together = tails(summary_of(tmp_path / "one", np.ones(1000)))
    assert together.fits == ()
    nothing = tails(summarise(made(tmp_path / "none", experiment(10), {}), "gaussian"))
    assert nothing.fits == ()
    with pytest.raises(ArgumentError, match="no law"):
        fit(few.tail, "lognormal")  # type: ignore[arg-type]


def test_predictions() -> None:
    one, chain, matrix = (
        Problem.from_spectrum([2.0, 1.0][: hidden[-1]], d_x=hidden[-1], hidden=hidden)
        for hidden in ((2,), (1, 1), (2, 2))
    )
    assert (prediction(one).kind, prediction(one).exponent) == ("exponential", None)
    assert (prediction(chain).exponent, prediction(chain).proved) == (3.0, True)
    assert (prediction(matrix).exponent, prediction(matrix).proved) == (3.0, False)
