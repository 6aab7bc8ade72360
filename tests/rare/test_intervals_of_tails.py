"""When a tail has an interval and when it has none; and that the calibration page is what its script makes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner
from scalar_chain import written

from basins.cli import main
from basins.errors import ArgumentError
from basins.rare import tail as tails
from basins.rare.combine import CALIBRATED, FEWEST, combine, log_mean_interval, offsets, warnings
from basins.rare.formatting import row, sentences
from basins.rare.replicates import SplittingLevel
from basins.rare.splitting_step import LevelResult, Tried
from basins.rare.tail import read_tail, tail

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "calibration.md").read_text()
SMALL = {"target": 1e-2, "population": 60, "sweeps": 2, "on": "inline"}


def level(number: int, log_P: float, spread: float = 1e-3, ending: str = "") -> SplittingLevel:
    result = LevelResult(0.2, spread, 0.3, 0, 100, 1000, {"pcn": Tried(100, 25, 0.1)})
    return SplittingLevel(number, 10.0 * number, log_P, result, 50, 1.0, 1.0, ending)  # type: ignore[arg-type]


@pytest.mark.parametrize("logs", [[-2.0], [-2.0, -2.0], [-2.0, -2.3, -1.9]])
def test_fewer_than_four_replicates_are_refused(logs: list[float]) -> None:
    with pytest.raises(ArgumentError, match=f"at least {FEWEST}"):
        log_mean_interval(np.array(logs))


@pytest.mark.parametrize("bad", [-np.inf, np.nan, np.inf])
def test_a_replicate_that_died_out_is_refused(bad: float) -> None:
    with pytest.raises(ArgumentError, match="not all reached"):
        log_mean_interval(np.array([-2.0, -2.1, -1.9, bad]))


@pytest.mark.parametrize("shift", [0.0, 1e-16, 3e-16])
def test_replicates_that_are_equal_up_to_rounding_have_no_interval(shift: float) -> None:
    logs = np.full(8, np.log(0.2) + np.log(0.25))
    logs[::2] += shift
    assert np.isnan(log_mean_interval(logs)).all()
    assert np.isnan(log_mean_interval(np.zeros(8))).all()  # all chains inside, in every replicate


def test_the_interval_scales_with_a_small_spread() -> None:
    """For s -> 0 it is Student's, of a normal mean: t_{0.975, 3} / sqrt(4) = 1.591, t_{0.95, 3} / 2 = 1.177."""
    for s in (1e-3, 1e-6, 1e-10):
        lower, upper, bound = np.array(offsets(s, 4)) / s
        assert (lower, upper) == pytest.approx((-1.591, 1.591), rel=0.005)
        assert bound == pytest.approx(1.177, rel=0.005)


def test_two_equal_replicates_give_no_bound() -> None:
    rows = combine([[level(1, -2.0), level(2, -4.0, ending="levels")]] * 2)
    assert [one.P for one in rows] == pytest.approx(np.exp([-2.0, -4.0]))
    assert not any(one.bounded for one in rows)
    assert np.isnan([[one.lower, one.upper, one.bound] for one in rows]).all()
    assert "2 replicates: fewer than 4 give no interval, and so no bound" in warnings(rows, 2)


def test_only_levels_with_equal_replicates_lack_an_interval() -> None:
    rows = combine([[level(1, 0.0), level(2, -2.0 + 0.1 * k, ending="levels")] for k in range(8)])
    assert [one.bounded for one in rows] == [False, True]
    assert rows[1].lower < rows[1].P < rows[1].bound < rows[1].upper
    assert "all replicates are equal at level 1: their spread gives no interval there" in warnings(rows, 8)


def test_a_run_with_zero_within_run_error_is_warned_of() -> None:
    rows = combine([[level(1, -2.0 + 0.1 * k, spread=0.0, ending="levels")] for k in range(8)])
    assert "replicates differ by inf times" in "; ".join(warnings(rows, 8))


def test_an_old_tail_of_three_is_read_without_an_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier versions allowed 2 and 3 replicates; more may be added."""
    experiment, folder = written(tmp_path), tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(tails, "FEWEST", 2)
        (few,) = tail(experiment, folder, replicates=3, **SMALL)  # type: ignore[arg-type]
    assert (few.replicates, few.last is not None) == (3, True)
    (again,) = read_tail(folder)
    assert again.last is not None
    assert again.last.P > 0
    assert not again.last.bounded
    assert row(again, again.last)[3] == "none"
    said = " ".join(sentences(again))
    assert "an estimate from 3 replicates, fewer than 4: without an interval it is no bound" in said
    assert "nan" not in said
    assert "fewer than 4 give no interval" in again.warnings[0]

    refused = CliRunner().invoke(main, ["tail", str(experiment), "--out", str(folder), "--replicates", "3"])
    assert refused.exit_code == 2
    assert "at least 4: fewer give no interval" in refused.stderr
    (more,) = tail(experiment, folder, replicates=4, **SMALL)  # type: ignore[arg-type]
    assert more.last is not None
    assert more.last.bounded
    (three,) = read_tail(folder, replicates=3)
    assert not any(one.bounded for one in three.levels)
    with pytest.raises(ArgumentError, match="at least 2"):
        read_tail(folder, replicates=1)


def test_a_new_tail_of_three_writes_nothing(tmp_path: Path) -> None:
    command = ["tail", str(written(tmp_path)), "--out", str(tmp_path / "run"), "--replicates", "2"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


# --- the calibration ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("calibration", ROOT / "docs" / "tables" / "calibration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    return module


def test_the_page_has_every_law_and_agrees_with_the_script(script: ModuleType) -> None:
    lines = {tuple(line.strip("| ").split(" | ")[:2]): line for line in PAGE.splitlines() if line.startswith("| ")}
    for one in script.ROWS:
        assert (one.name, str(one.levels)) in lines
    for one, m in ((script.ROWS[1], 4), (script.counted(50, 5), 8), (script.seldom(0.1, 0.5), 8)):
        found = script.coverage(one, m)
        cells = lines[one.name, str(one.levels)].strip("| ").split(" | ")
        cell = cells[4 + script.REPLICATES.index(m)]
        assert cell == f"{100 * found.bound:.1f} ({100 * found.interval:.1f})"


def test_the_bound_of_a_product_is_calibrated_from_eight_replicates(script: ModuleType) -> None:
    """With another seed than the page's; 0.5 for the error of 20,000 samples."""
    for one in script.products():
        assert script.coverage(one, CALIBRATED, seed=5).bound >= 0.945
        if one.levels > 1:
            assert script.coverage(one, CALIBRATED, seed=5).interval >= 0.94


def test_the_bound_is_not_calibrated_where_few_replicates_find_half_of_p(script: ModuleType) -> None:
    assert script.coverage(script.seldom(0.1, 0.5), CALIBRATED, seed=5).bound < 0.7


def test_the_simulation_uses_the_same_interval(script: ModuleType) -> None:
    rng = np.random.default_rng(3)
    for m, s in ((4, 0.2), (8, 1.3)):
        logs = rng.normal(-1.0, s, m)
        spread = logs.std(ddof=1)
        ends = [logs.mean() + spread * np.interp(np.log(spread), *table) for table in script.tables(m)]
        assert ends == pytest.approx(log_mean_interval(logs), abs=5e-3 * spread)
