"""Measures from counts; coverage of the bounds; a run in progress is counted over a contiguous prefix of ids.

Runs are made of shards with chosen verdicts, written as a worker writes them: nothing is integrated here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chosen_counts import BALANCED, CONTROL, GAUSSIAN, TWIN, Outcome, counts, experiment, made

from basins import estimate as estimates
from basins.classification.verdict import REASONS, Reason
from basins.errors import RunError
from basins.estimate import Counts, Estimate, estimate_run, pool, saddle_measure, strata_measures
from basins.estimate.sentences import sentence
from basins.landscapes.base import CriticalSets
from basins.landscapes.deep_linear.problem import Problem
from basins.landscapes.deep_linear.strata import Strata
from basins.statistics.binomial import one_sided_lower, one_sided_upper, two_sided
from basins.store.layout import part

# --- the measure ----------------------------------------------------------------------------------------------------


def test_no_saddle_among_20000() -> None:
    measure = saddle_measure(counts(20_000))
    assert measure.estimate == 0.0
    assert measure.lower == 0.0
    assert measure.upper == pytest.approx(1.498e-4, rel=2e-4)


def test_censored_rows_count_only_in_the_upper_bound() -> None:
    measure = saddle_measure(counts(990, {1: 3}, [1.0] * 7))
    assert measure.estimate == 3 / 1000
    assert measure.lower == one_sided_lower(3, 1000)
    assert measure.upper == one_sided_upper(10, 1000)


def test_nothing_counted_bounds_nothing() -> None:
    assert saddle_measure(Counts()).to_dict() == {"estimate": None, "lower": 0.0, "upper": 1.0}


# --- strata ---------------------------------------------------------------------------------------------------------


def sets(*sigma: float) -> CriticalSets:
    return Problem.from_spectrum(sigma, d_x=len(sigma), hidden=[len(sigma)]).critical


def strata(*sigma: float) -> Strata:
    return Strata(np.array(sigma), (len(sigma), len(sigma), len(sigma)))


def test_strata_share_alpha() -> None:
    measured = strata_measures(sets(2.0, 1.0), counts(97, {0: 2, 1: 1}), 1e-6)
    assert [(s.index, s.modes, s.rank, s.loss, s.count) for s in measured] == [
        (1, (), 0, 2.5, 2),
        (2, (1,), 1, 2.0, 0),
        (3, (0,), 1, 0.5, 1),
        (4, (0, 1), 2, 0.0, 97),
    ]
    for stratum in measured:
        assert (stratum.lower, stratum.upper) == two_sided(stratum.count, 100, 0.05 / 4)


@pytest.mark.parametrize(
    ("loss", "reached"),
    [
        (3.0, (True, True, True, True)),
        (2.5, (True, True, True, True)),  # settled on I(1) to rounding: it may be there
        (2.5 * (1 - 1e-12), (True, True, True, True)),
        (2.4, (False, True, True, True)),
        (0.6, (False, False, True, True)),
        (0.4, (False, False, False, True)),
        (0.0, (False, False, False, True)),
        (np.nan, (True, True, True, True)),
        (np.inf, (True, True, True, True)),
    ],
)
def test_a_censored_row_counts_where_it_may_still_go(loss: float, reached: tuple[bool, ...]) -> None:
    measured = strata_measures(sets(2.0, 1.0), counts(99, {}, [loss]), 1e-6)
    for stratum, may in zip(measured, reached, strict=True):
        count = 99 if stratum.rank == 2 else 0
        assert (stratum.lower, stratum.upper) == (
            two_sided(count, 100, 0.05 / 4)[0],
            two_sided(count + may, 100, 0.05 / 4)[1],
        )


def joint_misses(alpha_of: float, monkeypatch: pytest.MonkeyPatch | None = None) -> float:
    """Share of draws in which some stratum's interval misses; alpha_of scales the level of each."""
    if monkeypatch is not None:
        monkeypatch.setattr(estimates.counts, "two_sided", lambda k, n, alpha: two_sided(k, n, alpha_of * alpha))
    rng, N, draws = np.random.default_rng(8), 400, 300
    eight = strata(3.0, 2.0, 1.0)
    masks = [s.mask for s in eight]
    p = np.full(8, 1 / 8)
    misses = 0
    for drawn in rng.multinomial(N, p, size=draws):
        seen = dict(zip(masks, (int(k) for k in drawn), strict=True))
        measured = strata_measures(sets(3.0, 2.0, 1.0), counts(seen.pop(7), seen), 1e-6)
        misses += any(not s.lower <= 1 / 8 <= s.upper for s in measured)
    return misses / draws


