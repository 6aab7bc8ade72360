"""The bounds with label error counted in: the formula by hand, coverage by simulation, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from chosen_counts import CONTROL, GAUSSIAN, counts, experiment, made, one

from basins.errors import RunError
from basins.estimate import Counts, estimate_run, label_error, pool, saddle_measure
from basins.estimate.labels import Checked
from basins.estimate.sentences import LABELS, pooled_sentence, sentence
from basins.statistics.binomial import one_sided_lower, one_sided_upper, trials
from basins.store import Manifest, files_at
from basins.store.verified import read_checks, write_checks

AGREED = {("minimum", "agreed"): 200}


def test_the_bounds_are_those_of_the_formula() -> None:
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
    assert found.minimum == Checked(200, 1, 2)
    assert found.level == 0.975  # half of alpha for each of the two facts
    u, E_m = one_sided_upper(10, 10_000, 0.975), one_sided_upper(3, 200, 0.975)  # an undecided row agrees with nothing
    assert found.saddle_measure.upper == u + (1 - u) * E_m
    assert found.saddle_measure.lower == one_sided_lower(4, 10_000, 0.975) * (1 - one_sided_upper(1, 4, 0.975))
    assert found.censored == {"minimum": 5}


def test_200_rows_bound_far_less_than_the_count() -> None:
    found = label_error(counts(400_000), AGREED)
    assert found is not None
    assert found.minimum.upper(0.95) == pytest.approx(0.01487, rel=1e-3)  # 0 of 200: 1.5 %
    assert found.saddle_measure.upper == pytest.approx(0.01829, rel=1e-3)
    headline = one_sided_upper(0, 400_000)
    assert one_sided_upper(0, found.needed, 0.975) <= headline < one_sided_upper(0, found.needed - 1, 0.975)
    assert found.needed == pytest.approx(400_000 * np.log(40) / np.log(20), rel=1e-4)


def test_without_checked_rows_nothing_is_said_of_labels() -> None:
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
    for ss, ms, sm, mm in rng.multinomial(N, joint, size=DRAWS):  # label and truth: ms is called minimum, and is none
        to_check = min(50, int(ss + sm))
        wrong_m = int(rng.hypergeometric(ms, mm, 150))
        wrong_s = int(rng.hypergeometric(sm, ss, to_check)) if to_check else 0
        outcomes = {
            ("minimum", "disagreed"): wrong_m,
            ("minimum", "agreed"): 150 - wrong_m,
            ("saddle", "disagreed"): wrong_s,
            ("saddle", "agreed"): to_check - wrong_s,
        }
        seen = counts(int(ms + mm), {0: int(ss + sm)})
        error = label_error(seen, outcomes)
        assert error is not None
        measure = error.saddle_measure if counted_in else saddle_measure(seen)
        above += measure.upper < p
        below += measure.lower > p
    return above / DRAWS, below / DRAWS


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize(("unseen", "invented"), [(0.6, 0.0), (0.0, 0.01)])
def test_the_truth_is_covered_with_labels_wrong_at_a_known_rate(mean: float, unseen: float, invented: float) -> None:
    above, below = misses(mean, unseen, invented)
    assert above <= 0.05 + SLACK
    assert below <= 0.05 + SLACK


def test_bounds_of_the_labels_alone_would_miss() -> None:
    """The guard guards: at these rates the bounds that take labels for right miss nearly always."""
    assert misses(100.0, 0.6, 0.0, counted_in=False)[0] > 0.9
    assert misses(0.1, 0.0, 0.01, counted_in=False)[1] > 0.9


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
def test_trials_are_the_least_that_do(bound: float, k: int, level: float) -> None:
    n = trials(bound, k, level)
    assert one_sided_upper(k, n, level) <= bound < one_sided_upper(k, n - 1, level)


# --- what was kept in the run ----------------------------------------------------------------------------------------


def test_checks_are_kept_and_taken_together(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(trajectories=50))
    key = run.manifest.cases[0].key
    write_checks(
        run.files, run.manifest, 0, {key: {3: ("minimum", "agreed"), 4: ("minimum", "undecided")}}, {"layers": 0}
    )
    write_checks(
        run.files, run.manifest, 1, {key: {4: ("minimum", "agreed"), 60: ("minimum", "agreed")}}, {"layers": 0}
    )
    write_checks(run.files, run.manifest, 2, {key: {9: ("minimum", "disagreed")}}, {"layers": 3})
    assert len(run.files.paths("verified/")) == 3
    checks = read_checks(run.files, run.manifest)  # row 9 was checked under layers that this run does not have
    assert checks.outcomes(key, 50) == {("minimum", "agreed"): 1, ("minimum", "undecided"): 1}  # the worse of row 4
    found = estimate_run(run)
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))["cases"][0]
    assert read["label_error"]["checked"] == 2
    assert read["label_error"]["undecided"] == 1
    assert set(read["label_error"]) == {
        "checked", "disagreed", "undecided", "upper", "level", "saddle", "censored", "saddle_measure", "needed",
    }  # fmt: skip
    assert read["saddle_measure"]["upper"] == one_sided_upper(0, 50)  # the headline stays what it was
    assert read["label_error"]["saddle_measure"]["upper"] > read["saddle_measure"]["upper"]


@pytest.mark.parametrize(
    "content", ["{", '{"experiment": "another", "cases": {}}', '{"cases": {}}', '{"experiment": "", "cases": 3}']
)
def test_a_damaged_record_of_checks_is_named(tmp_path: Path, content: str) -> None:
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


def test_the_sentence_says_both_bounds() -> None:
    clean = sentence(one(experiment(), counts(3_000), outcomes=AGREED))
    assert "hold less than 9.981e-4" in clean
    assert "label error: of 200 minima checked 0 disagree, which counted in leaves less than 0.01949" in clean
    assert "3,695 minima checked and none wrong" in clean
    assert LABELS not in clean
    found = sentence(one(experiment(), counts(2_999, {1: 1}), outcomes={**AGREED, ("saddle", "undecided"): 1}))
    assert "of 1 saddles checked 0 disagree and 1 are undecided" in found
    assert LABELS in sentence(one(experiment(), counts(3_000)))


def test_the_pool_takes_the_checks_of_its_own_cases() -> None:
    of = experiment(GAUSSIAN + CONTROL)
    gaussian, control = of.cases
    pooled = pool(
        [(gaussian, counts(1_000)), (control, counts(0, {1: 10}))],
        {gaussian.key: AGREED, control.key: {("saddle", "disagreed"): 3}},
    )
    assert pooled.label_error is not None
    assert pooled.label_error.minimum == Checked(200)
    assert pooled.label_error.saddle == Checked()
    assert "of 200 minima checked 0 disagree" in pooled_sentence(pooled)
