"""Runs of a landscape outside the package with several minima and saddles: labels, counts and sentences."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from many_wells import ManyWellsSets
from rich.console import Console

from basins import laws
from basins.estimate.sentences import settled_alike
from basins.execution.run import run
from basins.experiment import Experiment
from basins.landscapes.base import Landscape
from basins.laws.independent import Gaussian
from basins.output.console.verify import print_verification
from basins.run_tables import Run, open_run
from basins.verify import verify
from basins.verify.recompute import _may_differ

TEXT = """
name = "wells"
seed = 5
trajectories = 60
visits_every = 20
rows = "{rows}"

[landscape]
kind = "many_wells:ManyWells"
n = 2

[law]
name = "gaussian"
scale = 0.7
"""
DOUBLE = 'kind = "double_well:DoubleWell"\ndimensions = 2'


def made(folder: Path, rows: str = "all", landscape: str = 'kind = "many_wells:ManyWells"\nn = 2') -> Run:
    text = TEXT.format(rows=rows).replace('kind = "many_wells:ManyWells"\nn = 2', landscape)
    run(Experiment.from_toml(text, Path()), out=folder / "run", on="inline")
    return open_run(folder / "run")


def test_labels_of_a_tenant_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn by its own set column, compared by the whole code, and named by its landscape."""
    opened = made(tmp_path)
    labels = verify(opened.path, sample=12, blocks=0).labels
    assert labels is not None
    assert [one.found for one in labels.rows] == ["agreed"] * 12
    kept = dict(zip(opened.trajectories()["id"], opened.trajectories()["wells"], strict=True))
    assert all(one.row.modes == kept[one.row.id] for one in labels.rows)
    decide = ManyWellsSets.decide

    def mirrored(self: Any, starts: Any, at_start: Any, W: Any, there: Any, delta: float) -> Any:
        return decide(self, starts, at_start, -W, there, delta)

    monkeypatch.setattr(ManyWellsSets, "decide", mirrored)
    labels = verify(opened.path, sample=12, blocks=0).labels
    assert labels is not None
    assert [one.found for one in labels.rows] == ["disagreed"] * 12
    out = Console(width=300, file=io.StringIO())
    print_verification(out, opened.manifest, verify(opened.path, sample=12, blocks=0))
    assert "is minimum, +-; 100 times tighter it is minimum, -+" in out.file.getvalue()  # type: ignore[attr-defined]


def test_minima_that_are_not_kept_are_compared_by_verdict(tmp_path: Path) -> None:
    found = verify(made(tmp_path, rows="exceptions").path, sample=30)
    assert found.findings == ()
    labels = found.labels
    assert labels is not None
    assert {one.found for one in labels.rows} == {"agreed"}
    assert {one.row.modes is None for one in labels.rows} == {True, False}


class AtZero(Gaussian):
    """As `Gaussian`, with the second coordinate exactly 0; called a density on purpose."""

    def sample(self, problem: Landscape, q: np.ndarray) -> np.ndarray:
        W = super().sample(problem, q)
        W[:, 1] = 0.0
        return W


def test_saddles_of_a_tenant_are_counted_and_pointed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(laws.LAWS, "gaussian", AtZero)
    (case,) = made(tmp_path).estimate().cases
    assert (case.minimum, case.saddle) == (0, 60)
    assert {one.of.name for one in case.strata if one.count} == {"-0", "+0"}
    assert case.doubtful[0] == 0


class BesideTheSaddle(Gaussian):
    """As `Gaussian`, with a first coordinate of 1e-200."""

    def sample(self, problem: Landscape, q: np.ndarray) -> np.ndarray:
        W = super().sample(problem, q)
        W[:, 0] = 1e-200
        return W


def test_settled_rows_of_a_tenant_are_told_no_theorem_of_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(laws.LAWS, "gaussian", BesideTheSaddle)
    (case,) = made(tmp_path, landscape=DOUBLE).estimate().cases
    assert case.reasons["settled"] >= 2
    assert case.settled == {}
    assert settled_alike(case) == ""


def test_a_row_that_goes_elsewhere_is_told_by_its_own_set_column() -> None:
    row = {"verdict": "censored", "wells": 5, "certificate": None, "reason": "settled", "t": 1.0}
    assert _may_differ("wells", row, {**row, "t": 2.0})
    assert not _may_differ("wells", row, {**row, "wells": 6})