def test_strata_are_covered_jointly() -> None:
    assert joint_misses(1.0) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_the_joint_coverage_check_catches_intervals_at_5_percent_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check detects a fault: without the division by the number of strata it fails."""
    assert joint_misses(8.0, monkeypatch) > 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_beyond_32_strata_only_those_reached_are_listed() -> None:
    many = strata(*2.0 ** np.arange(6, 0, -1))
    measured = strata_measures(sets(*2.0 ** np.arange(6, 0, -1)), counts(90, {0b1: 4, 0b11: 6}), 1e-6)
    assert [(s.modes, s.count) for s in measured] == [((0,), 4), ((0, 1), 6), ((0, 1, 2, 3, 4, 5), 90)]
    assert measured[0].index == many.of(1).index
    assert (measured[0].lower, measured[0].upper) == two_sided(4, 100, 0.05 / 64)


def test_strata_that_cannot_be_ordered_have_no_index() -> None:
    measured = strata_measures(sets(*np.arange(21, 0, -1.0)), counts(9, {0b1: 1}), 1e-6)
    assert [s.index for s in measured] == [None, None]
    assert measured[0].upper == pytest.approx(two_sided(1, 10, 0.05 / 2**21)[1])


# --- the pool -------------------------------------------------------------------------------------------------------


def test_the_pool_adds_counts_and_leaves_null_laws_out() -> None:
    sweep = GAUSSIAN.replace("0.5", "0.1").replace('"gaussian"\nlaw', '"small"\nlaw')
    of = experiment(GAUSSIAN + sweep + CONTROL + BALANCED)
    pooled = pool(
        [
            (of.cases[0], counts(900, {1: 1}, [0.6])),
            (of.cases[1], counts(100)),
            (of.cases[2], counts(0, {1: 500})),
            (of.cases[3], counts(7, {1: 7})),
        ]
    )
    assert pooled.cases == (of.cases[0].key, of.cases[1].key)
    assert (pooled.trajectories, pooled.minimum, pooled.saddle, pooled.censored) == (1002, 1000, 1, 1)
    assert pooled.saddle_measure.upper == one_sided_upper(2, 1002)
    assert [s.count for s in pooled.strata] == [0, 0, 1, 1000]
    assert pooled.strata[2].upper == two_sided(2, 1002, 0.05 / 4)[1]
    assert pooled.untestable == 0


def test_another_engine_on_the_same_starts_adds_no_evidence() -> None:
    of = experiment(GAUSSIAN + TWIN)
    pooled = pool([(of.cases[0], counts(1000)), (of.cases[1], counts(2000))])
    assert pooled.cases == (of.cases[1].key,)  # the longer prefix holds the shorter one's ids
    assert pooled.twins == (of.cases[0].key,)
    assert pooled.trajectories == 2000
    assert "no further evidence" in pooled.to_dict()["sentence"]


def test_a_pool_of_other_spectra_has_no_strata_and_says_which_shapes_cannot_test() -> None:
    wide = GAUSSIAN.replace("law", "network = { hidden = [3] }\nlaw").replace('"gaussian"\nnet', '"one"\nnet')
    of = experiment(GAUSSIAN + wide)
    other = experiment(sigma=(3.0, 1.0))
    pooled = pool([(of.cases[0], counts(10)), (of.cases[1], counts(20)), (other.cases[0], counts(30))])
    assert pooled.strata == ()
    assert pooled.untestable == 1
    said = pooled.to_dict()["sentence"]
    assert "3 cases" in said
    assert "mixture of these laws" in said
    assert "The shape of 1 of them cannot test" in said


# --- a run ----------------------------------------------------------------------------------------------------------


def test_a_whole_run(tmp_path: Path) -> None:
    of = experiment(GAUSSIAN + CONTROL)
    control = {id: ("saddle", 1) for id in range(3000)}
    odd: dict[int, Outcome] = {5: ("saddle", 1), 2999: ("saddle", 0), 1500: ("censored", "settled", 2.5)}
    found = estimate_run(made(tmp_path, of, {"gaussian": odd, "control": control}))
    case = found.cases[0]
    assert (case.trajectories, case.planned) == (3000, 3000)
    assert (case.minimum, case.saddle, case.censored) == (2997, 2, 1)
    assert case.reasons == {"settled": 1}
    assert case.doubtful == (5, 2999)
    assert [s.count for s in case.strata] == [1, 0, 1, 2997]
    assert found.cases[1].saddle == 3000
    assert found.cases[1].doubtful == ()
    assert found.pooled.trajectories == 3000
    assert found.pooled.saddle == 2


def test_a_loss_lost_in_rounding_excludes_no_stratum(tmp_path: Path) -> None:
    low = 0.1  # below every saddle of sigma = (2, 1), were it exact
    for reason, reached in ((Reason.rounding, 1), (Reason.evaluation_budget, 0)):
        odd: dict[int, Outcome] = {3: ("censored", REASONS[reason], low)}
        found = estimate_run(made(tmp_path / reason.name, experiment(trajectories=50), {"gaussian": odd})).cases[0]
        assert [s.upper for s in found.strata[:3]] == [two_sided(reached, 50, 0.05 / 4)[1]] * 3


def test_the_keys_of_json(tmp_path: Path) -> None:
    odd: dict[int, Outcome] = {5: ("saddle", 1), 6: ("censored", REASONS[Reason.non_finite], np.nan)}
    found = estimate_run(made(tmp_path, experiment(trajectories=50), {"gaussian": odd}))
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert set(read) == {"experiment", "cases", "pooled"}
    case = read["cases"][0]
    assert set(case) == {
        "case", "name", "law", "null", "widths", "planned", "trajectories", "minimum", "saddle", "censored", "reasons",
        "level", "saddle_measure", "label_error", "proved", "grown", "strata", "can_test", "sentence",
    }  # fmt: skip
    assert set(case["saddle_measure"]) == {"estimate", "lower", "upper"}
    assert set(case["strata"][0]) == {"index", "modes", "rank", "loss", "count", "lower", "upper"}
    assert case["level"] == 0.95
    assert case["label_error"] is None
    assert case["saddle_measure"]["estimate"] == 1 / 50
    assert case["saddle_measure"]["upper"] == one_sided_upper(2, 50)
    assert set(read["pooled"]) > {"cases", "trajectories", "minimum", "saddle", "censored", "level", "saddle_measure"}


def test_a_run_in_progress_is_counted_over_a_contiguous_prefix(tmp_path: Path) -> None:
    """Fast shards finish first: shard 2 exists and shard 1 does not, so only shard 0 is counted."""
    odd: dict[int, Outcome] = {1: ("saddle", 1), 2500: ("saddle", 1)}
    run = made(tmp_path, experiment(), {"gaussian": odd}, {"gaussian": [0, 2]})
    case = estimate_run(run).cases[0]
    assert (case.trajectories, case.planned, case.saddle) == (1024, 3000, 1)
    assert case.doubtful == (1,)
    assert run.blocks()["count"].sum() == 1024 + 952  # what is finished would be counted wrong


def test_a_run_without_its_first_shard_has_nothing_to_count(tmp_path: Path) -> None:
    found = estimate_run(made(tmp_path, experiment(GAUSSIAN + CONTROL), shards={"gaussian": [1, 2], "control": []}))
    for case in found.cases:
        assert case.trajectories == 0
        assert case.saddle_measure.to_dict() == {"estimate": None, "lower": 0.0, "upper": 1.0}
        assert "Nothing to count yet: shard 0 is not there" in sentence(case)
    assert "Nothing to pool" in found.to_dict()["pooled"]["sentence"]
    assert json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("kind", ["trajectories", "blocks", "visits"])
def test_a_truncated_file_is_reported_by_name(tmp_path: Path, kind: Any) -> None:
    run = made(tmp_path, experiment())
    path = tmp_path / part(kind, run.manifest.cases[0].key, 1)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(RunError, match=rf"{kind}/case=.*/part-00000001.parquet is damaged"):
        estimate_run(run)


def test_a_lost_row_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard works: a block that counts one trajectory less than it has ids is refused."""
    run = made(tmp_path, experiment(), {"gaussian": {7: ("censored", "t_end", 1.0)}})
    stream = run.stream

    def changed(column: str, block: int) -> Any:
        """The run's stream with a block that has one less in this column."""

        def stream_of(kind: str, *arguments: Any, **options: Any) -> Any:
            parts = stream(kind, *arguments, **options)  # type: ignore[arg-type]
            return parts if kind != "blocks" else (less(part) for part in parts)

        def less(part: pd.DataFrame) -> pd.DataFrame:
            return part.assign(**{column: part[column] - (part["first_id"] == 1024 * block)})

        return stream_of

    monkeypatch.setattr(run, "stream", changed("count", 0))
    with pytest.raises(RunError, match="ids are missing"):
        estimate_run(run)
    monkeypatch.setattr(run, "stream", changed("minimum", 1))
    with pytest.raises(RunError, match="counts of verdicts add up to 2,999 trajectories instead of 3,000"):
        estimate_run(run)


def test_run_estimate_gives_the_same(tmp_path: Path) -> None:
    found = made(tmp_path, experiment(trajectories=20)).estimate()
    assert isinstance(found, Estimate)
    assert found.cases[0].minimum == 20
