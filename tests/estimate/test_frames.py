"""A check counts for what it was drawn from: runs in progress, several samples, layers, recomputed shards, the pool.

Labels are as chosen, and what a tighter integration finds of them is, too: nothing is integrated here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chosen_counts import CONTROL, GAUSSIAN, Outcome, counts, experiment, made
from click.testing import CliRunner

from basins.cli import main
from basins.errors import RunError
from basins.estimate import CaseEstimate, Frame, LabelError, estimate_run, label_error, pool
from basins.estimate.frames import ONE_BY_ONE, frames_of_run
from basins.estimate.of_run import _count as counted
from basins.estimate.sentences import LABELS, pooled_sentence, sentence
from basins.landscapes.base import Verdict
from basins.output.report.doubts import doubts
from basins.run_tables import Run, open_run
from basins.statistics import hypergeometric
from basins.statistics.binomial import one_sided_upper
from basins.store.verified import read_checks, write_checks
from basins.summary.tabulated import measures
from basins.verify import labels as checking
from basins.verify import verify

OTHER = GAUSSIAN.replace("0.5", "0.4").replace('"gaussian"\nlaw', '"other"\nlaw')
TIGHT = OTHER + "engine = { rtol = 1e-13 }\n"  # which no check can make 100 times tighter


class Ended:
    """Replace the result of every tighter integration."""

    verdict, modes = np.array([Verdict.minimum]), np.array([3], dtype=np.uint64)
    rank, reason = np.array([2]), np.array([-1])


@pytest.fixture(autouse=True)
def minima(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "integrate_batch", lambda *_: Ended())


def check(run: Run, sample: int, seed: int = 0) -> str:
    labels = verify(run.path, sample=sample, blocks=0, seed=seed).labels
    assert labels is not None
    assert labels.path is not None
    return labels.path


def case_of(run: Run, number: int = 0) -> CaseEstimate:
    return estimate_run(open_run(run.path)).cases[number]


def error_of(run: Run, number: int = 0) -> LabelError:
    found = case_of(run, number).label_error
    assert found is not None
    return found


def old(run: Run, path: str) -> None:
    """Turn a file into one of an earlier version, which does not say what its sample was drawn from."""
    content = json.loads(run.files.get(path))
    del content["drawn_from"], content["sizes"]
    run.files.put(path, json.dumps(content).encode())


# --- the pool --------------------------------------------------------------------------------------------------------


def test_a_case_that_no_check_could_draw_makes_the_pool_s_label_error_unknown(tmp_path: Path) -> None:
    """60 of 2,048 labels are checked, and 20,480 more could not be drawn: 0.0598 must not be claimed for all of them,
    since only 0.9 is known."""
    of = experiment(
        GAUSSIAN.replace("law", "trajectories = 2048\nlaw", 1) + TIGHT.replace("law", "trajectories = 20480\nlaw", 1)
    )
    run = made(tmp_path, of)
    check(run, 60)
    found = estimate_run(run)
    assert found.cases[0].label_error is not None
    assert found.cases[1].label_error is None
    assert LABELS in sentence(found.cases[1])
    assert found.pooled.trajectories == 22_528
    assert found.pooled.label_error is None
    assert found.pooled.unchecked == {of.cases[1].key: "other"}
    said = "label error: unknown, because no label of case 'other' could be drawn for a check"
    assert said in pooled_sentence(found.pooled)
    doubt = next(one for one in doubts(found, []) if one.startswith("Label error"))
    assert "of 60 minima integrated again, 0 disagreed" in doubt
    assert "No label was checked in: other." in doubt
    pooled = measures(found).set_index("case").loc["pooled"]
    assert np.isnan(pooled["upper_with_label_error"])
    assert said in pooled["sentence"]
    read = json.loads(json.dumps(found.to_dict(), allow_nan=False))["pooled"]
    assert (read["label_error"], read["unchecked"]) == (None, {of.cases[1].key: "other"})
    counted = [(of.cases[0], counts(2_048)), (of.cases[1], counts(20_480))]
    by_hand = pool(counted, {of.cases[0].key: {("minimum", "agreed"): 60}})
    assert said in pooled_sentence(by_hand)
    everything = label_error(  # what is not checked counts as wrong
        counts(22_528),
        {"a": Frame({"minimum": 2_048}, {("minimum", "agreed"): 60}), "b": Frame({"minimum": 20_480})},  # type: ignore[arg-type]
    )
    assert everything is not None
    assert everything.saddle_measure.upper > 0.9


def test_cases_sampled_together_are_one_frame(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(GAUSSIAN + OTHER, trajectories=2_000))
    check(run, 200)
    found = estimate_run(run)
    assert found.pooled.label_error is not None
    pooled = found.pooled.label_error.minimum
    assert (pooled.checked, pooled.rows) == (200, 4_000)
    assert pooled.wrong == hypergeometric.upper(0, 200, 4_000, 0.975)
    each = [error_of(run, k).minimum for k in (0, 1)]
    assert sum(one.checked for one in each) == 200
    assert all(one.wrong == hypergeometric.upper(0, one.checked, 2_000, 0.975) for one in each)


def test_cases_sampled_separately_share_alpha() -> None:
    of = experiment(GAUSSIAN + OTHER + CONTROL)
    one, other, control = of.cases
    checks = {
        one.key: {("minimum", "agreed"): 100},
        other.key: {("minimum", "agreed"): 99, ("minimum", "disagreed"): 1},
    }
    found = pool([(one, counts(1_000)), (other, counts(4_000)), (control, counts(0, {1: 9}))], checks).label_error
    assert found is not None
    each = 1 - 0.025 / 2
    assert found.minimum.wrong == hypergeometric.upper(0, 100, 1_000, each) + hypergeometric.upper(1, 100, 4_000, each)
    assert found.saddle_measure.upper == one_sided_upper(found.minimum.wrong, 5_000, 0.975)


def test_a_case_without_labels_does_not_make_the_label_error_unknown() -> None:
    of = experiment(GAUSSIAN + OTHER)
    counted = [(of.cases[0], counts(1_000)), (of.cases[1], counts(0, {}, [1.0] * 5))]
    found = pool(counted, {of.cases[0].key: {("minimum", "agreed"): 100}})
    assert found.unchecked == {}
    assert found.label_error is not None
    assert pool(counted).unchecked == {}  # nothing was checked at all: not measured
    assert LABELS in pooled_sentence(pool(counted))


def test_the_first_of_many_unchecked_cases_are_named() -> None:
    cases = [GAUSSIAN.replace("0.5", f"0.{k}").replace('"gaussian"\nlaw', f'"case {k}"\nlaw') for k in range(1, 8)]
    of = experiment("".join(cases))
    found = pool([(case, counts(10)) for case in of.cases], {of.cases[0].key: {("minimum", "agreed"): 3}})
    assert len(found.unchecked) == 6
    assert "no label of 6 cases ('case 2', 'case 3', 'case 4', 'case 5', ...) could be drawn" in pooled_sentence(found)


# --- a run that grows ------------------------------------------------------------------------------------------------


def test_checks_of_a_part_count_for_that_part(tmp_path: Path) -> None:
    of = experiment(trajectories=4_096)
    run = made(tmp_path, of, shards={"gaussian": [0, 1]})
    check(run, 200)
    part = error_of(run)
    assert part.minimum.wrong == hypergeometric.upper(0, 200, 2_048, 0.975)
    run = made(tmp_path, of)
    whole = error_of(run)
    assert (whole.minimum.checked, whole.minimum.rows, whole.minimum.uncovered) == (200, 4_096, 2_048)
    assert whole.minimum.wrong == part.minimum.wrong + 2_048
    assert whole.saddle_measure.upper == one_sided_upper(whole.minimum.wrong, 4_096, 0.975) > 0.5
    said = sentence(case_of(run))
    assert (
        "(2,048 minima count as wrong, because no kept check was drawn from them: run basins verify RUN again)" in said
    )


def frames(run: Run, number: int = 0) -> Mapping[Any, Frame]:
    """The frames of a case."""
    opened = open_run(run.path)
    tallies = {case.key: counted(opened, case).tally for case in opened.manifest.cases}
    samples = read_checks(opened.files, opened.manifest)
    return frames_of_run(opened, samples, tallies)[opened.manifest.cases[number].key]


def drawn(frame: Frame) -> int:
    return sum(frame.outcomes.values())


def test_verify_says_what_a_sample_of_a_run_in_progress_counts_for(tmp_path: Path) -> None:
    of = experiment(trajectories=4_096)
    for shards, says in (([0, 1], True), ([2, 3], False)):
        made(tmp_path, of, shards={"gaussian": shards})
        said = CliRunner().invoke(main, ["verify", str(tmp_path), "--sample", "50", "--blocks", "0"])
        assert "kept in verified/" in said.output
        assert ("This counts only for the shards that exist now" in said.output) == says


def test_samples_of_different_parts_are_combined(tmp_path: Path) -> None:
    """One sample of shards 0 and 1, another of shards 0, 2 and 3: three frames, each with its own checks."""
    of = experiment(trajectories=4_096)
    run = made(tmp_path, of, shards={"gaussian": [0, 1]})
    check(run, 1_000)
    away(run, 1)
    run = made(tmp_path, of, shards={"gaussian": [2, 3]})
    check(run, 900)
    run = made(tmp_path, of, shards={"gaussian": [1]})
    found = frames(run)
    assert {frame.rows["minimum"] for frame in found.values()} == {1_024, 2_048}
    assert len(found) == 3
    rows = [set(sample.rows[of.cases[0].key]) for sample in read_checks(run.files, run.manifest)]
    checks = sum(drawn(frame) for frame in found.values())
    assert checks == len(rows[0] | rows[1]) < 1_900  # a row drawn twice is one check
    error = error_of(run).minimum
    assert (error.uncovered, error.checked) == (0, checks)
    each = 1 - 0.025 / 3
    assert error.wrong == sum(hypergeometric.upper(0, drawn(one), one.rows["minimum"], each) for one in found.values())


def away(run: Run, shard: int) -> None:
    for kind in ("trajectories", "blocks", "visits"):
        run.files.delete(f"{kind}/case={run.manifest.cases[0].key}/part-{shard:08d}.parquet")


def test_a_second_sample_covers_later_shards(tmp_path: Path) -> None:
    of = experiment(trajectories=4_096)
    run = made(tmp_path, of, shards={"gaussian": [0, 1]})
    first = check(run, 1_000)
    run = made(tmp_path, of)
    assert check(run, 400) != first
    rows = [set(sample.rows[of.cases[0].key]) for sample in read_checks(run.files, run.manifest)]
    found = error_of(run).minimum
    assert (found.uncovered, found.checked) == (0, len(rows[0] | rows[1]))
    assert found.wrong <= hypergeometric.upper(0, 400, 4_096, 0.975)


def test_a_later_sample_of_the_whole_run_may_be_used_alone(tmp_path: Path) -> None:
    """With many small samples taken during the run, each frame takes its share of alpha. A sample of the whole run
    gives a better bound, and the rows of the others, including wrong ones, still count."""
    of = experiment(trajectories=8_192)
    for shards in (1, 2, 4, 6, 8):
        run = made(tmp_path, of, shards={"gaussian": range(shards)})
        check(run, 200, seed=3)
    one_by_one, whole = sorted(frames(run).items(), key=lambda item: item[1].rows["minimum"])
    assert one_by_one[0] == ONE_BY_ONE
    assert one_by_one[1].rows["minimum"] == drawn(one_by_one[1]) > 700
    assert whole[1].rows["minimum"] == 8_192 - one_by_one[1].rows["minimum"]
    found = error_of(run).minimum
    assert found.wrong == hypergeometric.upper(0, drawn(whole[1]), whole[1].rows["minimum"], 0.975)
    key = of.cases[0].key
    alone = next(id for id in read_checks(run.files, run.manifest)[0].rows[key])
    write_checks(run.files, run.manifest, 9, {key: {alone: ("minimum", "disagreed")}}, {"layers": 0})
    assert error_of(run).minimum.disagreed == 1
    assert error_of(run).minimum.wrong == found.wrong + 1


def test_two_seeds_of_one_population_are_one_sample(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(trajectories=3_000))
    check(run, 900)
    check(run, 900, seed=1)
    (frame,) = frames(run).values()
    assert 900 < drawn(frame) < 1_800
    found = error_of(run).minimum
    assert found.wrong == hypergeometric.upper(0, drawn(frame), 3_000, 0.975)


def test_samples_do_not_depend_on_each_other(tmp_path: Path) -> None:
    """The same seed on a run that grew, or for another size, draws independently, so that samples can be combined."""
    of = experiment(trajectories=4_096)
    run = made(tmp_path, of, shards={"gaussian": [0, 1]})
    check(run, 500)
    check(run, 400)
    run = made(tmp_path, of)
    check(run, 500)
    key = of.cases[0].key
    small, large, whole = sorted((set(one.rows[key]) for one in read_checks(run.files, run.manifest)), key=sorted)[:3]
    for one, other, expected in ((small, large, 98), (small, whole, 61), (large, whole, 61)):
        assert abs(len(one & other) - expected) < 40


def test_a_census_of_a_run_does_not_change_its_bound(tmp_path: Path) -> None:
    outcomes: dict[int, Outcome] = {3: ("censored", "settled", 2.5)}
    run = made(tmp_path, experiment(GAUSSIAN + CONTROL, trajectories=1_100), {"gaussian": outcomes})
    check(run, 10_000)
    found = estimate_run(run)
    error = error_of(run)
    assert (error.minimum.checked, error.minimum.rows, error.minimum.wrong) == (1_099, 1_099, 0)
    assert error.saddle_measure.upper == found.cases[0].saddle_measure.upper == one_sided_upper(1, 1_100)
    assert found.pooled.label_error == error
    assert error.censored == {"minimum": 1}


# --- samples of earlier versions -------------------------------------------------------------------------------------


def test_a_sample_that_does_not_say_what_it_was_drawn_from_counts_for_its_rows(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(trajectories=2_000))
    old(run, check(run, 200))
    found = error_of(run)
    assert (found.minimum.checked, found.minimum.uncovered, found.minimum.wrong) == (200, 1_800, 1_800)
    assert (found.minimum.confidence, found.saddle_measure.upper) == (1.0, one_sided_upper(1_800, 2_000))
    assert "1,800 minima count as wrong, because no kept check was drawn from them" in sentence(case_of(run))
    check(run, 100, seed=1)  # a sample that says it, and the old rows are known one by one
    again = error_of(run)
    rows, other = (set(one.rows[case_of(run).case]) for one in read_checks(run.files, run.manifest))
    new = min(len(rows - other), len(other - rows))
    assert again.minimum.checked == 200 + new
    assert again.minimum.wrong == hypergeometric.upper(0, new, 1_800, 0.975)


def test_checks_are_kept_and_combined(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(trajectories=50))
    key = run.manifest.cases[0].key
    for seed, rows, layers in (
        (0, {3: ("minimum", "agreed"), 4: ("minimum", "undecided")}, 0),
        (1, {4: ("minimum", "agreed"), 60: ("minimum", "agreed")}, 0),
        (2, {9: ("minimum", "disagreed")}, 3),  # under layers that this run does not have
    ):
        write_checks(run.files, run.manifest, seed, {key: rows}, {"layers": layers})
    assert len(run.files.paths("verified/")) == 3
    read = json.loads(json.dumps(estimate_run(run).to_dict(), allow_nan=False))["cases"][0]
    assert set(read["label_error"]) == {
        "checked", "disagreed", "undecided", "rows", "uncovered", "wrong", "lower", "upper", "level", "saddle",
        "censored", "saddle_measure", "needed",
    }  # fmt: skip
    error = read["label_error"]
    assert (error["checked"], error["undecided"], error["uncovered"], error["wrong"]) == (2, 1, 48, 49)  # 4: the worse
    assert read["saddle_measure"]["upper"] == one_sided_upper(0, 50)  # the headline stays what it was
    assert error["saddle_measure"]["upper"] > read["saddle_measure"]["upper"]


# --- rows that are others now ----------------------------------------------------------------------------------------


def test_a_shard_recomputed_to_other_bytes_could_not_be_drawn(tmp_path: Path) -> None:
    of = experiment(trajectories=3_000)
    run = made(tmp_path, of)
    check(run, 200)
    kept = error_of(run).minimum
    away(run, 1)
    run = made(tmp_path, of, shards={"gaussian": [1]})
    assert error_of(run).minimum == kept  # the same bytes: the same rows
    odd: dict[int, Outcome] = {1_500: ("censored", "settled", 2.5)}
    run = made(tmp_path, of, {"gaussian": odd}, shards={"gaussian": [1]})
    assert case_of(run).label_error is None
    check(run, 200)
    assert error_of(run).minimum.uncovered == 0


def test_a_shard_that_was_set_aside_could_not_be_drawn(tmp_path: Path) -> None:
    """A check made while the shard was set aside counts for the rest, and does not cover the recomputed shard."""
    of = experiment(trajectories=3_000)
    run = made(tmp_path, of, shards={"gaussian": [0, 2]})
    check(run, 500)
    run = made(tmp_path, of)
    (covered, nothing) = (frames(run)[key] for key in ((0,), ()))
    assert (covered.rows["minimum"], drawn(covered)) == (1_976, 500)
    assert (nothing.rows["minimum"], nothing.drawn) == (1_024, False)


def test_checks_that_contradict_the_rows_are_refused(tmp_path: Path) -> None:
    run = made(tmp_path, experiment(trajectories=50))
    key = run.manifest.cases[0].key
    rows = {id: ("saddle", "agreed") for id in range(3)}  # where all are minima
    write_checks(run.files, run.manifest, 0, {key: rows}, {"layers": 0})
    with pytest.raises(RunError, match="the checked labels of case gaussian are not those of its rows"):
        estimate_run(run)
