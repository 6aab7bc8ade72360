"""Several runs: side by side with exact tests, pooled where problem and law are the same, in one figure and page."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import fisher_exact

import basins
from basins.comparison.several import names
from basins.comparison.side_by_side import Test as Difference
from basins.comparison.side_by_side import _adjusted
from basins.errors import ArgumentError
from basins.output.figures.of_several import FIGURES, Readings, figure_of_several
from basins.statistics.binomial import one_sided_upper

sys.path.append(str(Path(__file__).parents[1] / "execution"))
from growing import NARROW, growing

from basins.cli import main
from basins.execution.run import prove_run, run
from basins.run_tables import open_run
from basins.verify import verify

SCHEMA_1 = Path(__file__).parents[1] / "runs" / "schema-1" / "all"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three seeds of one experiment, the third with one case more; one of the first seed with fewer trajectories."""
    folder = tmp_path_factory.mktemp("several")
    asked = {
        "a": growing(700),
        "b": growing(900, seed=6),
        "c": growing(500, seed=7, more=NARROW),
        "again": growing(300),
    }
    for name, experiment in asked.items():
        run(experiment, folder / name, on="inline")
    return {name: folder / name for name in asked}


def says(*arguments: object, status: int = 0) -> str:
    done = CliRunner().invoke(main, [str(one) for one in arguments])
    assert done.exit_code == status, done.output
    return " ".join((done.output if status else done.stdout).split())


# --- side by side ----------------------------------------------------------------------------------------------------


def test_a_row_has_the_figures_of_the_run(runs: dict[str, Path]) -> None:
    found = basins.compare(runs["a"], str(runs["b"]), open_run(runs["c"]))
    table = found.to_pandas()
    assert list(table["run"]) == ["a", "a", "b", "b", "c", "c", "c"]
    for row in found.rows:
        opened = open_run(runs[row.run])
        one = next(case for case in opened.estimate().cases if case.case == row.key)
        counts = (one.name, one.trajectories, one.minimum, one.saddle, one.censored)
        assert counts == (row.case, row.trajectories, row.minimum, row.saddle, row.censored)
        assert row.upper == (None if one.null else one.saddle_measure.upper)
        assert row.evaluations == opened.blocks(row.case)["evaluations"].sum() / one.trajectories
        assert row.core_seconds is not None
        assert row.core_seconds > 0
        assert row.seed == opened.manifest.seed


def test_differences_are_tested_exactly(runs: dict[str, Path]) -> None:
    found = basins.compare(runs["a"], runs["b"])
    a, b = (open_run(runs[name]).estimate().cases[0] for name in ("a", "b"))
    censored = next(test for test in found.tests if (test.case, test.what) == ("wide", "censored"))
    assert censored.counts == ((a.censored, 700), (b.censored, 900))
    table = np.array([[a.censored, 700 - a.censored], [b.censored, 900 - b.censored]])
    assert censored.p == pytest.approx(float(fisher_exact(table).pvalue))
    assert censored.p is not None
    assert len(found.tests) == 4
    assert censored.p is not None
    assert censored.p_holm == pytest.approx(min(1.0, 4 * censored.p))  # the smallest of four
    assert "Holm" in found.method
    same = basins.compare(runs["a"], runs["again"])
    assert all(test.p is None and "the same starts" in test.skipped for test in same.tests)


def test_holm() -> None:
    def of(p: float | None) -> Difference:
        return Difference("case", ("a", "b"), "saddle", ((0, 1), (0, 1)), p)

    adjusted = [test.p_holm for test in _adjusted([of(0.01), of(None), of(0.04), of(0.03), of(0.9)])]
    assert adjusted == [pytest.approx(0.04), None, pytest.approx(0.09), pytest.approx(0.09), pytest.approx(0.9)]


def test_false_alarms_are_as_rare_as_said() -> None:
    """Runs of the same law, in which a twentieth is censored: of 300 comparisons of ten tests at most some have one."""
    from basins.comparison.side_by_side import fisher

    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(300):
        counts = rng.binomial(400, 0.05, size=(10, 2))
        pairs = [((int(k), 400), (int(m), 400)) for k, m in counts]
        tests = [Difference("case", ("a", "b"), "censored", pair, fisher(*pair)) for pair in pairs]
        alarms += any(test.p_holm is not None and test.p_holm <= 0.05 for test in _adjusted(tests))
    assert alarms / 300 <= 0.05 + 3 * np.sqrt(0.05 / 300)


def test_on_the_screen_as_csv_and_as_json(runs: dict[str, Path]) -> None:
    said = says("compare", runs["a"], runs["b"])
    assert "wide a / b saddle 0 of 700 / 0 of 900" in said
    assert "Fisher's exact test, two-sided" in said
    rows = list(
        csv.DictReader(
            io.StringIO(CliRunner().invoke(main, ["compare", *map(str, (runs["a"], runs["b"])), "--csv"]).stdout)
        )
    )
    assert [row["run"] for row in rows] == ["a", "a", "b", "b"]
    assert float(rows[0]["upper"]) == open_run(runs["a"]).estimate().cases[0].saddle_measure.upper
    assert rows[1]["upper"] == ""  # a null law has no bound
    read = json.loads(says("compare", runs["a"], runs["b"], "--json"))
    assert len(read["rows"]) == len(read["tests"]) == 4
    assert "the same starts" in says("compare", runs["a"], runs["again"])
    assert "error: runs: 1 runs; give two runs or more" in says("compare", runs["a"], status=2)
    assert "given twice" in says("compare", runs["a"], f"{runs['a']}/", status=2)
    assert "not a run" in says("compare", runs["a"], runs["a"].parent, status=2)


