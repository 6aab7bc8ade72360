"""A run of arrays grows by trajectories, and by cases of other arrays, which are stored before the rest changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from experiments import data_files
from growing import but_for_growth

import basins
from basins.errors import RunError
from basins.verify import verify

RNG = np.random.default_rng(9)
X, Y = RNG.normal(size=(12, 2)), RNG.normal(size=(12, 1))
ONE, TWO = (basins.Problem.from_data(X, Y + k, hidden=(1,)) for k in (0, 1))


def of(n: int, *problems: basins.Problem) -> basins.Experiment:
    return basins.Experiment(
        cases=[
            basins.Case(problem, basins.Gaussian(0.5), n, name=f"pair {k}", engine="reference", budget=1)
            for k, problem in enumerate(problems)
        ]
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    basins.run(of(700, ONE), out=tmp_path / "run", on="inline")
    return tmp_path / "run"


def test_the_same_bytes_as_from_the_start(small: Path, tmp_path: Path) -> None:
    basins.run(of(1500, ONE), out=small, on="inline")
    basins.run(of(1500, ONE, TWO), out=small, on="inline")
    basins.run(of(1500, ONE, TWO), out=tmp_path / "at once", on="inline")
    grown = data_files(small)
    assert {"data.npz", "data-2.npz"} <= set(grown)
    assert but_for_growth(grown) == but_for_growth(data_files(tmp_path / "at once"))
    assert verify(small, sample=0).findings == ()


def test_a_file_in_the_place_of_the_new_arrays_stops_it_before_anything_changes(small: Path) -> None:
    (small / "data-2.npz").write_bytes(b"mine")
    before = data_files(small)
    with pytest.raises(RunError, match=r"data-2\.npz is there, and is no file of this run; move it away"):
        basins.run(of(700, ONE, TWO), out=small, on="inline")
    assert data_files(small) == before
    (small / "data-2.npz").unlink()
    basins.run(of(700, ONE, TWO), out=small, on="inline")
    assert verify(small, sample=0).findings == ()


def test_arrays_that_have_changed_stop_it_before_anything_changes(small: Path) -> None:
    (small / "data.npz").write_bytes(b"another")
    before = data_files(small)
    with pytest.raises(RunError, match=r"data\.npz has changed"):
        basins.run(of(1500, ONE, TWO), out=small, on="inline")
    assert data_files(small) == before


def test_other_arrays_are_no_growth(small: Path) -> None:
    before = data_files(small)
    with pytest.raises(RunError, match=r"data\.sha256"):
        basins.run(of(1500, TWO), out=small, on="inline")
    assert data_files(small) == before
