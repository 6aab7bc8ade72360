"""Random pairs (X, Y): the sweep that draws them, the share of bad ones, and the clustering of hits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chosen_counts import counts, made

from basins.errors import ExperimentError
from basins.estimate import Counts, estimate_run, pool
from basins.estimate.pairs import Draw, drawn_data, pairs_estimates, smallest_seen
from basins.experiment import Experiment
from basins.statistics.binomial import one_sided_lower, one_sided_upper

PAIRS = """
name = "pairs"
seed = 1
trajectories = 40
data = { source = "gaussian", samples = 6, d_x = 2, d_y = 2 }
network = { hidden = [2, 2] }
law = { name = "gaussian", scale = 0.5 }
[sweep]
"""


def experiment(sweep: str = '"data.seed" = { count = 5 }') -> Experiment:
    """The experiment with this sweep; the swept key appears nowhere else."""
    above = PAIRS.replace(", scale = 0.5", "") if "law.scale" in sweep else PAIRS
    above = above.replace("network = { hidden = [2, 2] }", "") if "network.hidden" in sweep else above
    return Experiment.from_toml(above + sweep, Path(), "t.toml")


# --- the sweep -------------------------------------------------------------------------------------------------------


def test_a_count_gives_that_many_seeds() -> None:
    listed = experiment('"data.seed" = [3, 4, 5]')
    for form in ('"data.seed" = { count = 3, first = 3 }', "data.seed = { count = 3, first = 3 }"):
        assert experiment(form).text == listed.text
        assert [case.key for case in experiment(form).cases] == [case.key for case in listed.cases]
    assert [case.name for case in experiment().cases] == [f"pairs, data.seed = {k}" for k in range(5)]
    assert len({case.problem.sigma.tobytes() for case in experiment().cases}) == 5
    assert len(experiment('"data.seed" = { count = 3 }\n"law.scale" = [0.5, 1.0]').cases) == 6


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ('"data.seed" = { count = 0 }', r"t\.toml: sweep\.data\.seed\.count: count = 0; give a whole number from 1"),
        ('"data.seed" = { count = "5" }', r"sweep\.data\.seed\.count: count = '5'; give a whole number"),
        ('"data.seed" = { count = 5, start = 1 }', r"sweep\.data\.seed\.start: unknown key 'start'"),
        ('"data.seed" = { first = 5 }', r"sweep\.data\.seed\.first: data\.seed\.first = 5; give a key a list"),
    ],
)
def test_an_invalid_count_is_refused(sweep: str, words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        experiment(sweep)


def test_random_data_is_found_in_the_experiment_s_text() -> None:
    cases = """