def test_runs_of_different_schemas(runs: dict[str, Path]) -> None:
    found = basins.compare(runs["a"], SCHEMA_1)
    assert {row.run for row in found.rows} == {"a", "all"}
    assert any("different schema versions (a: 2, all: 1)" in note for note in found.notes)
    old = next(row for row in found.rows if row.run == "all" and row.case == "gaussian")
    one = open_run(SCHEMA_1).estimate().cases[0]
    assert (old.trajectories, old.censored, old.upper) == (one.trajectories, one.censored, one.saddle_measure.upper)


def test_names_are_as_short_as_tells_them_apart() -> None:
    assert names(["/data/x/run", "s3://bucket/y/run"]) == ["x/run", "y/run"]
    assert names(["/data/x", "/data/y"]) == ["x", "y"]


# --- pooled ----------------------------------------------------------------------------------------------------------


def test_seeds_of_one_case_are_one_sample(runs: dict[str, Path]) -> None:
    found = basins.pool(runs["a"], runs["b"], runs["c"])
    each = [open_run(runs[name]).estimate() for name in ("a", "b", "c")]
    wide, control, narrow = found.cases
    for verdict in ("minimum", "saddle", "censored"):
        assert getattr(wide, verdict) == sum(getattr(one.cases[0], verdict) for one in each)
    assert (wide.trajectories, wide.planned, control.trajectories) == (2100, 2100, 150)
    assert wide.saddle_measure.upper == one_sided_upper(wide.censored, 2100)
    assert wide.reasons == {"evaluation budget": wide.censored}
    assert narrow.trajectories == 40  # as it is, of one run
    assert found.pooled.trajectories == 2140
    assert found.experiment == "a + b + c"
    assert "610 minimum" not in says("estimate", runs["a"], runs["b"], "--case", "control")
    assert json.loads(says("estimate", runs["a"], runs["b"], "--json"))["cases"][0]["trajectories"] == 1600


def test_the_same_starts_are_refused(runs: dict[str, Path]) -> None:
    with pytest.raises(ArgumentError, match=r"have the same starts: one problem, law and seed \(5\), and ids that"):
        basins.pool(runs["a"], runs["b"], runs["again"])
    with pytest.raises(ArgumentError, match="no two of these runs have a case of the same problem and law"):
        basins.pool(runs["a"], SCHEMA_1)


def test_checked_labels_and_proofs_of_all_of_them_count(runs: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    for name in ("a", "b"):
        shutil.copytree(runs[name], tmp_path / name)
    verify(tmp_path / "a", sample=100)
    one, other = tmp_path / "a", tmp_path / "b"
    half = basins.pool(one, other).cases[0].label_error
    assert half is not None
    assert half.minimum.uncovered == open_run(other).estimate().cases[0].minimum  # none of the other's was drawn
    verify(other, sample=100)
    both = basins.pool(one, other).cases[0].label_error
    assert both is not None
    alone = [open_run(path).estimate().cases[0].label_error for path in (one, other)]
    assert both.minimum.checked == sum(error.minimum.checked for error in alone if error is not None)
    assert both.minimum.uncovered == 0


def test_proofs_add_up_where_every_start_was_tried(tmp_path: Path) -> None:
    from test_growing import provable

    paths = []
    for seed in (5, 6):
        text = provable(60).text.replace("seed = 5", f"seed = {seed}")
        paths.append(tmp_path / str(seed))
        run(basins.experiment.Experiment.from_toml(text, tmp_path), paths[-1], on="inline")
        prove_run(paths[-1], on="inline")
    found = basins.pool(*paths).cases[0].proved
    assert found is not None
    each = [open_run(path).estimate().cases[0].proved for path in paths]
    assert found.tried == 120
    assert found.proved == sum(one.proved for one in each if one is not None)
    compared = basins.compare(*paths)
    assert [test.what for test in compared.tests] == ["saddle", "censored", "not proved"]


# --- figures and the page --------------------------------------------------------------------------------------------


def test_one_figure_of_several_runs(runs: dict[str, Path], tmp_path: Path) -> None:
    opened = {name: open_run(runs[name]) for name in ("a", "b", "c")}
    drawn = figure_of_several(opened, "survival", "wide")
    labels = [text.get_text() for legend in drawn.legends for text in legend.get_texts()]
    assert [label.split(" ")[0] for label in labels] == ["a", "b", "c"]
    assert [one.name for one in Readings(opened).estimates()][-1] == "c: narrow"
    for name in FIGURES:
        says("plot", name, runs["a"], runs["b"], "-o", tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.svg").stat().st_size > 1000
    assert "is of one run" in says("plot", "loss", runs["a"], runs["b"], status=2)


def test_a_page_of_several_runs(runs: dict[str, Path], tmp_path: Path) -> None:
    says("report", runs["a"], runs["b"], "-o", tmp_path / "page.html")
    page = " ".join((tmp_path / "page.html").read_text().split())
    assert "a + b" in page
    assert "Fisher&#39;s exact test" in page
    assert "1,600 trajectories, together" in page
    assert page.count("<svg") == 0
    assert page.count("data:image/svg+xml") == 4
    says("report", runs["a"], SCHEMA_1, "-o", tmp_path / "apart.html")
    assert "Not pooled: no two of these runs" in (tmp_path / "apart.html").read_text()
