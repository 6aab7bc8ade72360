"""Finished runs to damage: made once, copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from basins.execution import run as run_module
from basins.experiment import Experiment
from basins.verify import Verification, verify

TEXT = """
name = "to verify"
seed = 5
visits_every = 10
rows = "{rows}"
data = {{ source = "spectrum", sigma = [2.0, 1.0], d_x = 2 }}
network = {{ hidden = [2] }}
engine = {{ name = "reference" }}
[[case]]
name = "integrated"
trajectories = 20
law = {{ name = "gaussian", scale = 0.5 }}
[[case]]
name = "at once"
trajectories = 2500
law = {{ name = "gaussian", scale = 1.0 }}
engine = {{ budget = 1 }}
[[case]]
name = "control"
trajectories = 12
law = {{ name = "planted", modes = [0], scale = 0.5 }}
"""
"""Five shards: minima with their visits; three of rows that stop where they start; saddles."""

ROWS = ("all", "exceptions")


def experiment(rows: str = "all") -> Experiment:
    return Experiment.from_toml(TEXT.format(rows=rows), Path())


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One finished run for each way to keep rows."""
    made = {rows: tmp_path_factory.mktemp("verify") / rows for rows in ROWS}
    for rows, path in made.items():
        run_module.run(experiment(rows), path, on="inline")
    return made


@pytest.fixture
def copied(originals: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """copied(rows="all"): a copy of a finished run, to be damaged."""

    def copy(rows: str = "all") -> Path:
        shutil.copytree(originals[rows], tmp_path / rows)
        return tmp_path / rows

    return copy


@pytest.fixture
def bytes_of() -> Callable[[Path], Verification]:
    """bytes_of(run): what a look at its bytes finds, nothing integrated."""

    def look(run: Path, **options: object) -> Verification:
        return verify(run, sample=0, blocks=0, **options)  # type: ignore[arg-type]

    return look