[[case]]
name = "plain"
[[case]]
name = "with intercept"
data = { seed = 7, intercept = true }
[[case]]
name = "given"
data = { source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }
"""
    found = drawn_data(Experiment.from_toml(PAIRS.replace("[sweep]", cases), Path()).text)
    assert found == {
        "plain": Draw("gaussian (samples = 6, d_x = 2, d_y = 2)", 0),
        "with intercept": Draw("gaussian (intercept, samples = 6, d_x = 2, d_y = 2)", 7),
    }


# --- the share of bad pairs ------------------------------------------------------------------------------------------


def of_pairs(*pairs: Counts) -> list[tuple[object, Counts]]:
    cases = experiment(f'"data.seed" = {{ count = {len(pairs)} }}').cases
    return list(zip(cases, pairs, strict=True))


def drawn(counted: list) -> dict[str, Draw]:
    return {case.key: Draw("normal", seed) for seed, (case, _) in enumerate(counted)}


@pytest.mark.parametrize("N", [1_000, 1_000_000])
def test_50_clean_pairs_bound_the_share_by_5_8_percent_whatever_N(N: int) -> None:
    counted = of_pairs(*[counts(N)] * 50)
    (found,) = pairs_estimates(counted, drawn(counted))
    assert (found.pairs, found.with_saddle, found.with_censored, found.trajectories) == (50, 0, 0, N)
    assert found.share.upper == one_sided_upper(0, 50) / 0.999
    assert round(found.share.upper, 3) == 0.058
    assert found.eps == smallest_seen(N) == pytest.approx(np.log(1000) / N, rel=0.01)
    said = found.to_dict()["sentence"]
    assert f"Of 50 random pairs (X, Y), normal, each with at least {N:,} trajectories, 0 have a saddle." in said
    assert "So less than 0.05822 of all pairs are bad" in said


def test_hits_cluster_by_pair() -> None:
    """A hundred saddles of one pair are one bad pair; a censored row makes its pair count as bad above, not below."""
    counted = of_pairs(counts(900, {1: 100}), counts(999, {}, [1.0]), *[counts(2_000)] * 8)
    (found,) = pairs_estimates(counted, drawn(counted))
    assert (found.with_saddle, found.with_censored, found.trajectories) == (1, 1, 1_000)
    assert found.share.estimate == 0.1
    assert found.share.lower == one_sided_lower(1, 10)
    assert found.share.upper == one_sided_upper(2, 10) / 0.999
    said = found.to_dict()["sentence"]
    assert "1 has a saddle, 1 more a censored one, which counts as a saddle. So more than 0.005116 and less" in said


def test_the_share_of_bad_pairs_is_covered() -> None:
    """30 pairs, a fifth of them bad by just eps: not every bad pair shows, and the bound must hold all the same."""
    rng, M, N, q, draws, missed = np.random.default_rng(2), 30, 500, 0.2, 1_000, 0
    eps = smallest_seen(N)
    for _ in range(draws):
        bad = rng.random(M) < q
        hits = rng.binomial(N, np.where(bad, eps, 0.0))
        missed += min(1.0, one_sided_upper(int((hits > 0).sum()), M) / 0.999) < q
    assert missed / draws <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / draws)


def test_cases_of_one_pair_are_one_pair_and_other_data_is_another_law() -> None:
    cases = experiment('"data.seed" = { count = 2 }\n"law.scale" = [0.5, 1.0]').cases
    counted = [(case, counts(100)) for case in cases]
    by_pair = {case.key: Draw("normal", k // 2) for k, case in enumerate(cases)}
    (found,) = pairs_estimates(counted, by_pair)
    assert (found.pairs, found.trajectories) == (2, 200)
    by_law = {case.key: Draw(f"law {k // 2}", k % 2) for k, case in enumerate(cases)}
    assert [one.data for one in pairs_estimates(counted, by_law)] == ["law 0", "law 1"]
    assert pairs_estimates(counted[:1], by_pair) == ()  # one pair says nothing of others


def test_pairs_of_a_run_in_progress_are_counted_over_a_contiguous_prefix() -> None:
    counted = of_pairs(counts(100), counts(100), Counts(), counts(50, {1: 50}))
    (found,) = pairs_estimates(counted, drawn(counted))
    assert (found.pairs, found.with_saddle) == (2, 0)


def test_shapes_that_cannot_test_give_no_pairs_estimate() -> None:
    of = experiment('"data.seed" = { count = 3 }\n"network.hidden" = [[2]]')
    counted = [(case, counts(10)) for case in of.cases]
    assert pool(counted, {}, {case.key: Draw("normal", k) for k, case in enumerate(of.cases)}).pairs == ()


def test_a_run_over_random_pairs_reports_both_levels(tmp_path: Path) -> None:
    of = experiment('"data.seed" = { count = 4 }')
    found = estimate_run(made(tmp_path, of, {of.cases[2].name: {3: ("saddle", 1), 9: ("saddle", 1)}}))
    assert found.pooled.trajectories == 160
    assert found.pooled.saddle == 2
    (pairs,) = found.to_dict()["pooled"]["pairs"]
    assert (pairs["pairs"], pairs["with_saddle"], pairs["trajectories"]) == (4, 1, 40)
    assert pairs["data"] == "gaussian (samples = 6, d_x = 2, d_y = 2)"
