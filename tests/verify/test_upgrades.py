"""Small runs of every schema version, as the basins of that version wrote them. Each must be estimated, shown,
verified.

tests/runs/schema-N/ROWS was made by the last basins of that version. A new version adds a folder, and changes none.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from basins.run_tables import open_run
from basins.show import show
from basins.store import schemas
from basins.verify import verify

KEPT = Path(__file__).parents[1] / "runs"
RUNS = sorted(path for version in KEPT.iterdir() for path in version.iterdir())


def test_every_version_is_kept() -> None:
    assert {path.name for path in KEPT.iterdir()} == {f"schema-{k}" for k in range(1, schemas.VERSION + 1)}


@pytest.fixture(params=RUNS, ids=lambda path: f"{path.parent.name}-{path.name}")
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copytree(request.param, tmp_path / "run")
    return tmp_path / "run"


def test_every_version_is_estimated(run: Path) -> None:
    case = open_run(run).estimate().cases[0]
    wanted = {60: (55, 0, 5), 1100: (962, 0, 138)}[case.planned]
    assert (case.minimum, case.saddle, case.censored) == wanted
    assert sum(stratum.count for stratum in case.strata) == case.minimum
    assert case.reasons == {"evaluation budget": case.censored}


def test_show_works_on_every_version(run: Path) -> None:
    shown = show(open_run(run), 10, open_run(run).manifest.cases[0].key)
    assert shown.row["id"] == 10
    assert shown.row["verdict"] == "minimum"
    assert shown.visits is not None


def test_every_version_verifies_without_fault(run: Path) -> None:
    found = verify(run, sample=12, blocks=0)
    assert found.findings == ()
    assert found.shards == found.good == 2
    assert found.labels is not None
    assert {one.found for one in found.labels.rows} <= {"agreed", "minimum"}
    assert open_run(run).estimate().cases[0].label_error is not None
