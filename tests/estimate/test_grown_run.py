"""What an estimate says of a run that has grown: on the screen, as JSON, in the report and from Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.append(str(Path(__file__).parents[1] / "execution"))
from growing import NARROW, growing

from basins.cli import main
from basins.execution.run import run
from basins.run_tables import open_run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grown twice; the second time a case is added, and `control` stays as it is."""
    path = tmp_path_factory.mktemp("grown") / "run"
    for asked in (growing(300), growing(700), growing(700, more=NARROW)):
        run(asked, path, on="inline")
    return path


def test_each_case_has_its_own_stages(path: Path) -> None:
    estimate = open_run(path).estimate()
    wide, control, narrow = estimate.cases
    assert wide.grown is not None
    assert (wide.grown.sizes, wide.grown.times) == ((300, 700), 1)
    assert wide.grown.saddle_measure.upper > wide.saddle_measure.upper
    assert control.grown is narrow.grown is None  # a null law has no bound; of the new case there was nothing to see
    assert estimate.pooled.grown is not None
    assert estimate.pooled.grown.sizes == (300, 700, 740)
    assert estimate.to_dict()["cases"][0]["grown"]["sizes"] == [300, 700]
    assert estimate.to_dict()["cases"][1]["grown"] is None


def test_it_is_printed_beside_the_bound(path: Path, tmp_path: Path) -> None:
    def says(*arguments: str) -> str:
        done = CliRunner().invoke(main, [*arguments])
        assert done.exit_code == 0, done.output
        return " ".join(done.stdout.split())

    said = says("estimate", str(path))
    assert "The run has grown once (300 -> 700). The bound above is for a size that was fixed beforehand" in said
    assert "The run has grown twice (300 -> 700 -> 740)" in said
    assert json.loads(says("estimate", str(path), "--case", "wide", "--json"))["grown"]["times"] == 1
    assert "stage 3: grown from 350 -> 750 -> 790 trajectories" in says("status", str(path))
    says("report", str(path), "-o", str(tmp_path / "page.html"))
    page = " ".join((tmp_path / "page.html").read_text().split())
    assert "The run has grown once (300 -&gt; 700)" in page
