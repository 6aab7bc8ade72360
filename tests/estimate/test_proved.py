"""Bounds and sentences that rest on proved starts: their numbers, and what they refer to."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from chosen_counts import counts, experiment, one
from rich.console import Console
from scipy.stats import binom

from basins.estimate import Estimate, Proved, pool
from basins.estimate.proved import together_proved
from basins.estimate.sentences import at_most, pooled_sentence, proofs, sentence
from basins.execution.run import prove_run
from basins.output.console.estimate import print_estimate
from basins.output.report.doubts import doubts
from basins.output.report.tables import case_table
from basins.run_tables import open_run
from basins.statistics.binomial import one_sided_upper
from basins.summary.case import summaries

sys.path.append(str(Path(__file__).parents[1] / "verify"))
from proving import changed, made, not_proved


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("original") / "run")


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "run")
    return tmp_path / "run"


def test_the_bound_when_400_000_of_400_000_are_proved() -> None:
    found = Proved(400_000, 400_000, every=True)
    assert at_most(found.upper) == "7.490e-6"
    assert found.upper == pytest.approx(1 - 0.05 ** (1 / 400_000), rel=1e-12)


@pytest.mark.parametrize(("tried", "good"), [(2100, 2098), (300, 300), (50, 7), (10, 0)])
def test_a_start_that_is_not_proved_counts_as_a_saddle(tried: int, good: int) -> None:
    upper = Proved(tried, good, every=False).upper
    assert upper == (1.0 if good == 0 else pytest.approx(one_sided_upper(tried - good, tried)))
    if good:
        assert binom.cdf(tried - good, tried, upper) == pytest.approx(0.05, rel=1e-9)


def test_all_proved(run: Path) -> None:
    prove_run(run, on="inline")
    found = open_run(run).estimate()
    wide, narrow, control = found.cases
    assert sentence(narrow) == (
        "Of 40 starts every one is proved to flow to a global minimum: the saddle basins hold less than 0.07216 of "
        "this law, at 95 % confidence; label error: none."
    )
    assert sentence(wide) == (
        "Of 2,100 starts every one is proved to flow to a global minimum: the saddle basins hold less than 0.001426 of "
        f"this law, at 95 % confidence; label error: none. As computed, {wide.censored:,} rows are censored; their "
        "starts are proved all the same."
    )
    assert control.proved is None
    assert narrow.to_dict()["proved"] == {
        "tried": 40,
        "proved": 40,
        "every": True,
        "upper": pytest.approx(1 - 0.05 ** (1 / 40), rel=1e-12),
        "level": 0.95,
        "contradicted": {"saddles": 0, "ids": []},
    }
    json.dumps(found.to_dict(), allow_nan=False)
    assert found.pooled.proved == Proved(2140, 2140, every=True)
    assert (
        "Of 2,140 starts every one is proved to flow to a global minimum: the saddle basins hold less than 0.001399 of "
        "the mixture of these laws" in pooled_sentence(found.pooled)
    )


def test_some_not_proved_beside_the_bound_of_labels(run: Path) -> None:
    prove_run(run, on="inline")
    changed(run, "narrow", 0, not_proved(3, 11))
    case = open_run(run).estimate().cases[1]
    assert case.proved == Proved(40, 38, every=True)
    assert case.saddle_measure.upper == pytest.approx(1 - 0.05 ** (1 / 40))  # as computed: none is a saddle
    assert sentence(case) == (
        "No saddle among 40 trajectories, none censored: as the conjecture has it, the saddle basins hold less than "
        "0.07216 of this law, at 95 % confidence; label error: not measured. Of 40 starts 38 are proved to flow to a "
        "global minimum, and the other 2 count as saddles: so the saddle basins hold less than 0.1492 of this law, at "
        "95 % confidence; label error: none."
    )


def test_none_proved() -> None:
    said = proofs(Proved(30, 0, every=True), "this law", 30)
    assert said == "Of 30 starts none is proved to flow to a global minimum: proofs bound nothing."
    assert proofs(Proved(30, 29, every=False), "this law", 99).startswith(
        "Of 30 starts tried (of 99) 29 are proved to flow to a global minimum, and the other one counts as a saddle: so"
    )


def test_a_sample_bounds_with_its_own_size(run: Path) -> None:
    prove_run(run, 300, case="wide", on="inline")
    wide, narrow, _ = open_run(run).estimate().cases
    assert wide.proved == Proved(300, 300, every=False)
    assert narrow.proved is None
    assert sentence(wide).endswith(
        "label error: not measured. Of 300 starts tried (of 2,100) every one is proved to flow to a global minimum: "
        "the saddle basins hold less than 0.009937 of this law, at 95 % confidence; label error: none."
    )
    assert open_run(run).estimate().pooled.proved is None


def test_an_id_of_two_samples_counts_once(run: Path) -> None:
    prove_run(run, 30, case="narrow", on="inline")
    prove_run(run, 30, case="narrow", seed=1, on="inline")
    found = open_run(run).estimate().cases[1].proved
    assert found is not None
    assert 30 < found.tried <= 40
    assert found.tried == found.proved
    prove_run(run, case="narrow", on="inline")
    assert open_run(run).estimate().cases[1].proved == Proved(40, 40, every=True)


def test_a_sample_in_progress_counts_for_nothing(run: Path) -> None:
    """The shards that finish first are the fast ones."""
    prove_run(run, 300, case="wide", on="inline")
    path = next(run.glob("proved/*/seed-*/rows/*/part-00000001.parquet"))
    path.unlink()
    assert open_run(run).estimate().cases[0].proved is None


def test_proofs_of_all_ids_count_up_to_the_first_missing_shard(run: Path) -> None:
    prove_run(run, case="wide", on="inline")
    next(run.glob("proved/*/all/rows/*/part-00000001.parquet")).unlink()
    assert open_run(run).estimate().cases[0].proved == Proved(1024, 1024, every=False)


def test_the_number_of_fully_proved_cases_is_printed_for_many_cases() -> None:
    of = experiment()
    case = one(of, counts(1000), proved=Proved(1000, 1000, every=True))
    other = one(of, counts(1000), proved=Proved(1000, 999, every=True))
    third = one(of, counts(1000), proved=Proved(100, 100, every=False))
    cases = [replace(case, case=str(k), planned=1000) for k in range(18)]
    cases += [
        replace(one_more, case=name, planned=1000) for name, one_more in (("b", other), ("c", third), ("d", case))
    ]
    stream = io.StringIO()
    print_estimate(Console(file=stream, width=100), Estimate("many", tuple(cases), pool([])))
    assert (
        "Of 19 cases every start is proved to flow to a global minimum; label error there: none." in stream.getvalue()
    )


def test_the_report_has_the_bound_by_proofs(run: Path) -> None:
    prove_run(run, on="inline")
    opened = open_run(run)
    estimate = opened.estimate()
    read = summaries(opened)
    assert [row[8] for row in case_table(estimate, read).rows] == ["0.001426 by proofs", "0.07216 by proofs", ""]
    said = "Label error: none in the bounds that rest on proofs alone. Of 2,140 starts 2,140 are proved"
    assert any(said in doubt for doubt in doubts(estimate, read))


def test_a_pool_is_proved_if_all_its_cases_are() -> None:
    first, other = Proved(100, 99, every=True), Proved(50, 50, every=True, saddles=1)
    assert together_proved([first, other]) == Proved(150, 149, every=True, saddles=1)
    assert together_proved([first, None]) is None
    assert together_proved([first, Proved(10, 10, every=False)]) is None
    assert together_proved([]) is None
