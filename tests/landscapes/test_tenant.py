"""A landscape outside the package, from its TOML to certificate, estimate, figure and report, on two processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from double_well import LEFT, RIGHT, SADDLE, DoubleWell

from basins.classification.classify_batch import integrate_batch
from basins.cli import main
from basins.errors import BasinsError
from basins.execution.run import run
from basins.experiment import Experiment
from basins.integrators.base import Settings
from basins.landscapes.base import Landscape, Verdict
from basins.run_tables import open_run
from basins.verify import verify

HERE = Path(__file__).parent

TEXT = """
name = "wells"
seed = 3
trajectories = 4_000
visits_every = 40

[landscape]
kind = "double_well:DoubleWell"
dimensions = 3

[law]
name = "gaussian"
scale = 0.7
"""


@pytest.fixture(scope="module")
def wells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, by two worker processes that have to find the landscape by its import path."""
    out = tmp_path_factory.mktemp("wells") / "run"
    with pytest.MonkeyPatch.context() as patch:
        path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
        patch.setenv("PYTHONPATH", path)
        run(Experiment.from_toml(TEXT, Path()), out=out, on="processes", workers=2)
    return out


def test_double_well_satisfies_the_landscape_protocol() -> None:
    landscape: Landscape = DoubleWell(3)
    assert landscape.gradient_code() is not None


def test_generated_code_classifies_by_the_sign_of_the_first_coordinate() -> None:
    landscape, rng = DoubleWell(4), np.random.default_rng(1)
    starts = rng.normal(size=(500, 4))
    for engine, method in (("lanes", "DOP853-RKC"), ("reference", "DOP853")):
        settings = Settings(engine=engine, method=method)
        found = integrate_batch(landscape, starts, settings, np.zeros(500, dtype=bool))
        assert (found.verdict == Verdict.minimum).all()
        assert np.array_equal(found.code, np.where(starts[:, 0] < 0, LEFT, RIGHT))


def test_a_start_on_the_stable_manifold_is_a_saddle_and_one_beside_it_is_not() -> None:
    landscape = DoubleWell(2)
    starts = np.array([[0.0, 0.8], [1e-9, 0.8], [-1e-9, 0.8]])
    found = integrate_batch(landscape, starts, Settings(), np.ones(3, dtype=bool))
    assert found.verdict.tolist() == [Verdict.saddle, Verdict.minimum, Verdict.minimum]
    assert found.code.tolist() == [SADDLE, RIGHT, LEFT]
    assert SADDLE in found.visits.code[found.visits.row == 1], "it passes the saddle on its way"


def test_basins_have_measure_one_half(wells: Path) -> None:
    """The measure is known exactly: the joint interval contains it, and the share is within four standard
    deviations."""
    (case,) = open_run(wells).estimate().cases
    assert (case.minimum, case.saddle, case.censored) == (4_000, 0, 0)
    by_code = {one.of.code: one for one in case.strata}
    assert by_code[SADDLE].count == 0
    assert by_code[LEFT].count + by_code[RIGHT].count == 4_000
    for code in (LEFT, RIGHT):
        assert by_code[code].lower < 0.5 < by_code[code].upper
        assert abs(by_code[code].count / 4_000 - 0.5) < 4 * 0.5 / np.sqrt(4_000)


def test_bytes_are_the_same_inline(wells: Path, tmp_path: Path) -> None:
    run(Experiment.from_toml(TEXT, Path()), out=tmp_path / "run", on="inline")
    files = [path.relative_to(wells) for path in wells.rglob("*.*") if "telemetry" not in path.parts]
    assert files
    assert all((tmp_path / "run" / path).read_bytes() == (wells / path).read_bytes() for path in files)


def test_rows_carry_the_landscapes_own_column(wells: Path) -> None:
    rows = open_run(wells).trajectories()
    assert "well" in rows.columns
    assert "modes" not in rows.columns
    assert set(rows["well"]) == {LEFT, RIGHT}
    assert open_run(wells).cases()["dimensions"].tolist() == [3]


def test_run_verifies(wells: Path) -> None:
    found = verify(wells, sample=0, blocks=2)
    assert found.findings == ()


def test_commands_accept_the_run(wells: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert status("estimate", wells) == 0
    said = capfd.readouterr().out
    assert "minimum at -1" in said
    assert "double well, n = 3" in said
    assert "conjecture" not in said
    assert status("plot", "survival", wells, "-o", tmp_path / "survival.png") == 0
    assert (tmp_path / "survival.png").stat().st_size > 5_000
    assert status("plot", "occupancy", wells, "-o", tmp_path / "occupancy.png") == 0
    assert status("report", wells, "-o", tmp_path / "report.html") == 0
    page = (tmp_path / "report.html").read_text()
    assert "minimum at -1" in page
    assert "modes S" not in page
    assert status("status", wells) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('kind = "double_well:DoubleWell"', 'kind = "nowhere:Nothing"'), "nowhere cannot be imported"),
        (('kind = "double_well:DoubleWell"', 'kind = "double_well:LEFT"'), "LEFT has no from_table"),
        (('kind = "double_well:DoubleWell"', 'kind = "double"'), "kind = 'double'"),
        (("dimensions = 3", "dimensions = 0"), "dimensions"),
        (('name = "gaussian"\nscale = 0.7', 'name = "planted"\nmodes = [0]'), "a law of deep linear networks"),
        (("[law]", "[network]\nhidden = [2]\n\n[law]"), r"both \[landscape\] and \[network\]"),
    ],
)
def test_invalid_landscape_tables_are_refused(change: tuple[str, str], words: str) -> None:
    assert change[0] in TEXT
    with pytest.raises(BasinsError, match=words):
        Experiment.from_toml(TEXT.replace(*change), Path())


def status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(one) for one in arguments])
    return int(str(stopped.value.code))


assert str(HERE) in sys.path, "pytest puts a test's folder on the path, so that the landscape can be imported"


def test_limits_of_a_foreign_landscape_have_its_words() -> None:
    landscape = DoubleWell(2)
    starts = np.random.default_rng(2).normal(size=(6, 2))
    limits = integrate_batch(landscape, starts, Settings(), np.ones(6, dtype=bool))
    words = landscape.critical.vocabulary
    table = limits.to_pandas()
    assert tuple(table.verdict.cat.categories) == words.verdicts
    assert tuple(table.certificate.cat.categories) == words.certificates
    assert table[words.set_column].tolist() == limits.code.tolist()
    assert [limits[k].verdict_text for k in range(6)] == table.verdict.tolist()
    assert getattr(limits[3], words.set_column) == limits.code[3]
    assert repr(limits).startswith("Limits(6 trajectories: ")
