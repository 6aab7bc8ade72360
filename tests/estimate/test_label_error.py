"""The bounds that include the label error: the formula by hand, coverage by simulation, and the sentence."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from chosen_counts import CONTROL, GAUSSIAN, counts, experiment, made, one
from scipy.stats import binom, hypergeom

from basins.errors import ArgumentError, RunError
from basins.estimate import Counts, Measure, estimate_run, label_error, pool, saddle_measure
from basins.estimate.labels import Checked
from basins.estimate.sentences import LABELS, pooled_sentence, sentence
from basins.statistics import hypergeometric
from basins.statistics.binomial import one_sided_lower, one_sided_upper, trials
from basins.store import Manifest, files_at
from basins.store.verified import read_checks, write_checks

AGREED = {("minimum", "agreed"): 200}


def test_the_bounds_follow_the_formula() -> None:
    found = label_error(
        counts(9_990, {1: 4}, [1.0] * 6),
        {
            ("minimum", "agreed"): 197,
            ("minimum", "disagreed"): 1,
            ("minimum", "undecided"): 2,
            ("saddle", "agreed"): 3,
            ("saddle", "disagreed"): 1,
            ("censored", "minimum"): 5,
        },
    )
    assert found is not None
    W = hypergeometric.upper(3, 200, 9_990, 0.975)  # an undecided row agrees with nothing; half of alpha for each fact
    surely = hypergeometric.lower(1, 200, 9_990, 0.975)
    assert found.minimum == Checked(200, 1, 2, rows=9_990, uncovered=0, wrong=W, surely=surely, confidence=0.975)
    assert found.minimum.lower == surely / 9_990 > 0
    assert found.saddle_measure.upper == one_sided_upper(10 + W, 10_000, 0.975)
    assert found.saddle == Checked(
        4, 1, 0, rows=4, uncovered=0, wrong=1, surely=1, confidence=1.0
    )  # all are checked: a fact
    assert found.saddle_measure.lower == one_sided_lower(3, 10_000)
    assert found.censored == {"minimum": 5}


def test_200_checked_rows_give_a_far_weaker_bound_than_the_count() -> None:
    found = label_error(counts(400_000), AGREED)
    assert found is not None
    assert found.minimum.upper == pytest.approx(0.01827, rel=1e-3)  # 0 of 200: 1.8 % at 1 - alpha/2
    assert found.saddle_measure.upper == one_sided_upper(found.minimum.wrong, 400_000, 0.975)
    assert found.saddle_measure.upper == pytest.approx(0.0187, rel=2e-3)
    headline = one_sided_upper(0, 400_000)
    few, fewer = (hypergeometric.upper(0, n, 400_000, 0.975) for n in (found.needed, found.needed - 1))
    assert few / 400_000 <= headline < fewer / 400_000
    assert found.needed == pytest.approx(400_000 * (1 - 0.025 ** (1 / 3)), rel=1e-4)  # 71 % of them, not 123 %


def test_a_census_does_not_change_the_bound() -> None:
    """Of 4,000 rows, all checked and none wrong: 7.5e-4, the bound of the labels as computed, and no more checks are
    asked for."""
    found = label_error(counts(4_000), {("minimum", "agreed"): 4_000})
    assert found is not None
    assert found.saddle_measure.upper == one_sided_upper(0, 4_000) == pytest.approx(7.486e-4, rel=1e-3)
    assert (found.minimum.wrong, found.minimum.confidence) == (0, 1.0)
    assert found.needed <= 4_000
    said = sentence(one(experiment(), counts(4_000), outcomes={("minimum", "agreed"): 4_000}))
    assert "of all 4,000 minima checked 0 disagree; with it included, less than 7.487e-4 at the same" in said
    assert "would make" not in said
    for wrong in (1, 7):  # known exactly, so counted like saddles
        known = label_error(counts(4_000), {("minimum", "agreed"): 4_000 - wrong, ("minimum", "undecided"): wrong})
        assert known is not None
        assert known.saddle_measure.upper == one_sided_upper(wrong, 4_000)
    with_censored = label_error(counts(3_990, {}, [1.0] * 10), {("minimum", "agreed"): 3_990})
    assert with_censored is not None
    assert with_censored.saddle_measure.upper == one_sided_upper(10, 4_000)


def test_the_bound_falls_with_every_check_to_that_of_a_census() -> None:
    bounds = [label_error(counts(400), {("minimum", "agreed"): n}) for n in range(1, 401)]
    upper = [one.saddle_measure.upper for one in bounds if one is not None]
    assert len(upper) == 400
    assert upper == sorted(upper, reverse=True)
    assert upper[-1] == one_sided_upper(0, 400) < upper[0]


@pytest.mark.parametrize("outcomes", [{("minimum", "agreed"): 11}, {("saddle", "disagreed"): 1}])
def test_more_checks_than_labels_are_refused(outcomes: dict[tuple[str, str], int]) -> None:
    with pytest.raises(ArgumentError, match="were checked, but only"):
        label_error(counts(10), outcomes)


def test_without_checked_rows_there_is_no_label_error() -> None:
    assert label_error(counts(10), {}) is None
    assert label_error(Counts(), AGREED) is None
    unchecked = label_error(counts(10, {1: 5}), {("saddle", "agreed"): 5})
    assert unchecked is not None
    assert unchecked.saddle_measure.upper == 1.0  # of the minima nothing is known


MEANS = [0.0, 0.1, 1.0, 10.0, 100.0]


DRAWS = 1_000
SLACK = 4 * np.sqrt(0.05 * 0.95 / DRAWS)


def misses(mean: float, unseen: float, invented: float, counted_in: bool = True) -> tuple[float, float]:
    """Shares of draws in which the bounds miss the truth, above and below.

    Of N = 2,000 trajectories N p = mean truly end on a saddle; a share `unseen` of those is called minimum, a share
    `invented` of the true minima saddle. 150 minima and up to 50 saddles are checked. counted_in: with label error, or
    the bounds of the labels as computed.
    """
    rng, N = np.random.default_rng(int(10 * mean)), 2_000
    p = mean / N
    joint = [(1 - unseen) * p, unseen * p, invented * (1 - p), (1 - invented) * (1 - p)]
    above = below = 0

    @cache
    def measure(minima: int, saddles: int, wrong_m: int, wrong_s: int, to_check: int) -> Measure:
        seen = counts(minima, {0: saddles})
        outcomes = {
            ("minimum", "disagreed"): wrong_m,
            ("minimum", "agreed"): 150 - wrong_m,
            ("saddle", "disagreed"): wrong_s,
            ("saddle", "agreed"): to_check - wrong_s,
        }
        error = label_error(seen, outcomes)
        assert error is not None
        return error.saddle_measure if counted_in else saddle_measure(seen)

    for ss, ms, sm, mm in rng.multinomial(N, joint, size=DRAWS):  # label and truth: ms is called minimum, and is none
        to_check = min(50, int(ss + sm))
        wrong_m = int(rng.hypergeometric(ms, mm, 150))
        wrong_s = int(rng.hypergeometric(sm, ss, to_check)) if to_check else 0
        found = measure(int(ms + mm), int(ss + sm), wrong_m, wrong_s, to_check)
        above += found.upper < p
        below += found.lower > p
    return above / DRAWS, below / DRAWS


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize(("unseen", "invented"), [(0.6, 0.0), (0.0, 0.01)])
def test_the_truth_is_covered_with_labels_wrong_at_a_known_rate(mean: float, unseen: float, invented: float) -> None:
    above, below = misses(mean, unseen, invented)
    assert above <= 0.05 + SLACK
    assert below <= 0.05 + SLACK


def test_bounds_without_label_error_would_miss() -> None:
    """The test can fail: at these rates, bounds that take all labels as right miss nearly always."""
    assert misses(100.0, 0.6, 0.0, counted_in=False)[0] > 0.9
    assert misses(0.1, 0.0, 0.01, counted_in=False)[1] > 0.9


@pytest.mark.parametrize("checks", [4, 9, 11, 12])
def test_the_level_is_kept_exactly_where_the_minima_may_or_may_not_all_be_checked(checks: int) -> None:
    """By enumeration: N = 12, each truly a saddle with probability p, a saddle called minimum with probability h. How
    many minima there are decides whether `checks` are all of them, and so which part of alpha the count has."""
    N = 12

    @cache
    def bound(minima: int, n: int, k: int) -> float:
        outcomes = {("minimum", "agreed"): n - k, ("minimum", "disagreed"): k}
        error = label_error(counts(minima, {0: N - minima}), outcomes) if n else None
        return 1.0 if error is None else error.saddle_measure.upper

    for p in (0.05, 0.1, 0.2, 0.22, 0.23, 0.3, 0.4, 0.5, 0.7):
        for h in (0.0, 0.3, 0.7, 1.0):
            missed = 0.0
            for saddles in range(N + 1):
                for wrong in range(saddles + 1):
                    minima = N - saddles + wrong
                    n = min(checks, minima)
                    chance = binom.pmf(saddles, N, p) * binom.pmf(wrong, saddles, h)
                    k = np.arange(max(0, n + wrong - minima), min(n, wrong) + 1)
                    drawn = hypergeom.pmf(k, minima, wrong, n)
                    missed += chance * sum(drawn[[bound(minima, n, int(one)) < p for one in k]])
            assert missed <= 0.05 + 1e-9, (p, h)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("censoring", [0.0, 0.5])
def test_the_measure_of_right_labels_is_covered(mean: float, censoring: float) -> None:
    rng, N = np.random.default_rng(5), 1_000
    above = below = 0
    for saddles in rng.binomial(N, mean / N, size=DRAWS):
        hidden = int(rng.binomial(saddles, censoring))
        measure = saddle_measure(counts(N - int(saddles), {0: int(saddles) - hidden}, [9.0] * hidden))
        above += measure.upper < mean / N
        below += measure.lower > mean / N
    assert above / DRAWS <= 0.05 + SLACK
    assert below / DRAWS <= 0.05 + SLACK


@pytest.mark.parametrize(("bound", "k", "level"), [(1e-6, 0, 0.95), (0.058, 0, 0.95), (1e-3, 7, 0.99), (0.5, 3, 0.9)])
def test_trials_is_the_least_sufficient_number(bound: float, k: int, level: float) -> None:
    n = trials(bound, k, level)
    assert one_sided_upper(k, n, level) <= bound < one_sided_upper(k, n - 1, level)


# --- what was kept in the run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", ["{", '{"experiment": "another", "cases": {}}', '{"cases": {}}', '{"experiment": "", "cases": 3}']
)
def test_a_damaged_record_of_checks_is_reported(tmp_path: Path, content: str) -> None:
    run = made(tmp_path, experiment(trajectories=5))
    run.files.put("verified/seed-0-abc.json", content.encode())
    with pytest.raises(RunError, match=r"verified/seed-0-abc\.json is damaged"):
        estimate_run(run)


def test_an_unknown_word_in_a_record_is_damage(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(trajectories=5))
    for verdict, outcome in (("minimum", "fine"), ("maximum", "agreed")):
        path = write_checks(run.files, run.manifest, 0, {"c": {1: (verdict, outcome)}}, {"layers": 0})
        with pytest.raises(RunError, match="is damaged"):
            read_checks(files_at(tmp_path), Manifest.of(experiment(trajectories=5)))
        run.files.delete(path)


def test_the_sentence_has_both_bounds() -> None:
    clean = sentence(one(experiment(), counts(3_000), outcomes=AGREED))
    assert "hold less than 9.981e-4" in clean
    assert "label error: of 200 minima checked 0 disagree; with it included, less than 0.02267" in clean
    assert "2,123 minima checked and none wrong" in clean
    assert LABELS not in clean
    found = sentence(one(experiment(), counts(2_999, {1: 1}), outcomes={**AGREED, ("saddle", "undecided"): 1}))
    assert "of all 1 saddles checked 0 disagree and 1 are undecided" in found
    assert LABELS in sentence(one(experiment(), counts(3_000)))


def test_the_pool_uses_the_checks_of_its_own_cases() -> None:
    of = experiment(GAUSSIAN + CONTROL)
    gaussian, control = of.cases
    pooled = pool(
        [(gaussian, counts(1_000)), (control, counts(0, {1: 10}))],
        {gaussian.key: AGREED, control.key: {("saddle", "disagreed"): 3}},
    )
    assert pooled.label_error is not None
    W = hypergeometric.upper(0, 200, 1_000, 0.975)
    assert pooled.label_error.minimum == Checked(
        200, 0, 0, rows=1_000, uncovered=0, wrong=W, surely=0, confidence=0.975
    )
    assert pooled.label_error.saddle.rows == 0
    assert "of 200 minima checked 0 disagree" in pooled_sentence(pooled)
